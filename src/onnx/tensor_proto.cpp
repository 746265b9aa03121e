#include "onnx/tensor_proto.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>

#include "onnx/schema.h"
#include "onnx/wire.h"

namespace octet {

struct TensorReader::Fields {
  std::string name;
  Dims dims;
  int64_t element_type = 0;
  bool has_raw = false, is_segment = false, is_external = false;
  ByteSpan raw;
  std::vector<uint32_t> words;    // float_data
  std::vector<uint64_t> doubles;  // double_data
  std::vector<int64_t> integers;  // int32_data, int64_data or uint64_data, whichever the dtype asks for
  std::map<std::string, std::string> external;
};

namespace {

Error bad(std::string text) { return Error{ErrorCode::bad_model, std::move(text)}; }

std::string described(DType dtype, const Dims& dims) { return std::string(name(dtype)) + " " + to_string(dims); }

/// Like to_string, also for extents below zero.
std::string extents_text(const Dims& dims) {
  std::string text;
  for (const int64_t d : dims) text += (text.empty() ? "[" : ",") + std::to_string(d);
  return text + "]";
}

Error wrong_count(DType dtype, const Dims& dims, size_t found, size_t expected, const char* unit) {
  return bad("holds " + std::to_string(found) + " " + unit + ", but " + described(dtype, dims) + " needs " +
             std::to_string(expected) + "; the file is damaged");
}

Result<Tensor> copied(DType dtype, Dims dims, ByteSpan raw) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, std::move(dims));
  if (!made) return made.error();
  if (!raw.empty()) std::memcpy(made->second, raw.data(), raw.size());
  return std::move(made->first);
}

/// The numbers as elements of type T; one that does not fit is an Error.
template <class T>
Result<Tensor> narrowed(DType dtype, const Dims& dims, std::span<const int64_t> numbers) {
  std::vector<T> values;
  values.reserve(numbers.size());
  for (const int64_t n : numbers) {
    const auto value = static_cast<T>(n);
    if (static_cast<int64_t>(value) != n)
      return bad("holds the number " + std::to_string(n) + ", which does not fit " + std::string(name(dtype)));
    values.push_back(value);
  }
  return Tensor::from<T>(dtype, dims, values);
}

Result<Tensor> from_integers(DType dtype, const Dims& dims, std::span<const int64_t> numbers) {
  switch (dtype) {
    case DType::s8: return narrowed<int8_t>(dtype, dims, numbers);
    case DType::u8:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::boolean: return narrowed<uint8_t>(dtype, dims, numbers);
    case DType::s16: return narrowed<int16_t>(dtype, dims, numbers);
    case DType::u16:
    case DType::f16:  // the bits of a half, as an unsigned number
    case DType::bf16: return narrowed<uint16_t>(dtype, dims, numbers);
    case DType::s32: return narrowed<int32_t>(dtype, dims, numbers);
    case DType::u32: return narrowed<uint32_t>(dtype, dims, numbers);
    case DType::u64: return narrowed<uint64_t>(dtype, dims, numbers);
    default: return narrowed<int64_t>(dtype, dims, numbers);
  }
}

/// Two elements to a byte, the first in the low half; s4 sign-extended.
Result<Tensor> unpacked(DType dtype, const Dims& dims, ByteSpan packed) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, dims);
  if (!made) return made.error();
  for (int64_t i = 0; i < made->first.size(); ++i) {
    const auto byte = static_cast<unsigned>(packed[static_cast<size_t>(i / 2)]);
    unsigned half = i % 2 == 0 ? byte & 15u : byte >> 4;
    if (dtype == DType::s4 && half >= 8) half |= 0xf0u;
    made->second[i] = static_cast<std::byte>(half);
  }
  return std::move(made->first);
}

/// Bytes that `count` elements take in a file.
size_t stored_bytes(DType dtype, int64_t count) {
  const auto elements = static_cast<size_t>(count);
  return is_four_bit(dtype) ? (elements + 1) / 2 : elements * size_of(dtype);
}

