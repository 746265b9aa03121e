#include "backends/cpu/requantize.h"

#include <algorithm>
#include <cmath>

#include "backends/cpu/constants.h"
#include "tensor/activation.h"

namespace octet::cpu {
namespace {

ActivationKind kind_of(Activation activation) {
  switch (activation) {
    case Activation::none: return ActivationKind::none;
    case Activation::relu: return ActivationKind::relu;
    case Activation::clip: return ActivationKind::clip;
    case Activation::leaky_relu: return ActivationKind::leaky_relu;
    case Activation::sigmoid: return ActivationKind::sigmoid;
    case Activation::hard_sigmoid: return ActivationKind::hard_sigmoid;
    case Activation::hard_swish: return ActivationKind::hard_swish;
    case Activation::silu: return ActivationKind::silu;
    case Activation::tanh: return ActivationKind::tanh_;
  }
  return ActivationKind::none;
}

/// sat(rne(bound / y_scale) + zy): the code of a bound of Clip, u8 domain. NaN gives zy.
int32_t code_of_bound(float bound, float y_scale, int32_t zero_point) {
  constexpr float k_limit = 0x1p30f;  // so that the conversion to int is defined
  const float steps = bound / y_scale;
  if (std::isnan(steps)) return zero_point;
  return std::clamp(static_cast<int32_t>(std::nearbyint(std::clamp(steps, -k_limit, k_limit))) + zero_point, 0, 255);
}

}  // namespace

ActivationParams fused_activation(const Node& node) {
  const Result<Activation> activation = activation_from_name(string_attribute(node, "activation", ""));
  const std::vector<float> params = floats_attribute(node, "activation_params", {});
  ActivationParams made;
  made.kind = activation ? kind_of(*activation) : ActivationKind::none;
  if (!params.empty()) made.p0 = params[0];
  if (params.size() > 1) made.p1 = params[1];
  return made;
}

Codes codes_of(const Node& node, const std::string& prefix, DType dtype) {
  return {float_attribute(node, prefix + "_scale", 1.0f),
          static_cast<int32_t>(int_attribute(node, prefix + "_zero_point", 0)) + domain_shift(dtype)};
}

OutputForm output_form(const Node& node) {
  OutputForm form;
  form.activation = fused_activation(node);
  const DType to = dtype_from_name(string_attribute(node, "to", "f32")).value_or(DType::f32);
  form.to_f32 = to == DType::f32;
  const ActivationKind kind = form.activation.kind;
  form.on_values =
      form.to_f32 || !(kind == ActivationKind::none || kind == ActivationKind::relu || kind == ActivationKind::clip);
  if (form.to_f32) return form;
  const Codes y = codes_of(node, "y", to);
  form.y_zero_point = y.zero_point;
  if (form.on_values) {
    form.inverse_y_scale = static_cast<float>(1.0 / static_cast<double>(y.scale));
    return form;
  }
  form.y_scale = static_cast<double>(y.scale);
  if (kind == ActivationKind::relu) form.lo = y.zero_point;
  if (kind == ActivationKind::clip) {
    form.hi = code_of_bound(form.activation.p1, y.scale, y.zero_point);
    form.lo = std::min(form.hi, code_of_bound(form.activation.p0, y.scale, y.zero_point));  // as the reference
  }
  form.activation = {};
  return form;
}

int32_t largest_code(const Graph& graph, ValueId codes) {
  for (NodeId id = static_cast<NodeId>(graph.nodes.size()) - 1; id >= 0; --id) {
    const Node& node = graph.node(id);
    if (node.outputs[0] != codes) continue;
    const std::string_view op = node.op->name;
    if (op == "MaxPool" || op == "Flatten" || op == "Reshape") {  // codes of their input; nodes before it
      codes = node.inputs[0];
      continue;
    }
    if (op == "QuantPixels" && graph.constant(node.inputs[1])) {
      const std::vector<uint8_t> tables = pixel_tables(graph, node);
      return tables.empty() ? 255 : *std::max_element(tables.begin(), tables.end());
    }
    const bool clamps = op == "QuantConv" || op == "QuantGemm" || op == "QuantAdd" || op == "QuantMul" ||
                        op == "QuantAveragePool" || op == "QuantGlobalAveragePool";
    return clamps && string_attribute(node, "to", "f32") != "f32" ? output_form(node).hi : 255;
  }
  return 255;
}

}  // namespace octet::cpu
