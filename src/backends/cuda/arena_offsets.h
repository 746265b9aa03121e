#pragma once

#include <set>
#include <vector>

#include "plan/plan.h"

namespace octet::cuda {

/// Where values lie in the arena. Some lie elsewhere than the plan says, since one kernel runs several steps: while
/// ways are tried each has room of its own behind the planned arena; settle() gives back what was moved in vain.
struct ArenaOffsets {
  explicit ArenaOffsets(const Plan& plan);
  std::vector<size_t> at;         // by ValueId
  std::set<ValueId> moved, kept;  // kept: those that steps which will run need so
  size_t begin = 0, end = 0;      // bytes of the planned arena, and of all of it

  void settle(const Plan& plan);
  bool share(ValueId a, ValueId b) const { return at[static_cast<size_t>(a)] == at[static_cast<size_t>(b)]; }
  /// Where a step is different for a moved value: it stays so.
  void stay(ValueId v) {
    if (moved.contains(v)) kept.insert(v);
  }
};

}  // namespace octet::cuda
