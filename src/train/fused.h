#pragma once
// The quantizers' arithmetic as one kernel each on a GPU: libtorch's own functions take seven, each a walk through
// memory. Each function gives an undefined tensor where that is not possible: no CUDA in this libtorch, or no f32.

#include <torch/torch.h>

#include "octet/train/functions.h"

namespace octet::nn {

/// scale: on the device of x, of a shape that broadcasts to it.
torch::Tensor fused_fake_quantize(const torch::Tensor& x, const torch::Tensor& scale, CodeLimits limits);
torch::Tensor fused_straight_through(const torch::Tensor& dy, const torch::Tensor& x, const torch::Tensor& scale,
                                     CodeLimits limits);
struct LearnedStepGradients {
  torch::Tensor dx, dscale;
};
/// v = x / scale: dx straight through, and for each element of x
/// dscale = dy * (v <= lo ? lo : v >= hi ? hi : rint(v) - v) * factor.
LearnedStepGradients fused_learned_step(const torch::Tensor& dy, const torch::Tensor& x, const torch::Tensor& scale,
                                        CodeLimits limits, float factor);
/// rint(x / scale) * scale.
torch::Tensor fused_to_grid(const torch::Tensor& x, const torch::Tensor& scale);

}  // namespace octet::nn
