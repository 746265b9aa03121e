// Expansions of activations.
//   Silu(x)      = x * Sigmoid(x)
//   HardSwish(x) = x * HardSigmoid(x, alpha = 1/6, beta = 1/2)                  (an op of its own since opset 14)
//   Mish(x)      = x * Tanh(Softplus(x))                                        (18)
//   Gelu(x)      = x/2 * (1 + Erf(x / sqrt 2)), or with approximate = "tanh"
//                  x/2 * (1 + Tanh(sqrt(2/pi) * (x + 0.044715 x^3)))            (20)
// Source: the function bodies of the ONNX operators.

#include <array>
#include <numbers>

#include "onnx/lowering.h"

namespace octet {
namespace {

/// y = x * gate(x).
Result<Done> emit_gated(Lowering& lowering, const Node& node, std::string_view gate, Attributes attributes,
                        ValueId gate_input) {
  const ValueId x = node.inputs[0];
  const ValueId g = lowering.value_like(node.outputs[0], "gate");
  const std::string gate_name = node.name.empty() ? "" : node.name + "_gate";
  if (Result<Done> ok = lowering.emit(gate, gate_name, {gate_input}, g, std::move(attributes)); !ok) return ok;
  return lowering.emit("Mul", node.name, {x, g}, node.outputs[0]);
}

/// What stands between x and the sum 1 + ...: Erf or Tanh of a scaled polynomial of x.
Result<ValueId> emit_gelu_inner(Lowering& lowering, const Node& node) {
  const ValueId x = node.inputs[0], y = node.outputs[0];
  const bool by_tanh = string_attribute(node, "approximate", "none") == "tanh";
  const ValueId scaled = lowering.value_like(y, "scaled");
  const ValueId inner = lowering.value_like(y, "inner");
  const double factor = by_tanh ? std::numbers::sqrt2 * std::numbers::inv_sqrtpi : 1.0 / std::numbers::sqrt2;
  const Result<ValueId> c = lowering.real_constant(node, y, "factor", factor);
  if (!c) return c.error();
  ValueId base = x;
  if (by_tanh) {
    const Result<ValueId> k = lowering.real_constant(node, y, "cubic", 0.044715);
    if (!k) return k.error();
    const ValueId square = lowering.value_like(y, "square"), cube = lowering.value_like(y, "cube");
    const ValueId term = lowering.value_like(y, "cubic_term");
    base = lowering.value_like(y, "polynomial");
    if (Result<Done> ok = lowering.emit("Mul", "", {x, x}, square); !ok) return ok.error();
    if (Result<Done> ok = lowering.emit("Mul", "", {square, x}, cube); !ok) return ok.error();
    if (Result<Done> ok = lowering.emit("Mul", "", {cube, *k}, term); !ok) return ok.error();
    if (Result<Done> ok = lowering.emit("Add", "", {x, term}, base); !ok) return ok.error();
  }
  if (Result<Done> ok = lowering.emit("Mul", "", {base, *c}, scaled); !ok) return ok.error();
  if (Result<Done> ok = lowering.emit(by_tanh ? "Tanh" : "Erf", "", {scaled}, inner); !ok) return ok.error();
  return inner;
}

}  // namespace

Result<Done> lower_silu(Lowering& lowering, const Node& node) {
  return emit_gated(lowering, node, "Sigmoid", {}, node.inputs[0]);
}

Result<Done> lower_hard_swish(Lowering& lowering, const Node& node) {
  return emit_gated(lowering, node, "HardSigmoid", {{"alpha", 1.0f / 6.0f}, {"beta", 0.5f}}, node.inputs[0]);
}

Result<Done> lower_mish(Lowering& lowering, const Node& node) {
  const ValueId soft = lowering.value_like(node.outputs[0], "softplus");
  if (Result<Done> ok = lowering.emit("Softplus", "", {node.inputs[0]}, soft); !ok) return ok;
  return emit_gated(lowering, node, "Tanh", {}, soft);
}

Result<Done> lower_gelu(Lowering& lowering, const Node& node) {
  const ValueId x = node.inputs[0], y = node.outputs[0];
  const Result<ValueId> inner = emit_gelu_inner(lowering, node);
  if (!inner) return inner.error();
  const Result<ValueId> one = lowering.real_constant(node, y, "one", 1.0);
  if (!one) return one.error();
  const Result<ValueId> half = lowering.real_constant(node, y, "half", 0.5);
  if (!half) return half.error();
  const ValueId sum = lowering.value_like(y, "sum"), halved = lowering.value_like(y, "halved");
  if (Result<Done> ok = lowering.emit("Add", "", {*inner, *one}, sum); !ok) return ok;
  if (Result<Done> ok = lowering.emit("Mul", "", {x, *half}, halved); !ok) return ok;
  return lowering.emit("Mul", node.name, {halved, sum}, y);
}

}  // namespace octet
