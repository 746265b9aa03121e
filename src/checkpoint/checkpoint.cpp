#include "checkpoint/checkpoint.h"

#include "base/file.h"
#include "checkpoint/format.h"
#include "checkpoint/state_dict.h"

namespace octet {

#define OCTET_CHECKPOINT_FORMAT(name) extern const CheckpointFormat name##_format;
#include "checkpoint/formats.def"
#undef OCTET_CHECKPOINT_FORMAT

Result<Checkpoint> read_checkpoint(std::span<const std::byte> bytes, const std::string& file) {
  std::string known;
  for (const CheckpointFormat* format : {
#define OCTET_CHECKPOINT_FORMAT(name) &name##_format,
#include "checkpoint/formats.def"
#undef OCTET_CHECKPOINT_FORMAT
       }) {
    known += (known.empty() ? "" : ", ") + std::string(format->name);
    if (!format->recognises(bytes)) continue;
    Checkpoint checkpoint;
    checkpoint.format = format->name;
    if (Result<Done> done = format->read(bytes, checkpoint); !done) return within(file, done.error());
    if (checkpoint.tensors.empty()) return Error{ErrorCode::bad_model, file + ": holds no tensors"};
    strip_module_prefix(checkpoint);
    return checkpoint;
  }
  return Error{ErrorCode::bad_model, file + ": not a checkpoint that octet knows (" + known + ")"};
}

Result<Checkpoint> read_checkpoint(const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  return read_checkpoint((*file)->bytes(), path);
}

}  // namespace octet
