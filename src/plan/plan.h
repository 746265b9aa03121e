#pragma once
// A plan: what runs, in which order, where each value lies. Made once, then read only.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

/// One way to run one step.
struct Tactic {
  std::string name;     // "conv_u8s8 avx512_vnni"
  std::string refused;  // empty = supported; else the reason
  double cost_us = 0;   // static estimate; the smallest supported one is chosen
};

/// The tactic wanted for each node, by NodeId; an empty string, or no list at all, leaves it to the static cost.
using TacticChoice = std::vector<std::string>;

/// A step's weights as a back end packs them.
struct PackedWeights {
  std::string form;                  // what the bytes are; another form is packed anew
  std::span<const std::byte> bytes;  // 64-byte aligned; empty = none
};

/// Packed weights of a network on one back end.
struct PackedPart {
  std::string key;                      // Backend::packing_key()
  std::vector<PackedWeights> steps;     // by NodeId; an empty form = none
  std::shared_ptr<const void> owner{};  // of the bytes
};

struct Step {
  NodeId node = -1;
  std::string tactic;
};

/// Byte range of a value in the arena; constants, graph inputs and outputs bound to the caller's buffers have none
/// (bytes = 0).
struct Slot {
  size_t offset = 0;
  size_t bytes = 0;
};

struct Plan {
  Graph graph;              // all shapes known; the fuse stage has run
  std::vector<Step> steps;  // one per node, in running order
  std::vector<Slot> slots;  // by ValueId
  size_t arena_bytes = 0;
  std::shared_ptr<const PackedPart> packed;  // to be used in place where its forms fit; null = none
};

}  // namespace octet
