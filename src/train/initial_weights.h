#pragma once
// Random weights of the built-in architectures, as a checkpoint under torchvision's names (resnet20: akamaster's), so
// that the importer's own builder makes the graph. No libtorch here.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace octet::nn {

struct InitialOptions {
  int64_t classes = 10;
  bool small_pictures = true;  // ResNets: a 3x3 stem without max-pool, the form for 32x32 pictures
  uint64_t seed = 1;
};

/// Convolutions normal with variance 2 / (out channels * taps / groups), batch norms 1 and 0, the last layer uniform in
/// +-1/sqrt(inputs): torchvision's and the authors' rules. Errors: an architecture that cannot be trained (the known
/// ones are listed). Source: He et al. 2015, arXiv:1502.01852.
Result<Checkpoint> initial_weights(const std::string& architecture, const InitialOptions& options);
std::vector<std::string> trainable_architectures();

}  // namespace octet::nn
