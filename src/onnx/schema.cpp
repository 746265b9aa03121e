#include "onnx/schema.h"

#include <array>
#include <string_view>

namespace octet {
namespace {

struct ElementType {
  std::string_view name;
  DType dtype = DType::undefined;
};
// Indexed by TensorProto.DataType.
constexpr std::array<ElementType, 29> k_types = {{
    {"UNDEFINED"},
    {"FLOAT", DType::f32},
    {"UINT8", DType::u8},
    {"INT8", DType::s8},
    {"UINT16", DType::u16},
    {"INT16", DType::s16},
    {"INT32", DType::s32},
    {"INT64", DType::s64},
    {"STRING"},
    {"BOOL", DType::boolean},
    {"FLOAT16", DType::f16},
    {"DOUBLE", DType::f64},
    {"UINT32", DType::u32},
    {"UINT64", DType::u64},
    {"COMPLEX64"},
    {"COMPLEX128"},
    {"BFLOAT16", DType::bf16},
    {"FLOAT8E4M3FN", DType::f8e4m3fn},
    {"FLOAT8E4M3FNUZ", DType::f8e4m3fnuz},
    {"FLOAT8E5M2", DType::f8e5m2},
    {"FLOAT8E5M2FNUZ", DType::f8e5m2fnuz},
    {"UINT4", DType::u4},
    {"INT4", DType::s4},
    {"FLOAT4E2M1", DType::f4e2m1},
    {"FLOAT8E8M0"},
    {"UINT2"},
    {"INT2"},
    {"FLOAT6E2M3"},
    {"FLOAT6E3M2"},
}};

bool is_listed(int64_t element_type) {
  return element_type >= 0 && element_type < static_cast<int64_t>(k_types.size());
}

}  // namespace

DType dtype_of_onnx(int64_t element_type) {
  return is_listed(element_type) ? k_types[static_cast<size_t>(element_type)].dtype : DType::undefined;
}

int64_t onnx_of_dtype(DType dtype) {
  if (dtype == DType::undefined) return 0;
  for (size_t i = 0; i < k_types.size(); ++i)
    if (k_types[i].dtype == dtype) return static_cast<int64_t>(i);
  return 0;
}

std::string onnx_type_name(int64_t element_type) {
  if (is_listed(element_type)) return std::string(k_types[static_cast<size_t>(element_type)].name);
  return "element type " + std::to_string(element_type);
}

}  // namespace octet
