#pragma once
// What a step of the CPU back end shares with its neighbours, found once for a graph, in time that grows with its size.
//
// Concatenations in place: what is joined along the channels is written where the concatenation lies, at its pitch, and
// nothing is copied. A chain of concatenations, each of the one before and some new channels, is one buffer that fills
// up.
//
// Scales in front of 1x1 convolutions and average pools: a scale and a shift per channel between codes (a
// BatchNormalization) is done while the convolution or the pool brings its input near, and the codes between are never
// written to memory.
//
// Transposes of heads: codes that only products of codes read, which take any strides, lie as what they are transposed
// from, and nothing is copied.
//
// Strips: FP32 layers around a depthwise one that run together (strips.h). Row chains: Softmax and LayerNormalization
// with the codes around them (row_chains.h).

#include <optional>
#include <vector>

#include "backends/cpu/layout.h"
#include "backends/cpu/row_chains.h"
#include "backends/cpu/strips.h"
#include "base/isa.h"

namespace octet::cpu {

/// Where a value lies in the concatenation that nothing joins further.
struct JoinedPlace {
  ValueId host = k_absent;
  int64_t channel = 0;  // of the host, where the value begins
};

/// Answers hold for the graph they were found in, and for the same graph with another batch.
class Neighbours {
 public:
  /// l2_bytes: of one core.
  Neighbours(const Graph& graph, Isa isa, size_t l2_bytes);

  /// Nothing of a value with storage of its own. Codes of whole groups of 16 channels, made and read by steps that keep
  /// to their channels at any pitch, one Concat among the readers.
  std::optional<JoinedPlace> joined(ValueId value) const;
  /// Whether the value is a transpose that lies as its source does.
  bool is_view(ValueId value) const { return !view_strides_[static_cast<size_t>(value)].empty(); }
  /// layout_of(graph, value), at the host's pitch where it is joined, by its source's strides where it is a view.
  Layout layout(const Graph& graph, ValueId value) const;
  /// The value, made before, that the node's output 0 shares its storage with: what a reshape renames, a view's source,
  /// or of a buffer of joined values the one that is made first. k_absent = none.
  ValueId shared(const Graph& graph, NodeId node) const;
  /// overwritten_residual(), where neither side is joined.
  ValueId overwritten(const Graph& graph, NodeId node) const;

  /// The depthwise 1x1 QuantConv that makes the node's input and is done by it; -1 = none. The node is a 1x1
  /// convolution that visits every pixel, or an average pool whose windows share no rows, and alone reads what is
  /// between them. Not on the scalar judge and on AMX.
  NodeId scaling_before(NodeId node) const { return scaling_[static_cast<size_t>(node)]; }
  /// The layers that the node runs as their last one; null = it runs alone, or is run by another.
  const Strips* strips_of(NodeId last) const;
  /// The nodes that the node runs as their last one; null = it runs alone, or is run by another.
  const RowChain* row_chain_of(NodeId last) const;
  /// Whether the node is done by the last one of its chain, which can leave it to itself.
  bool is_in_row_chain(NodeId node) const { return is_done_by_next(node) && row_chain_of(done_by(node)); }
  /// Whether the node is done by one behind it: what it makes is wanted by taps only.
  bool is_done_by_next(NodeId node) const { return done_by(node) >= 0; }
  /// That node; -1 = none.
  NodeId done_by(NodeId node) const { return done_by_[static_cast<size_t>(node)]; }
  /// Whether it is done by the last layer of its strips, which can leave it to itself.
  bool is_in_strips(NodeId node) const { return is_done_by_next(node) && strips_of(done_by(node)); }
  /// What the node reads beside its inputs: the input of scaling_before(), or of the first node of strips_of() or
  /// row_chain_of(); k_absent = nothing.
  ValueId read_beside(const Graph& graph, NodeId node) const;

 private:
  void find_joined(const Graph& graph, const Uses& uses);
  void find_scalings(const Graph& graph, const Uses& uses);
  void find_views(const Graph& graph, const Uses& uses);

  std::vector<JoinedPlace> joined_;  // by value; host k_absent = not joined
  std::vector<int64_t> host_pitch_;  // by value, of the host's place
  std::vector<ValueId> first_made_;  // by value that is a host: what is made first of all in it
  std::vector<Dims> view_strides_;   // by value; empty = not a view
  std::vector<NodeId> scaling_;      // by node
  std::vector<Strips> strips_;
  std::vector<int32_t> strips_of_;  // by node that is the last of its strips: index; else -1
  std::vector<RowChain> row_chains_;
  std::vector<int32_t> row_chain_of_;  // by node that is the last of its chain: index; else -1
  std::vector<NodeId> done_by_;        // by node; -1 = itself
};

}  // namespace octet::cpu
