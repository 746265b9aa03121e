#pragma once
// Field numbers and enumerations of onnx.proto3 (ONNX 1.19, IR version 12), only what octet reads or writes.

#include <cstdint>
#include <string>

#include "base/dtype.h"

namespace octet::onnx_field {

namespace model {
inline constexpr uint32_t ir_version = 1, producer_name = 2, producer_version = 3, graph = 7, opset_import = 8,
                          metadata_props = 14, functions = 25;
}
namespace opset {
inline constexpr uint32_t domain = 1, version = 2;
}
namespace string_entry {
inline constexpr uint32_t key = 1, value = 2;
}
namespace function {
inline constexpr uint32_t name = 1, input = 4, output = 5, node = 7, opset_import = 9, domain = 10,
                          attribute_proto = 11, overload = 13;
}
namespace graph {
inline constexpr uint32_t node = 1, name = 2, initializer = 5, input = 11, output = 12, value_info = 13,
                          sparse_initializer = 15;
}
namespace node {
inline constexpr uint32_t input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7, overload = 8;
}
namespace attribute {
inline constexpr uint32_t name = 1, f = 2, i = 3, s = 4, t = 5, g = 6, floats = 7, ints = 8, strings = 9, tensors = 10,
                          graphs = 11, type = 20, ref_attr_name = 21;
}
namespace value_info {
inline constexpr uint32_t name = 1, type = 2;
}
namespace type {
inline constexpr uint32_t tensor_type = 1, denotation = 6;
}
namespace tensor_type {
inline constexpr uint32_t elem_type = 1, shape = 2;
}
namespace shape {
inline constexpr uint32_t dim = 1;
}
namespace dim {
inline constexpr uint32_t value = 1, param = 2;
}
namespace tensor {
inline constexpr uint32_t dims = 1, data_type = 2, segment = 3, float_data = 4, int32_data = 5, string_data = 6,
                          int64_data = 7, name = 8, raw_data = 9, double_data = 10, uint64_data = 11,
                          external_data = 13, data_location = 14;
}
namespace entry {
inline constexpr uint32_t key = 1, value = 2;
}

}  // namespace octet::onnx_field

namespace octet {

/// AttributeProto.AttributeType.
enum class AttributeType : int64_t {
  undefined = 0,
  real = 1,
  integer = 2,
  string = 3,
  tensor = 4,
  graph = 5,
  reals = 6,
  integers = 7,
  strings = 8,
  tensors = 9,
  graphs = 10,
};

/// DType::undefined for an element type that octet has not (strings, complex, float8e8m0, 2-bit).
DType dtype_of_onnx(int64_t element_type);
/// TensorProto.DataType; 0 for undefined.
int64_t onnx_of_dtype(DType dtype);
/// "INT4", "STRING", "element type 99".
std::string onnx_type_name(int64_t element_type);

}  // namespace octet
