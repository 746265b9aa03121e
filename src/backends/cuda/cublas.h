#pragma once
// cuBLASLt as a way to run float layers that are one matrix product. The library is neither linked nor shipped: it is
// opened at run time where there is one, that of a Python environment too.

#include "backends/cuda/conv_choices.h"

namespace octet::cuda {

/// Why the library cannot be used on this machine; empty: it can.
const std::string& cublas_missing();

/// Names of the choices: the library's first suggestions.
std::vector<std::string> cublas_names();

/// Adds the library's suggestions to the choices of a layer of f16 or f32 that is one product: every output pixel reads
/// one input pixel, no activation or ReLU. bias: [n]. Errors: no memory.
Result<Done> add_cublas_choices(DenseConv& conv, const std::vector<float>& bias, StepBuilder& builder,
                                PreparedStep& step);

}  // namespace octet::cuda
