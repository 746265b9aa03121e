#pragma once
// Softmax and LayerNormalization along rows run together with what only makes their input (a DequantizeLinear, a
// product with one constant) and what alone reads their output (a QuantizeLinear): some rows at a time, whose floats
// stay in L1.

#include <vector>

#include "backends/cpu/step.h"
#include "ir/graph.h"

namespace octet::cpu {

/// Nodes of one chain; -1 = has none. The last one runs all.
struct RowChain {
  NodeId before = -1, rows = -1, after = -1;
  NodeId first() const { return before >= 0 ? before : rows; }
  NodeId last() const { return after >= 0 ? after : rows; }
};

/// A node belongs to one chain at most; one of rows alone is none.
std::vector<RowChain> find_row_chains(const Graph& graph, const Uses& uses, Isa isa);

/// Makes of `step`, the last node's own, one that runs the chain, and keeps its own for taps. Of another node of a
/// chain: notes by whom it is done. Steps of no chain are left as they are.
Result<Done> chain_rows(const StepQuery& query, StepBuilder& builder, PreparedStep& step);

}  // namespace octet::cpu
