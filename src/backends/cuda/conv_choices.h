#pragma once
// The ways to run a dense convolution, or a matrix product, on tensor cores: every tile that takes it, with an
// estimate.

#include "backends/cuda/pack.h"
#include "backends/cuda/step.h"

namespace octet::cuda {

/// Everything of ConvParams that does not depend on the run; the weights are uploaded. Errors: no memory.
Result<ConvParams> conv_params(const WindowParams& window, const PackedWeights& packed, const Layout& x,
                               const Layout& y, StepBuilder& builder);

/// A step whose choices are the tiles of conv_mma.cuh.
PreparedStep conv_choices(ConvType type, const ConvParams& params, bool small_c, const Operand& x,
                          const Operand& residual, const Operand& y, const Device& device, size_t packed_bytes);
/// Adds the warpgroup kernels where the device has them and the layer fits them. Errors: no memory.
Result<Done> add_hopper_choices(ConvType type, const ConvParams& params, const PackedWeights& packed, const Operand& x,
                                const Operand& residual, const Operand& y, StepBuilder& builder, PreparedStep& step);
/// Adds the kernels of clusters where the device has them and the tiles leave multiprocessors idle.
void add_cluster_choices(const ConvParams& params, const Operand& x, const Operand& residual, const Operand& y,
                         const Device& device, PreparedStep& step);

/// The names of all of them, of integer and of float layers.
std::vector<std::string> code_choices();
std::vector<std::string> float_choices();

}  // namespace octet::cuda
