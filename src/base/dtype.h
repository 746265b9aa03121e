#pragma once
// Element types. Names are the suffixes that kernels and the text form use.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace octet {

enum class DType : uint8_t { undefined, f32, f64, f16, bf16, s8, u8, s16, u16, s32, u32, s64, u64, boolean };

/// Bytes of one element; 0 for undefined.
size_t size_of(DType dtype);
/// "f32", "s8", "bool", ... as printed by the text form.
std::string_view name(DType dtype);
/// The inverse of name(); nothing for an unknown word.
std::optional<DType> dtype_from_name(std::string_view word);

inline bool is_float(DType d) { return d == DType::f32 || d == DType::f64 || d == DType::f16 || d == DType::bf16; }
inline bool is_code(DType d) { return d == DType::s8 || d == DType::u8; }

}  // namespace octet
