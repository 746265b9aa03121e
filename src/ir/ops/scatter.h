#pragma once
// What ScatterND and ScatterElements do with an update that meets an element.

#include <algorithm>

#include "ir/ops/common.h"

namespace octet {

enum class Reduction { none, add, mul, min, max };

inline Result<Reduction> reduction_of(const NodeContext& context) {
  const std::string word = string_attribute(context.node, "reduction", "none");
  if (word == "none") return Reduction::none;
  if (word == "add") return Reduction::add;
  if (word == "mul") return Reduction::mul;
  if (word == "min") return Reduction::min;
  if (word == "max") return Reduction::max;
  return context.error("reduction is '" + word + "', expected none, add, mul, min or max");
}

/// The old element a and the update b as one.
template <class T>
Wide<T> combined(Wide<T> a, Wide<T> b, Reduction how) {
  using M = std::conditional_t<std::is_integral_v<Wide<T>>, uint64_t, Wide<T>>;  // integers wrap
  switch (how) {
    case Reduction::add: return static_cast<Wide<T>>(static_cast<M>(a) + static_cast<M>(b));
    case Reduction::mul: return static_cast<Wide<T>>(static_cast<M>(a) * static_cast<M>(b));
    case Reduction::min: return std::min(a, b);
    case Reduction::max: return std::max(a, b);
    case Reduction::none: break;
  }
  return b;
}

}  // namespace octet
