#include "backends/cpu/scaled_input.h"

#include <algorithm>

#include "backends/cpu/layout.h"
#include "backends/cpu/requantize.h"
#include "ir/op.h"

namespace octet::cpu {
namespace {

bool are_all(const Node& node, const std::string& attribute, int64_t value) {
  const std::vector<int64_t> values = ints_attribute(node, attribute, {});
  return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == value; });
}

/// A QuantConv on the fast kernels whose output pixel i reads input pixel i. Weights are [oc, ic / group, 1, 1].
bool is_pixel_by_pixel(const Graph& graph, const Node& node) {
  if (!is_op(node, "QuantConv") || node.outputs.size() != 1) return false;
  const Tensor* const weights = graph.constant(node.inputs[1]);
  if (!weights || weights->dims().size() != 4 || weights->dims()[2] != 1 || weights->dims()[3] != 1) return false;
  for (size_t i = 2; i < std::min<size_t>(node.inputs.size(), 4); ++i)
    if (node.inputs[i] != k_absent && !graph.constant(node.inputs[i])) return false;
  const std::vector<int64_t> pads = ints_attribute(node, "pads", {});
  return are_all(node, "strides", 1) && are_all(node, "pads", 0) &&
         string_attribute(node, "auto_pad", "NOTSET") == "NOTSET";
}

/// Codes times a scale plus a shift per channel: form 2, at most one pixel of residual codes.
bool is_scaling(const Graph& graph, const Node& node) {
  if (!is_pixel_by_pixel(graph, node)) return false;
  const int64_t channels = graph.constant(node.inputs[1])->dims()[0];
  if (channels < 2 || int_attribute(node, "group", 1) != channels || graph.constant(node.inputs[1])->dims()[1] != 1 ||
      output_form(node).on_values)
    return false;
  if (node.inputs.size() < 5 || node.inputs[4] == k_absent) return true;
  const Tensor* const residual = graph.constant(node.inputs[4]);
  return residual && residual->dims() == Dims{1, channels, 1, 1};
}

int64_t times_read(const Graph& graph, ValueId v) {
  int64_t times = std::count(graph.outputs.begin(), graph.outputs.end(), v);
  for (const Node& node : graph.nodes) times += std::count(node.inputs.begin(), node.inputs.end(), v);
  return times;
}

}  // namespace

const Node* scaling_before(const Graph& graph, const Node& conv, Isa isa) {
  if (isa == Isa::scalar || isa == Isa::amx) return nullptr;
  if (!is_pixel_by_pixel(graph, conv) || int_attribute(conv, "group", 1) != 1) return nullptr;
  const ValueId between = conv.inputs[0];
  for (const Node& node : graph.nodes) {
    if (node.outputs[0] != between) continue;
    const ValueId source = node.inputs[0];
    const bool is_one = is_scaling(graph, node) && times_read(graph, between) == 1 && !graph.constant(source) &&
                        graph.value(source).shape && graph.value(source).shape->size() == 4 &&
                        layout_of(graph, source).is_nhwc() && !borrows_input(graph, source);
    return is_one ? &node : nullptr;
  }
  return nullptr;
}

bool is_done_by_next(const Graph& graph, const Node& node, Isa isa) {
  if (!is_scaling(graph, node)) return false;
  for (const Node& next : graph.nodes)
    if (next.inputs.size() > 0 && next.inputs[0] == node.outputs[0] && scaling_before(graph, next, isa) == &node)
      return true;
  return false;
}

ValueId read_beside(const Graph& graph, const Node& node, Isa isa) {
  const Node* const scaling = scaling_before(graph, node, isa);
  return scaling ? scaling->inputs[0] : k_absent;
}

}  // namespace octet::cpu
