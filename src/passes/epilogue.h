#pragma once
// What follows a layer and becomes part of it: the residual Add, the activation and, for integer layers, the
// QuantizeLinear of the result. A value in between belongs to the layer only while nobody else reads it.

#include <optional>

#include "passes/match.h"

namespace octet {

struct Epilogue {
  NodeId last = -1;             // takes the fused node; its output is the fused node's
  ValueId residual = k_absent;  // float, or codes when residual_params is set
  std::optional<CodeParams> residual_params;
  std::optional<ActivationCall> activation;
  std::optional<CodeParams> quantize;  // of the result; nothing = the result is float
  std::vector<NodeId> swallowed;       // all nodes that disappear: the layer and all but the last
};

/// Whether a residual Add may be taken, and from which operand.
enum class Residual { none, floats, codes };

/// Which activations may be taken: QuantAdd and QuantMul know Relu and Clip only.
enum class Activations { none, clamps, all };

/// Follows the float result of `layer`. With Residual::codes the other operand of the Add comes from a
/// DequantizeLinear. quantize: take a QuantizeLinear at the end.
Epilogue match_epilogue(const Editor& editor, NodeId layer, Residual residual, Activations activations, bool quantize);

/// Puts the fused node in the place of epilogue.last and removes the rest.
void write_fused(Editor& editor, const Epilogue& epilogue, Node fused);

/// Attributes y_scale, y_zero_point and `to` of an integer op.
void set_result(Node& node, const Epilogue& epilogue);
/// Attributes prefix + "_scale" and prefix + "_zero_point".
void set_params(Node& node, const std::string& prefix, const CodeParams& params);

/// Relu or Clip.
bool is_clamp(const Node& node);

/// A value behind a DequantizeLinear with constant per-tensor parameters.
struct Codes {
  ValueId value = k_absent;
  CodeParams params;
};
std::optional<Codes> codes_behind(const Editor& editor, ValueId dequantized);

}  // namespace octet
