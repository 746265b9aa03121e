#pragma once

#include <optional>

#include "ir/editor.h"

namespace octet {

/// No value of a tensor lies outside; an end may be infinite.
struct ValueBounds {
  double low, high;
};
/// v before the nodes that only move, drop or repeat elements: v itself where another node makes it.
ValueId before_movers(const Editor& editor, ValueId v);
/// What the node that makes v proves for any input of the network; nothing where it proves no bound at all.
std::optional<ValueBounds> bounds_of(const Editor& editor, ValueId v);

}  // namespace octet
