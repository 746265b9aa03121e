#pragma once
// Which values live at one address: what a step only renames (Reshape of a dense value), and what it writes over.

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/graph.h"

namespace octet {

/// A back end's answers. shares: the input whose bytes output 0 of the node is. overwrites: the input in whose place
/// the step may write output 0, if nobody reads it afterwards; both k_absent for none.
struct StorageRules {
  std::function<bool(ValueId)> has_storage;
  std::function<ValueId(NodeId)> shares, overwrites;
  /// What the step reads beside its inputs; k_absent = nothing.
  std::function<ValueId(NodeId)> reads_beside = [](NodeId) { return k_absent; };
};

/// The group of each value, -1 for a value without storage. Values of a group have one address. An input is written
/// over only in the last step that reads any value of its group, which reads that one only once.
std::vector<int32_t> storage_groups(const Graph& graph, const StorageRules& rules);

}  // namespace octet
