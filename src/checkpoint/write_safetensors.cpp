// Named tensors -> safetensors: 8 bytes little-endian header length, a JSON header padded with blanks to 8 bytes, the
// tensors' bytes in order of name. Source: the format section of huggingface/safetensors' README.

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/sums.h"

namespace octet {
namespace {

const char* word_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::f16: return "F16";
    case DType::bf16: return "BF16";
    case DType::s64: return "I64";
    case DType::s32: return "I32";
    case DType::s16: return "I16";
    case DType::s8: return "I8";
    case DType::u64: return "U64";
    case DType::u32: return "U32";
    case DType::u16: return "U16";
    case DType::u8: return "U8";
    case DType::boolean: return "BOOL";
    default: return nullptr;
  }
}

}  // namespace

Result<Done> write_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object(), sums = nlohmann::ordered_json::object();
  size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const char* word = word_of(tensor.dtype());
    if (!word)
      return Error{ErrorCode::unsupported, path + ": tensor '" + name + "' is " +
                                               std::string(octet::name(tensor.dtype())) +
                                               ", which safetensors does not hold"};
    header[name] = {
        {"dtype", word}, {"shape", tensor.dims()}, {"data_offsets", {offset, offset + tensor.size_bytes()}}};
    sums[std::string(k_sum_prefix) + name] = sum_of(name, tensor);
    offset += tensor.size_bytes();
  }
  header["__metadata__"] = sums;
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::vector<std::byte> bytes;
  bytes.reserve(8 + text.size() + offset);
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(text.size() >> (8 * i)));
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  bytes.insert(bytes.end(), begin, begin + text.size());
  for (const auto& [name, tensor] : tensors) bytes.insert(bytes.end(), tensor.bytes().begin(), tensor.bytes().end());
  return write_file_atomically(path, bytes);
}

}  // namespace octet
