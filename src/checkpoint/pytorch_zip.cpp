// PyTorch's zip form (1.6 and later): ARCHIVE/data.pkl, ARCHIVE/data/KEY per storage, ARCHIVE/byteorder.
// Source: torch/serialization.py, _save and _load.

#include <cstring>
#include <map>

#include "checkpoint/format.h"
#include "checkpoint/state_dict.h"
#include "data/zip.h"

namespace octet {
namespace {

bool recognises(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "PK\3\4", 4) == 0;
}

Result<Done> read(std::span<const std::byte> bytes, Checkpoint& checkpoint) {
  const Result<std::vector<ZipMember>> members = read_zip(bytes, nullptr);
  if (!members) return members.error();
  constexpr std::string_view k_pickle = "data.pkl";
  const ZipMember* pickle_member = nullptr;
  std::map<std::string_view, const ZipMember*> by_name;
  for (const ZipMember& member : *members) {
    by_name[member.name] = &member;
    if (member.name == k_pickle || member.name.ends_with("/data.pkl")) pickle_member = &member;
  }
  if (!pickle_member) return Error{ErrorCode::bad_model, "a zip archive without data.pkl: not a checkpoint of PyTorch"};
  const std::string root = pickle_member->name.substr(0, pickle_member->name.size() - k_pickle.size());
  if (const auto order = by_name.find(root + "byteorder"); order != by_name.end()) {
    const std::span<const std::byte> word = order->second->bytes;
    if (word.size() != 6 || std::memcmp(word.data(), "little", 6) != 0)
      return Error{ErrorCode::unsupported, "written on a big-endian machine; save it again on a little-endian one"};
  }
  const Result<Pickle> pickle = read_pickle(pickle_member->bytes);
  if (!pickle) return within(pickle_member->name, pickle.error());
  return add_state_dict(
      *pickle,
      [&](const std::string& key) -> Result<std::span<const std::byte>> {
        const auto at = by_name.find(root + "data/" + key);
        if (at == by_name.end()) return Error{ErrorCode::bad_model, "storage '" + key + "' is not in the archive"};
        return at->second->bytes;
      },
      bytes.size(), checkpoint);
}

}  // namespace

extern const CheckpointFormat pytorch_zip_format;
const CheckpointFormat pytorch_zip_format = {"PyTorch zip", recognises, read};

}  // namespace octet
