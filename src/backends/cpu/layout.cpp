#include "backends/cpu/layout.h"

#include <algorithm>

#include "backends/cpu/constants.h"
#include "ir/op.h"
#include "kernels/conventions.h"

namespace octet::cpu {

Layout dense_layout(DType dtype, const Dims& dims) {
  return {dtype, dims, row_major_strides(dims), element_count(dims).value_or(0), size_of(dtype)};
}

Layout layout_of(DType dtype, const Dims& dims) {
  if (dims.size() != 4) return dense_layout(dtype, dims);
  const int64_t pitch = channel_pitch(dims[1]), h = dims[2], w = dims[3];
  return {dtype, dims, {h * w * pitch, 1, w * pitch, pitch}, dims[0] * h * w * pitch, size_of(dtype)};
}

Layout layout_of(const Graph& graph, ValueId value) {
  const Value& v = graph.value(value);
  return layout_of(v.dtype, *known_dims(*v.shape));
}

namespace {

bool contains(const std::vector<ValueId>& list, ValueId value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool is_dense_and_unshifted(const Value& value) { return value.shape->size() != 4 && value.dtype != DType::s8; }

bool only_quantize_reads(const Graph& graph, ValueId value) {
  if (contains(graph.outputs, value)) return false;
  for (const Node& node : graph.nodes) {
    if (!contains(node.inputs, value)) continue;
    if (!is_op(node, "QuantizeLinear") || node.inputs[0] != value) return false;
  }
  return true;
}

}  // namespace

bool borrows_input(const Graph& graph, ValueId value) {
  if (!contains(graph.inputs, value)) return false;
  const Value& v = graph.value(value);
  return is_dense_and_unshifted(v) || (v.dtype == DType::f32 && only_quantize_reads(graph, value));
}

bool writes_output(const Graph& graph, ValueId value) {
  if (!is_dense_and_unshifted(graph.value(value)) || contains(graph.inputs, value)) return false;
  if (std::count(graph.outputs.begin(), graph.outputs.end(), value) != 1) return false;
  return !is_constant(graph, value);
}

}  // namespace octet::cpu
