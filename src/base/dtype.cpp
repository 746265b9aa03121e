#include "base/dtype.h"

#include <array>

namespace octet {
namespace {

struct Row {
  DType dtype;
  size_t bytes;
  std::string_view name;
};
constexpr std::array<Row, 21> k_rows = {{
    {DType::undefined, 0, "undefined"},
    {DType::f32, 4, "f32"},
    {DType::f64, 8, "f64"},
    {DType::f16, 2, "f16"},
    {DType::bf16, 2, "bf16"},
    {DType::s8, 1, "s8"},
    {DType::u8, 1, "u8"},
    {DType::s16, 2, "s16"},
    {DType::u16, 2, "u16"},
    {DType::s32, 4, "s32"},
    {DType::u32, 4, "u32"},
    {DType::s64, 8, "s64"},
    {DType::u64, 8, "u64"},
    {DType::boolean, 1, "bool"},
    {DType::s4, 1, "s4"},
    {DType::u4, 1, "u4"},
    {DType::f8e4m3fn, 1, "f8e4m3fn"},
    {DType::f8e4m3fnuz, 1, "f8e4m3fnuz"},
    {DType::f8e5m2, 1, "f8e5m2"},
    {DType::f8e5m2fnuz, 1, "f8e5m2fnuz"},
    {DType::f4e2m1, 1, "f4e2m1"},
}};

}  // namespace

size_t size_of(DType dtype) { return k_rows[static_cast<size_t>(dtype)].bytes; }

std::string_view name(DType dtype) { return k_rows[static_cast<size_t>(dtype)].name; }

std::optional<DType> dtype_from_name(std::string_view word) {
  for (const Row& row : k_rows)
    if (row.name == word) return row.dtype;
  return std::nullopt;
}

}  // namespace octet
