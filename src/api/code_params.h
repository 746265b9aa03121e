#pragma once
// What the codes of a fused graph stand for. Scales are attributes of the integer steps, not of the values.

#include <optional>
#include <vector>

#include "ir/graph.h"
#include "tensor/quant_params.h"

namespace octet {

/// By value: scale and zero point of its codes, as the step that makes it says, else one that reads it, else a step
/// that passes codes through; nothing for values that are no codes, or where no step says it.
std::vector<std::optional<QuantParams>> code_params(const Graph& graph);

/// The value of the float network that this one is the quantized form of: without the ending that octet
/// ("_quantized"), ONNX Runtime ("_QuantizeLinear_Output") or a Q/DQ export gives it.
std::string float_name(const std::string& value);

}  // namespace octet
