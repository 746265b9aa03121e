// Format: "\x93NUMPY", version, header length (2 bytes, 4 from version 2 on), a Python dict literal with descr,
// fortran_order and shape, then the elements. Source: numpy.lib.format.
#include "data/npy.h"

#include <charconv>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "data/byte_reader.h"
#include "data/zip.h"

namespace octet {
namespace {

constexpr std::string_view k_magic("\x93NUMPY", 6);
constexpr size_t k_max_rank = 32;

struct TypeCode {
  std::string_view code;  // without the byte order
  DType dtype;
};
constexpr TypeCode k_types[] = {{"f4", DType::f32}, {"f8", DType::f64}, {"f2", DType::f16},     {"i1", DType::s8},
                                {"u1", DType::u8},  {"i2", DType::s16}, {"u2", DType::u16},     {"i4", DType::s32},
                                {"u4", DType::u32}, {"i8", DType::s64}, {"b1", DType::boolean}, {"u8", DType::u64}};

Error wrong(const std::string& what) { return {ErrorCode::bad_argument, "not a .npy array that octet reads: " + what}; }

/// The text behind "'key':" in the header, without leading spaces; nothing when the key is missing.
std::optional<std::string_view> entry(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + std::string(key) + quote;
    const size_t at = header.find(quoted);
    if (at == std::string_view::npos) continue;
    const size_t colon = header.find(':', at + quoted.size());
    if (colon == std::string_view::npos) return std::nullopt;
    const size_t begin = header.find_first_not_of(' ', colon + 1);
    if (begin == std::string_view::npos) return std::nullopt;
    return header.substr(begin);
  }
  return std::nullopt;
}

Result<DType> read_dtype(std::string_view header) {
  const std::optional<std::string_view> text = entry(header, "descr");
  if (!text || text->size() < 2 || ((*text)[0] != '\'' && (*text)[0] != '"'))
    return wrong("its header names no simple dtype");
  std::string_view code = text->substr(1, text->find((*text)[0], 1) - 1);
  const std::string whole(code);
  if (!code.empty() && code[0] == '>') return wrong("dtype '" + whole + "' is big-endian; save it little-endian");
  if (!code.empty() && (code[0] == '<' || code[0] == '|' || code[0] == '=')) code.remove_prefix(1);
  for (const TypeCode& type : k_types) {
    if (type.code == code) return type.dtype;
  }
  return wrong("dtype '" + whole + "' is not supported");
}

Result<Dims> read_shape(std::string_view header) {
  const std::optional<std::string_view> text = entry(header, "shape");
  if (!text || (*text)[0] != '(') return wrong("its header has no shape");
  Dims dims;
  const char* at = text->data() + 1;
  const char* end = text->data() + text->size();
  while (true) {
    while (at != end && (*at == ' ' || *at == ',')) ++at;
    if (at == end) return wrong("its shape ends early");
    if (*at == ')') return dims;
    int64_t extent = 0;
    const std::from_chars_result number = std::from_chars(at, end, extent);
    if (number.ec != std::errc() || extent < 0 || dims.size() == k_max_rank) return wrong("its shape is broken");
    dims.push_back(extent);
    at = number.ptr;
  }
}

Result<Tensor> parse(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive) {
  ByteReader in(bytes);
  const std::span<const std::byte> magic = in.take(k_magic.size());
  if (in.failed() || std::memcmp(magic.data(), k_magic.data(), k_magic.size()) != 0)
    return wrong("its magic bytes are missing");
  const uint16_t version = in.u16();  // major in the low byte
  const size_t header_bytes = (version & 0xff) == 1 ? in.u16() : in.u32();
  const std::span<const std::byte> raw = in.take(header_bytes);
  if (in.failed()) return wrong("its header ends early");
  const std::string_view header(reinterpret_cast<const char*>(raw.data()), raw.size());
  const Result<DType> dtype = read_dtype(header);
  if (!dtype) return dtype.error();
  const std::optional<std::string_view> order = entry(header, "fortran_order");
  if (!order || order->substr(0, 5) != "False") return wrong("it is in Fortran order; save numpy.ascontiguousarray(x)");
  Result<Dims> dims = read_shape(header);
  if (!dims) return dims.error();
  const std::optional<int64_t> count = element_count(*dims);
  if (!count) return wrong("its shape " + to_string(*dims) + " is too large");
  const std::span<const std::byte> data = in.take(static_cast<size_t>(*count) * size_of(*dtype));
  if (in.failed()) return wrong("shape " + to_string(*dims) + " needs more elements than the file holds");
  if (reinterpret_cast<uintptr_t>(data.data()) % size_of(*dtype) == 0) {
    return Tensor(*dtype, *std::move(dims), std::move(keep_alive), data.data());
  }
  Result<std::pair<Tensor, std::byte*>> copy = Tensor::allocate(*dtype, *std::move(dims));
  if (!copy) return copy.error();
  if (!data.empty()) std::memcpy(copy->second, data.data(), data.size());
  return std::move(copy->first);
}

}  // namespace

Result<Tensor> read_npy(const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  Result<Tensor> tensor = parse((*file)->bytes(), *file);
  if (!tensor) return within(path, tensor.error());
  return tensor;
}

Result<std::vector<std::pair<std::string, Tensor>>> read_npz(const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  const Result<std::vector<ZipMember>> members = read_zip(*file);
  if (!members) return within(path, members.error());
  std::vector<std::pair<std::string, Tensor>> arrays;
  for (const ZipMember& member : *members) {
    std::string name = member.name;
    if (name.size() > 4 && name.ends_with(".npy")) name.resize(name.size() - 4);
    Result<Tensor> tensor = parse(member.bytes, member.keep_alive);
    if (!tensor) return within(path, within("array '" + name + "'", tensor.error()));
    arrays.emplace_back(std::move(name), *std::move(tensor));
  }
  return arrays;
}

Result<std::string> npy_header(DType dtype, const Dims& dims) {
  std::string code;
  for (const TypeCode& type : k_types) {
    if (type.dtype == dtype) code = (size_of(type.dtype) == 1 ? "|" : "<") + std::string(type.code);
  }
  if (code.empty()) {
    return Error{ErrorCode::unsupported, "a .npy file cannot hold elements of " + std::string(name(dtype))};
  }
  std::string shape;
  for (const int64_t extent : dims) shape += std::to_string(extent) + ", ";
  if (dims.size() > 1) shape.resize(shape.size() - 2);
  if (dims.size() == 1) shape.resize(shape.size() - 1);
  std::string header = "{'descr': '" + code + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // Magic, version, length and header together fill whole lines of 64 bytes, the last byte a newline.
  constexpr size_t k_before = 10;
  header.resize((k_before + header.size() + 1 + 63) / 64 * 64 - k_before - 1, ' ');
  header += '\n';
  std::string out(k_magic);
  out += std::string("\x01\x00", 2);
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

Result<std::string> npy_bytes(const Tensor& tensor) {
  Result<std::string> out = npy_header(tensor.dtype(), tensor.dims());
  if (out) out->append(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.size_bytes());
  return out;
}

}  // namespace octet
