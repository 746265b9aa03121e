// src/passes/pool_before_conv.cpp: an average over pixels moves in front of the 1x1 convolution that it alone reads:
//   pool(conv(x) + b) = conv(pool(x)) + b                                                  (in real numbers)
// A 1x1 convolution is one linear map of the channels for all pixels, and an average is one sum of pixels for all
// channels; so they change places, and the convolution meets only the pixels that the pool leaves (DenseNet's
// transitions: a quarter). A bias is the same at each pixel: it stays what it is where a window's weights add up to 1,
// that is where the average is one of elements of x alone; where padding counts too, only a convolution without a bias
// moves. Needs: kernel 1x1, stride 1, no padding. A convolution that reads a DequantizeLinear stays where it is: the
// graph says on which values its codes lie.
// Promises: tensors keep their names but for the one between, which is gone; the averaged x is called x_pooled.
// Runs before calibration, because the averaged x has a range of its own. The decision knows attributes and the
// weight's shape only, so that it is the same whatever extents of the image are known.

#include <algorithm>
#include <numeric>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

// A tap of an average pool counts as so many products of a convolution: the sums have twice to four times the bits of
// the products' factors, and each is requantized or divided.
constexpr double k_products_of_a_tap = 8;

bool are_all(const Node& node, const std::string& attribute, int64_t value) {
  const std::vector<int64_t> values = ints_attribute(node, attribute, {});
  return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == value; });
}

/// The dims of the weight of a Conv of f32 that maps each pixel by itself; nothing for another node.
std::optional<Dims> weight_of_pixels(const Graph& graph, const Node& node) {
  if (!is_op(node, "Conv") || graph.value(node.inputs[0]).dtype != DType::f32) return std::nullopt;
  const std::optional<Shape>& shape = graph.value(node.inputs[1]).shape;
  const std::optional<Dims> weight = shape ? known_dims(*shape) : std::nullopt;
  if (!weight || weight->size() < 3 || (*weight)[0] < 1 || (*weight)[1] < 1) return std::nullopt;
  const bool one_tap = std::all_of(weight->begin() + 2, weight->end(), [](int64_t extent) { return extent == 1; });
  return one_tap && are_all(node, "strides", 1) && are_all(node, "pads", 0) ? weight : std::nullopt;
}

bool is_dequantized(const Editor& editor, ValueId v) {
  return v != k_absent && editor.producer(v, "DequantizeLinear") != nullptr;
}

bool adds_nothing(const Graph& graph, ValueId bias) {
  if (bias == k_absent) return true;
  const Tensor* const values = constant_of(graph, bias, DType::f32);
  if (!values) return false;
  const std::span<const float> all = values->as<float>();
  return std::all_of(all.begin(), all.end(), [](float b) { return b == 0.0f; });
}

/// Whether each output is an average of elements of x, and of nothing that padding stands for. Without dilation each
/// window meets x, and with ceil_mode the last one may reach over its end.
bool averages_elements(const Node& pool) {
  if (is_op(pool, "GlobalAveragePool")) return true;
  const std::string auto_pad = string_attribute(pool, "auto_pad", "NOTSET");
  const bool stays_inside = (auto_pad == "NOTSET" || auto_pad == "VALID") && are_all(pool, "pads", 0) &&
                            int_attribute(pool, "ceil_mode", 0) == 0;
  return stays_inside || (int_attribute(pool, "count_include_pad", 0) == 0 && are_all(pool, "dilations", 1));
}

/// Counted for one pixel of x: the convolution's products, and the taps of the pool that read it.
bool pays_off(const Node& pool, const Dims& weight, int64_t groups) {
  double kept = 0, taps = 1;  // of a pool to one pixel
  if (is_op(pool, "AveragePool")) {
    const auto product = [](const std::vector<int64_t>& extents) {
      return std::accumulate(extents.begin(), extents.end(), 1.0,
                             [](double all, int64_t extent) { return all * static_cast<double>(extent); });
    };
    kept = 1 / product(ints_attribute(pool, "strides", {}));
    taps = kept * product(ints_attribute(pool, "kernel_shape", {}));
  }
  const auto out = static_cast<double>(weight[0]), in = static_cast<double>(weight[1] * groups);
  const double products = out * static_cast<double>(weight[1]);
  return products * kept + k_products_of_a_tap * taps * in < products + k_products_of_a_tap * taps * out;
}

}  // namespace

Result<Changed> pool_before_conv(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_any(editor.node(id), {"AveragePool", "GlobalAveragePool"})) continue;
    Node pool = editor.node(id);
    const NodeId host = editor.producer(pool.inputs[0]);
    if (host < 0 || !editor.single_use(pool.inputs[0])) continue;
    Node conv = editor.node(host);
    const std::optional<Dims> weight = weight_of_pixels(graph, conv);
    if (!weight || !pays_off(pool, *weight, int_attribute(conv, "group", 1))) continue;
    if (!averages_elements(pool) && !adds_nothing(graph, input(conv, 2))) continue;
    if (std::any_of(conv.inputs.begin(), conv.inputs.end(), [&](ValueId v) { return is_dequantized(editor, v); }))
      continue;
    const ValueId x = conv.inputs[0];
    const ValueId pooled = editor.add_value(graph.value(x).name + "_pooled", DType::f32, std::nullopt);
    conv.outputs = pool.outputs;
    conv.inputs[0] = pooled;
    pool.inputs[0] = x;
    pool.outputs = {pooled};
    editor.remove(host);
    editor.insert_before(id, std::move(pool));
    editor.replace(id, std::move(conv));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
