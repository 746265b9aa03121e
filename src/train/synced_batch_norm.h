#pragma once
// BatchNormalization with the statistics of the whole batch, of which each process holds a part.

#include "octet/train/replicas.h"

namespace octet::nn {

struct BatchNorm {
  torch::Tensor weight, bias;
  torch::Tensor running_mean, running_var;  // updated in place, the variance without bias as libtorch does
  double momentum = 0.1, epsilon = 1e-5;
};
/// Equals torch::batch_norm in training on the parts put together, up to the order of sums. x: [N,C,...].
torch::Tensor synced_batch_norm(const torch::Tensor& x, const BatchNorm& norm, Replicas& replicas);

}  // namespace octet::nn
