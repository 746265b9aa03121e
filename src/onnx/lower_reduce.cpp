// Reductions below opset 18 name their axes by an attribute. An absent or empty list reduces all axes in both forms,
// unless noop_with_empty_axes says that it reduces none. Source: ONNX operators Reduce*, opsets 13 and 18.

#include "onnx/lowering.h"

namespace octet {

Result<Done> lower_reduce(Lowering& lowering, const Node& node) {
  Node lowered = node;
  std::vector<int64_t> axes;
  if (node.inputs.size() > 1 && node.inputs[1] != k_absent) {
    const Tensor* given = lowering.graph().constant(node.inputs[1]);
    if (!given) return lowering.error(node, "axes are computed, which needs opset 18 or later");
    Result<std::vector<int64_t>> values = to_int64s(*given);
    if (!values) return within("axes", values.error());
    axes = std::move(*values);
  }
  lowered.inputs.resize(1);
  if (axes.empty() && int_attribute(node, "noop_with_empty_axes", 0) != 0) {
    const ValueId x = node.inputs[0], y = node.outputs[0];
    if (is_op(node, "ReduceSumSquare")) return lowering.emit("Mul", node.name, {x, x}, y);
    const bool is_norm = is_op(node, "ReduceL1") || is_op(node, "ReduceL2");
    return lowering.emit(is_norm ? "Abs" : "Identity", node.name, {x}, y);
  }
  lowered.attributes.erase("noop_with_empty_axes");
  if (!axes.empty()) lowered.attributes["axes"] = axes;
  return lowering.keep(std::move(lowered));
}

}  // namespace octet
