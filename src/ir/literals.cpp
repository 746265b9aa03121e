#include "ir/literals.h"

#include <bit>
#include <charconv>
#include <cmath>

#include "tensor/half.h"

namespace octet {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

template <class Bits>
std::string hex_bits(Bits bits) {
  char buffer[20];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, bits, 16).ptr;
  return "nan(0x" + std::string(buffer, end) + ")";
}

template <class T>
std::string number_text(T value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

/// The canonical quiet NaN of each float dtype prints as "nan".
uint64_t quiet_nan_bits(DType dtype) {
  switch (dtype) {
    case DType::f64: return 0x7ff8000000000000u;
    case DType::f32: return 0x7fc00000u;
    case DType::f16: return 0x7e00u;
    default: return 0x7fc0u;  // bf16
  }
}

template <class Bits>
std::string float_element(double value, DType dtype, Bits bits) {
  if (std::isnan(value)) return bits == static_cast<Bits>(quiet_nan_bits(dtype)) ? "nan" : hex_bits(bits);
  return dtype == DType::f64 ? number_text(value) : number_text(static_cast<float>(value));
}

std::string element_text(const Tensor& t, int64_t i) {
  switch (t.dtype()) {
    case DType::f32: return float_element(t.at<float>(i), t.dtype(), t.at<uint32_t>(i));
    case DType::f64: return float_element(t.at<double>(i), t.dtype(), t.at<uint64_t>(i));
    case DType::f16: return float_element(half_to_float(t.at<uint16_t>(i)), t.dtype(), t.at<uint16_t>(i));
    case DType::bf16: return float_element(bfloat16_to_float(t.at<uint16_t>(i)), t.dtype(), t.at<uint16_t>(i));
    case DType::s8:
    case DType::s4: return number_text(int{t.at<int8_t>(i)});
    case DType::u8:
    case DType::u4:
    case DType::f8e4m3fn:  // the short floats as their codes, which says everything
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f4e2m1:
    case DType::boolean: return number_text(int{t.at<uint8_t>(i)});
    case DType::s16: return number_text(t.at<int16_t>(i));
    case DType::u16: return number_text(t.at<uint16_t>(i));
    case DType::s32: return number_text(t.at<int32_t>(i));
    case DType::u32: return number_text(t.at<uint32_t>(i));
    case DType::s64: return number_text(t.at<int64_t>(i));
    case DType::u64: return number_text(t.at<uint64_t>(i));
    case DType::undefined: break;
  }
  return "?";
}

template <class T>
std::optional<T> from_digits(std::string_view text, int base = 10) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// T is float or double. NaN with bits is left to the caller.
template <class T>
std::optional<T> real_from_text(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view magnitude = negative ? text.substr(1) : text;
  if (magnitude == "inf") return negative ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
  if (text == "nan") return std::numeric_limits<T>::quiet_NaN();
  const bool hex = magnitude.starts_with("0x");
  const std::string_view digits = hex ? magnitude.substr(2) : magnitude;
  if (digits.empty() || (!is_digit(digits[0]) && !(hex && is_letter(digits[0])))) return std::nullopt;
  T value{};
  const std::chars_format format = hex ? std::chars_format::hex : std::chars_format::general;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value, format);
  if (problem != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return negative ? -value : value;
}

/// The bits of "nan(0x7fc00001)"; nothing when text is not of that form or the bits are not those of a NaN of dtype.
std::optional<uint64_t> nan_bits_from_text(std::string_view text, DType dtype) {
  constexpr std::string_view k_head = "nan(0x";
  if (!text.starts_with(k_head) || !text.ends_with(')')) return std::nullopt;
  const std::optional<uint64_t> bits =
      from_digits<uint64_t>(text.substr(k_head.size(), text.size() - k_head.size() - 1), 16);
  if (!bits) return std::nullopt;
  const size_t width = size_of(dtype) * 8;
  if (width < 64 && *bits >> width != 0) return std::nullopt;
  const uint64_t infinity = dtype == DType::f64   ? 0x7ff0000000000000u
                            : dtype == DType::f32 ? 0x7f800000u
                            : dtype == DType::f16 ? 0x7c00u
                                                  : 0x7f80u;
  const uint64_t sign = uint64_t{1} << (width - 1);
  if ((*bits & ~sign) <= infinity) return std::nullopt;
  return bits;
}

template <class T>
bool append(std::optional<T> value, std::vector<std::byte>& bytes) {
  if (!value) return false;
  const auto* p = reinterpret_cast<const std::byte*>(&*value);
  bytes.insert(bytes.end(), p, p + sizeof(T));
  return true;
}

/// A number of few bits in a byte.
template <class T>
bool append_small(std::string_view text, int low, int high, std::vector<std::byte>& bytes) {
  const std::optional<T> value = from_digits<T>(text);
  return value && int{*value} >= low && int{*value} <= high && append(value, bytes);
}

bool append_float(std::string_view text, DType dtype, std::vector<std::byte>& bytes) {
  if (text == "nan" || text.starts_with("nan(")) {
    const std::optional<uint64_t> bits = text == "nan" ? quiet_nan_bits(dtype) : nan_bits_from_text(text, dtype);
    if (!bits) return false;
    const auto* p = reinterpret_cast<const std::byte*>(&*bits);  // little-endian: the low bytes come first
    bytes.insert(bytes.end(), p, p + size_of(dtype));
    return true;
  }
  if (dtype == DType::f64) return append(real_from_text<double>(text), bytes);
  const std::optional<float> value = real_from_text<float>(text);
  if (!value || dtype == DType::f32) return append(value, bytes);
  const uint16_t bits = dtype == DType::f16 ? float_to_half(*value) : float_to_bfloat16(*value);
  const float back = dtype == DType::f16 ? half_to_float(bits) : bfloat16_to_float(bits);
  if (std::isinf(back) && !std::isinf(*value)) return false;
  return append(std::optional(bits), bytes);
}

}  // namespace

