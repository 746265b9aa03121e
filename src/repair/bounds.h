#pragma once

#include <optional>

#include "ir/editor.h"

namespace octet {

/// No value of a tensor lies outside; an end may be infinite.
struct ValueBounds {
  double low, high;
};
/// What the node that makes v proves for any input of the network; nothing where it proves no bound at all.
std::optional<ValueBounds> bounds_of(const Editor& editor, ValueId v);

}  // namespace octet