/// "offset" or "length" of external data: digits only.
Result<std::optional<uint64_t>> external_number(const std::map<std::string, std::string>& entries,
                                                const std::string& key) {
  const auto found = entries.find(key);
  if (found == entries.end()) return std::optional<uint64_t>();
  uint64_t value = 0;
  const std::string& text = found->second;
  const std::from_chars_result end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size())
    return bad("external data has the " + key + " '" + text + "', expected a number");
  return std::optional(value);
}

}  // namespace

Result<TensorReader::Fields> TensorReader::parse(ByteSpan message) const {
  namespace field = onnx_field::tensor;
  WireReader in(message, file_.data(), "tensor");
  Fields out;
  while (in.next()) {
    switch (in.number()) {
      case field::dims: in.append_varints(out.dims); break;
      case field::data_type: out.element_type = in.integer(); break;
      case field::segment: out.is_segment = true; break;
      case field::float_data: in.append_fixed32(out.words); break;
      case field::double_data: in.append_fixed64(out.doubles); break;
      case field::int32_data: {
        const size_t before = out.integers.size();
        in.append_varints(out.integers);
        for (size_t i = before; i < out.integers.size(); ++i)  // some encoders cut the sign extension at 32 bits
          out.integers[i] = static_cast<int32_t>(out.integers[i]);
        break;
      }
      case field::int64_data:
      case field::uint64_data: in.append_varints(out.integers); break;
      case field::name: out.name = in.text(); break;
      case field::raw_data:
        out.raw = in.bytes();
        out.has_raw = true;
        break;
      case field::external_data: {
        WireReader pair(in.bytes(), file_.data(), "external data");
        std::string key, value;
        while (pair.next()) {
          if (pair.number() == onnx_field::entry::key) key = pair.text();
          if (pair.number() == onnx_field::entry::value) value = pair.text();
        }
        if (pair.failed()) return pair.error();
        out.external[key] = value;
        break;
      }
      case field::data_location: out.is_external = in.integer() == 1; break;
      default: break;
    }
  }
  if (in.failed()) return in.error();
  return out;
}

Result<Tensor> TensorReader::view_or_copy(DType dtype, Dims dims, ByteSpan raw,
                                          std::shared_ptr<const void> keep_alive) const {
  const size_t needed = stored_bytes(dtype, *element_count(dims));
  if (raw.size() != needed) return wrong_count(dtype, dims, raw.size(), needed, "bytes");
  if (is_four_bit(dtype)) return unpacked(dtype, dims, raw);
  // An attribute that a function's call renamed is a copy that goes when the model has been read.
  const bool is_ours = keep_alive.get() != keep_alive_.get() ||
                       (raw.data() >= file_.data() && raw.data() + raw.size() <= file_.data() + file_.size());
  if (!is_ours) return copied(dtype, std::move(dims), raw);
  if (reinterpret_cast<uintptr_t>(raw.data()) % size_of(dtype) == 0 && !raw.empty())
    return Tensor(dtype, std::move(dims), std::move(keep_alive), raw.data());
  return copied(dtype, std::move(dims), raw);
}

Result<Tensor> TensorReader::from_numbers(DType dtype, const Fields& fields) const {
  auto count = static_cast<size_t>(*element_count(fields.dims));
  if (is_four_bit(dtype)) count = (count + 1) / 2;
  const size_t found = dtype == DType::f32   ? fields.words.size()
                       : dtype == DType::f64 ? fields.doubles.size()
                                             : fields.integers.size();
  if (found != count) return wrong_count(dtype, fields.dims, found, count, "numbers");
  if (dtype == DType::f32) return copied(dtype, fields.dims, std::as_bytes(std::span(fields.words)));
  if (dtype == DType::f64) return copied(dtype, fields.dims, std::as_bytes(std::span(fields.doubles)));
  if (!is_four_bit(dtype)) return from_integers(dtype, fields.dims, fields.integers);
  const Result<Tensor> bytes =
      narrowed<uint8_t>(DType::u8, {static_cast<int64_t>(count)}, std::span<const int64_t>(fields.integers));
  if (!bytes) return bytes.error();
  return unpacked(dtype, fields.dims, bytes->bytes());
}

