#pragma once
// The layers of a checkpoint found in a graph by their weights, so that the ranges that a toolkit's checkpoint carries
// can be applied to any float export of the same network, whatever its names.

#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "ir/graph.h"

namespace octet {

struct MatchedLayer {
  std::string node, layer;  // of the graph, of the checkpoint
  bool scaled = false;      // equal up to a factor for each output channel: a normalization folded in
  std::string value;        // what the node reads
  float amax = -1;          // _input_quantizer._amax; negative where the checkpoint has none, or one per channel
};
struct WeightMatches {
  std::vector<MatchedLayer> layers;                 // in the graph's order
  std::vector<std::pair<std::string, float>> amax;  // value name -> the largest range of the layers that read it
  std::vector<std::string> notes;                   // what stays without a range, and why
};

/// Error: no layer is found.
Result<WeightMatches> match_weights(const Checkpoint& checkpoint, const Graph& graph);

}  // namespace octet
