#pragma once
// What the codes of a fused graph stand for. Scales are attributes of the integer steps, not of the values.

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "tensor/quant_params.h"
#include "tensor/tensor.h"

namespace octet {

/// By value: scale and zero point of its codes, as the step that makes it says, else one that reads it, else a step
/// that passes codes through; nothing for values that are no codes, or where no step says it.
std::vector<std::optional<QuantParams>> code_params(const Graph& graph);

/// The value of the float network that this one is the quantized form of: without the ending that octet
/// ("_quantized"), ONNX Runtime ("_QuantizeLinear_Output") or a Q/DQ export gives it.
std::string float_name(const std::string& value);

/// A dense copy of what RunHooks::value_tap shows, with the offset taken off.
Result<Tensor> tapped_tensor(const TensorView& view, int offset);

/// The real values of codes, or floats as they are.
std::vector<double> real_values(const Tensor& tensor, const std::optional<QuantParams>& params);

}  // namespace octet
