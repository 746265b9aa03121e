#pragma once
// Concatenations in place: what is joined along the channels is written where the concatenation lies, at its pitch, and
// nothing is copied. A chain of concatenations, each of the one before and some new channels, is one buffer that fills
// up.

#include <optional>

#include "backends/cpu/layout.h"

namespace octet::cpu {

/// Where a value lies in the concatenation that nothing joins further.
struct JoinedPlace {
  ValueId host = k_absent;
  int64_t channel = 0;  // of the host, where the value begins
};

/// Nothing of a value with storage of its own. Codes of whole groups of 16 channels, made and read by steps that keep
/// to their channels at any pitch, one Concat among the readers.
std::optional<JoinedPlace> joined_place(const Graph& graph, ValueId value);

/// layout_of(graph, value), at the host's pitch where it is joined.
Layout placed_layout(const Graph& graph, ValueId value);

/// The value, made before, that the node's output 0 shares its storage with: what a reshape renames, or of a buffer of
/// joined values the one that is made first. k_absent = none.
ValueId shared_value(const Graph& graph, const Node& node);

}  // namespace octet::cpu
