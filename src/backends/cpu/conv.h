#pragma once
// What the families that run a QuantConv share: everything but the layer object.

#include <memory>
#include <string>

#include "backends/cpu/step.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/depthwise/depthwise.h"

namespace octet::cpu {

/// Errors: what window_geometry says.
Result<WindowGeometry> conv_geometry(const StepQuery& query);

/// Why no family of this folder can run the QuantConv; empty = some can.
std::string refuse_conv_u8s8(const StepQuery& query);

using MakeConvU8S8 = std::unique_ptr<const ConvU8S8> (*)(const ConvU8S8Desc& desc, const StepQuery& query);
/// The node as a descriptor, the layer that `make` makes of it, and its operands.
Result<PreparedStep> prepare_conv_u8s8(const StepQuery& query, StepBuilder& builder, MakeConvU8S8 make);

/// The layer `node` of Neighbours::scaling_before(), for the step of the query to run on its own input.
Result<std::shared_ptr<const PointwiseU8S8>> make_scaling(const StepQuery& query, NodeId node);

}  // namespace octet::cpu
