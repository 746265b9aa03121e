// PyTorch's form before 1.6: five things one after another: pickled magic number, protocol version, facts about the
// writing system, the object, the keys of its storages in file order; then each storage as a count and its elements.
// Source: torch/serialization.py, _legacy_save and _legacy_load.

#include <array>
#include <cstring>
#include <map>

#include "checkpoint/format.h"
#include "checkpoint/state_dict.h"
#include "data/byte_reader.h"

namespace octet {
namespace {

// PROTO 2, LONG1 of ten bytes: 0x1950a86a20f9469cfc6c
constexpr std::array<unsigned char, 14> k_magic = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                                   0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
constexpr int64_t k_protocol = 1001;

bool recognises(std::span<const std::byte> bytes) {
  return bytes.size() > k_magic.size() && std::memcmp(bytes.data(), k_magic.data(), k_magic.size()) == 0;
}

/// dtype of every storage that the object names.
std::map<std::string, DType> storage_dtypes(const Pickle& pickle) {
  std::map<std::string, DType> dtypes;
  for (const PickleValue& value : pickle.pool)
    if (value.kind == PickleValue::Kind::storage) dtypes[value.text] = value.dtype;
  return dtypes;
}

Result<Done> read(std::span<const std::byte> bytes, Checkpoint& checkpoint) {
  size_t at = 0;
  std::array<Pickle, 5> parts;
  const char* const names[] = {"magic number", "protocol version", "system facts", "object", "storage keys"};
  for (size_t i = 0; i < parts.size(); ++i) {
    Result<Pickle> part = read_pickle(bytes, at);
    if (!part) return within(names[i], part.error());
    at = part->end;
    parts[i] = *std::move(part);
  }
  if (parts[1][parts[1].root].integer != k_protocol)
    return Error{ErrorCode::unsupported, "protocol version " + std::to_string(parts[1][parts[1].root].integer) +
                                             "; the form before PyTorch 1.6 has " + std::to_string(k_protocol)};
  const std::map<std::string, DType> dtypes = storage_dtypes(parts[3]);
  std::map<std::string, std::span<const std::byte>> storages;
  ByteReader in(bytes, at);
  for (const PickleId id : parts[4][parts[4].root].items) {
    const std::string& key = parts[4][id].text;
    const uint64_t elements = in.u64();
    const auto dtype = dtypes.find(key);
    if (dtype == dtypes.end())
      return Error{ErrorCode::bad_model, "storage '" + key + "' belongs to no tensor, so its size is not known"};
    const size_t width = size_of(dtype->second);
    if (in.failed() || elements > bytes.size() / width)
      return Error{ErrorCode::bad_model, "storage '" + key + "' is cut off (the file may be truncated)"};
    storages[key] = in.take(elements * width);
    if (in.failed()) return Error{ErrorCode::bad_model, "storage '" + key + "' is cut off (the file may be truncated)"};
  }
  return add_state_dict(
      parts[3],
      [&](const std::string& key) -> Result<std::span<const std::byte>> {
        const auto found = storages.find(key);
        if (found == storages.end()) return Error{ErrorCode::bad_model, "storage '" + key + "' is not in the file"};
        return found->second;
      },
      bytes.size(), checkpoint);
}

}  // namespace

extern const CheckpointFormat pytorch_old_format;
const CheckpointFormat pytorch_old_format = {"PyTorch (before 1.6)", recognises, read};

}  // namespace octet
