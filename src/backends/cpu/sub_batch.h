#pragma once
// Which steps run for a few images at a time. A large batch's activations fall out of L2 between one layer and the
// next, those of a few images stay; but every turn reads the weights again. So the first layers of a network, large
// images and small weights, go image by image, and the last ones for the whole batch at once.

#include <cstdint>
#include <memory>
#include <vector>

#include "base/isa.h"
#include "plan/plan.h"

namespace octet::cpu {

class Neighbours;

/// Steps [first, last) in a row. images: how many of the batch they see per turn; 0 = the whole batch, in one turn.
struct SubBatch {
  size_t first = 0, last = 0;
  int64_t images = 0, turns = 1;
  /// Each worker takes turns of its own and runs all steps for them alone; else all work on one turn together.
  bool by_worker = false;
  /// The plan with this part's batch and places: what its steps are prepared from.
  std::shared_ptr<const Plan> plan = nullptr;
  /// By ValueId, for values that the part shares with other parts: bytes from image to image; else 0. Empty for whole
  /// batches.
  std::vector<size_t> image_bytes = {};
  /// By ValueId, for values of this part alone where it goes by worker: bytes from one worker's place to the next's.
  std::vector<size_t> worker_bytes = {};
  /// Of the whole plan's graph.
  std::shared_ptr<const Neighbours> neighbours = nullptr;
};

struct Arrangement {
  std::vector<SubBatch> parts;        // every step once, in running order
  std::shared_ptr<const Plan> whole;  // the plan with the places that the parts share
  size_t arena_bytes = 0;
  std::shared_ptr<const Neighbours> neighbours;
};

/// cache_bytes: L2 of all threads together. What a step computes does not depend on the cut.
Arrangement arrange(const std::shared_ptr<const Plan>& plan, size_t cache_bytes, Isa isa, int threads);

}  // namespace octet::cpu
