#pragma once
// The quantizers' arithmetic as one kernel each on a GPU: libtorch's own functions take seven, each a walk through
// memory. Each function gives an undefined tensor where that is not possible: no CUDA in this libtorch, or no f32.

#include <torch/torch.h>

#include <vector>

#include "octet/train/functions.h"

namespace octet::nn {

/// scale: on the device of x, of a shape that broadcasts to it; not read by the first where limits know the step.
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

/// Tensors of one optimizer step: parameters, their gradients and momenta.
struct Moving {
  std::vector<torch::Tensor> p, g, m;
};
struct Sgd {
  double momentum = 0, decay = 0;
  bool nesterov = false;
};
/// The whole step of all tensors by few kernels, with a rate (f32, one element) that the GPU reads when it runs. false,
/// and nothing is done, where this libtorch has no such kernels.
bool fused_step(const Moving& tensors, const Sgd& sgd, const torch::Tensor& rate);
/// Each at least its floor, in place; false as above.
bool fused_floor(const std::vector<torch::Tensor>& tensors, const std::vector<torch::Tensor>& floors);

}  // namespace octet::nn
