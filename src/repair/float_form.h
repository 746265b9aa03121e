#pragma once

#include "repair/repair.h"

namespace octet {

/// Takes quantization out of a repaired graph; weights keep the values their codes have. A row for each activation that
/// loses its range and each layer that was quantized dynamically. Errors: codes that are read as anything but the
/// numbers they stand for; parameters that are computed while the network runs in another way; what does not verify
/// then.
Result<Done> make_float(Graph& graph, RepairLog& log);

/// Before a new calibration: a scale of an activation that is zero, negative, subnormal or not finite becomes 1, so
/// that the graph verifies; it goes with its pair. A row for each. Weights are left to the repair `scales`.
void replace_activation_scales(Graph& graph, RepairLog& log);

/// The part for DynamicQuantizeLinear, ConvInteger and MatMulInteger: dynamic_quantization.cpp.
Result<Done> dynamic_quantization(Graph& graph, RepairLog& log);

}  // namespace octet
