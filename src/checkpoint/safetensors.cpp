// safetensors: 8 bytes little-endian header length, a JSON header, the tensors' bytes.
// Source: the format section of huggingface/safetensors' README.

#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint/format.h"
#include "checkpoint/state_dict.h"
#include "checkpoint/sums.h"
#include "data/byte_reader.h"

namespace octet {
namespace {

using Json = nlohmann::json;
constexpr uint64_t k_most_header = 100 << 20;  // the format's own limit

std::optional<uint64_t> header_bytes(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const uint64_t size = in.u64();
  if (in.failed() || size < 2 || size > k_most_header || size > bytes.size() - 8) return std::nullopt;
  return size;
}

bool recognises(std::span<const std::byte> bytes) {
  return header_bytes(bytes).has_value() && std::to_integer<char>(bytes[8]) == '{';
}

std::optional<DType> dtype_of(const std::string& word) {
  constexpr std::pair<std::string_view, DType> k_types[] = {
      {"F32", DType::f32}, {"F64", DType::f64}, {"F16", DType::f16},     {"BF16", DType::bf16}, {"I64", DType::s64},
      {"I32", DType::s32}, {"I16", DType::s16}, {"I8", DType::s8},       {"U64", DType::u64},   {"U32", DType::u32},
      {"U16", DType::u16}, {"U8", DType::u8},   {"BOOL", DType::boolean}};
  for (const auto& [name, dtype] : k_types)
    if (name == word) return dtype;
  return std::nullopt;
}

/// A JSON list of numbers >= 0.
std::optional<std::vector<int64_t>> numbers(const Json& entry, const char* key) {
  const auto at = entry.find(key);
  if (at == entry.end() || !at->is_array()) return std::nullopt;
  std::vector<int64_t> values;
  for (const Json& item : *at) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > (uint64_t{1} << 62)) return std::nullopt;
    values.push_back(static_cast<int64_t>(item.get<uint64_t>()));
  }
  return values;
}

Result<Tensor> tensor_of(const Json& entry, std::span<const std::byte> data) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string())
    return Error{ErrorCode::bad_model, "its header has no dtype"};
  const std::optional<DType> dtype = dtype_of(entry["dtype"].get<std::string>());
  if (!dtype)
    return Error{ErrorCode::unsupported, "dtype " + entry["dtype"].get<std::string>() + ", which octet does not read"};
  const std::optional<std::vector<int64_t>> dims = numbers(entry, "shape"), offsets = numbers(entry, "data_offsets");
  const std::optional<int64_t> count = dims ? element_count(*dims) : std::nullopt;
  if (!count || !offsets || offsets->size() != 2)
    return Error{ErrorCode::bad_model, "its header has no usable shape and data_offsets"};
  const int64_t begin = (*offsets)[0], end = (*offsets)[1];
  const auto width = static_cast<int64_t>(size_of(*dtype));
  if (begin > end || end > static_cast<int64_t>(data.size()) || *count > (end - begin) / width ||
      *count * width != end - begin)
    return Error{ErrorCode::bad_model, "bytes " + std::to_string(begin) + ".." + std::to_string(end) + " of " +
                                           std::to_string(data.size()) + " do not hold shape " + to_string(*dims)};
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(*dtype, *dims);
  if (!made) return made.error();
  std::copy_n(data.begin() + begin, static_cast<size_t>(end - begin), made->second);
  return std::move(made->first);
}

/// The sums that octet wrote; empty in a file of another program.
std::map<std::string, std::string> sums_of(const Json& header) {
  std::map<std::string, std::string> sums;
  const auto metadata = header.find("__metadata__");
  if (metadata == header.end() || !metadata->is_object()) return sums;
  for (const auto& [key, value] : metadata->items())
    if (key.starts_with(k_sum_prefix) && value.is_string()) sums[key.substr(k_sum_prefix.size())] = value;
  return sums;
}

Result<Done> check_sum(const std::map<std::string, std::string>& sums, const std::string& name, const Tensor& tensor) {
  const auto at = sums.find(name);
  if (at != sums.end() && at->second == sum_of(name, tensor)) return Done{};
  return Error{ErrorCode::bad_model, at == sums.end()
                                         ? "the file has check sums of its tensors, and none of this one: it "
                                           "was damaged or changed by another program"
                                         : "it is not what was written (its check sum differs): the file is "
                                           "damaged"};
}

Result<Done> read(std::span<const std::byte> bytes, Checkpoint& checkpoint) {
  const uint64_t size = *header_bytes(bytes);
  const char* text = reinterpret_cast<const char*>(bytes.data()) + 8;
  const Json header = Json::parse(text, text + size, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return Error{ErrorCode::bad_model, "its header is not JSON"};
  std::map<std::string, std::string> sums = sums_of(header);
  checkpoint.summed = !sums.empty();
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    Result<Tensor> tensor = tensor_of(entry, bytes.subspan(8 + size));
    if (!tensor) return within("tensor '" + name + "'", tensor.error());
    if (checkpoint.summed)
      if (Result<Done> right = check_sum(sums, name, *tensor); !right)
        return within("tensor '" + name + "'", right.error());
    sums.erase(name);
    if (Result<Done> added = add_tensor(checkpoint, name, *std::move(tensor)); !added) return added.error();
  }
  if (!sums.empty())
    return Error{ErrorCode::bad_model, "its tensor '" + sums.begin()->first +
                                           "' is gone, only the check sum is there: the "
                                           "file is damaged"};
  return Done{};
}

}  // namespace

extern const CheckpointFormat safetensors_format;
const CheckpointFormat safetensors_format = {"safetensors", recognises, read};

}  // namespace octet
