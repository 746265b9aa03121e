#pragma once
// cuDNN as a way to run dense float convolutions. The library is neither linked nor shipped: it is opened at run time
// where there is one, that of a Python environment too.

#include "backends/cuda/conv_choices.h"

namespace octet::cuda {

/// Why the library cannot be used on this machine; empty: it can.
const std::string& cudnn_missing();
/// Why the one that is found first among these files cannot.
std::string cudnn_missing_in(const std::vector<std::string>& places);

inline constexpr const char* k_cudnn_choice = "cudnn";

/// Adds the library's convolution to the choices of a layer of f16 or f32 without groups whose padding is the same on
/// both sides, with no activation or ReLU. bias: [n]. Errors: no memory.
Result<Done> add_cudnn_choice(DenseConv& conv, const std::vector<float>& bias, StepBuilder& builder,
                              PreparedStep& step);

}  // namespace octet::cuda
