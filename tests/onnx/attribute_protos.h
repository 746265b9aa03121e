#pragma once
// Tensors and attributes of a node as ONNX files hold them.

#include <string>
#include <vector>

#include "onnx/schema.h"
#include "onnx/wire.h"
#include "tensor/tensor.h"

namespace octet::test {

inline WireWriter tensor_proto(const std::string& name, const Tensor& tensor) {
  WireWriter out;
  for (const int64_t d : tensor.dims()) out.integer(onnx_field::tensor::dims, d);
  out.integer(onnx_field::tensor::data_type, onnx_of_dtype(tensor.dtype()));
  out.text(onnx_field::tensor::name, name);
  const auto* raw = reinterpret_cast<const char*>(tensor.bytes().data());
  out.text(onnx_field::tensor::raw_data, {raw, tensor.size_bytes()});
  return out;
}

inline WireWriter int_attribute_proto(const std::string& name, int64_t value) {
  WireWriter out;
  out.text(onnx_field::attribute::name, name);
  out.integer(onnx_field::attribute::i, value);
  out.integer(onnx_field::attribute::type, 2);
  return out;
}
inline WireWriter float_attribute_proto(const std::string& name, float value) {
  WireWriter out;
  out.text(onnx_field::attribute::name, name);
  out.real(onnx_field::attribute::f, value);
  out.integer(onnx_field::attribute::type, 1);
  return out;
}
inline WireWriter string_attribute_proto(const std::string& name, const std::string& value) {
  WireWriter out;
  out.text(onnx_field::attribute::name, name);
  out.text(onnx_field::attribute::s, value);
  out.integer(onnx_field::attribute::type, 3);
  return out;
}
inline WireWriter tensor_attribute_proto(const std::string& name, const Tensor& value) {
  WireWriter out;
  out.text(onnx_field::attribute::name, name);
  out.message(onnx_field::attribute::t, tensor_proto("", value));
  out.integer(onnx_field::attribute::type, 4);
  return out;
}
inline WireWriter ints_attribute_proto(const std::string& name, const std::vector<int64_t>& values) {
  WireWriter out;
  out.text(onnx_field::attribute::name, name);
  for (const int64_t v : values) out.integer(onnx_field::attribute::ints, v);  // unpacked, as Python's onnx writes it
  out.integer(onnx_field::attribute::type, 7);
  return out;
}
inline WireWriter floats_attribute_proto(const std::string& name, const std::vector<float>& values) {
  WireWriter out;
  out.text(onnx_field::attribute::name, name);
  for (const float v : values) out.real(onnx_field::attribute::floats, v);
  out.integer(onnx_field::attribute::type, 6);
  return out;
}

}  // namespace octet::test
