#include "passes/choose_codes.h"

#include <algorithm>
#include <cmath>

#include "passes/weight_codes.h"

namespace octet {
namespace {

// Below 2^-53 a tensor carries nothing; scales then stay above 2^-60, so that the product of an activation's and a
// weight's scale (the scale of a bias) is a normal float.
constexpr float k_dead_amax = 0x1p-53f;
// u8 with a zero point must gain at least this much: s8 needs no zero-point terms and fits other engines.
constexpr float k_worthwhile_step = 0.95f;

bool all_inputs(const Node& node, const std::vector<bool>& flags, size_t count) {
  for (size_t i = 0; i < std::min(count, node.inputs.size()); ++i)
    if (node.inputs[i] == k_absent || !flags[static_cast<size_t>(node.inputs[i])]) return false;
  return true;
}

bool makes_never_negative(const Graph& graph, const Node& node, const std::vector<bool>& flags) {
  if (is_any(node, {"Relu", "Sigmoid", "Softmax", "Exp", "Abs"})) return true;
  if (is_op(node, "HardSigmoid")) return true;
  if (is_op(node, "Clip")) {
    const std::optional<float> lo = scalar_constant(graph, input(node, 1)), hi = scalar_constant(graph, input(node, 2));
    if (input(node, 2) != k_absent && !(hi && *hi >= 0.0f)) return false;  // the maximum wins where the bounds cross
    return (lo && *lo >= 0.0f) || all_inputs(node, flags, 1);
  }
  if (is_any(node, {"GlobalAveragePool", "AveragePool", "MaxPool", "LeakyRelu", "HardSwish", "Silu"}))
    return all_inputs(node, flags, 1);
  if (is_any(node, {"Add", "Mul"})) return all_inputs(node, flags, 2);
  if (node.op->quant.role == QuantRole::shared_scale) return all_inputs(node, flags, node.inputs.size());
  return node.op->quant.role == QuantRole::same_scale && !is_op(node, "Pad") && all_inputs(node, flags, 1);
}

}  // namespace

CodeRange code_range(const ChosenRange& range, bool proven_never_negative) {
  CodeRange result{std::min(range.lo, 0.0f), std::max(range.hi, 0.0f), range.amax,
                   proven_never_negative || range.lo >= 0.0f};
  if (result.lo == 0.0f && result.hi == 0.0f && range.amax > 0.0f) {  // a table that knows amax only
    result.hi = range.amax;
    result.lo = proven_never_negative ? 0.0f : -range.amax;
    result.never_negative = proven_never_negative;
  }
  if (result.never_negative) result.lo = 0.0f;
  result.amax = range.amax > 0.0f ? range.amax : std::max(-result.lo, result.hi);
  return result;
}

CodeRange merged(const CodeRange& a, const CodeRange& b) {
  return {std::min(a.lo, b.lo), std::max(a.hi, b.hi), std::max(a.amax, b.amax), a.never_negative && b.never_negative};
}

bool is_dead(const CodeRange& range) { return !(range.amax >= k_dead_amax); }

CodeParams choose_codes(const CodeRange& range, Target target) {
  const float amax = is_dead(range) ? 1.0f : range.amax;
  const CodeParams symmetric{amax / 127.0f, 0, DType::s8};
  if (target == Target::tensorrt) return symmetric;
  if (range.never_negative) return {(range.hi >= k_dead_amax ? range.hi : amax) / 255.0f, 0, DType::u8};
  const float scale = (range.hi - range.lo) / 255.0f;
  if (is_dead(range) || !(range.hi - range.lo >= k_dead_amax) || !(scale < k_worthwhile_step * symmetric.scale))
    return symmetric;
  const float zero_point = std::clamp(std::nearbyint(-range.lo / scale), 0.0f, 255.0f);
  return {scale, static_cast<int32_t>(zero_point), DType::u8};
}

ChannelParams channel_params(const ChannelRanges& ends, bool proven_never_negative) {
  const bool is_unsigned =
      proven_never_negative || std::all_of(ends.min.begin(), ends.min.end(), [](float lo) { return lo >= 0.0f; });
  ChannelParams params{{}, is_unsigned ? DType::u8 : DType::s8};
  for (size_t c = 0; c < ends.max.size(); ++c) {
    const float amax = is_unsigned ? ends.max[c] : std::max(-ends.min[c], ends.max[c]);
    const float kept = std::min(amax, 127.0f * k_largest_scale);
    params.scale.push_back(amax >= k_dead_amax ? kept / (is_unsigned ? 255.0f : 127.0f) : 0.0f);
  }
  const float median = median_positive(params.scale);
  for (float& scale : params.scale)
    if (scale == 0.0f) scale = median;
  return params;
}

std::vector<bool> never_negative(const Graph& graph) {
  std::vector<bool> flags(graph.values.size(), false);
  for (const Node& node : graph.nodes)
    if (makes_never_negative(graph, node, flags))
      for (const ValueId v : node.outputs)
        if (v != k_absent) flags[static_cast<size_t>(v)] = true;
  return flags;
}

}  // namespace octet
