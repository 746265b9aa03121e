#pragma once
// New networks of the built-in architectures, with random weights, as ONNX files that the trainer reads.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace octet::nn {

struct NewNetwork {
  std::string architecture;  // resnet18, resnet34, resnet50, resnet20, mobilenet_v2
  int64_t classes = 10;
  int64_t size = 32;  // of the pictures
  uint64_t seed = 1;
};

std::vector<std::string> new_network_architectures();
/// Convolutions and batch norms apart. Errors: an unknown architecture, what writing says.
Result<Done> write_new_network(const std::string& path, const NewNetwork& spec);

}  // namespace octet::nn
