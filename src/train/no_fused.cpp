// A libtorch without CUDA.
#include "train/fused.h"

namespace octet::nn {

using torch::Tensor;

Tensor fused_fake_quantize(const Tensor&, const Tensor&, CodeLimits) { return {}; }
Tensor fused_straight_through(const Tensor&, const Tensor&, const Tensor&, CodeLimits) { return {}; }
LearnedStepGradients fused_learned_step(const Tensor&, const Tensor&, const Tensor&, CodeLimits, float) { return {}; }
Tensor fused_to_grid(const Tensor&, const Tensor&) { return {}; }
bool fused_step(const Moving&, const Sgd&, const Tensor&) { return false; }
bool fused_floor(const std::vector<Tensor>&, const std::vector<Tensor>&) { return false; }

}  // namespace octet::nn