bool is_plain_word(std::string_view text) {
  if (text.empty() || text == "_" || text == "const" || text.ends_with(':') || text.starts_with("...")) return false;
  const auto first = [](char c) { return is_letter(c) || c == '_' || c == '.' || c == '/'; };
  if (!first(text[0])) return false;
  for (const char c : text)
    if (!first(c) && !is_digit(c) && c != ':' && c != '-') return false;
  return true;
}

std::string quoted(std::string_view text) {
  constexpr std::string_view k_hex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += k_hex[byte >> 4];
      out += k_hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string quoted_unless_plain(std::string_view text) {
  return is_plain_word(text) ? std::string(text) : quoted(text);
}

std::string float_text(float value) {
  std::string text = float_element(value, DType::f32, std::bit_cast<uint32_t>(value));
  if (text.find_first_of(".einf") == std::string::npos) text += ".0";  // 'n' also covers nan
  return text;
}

std::string type_text(DType dtype, const std::optional<Shape>& shape) {
  std::string text(name(dtype));
  if (!shape) return text;
  text += '[';
  for (size_t i = 0; i < shape->size(); ++i) {
    const Dim& d = (*shape)[i];
    if (i) text += ',';
    text += d.known() ? std::to_string(d.value) : d.symbol.empty() ? "?" : quoted_unless_plain(d.symbol);
  }
  return text + ']';
}

std::string elements_text(const Tensor& tensor) {
  std::string text;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (i) text += ", ";
    text += element_text(tensor, i);
  }
  return text;
}

bool append_element(std::string_view text, DType dtype, std::vector<std::byte>& bytes) {
  switch (dtype) {
    case DType::f32:
    case DType::f64:
    case DType::f16:
    case DType::bf16: return append_float(text, dtype, bytes);
    case DType::s8: return append(from_digits<int8_t>(text), bytes);
    case DType::u8: return append(from_digits<uint8_t>(text), bytes);
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz: return append(from_digits<uint8_t>(text), bytes);
    case DType::boolean: return append_small<uint8_t>(text, 0, 1, bytes);
    case DType::s4: return append_small<int8_t>(text, -8, 7, bytes);
    case DType::u4:
    case DType::f4e2m1: return append_small<uint8_t>(text, 0, 15, bytes);
    case DType::s16: return append(from_digits<int16_t>(text), bytes);
    case DType::u16: return append(from_digits<uint16_t>(text), bytes);
    case DType::s32: return append(from_digits<int32_t>(text), bytes);
    case DType::u32: return append(from_digits<uint32_t>(text), bytes);
    case DType::s64: return append(from_digits<int64_t>(text), bytes);
    case DType::u64: return append(from_digits<uint64_t>(text), bytes);
    case DType::undefined: break;
  }
  return false;
}

std::optional<int64_t> int_from_text(std::string_view text) { return from_digits<int64_t>(text); }

std::optional<float> float_from_text(std::string_view text) {
  std::vector<std::byte> bytes;
  if (!append_element(text, DType::f32, bytes)) return std::nullopt;
  float value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace octet