Result<std::shared_ptr<const MappedFile>> TensorReader::open_beside(const std::string& location) {
  const auto known = beside_.find(location);
  if (known != beside_.end()) return known->second;
  if (!folder_) return bad("lies in the file '" + location + "', which a model in memory cannot refer to");
  const std::filesystem::path path(location);
  bool leaves = location.empty() || path.is_absolute() || location.find('\0') != std::string::npos;
  for (const std::filesystem::path& part : path) leaves = leaves || part == "..";
  if (leaves)
    return bad("lies in the file '" + location + "'; expected a path inside the model's own folder, without '..'");
  Result<std::shared_ptr<const MappedFile>> opened =
      MappedFile::open((std::filesystem::path(*folder_) / path).string());
  if (opened) beside_[location] = *opened;
  return opened;
}

Result<Tensor> TensorReader::from_external(DType dtype, const Fields& fields) {
  const auto location = fields.external.find("location");
  if (location == fields.external.end()) return bad("has external data without a location");
  const Result<std::optional<uint64_t>> offset = external_number(fields.external, "offset");
  if (!offset) return offset.error();
  const Result<std::optional<uint64_t>> length = external_number(fields.external, "length");
  if (!length) return length.error();
  const Result<std::shared_ptr<const MappedFile>> file = open_beside(location->second);
  if (!file) return file.error();
  const ByteSpan bytes = (*file)->bytes();
  const uint64_t start = offset->value_or(0);
  const uint64_t needed = stored_bytes(dtype, *element_count(fields.dims));
  if (length->value_or(needed) != needed)
    return wrong_count(dtype, fields.dims, static_cast<size_t>(**length), static_cast<size_t>(needed), "bytes");
  if (start > bytes.size() || needed > bytes.size() - start)
    return bad("needs bytes " + std::to_string(start) + " to " + std::to_string(start) + " + " +
               std::to_string(needed) + " of '" + location->second + "', which has " + std::to_string(bytes.size()) +
               "; the data file is truncated");
  return view_or_copy(dtype, fields.dims, bytes.subspan(static_cast<size_t>(start), static_cast<size_t>(needed)),
                      *file);
}

Result<std::pair<std::string, Tensor>> TensorReader::read(ByteSpan message) {
  Result<Fields> parsed = parse(message);
  if (!parsed) return parsed.error();
  Fields& fields = *parsed;
  const std::string place = "tensor '" + fields.name + "'";
  const DType dtype = dtype_of_onnx(fields.element_type);
  if (dtype == DType::undefined)
    return Error{ErrorCode::unsupported,
                 place + " is of " + onnx_type_name(fields.element_type) +
                     ", which octet has not; expected a real, integer or bool type of 4 to 64 bits"};
  if (!element_count(fields.dims))
    return within(place, bad("shape " + extents_text(fields.dims) +
                             " has a negative extent or more than 2^36 elements; the file is damaged"));
  if (fields.is_segment) return within(place, bad("is stored in segments, which octet does not read"));
  Result<Tensor> tensor = fields.is_external ? from_external(dtype, fields)
                          : !fields.raw.empty() || (fields.has_raw && *element_count(fields.dims) == 0)
                              ? view_or_copy(dtype, fields.dims, fields.raw, keep_alive_)
                              : from_numbers(dtype, fields);
  if (!tensor) return within(place, tensor.error());
  return std::pair(std::move(fields.name), std::move(*tensor));
}

std::string TensorReader::name_of(ByteSpan message) const {
  WireReader in(message, file_.data(), "tensor");
  std::string name;
  while (in.next())
    if (in.number() == onnx_field::tensor::name) name = in.text();
  return in.failed() ? "" : name;
}

}  // namespace octet
