#pragma once
// Which FP32 depthwise layers run in strips of rows together with the dense layer in front of them, the 1x1 layer
// behind them, or both (kernels/strips_f32): those where what lies between would leave L2 before it is read.

#include <optional>
#include <vector>

#include "base/isa.h"
#include "ir/graph.h"

namespace octet::cpu {

/// Nodes of one group; -1 = has none. The last one runs all.
struct Strips {
  NodeId expand = -1, depthwise = -1, project = -1;
  NodeId first() const { return expand >= 0 ? expand : depthwise; }
  NodeId last() const { return project >= 0 ? project : depthwise; }
};

/// l2_bytes: of one core. A node belongs to one group at most.
std::vector<Strips> find_strips(const Graph& graph, const Uses& uses, Isa isa, size_t l2_bytes);

}  // namespace octet::cpu
