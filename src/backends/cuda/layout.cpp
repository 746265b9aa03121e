#include "backends/cuda/layout.h"

#include <algorithm>
#include <numeric>

#include "backends/cuda/constants.h"
#include "backends/cuda/launch.h"
#include "ir/op.h"

namespace octet::cuda {
namespace {

bool contains(const std::vector<ValueId>& list, ValueId value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// The caller's elements are the back end's.
bool is_same_memory(const Value& value, DType floats) {
  if (value.shape->size() == 4 || value.dtype == DType::s8) return false;
  return value.dtype != DType::f32 || floats == DType::f32;
}

bool only_quantize_reads(const Graph& graph, ValueId value) {
  if (contains(graph.outputs, value)) return false;
  for (const Node& node : graph.nodes) {
    if (!contains(node.inputs, value)) continue;
    if (!is_op(node, "QuantizeLinear") || node.inputs[0] != value) return false;
  }
  return true;
}

}  // namespace

Layout dense_layout(DType dtype, const Dims& dims) {
  return {dtype,
          is_code(dtype)        ? Store::u8
          : dtype == DType::f16 ? Store::f16
                                : Store::f32,
          dims,
          row_major_strides(dims),
          element_count(dims).value_or(0),
          size_of(dtype)};
}

Layout layout_of(DType dtype, const Dims& dims, DType floats) {
  Layout made = dense_layout(dtype, dims);
  if (dtype == DType::f32 && floats == DType::f16) made.store = Store::f16, made.element_bytes = 2;
  if (dims.size() != 4) return made;
  const auto per_chunk = static_cast<int64_t>(16 / made.element_bytes);
  const int64_t c = dims[1], h = dims[2], w = dims[3];
  const int64_t pitch = is_code(dtype) && c <= 4 ? 4 : (c + per_chunk - 1) / per_chunk * per_chunk;
  made.strides = {h * w * pitch, 1, w * pitch, pitch};
  made.elements = dims[0] * h * w * pitch;
  return made;
}

Layout layout_of(const Graph& graph, ValueId value, DType floats) {
  const Value& v = graph.value(value);
  return layout_of(v.dtype, *known_dims(*v.shape), floats);
}

bool borrows_input(const Graph& graph, ValueId value, DType floats) {
  if (!contains(graph.inputs, value)) return false;
  const Value& v = graph.value(value);
  return is_same_memory(v, floats) || (v.dtype == DType::f32 && only_quantize_reads(graph, value));
}

bool writes_output(const Graph& graph, ValueId value, DType floats) {
  if (!is_same_memory(graph.value(value), floats) || contains(graph.inputs, value)) return false;
  if (std::count(graph.outputs.begin(), graph.outputs.end(), value) != 1) return false;
  return !is_constant(graph, value);
}

std::optional<Strided> strided(const Dims& dims, std::span<const Dims> strides, bool logical_order) {
  Strided made;
  made.count = element_count(dims).value_or(0);
  if (made.count >= int64_t{1} << 31) return std::nullopt;
  std::vector<size_t> order;
  for (size_t d = 0; d < dims.size(); ++d)
    if (dims[d] != 1) order.push_back(d);
  // The destination's order: neighbouring threads then write neighbouring elements.
  if (!logical_order)
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return std::abs(strides[0][a]) > std::abs(strides[0][b]); });
  std::vector<int64_t> extents;
  std::vector<Dims> kept(strides.size());
  for (const size_t d : order) {
    bool merges = !extents.empty();
    for (size_t o = 0; merges && o < strides.size(); ++o) merges = kept[o].back() == strides[o][d] * dims[d];
    if (merges) {
      extents.back() *= dims[d];
      for (size_t o = 0; o < strides.size(); ++o) kept[o].back() = strides[o][d];
    } else {
      extents.push_back(dims[d]);
      for (size_t o = 0; o < strides.size(); ++o) kept[o].push_back(strides[o][d]);
    }
  }
  if (extents.size() > k_max_dims) return std::nullopt;
  made.rank = static_cast<int>(extents.size());
  for (size_t d = 0; d < extents.size(); ++d) {
    made.div[d] = fast_div(extents[d]);
    for (size_t o = 0; o < strides.size(); ++o) made.stride[o][d] = kept[o][d];
  }
  return made;
}

Dims broadcast_strides(const Dims& dims, const Dims& strides, const Dims& out) {
  Dims made(out.size(), 0);
  const size_t skip = out.size() - dims.size();
  for (size_t d = 0; d < dims.size(); ++d)
    if (dims[d] != 1 || out[skip + d] == 1) made[skip + d] = strides[d];
  return made;
}

}  // namespace octet::cuda
