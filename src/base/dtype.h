#pragma once
// Element types. Names are the suffixes that kernels and the text form use.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace octet {

/// Behind boolean: the short types of ONNX, one element per byte in memory. s4 and u4 hold the number itself (s4 as a
/// signed byte); the 8- and 4-bit floats hold their code (tensor/short_float.h). They are stored, moved, cast,
/// quantized and dequantized, and computed with in no other way.
enum class DType : uint8_t {
  undefined,
  f32,
  f64,
  f16,
  bf16,
  s8,
  u8,
  s16,
  u16,
  s32,
  u32,
  s64,
  u64,
  boolean,
  s4,
  u4,
  f8e4m3fn,
  f8e4m3fnuz,
  f8e5m2,
  f8e5m2fnuz,
  f4e2m1,
};

/// Bytes of one element in memory; 0 for undefined.
size_t size_of(DType dtype);
/// "f32", "s8", "bool", ... as printed by the text form.
std::string_view name(DType dtype);
/// The inverse of name(); nothing for an unknown word.
std::optional<DType> dtype_from_name(std::string_view word);

inline bool is_float(DType d) { return d == DType::f32 || d == DType::f64 || d == DType::f16 || d == DType::bf16; }
inline bool is_short_float(DType d) { return d >= DType::f8e4m3fn && d <= DType::f4e2m1; }
/// Two elements to a byte in a file.
inline bool is_four_bit(DType d) { return d == DType::s4 || d == DType::u4 || d == DType::f4e2m1; }
inline bool is_code(DType d) { return d == DType::s8 || d == DType::u8; }

}  // namespace octet
