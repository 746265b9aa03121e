#pragma once
// Places in one arena by lifetime: the lowest free address first, so that a value is written where a dead one lay a
// moment ago and still sits in cache.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace octet {

/// A byte range and the steps between which it is taken, both included.
struct ArenaRange {
  size_t bytes = 0;
  int32_t first = std::numeric_limits<int32_t>::max(), last = std::numeric_limits<int32_t>::min();
  size_t offset = 0;  // the answer

  void used_at(int32_t step) {
    if (step < first) first = step;
    if (step > last) last = step;
  }
};

/// Sets every offset, a multiple of 64; ranges that are taken at the same time do not overlap. Returns the arena's
/// bytes. Ranges that no step uses are left alone.
size_t lay_out_arena(std::span<ArenaRange* const> ranges);

/// Where one worker's memory ends and another's begins. Who walks through the one has its core fetch some lines of the
/// other ahead, and each of these would have to be taken back before it is written.
inline constexpr size_t k_between_workers = 1024;

/// The same in lanes, one range at a time in each, and each in the lane's middle: two workers who make the first and
/// the second half of every value write to the same half of the arena all the time. From one lane's second half to the
/// next one's first it is k_between_workers. Takes more bytes than the above.
size_t lay_out_arena_in_lanes(std::span<ArenaRange* const> ranges);

}  // namespace octet
