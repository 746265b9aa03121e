#pragma once
// Checkpoint + name of an architecture -> float Graph, and the activation ranges that a toolkit's checkpoint carries.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "ir/graph.h"

namespace octet {

struct NetworkOptions {
  std::string input_name = "input", output_name = "logits";
  int64_t batch = 0;  // 0 = free, named "N"
  int64_t size = 0;   // height and width of the picture; 0 = the architecture's own
};

struct Network {
  Graph graph;                                      // Conv, BatchNormalization and so on, unfolded; verified
  std::vector<std::pair<std::string, float>> amax;  // value name -> the toolkit's _input_quantizer._amax
  std::vector<std::string> notes;
};

/// Names in the order of archs.def.
std::vector<std::string> architecture_names();

/// Errors: an unknown name (the known ones are listed), keys that are missing or left over (counted, the first named,
/// as PyTorch's strict loading does), shapes that do not fit.
Result<Network> build_network(const Checkpoint& checkpoint, std::string_view architecture,
                              const NetworkOptions& options);

}  // namespace octet
