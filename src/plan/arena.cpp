#include "plan/arena.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/aligned.h"

namespace octet {
namespace {

size_t align_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

/// Lowest gap of at least `bytes` between the taken ranges (offset -> end).
size_t lowest_gap(const std::map<size_t, size_t>& taken, size_t bytes) {
  size_t at = 0;
  for (const auto& [offset, end] : taken) {
    if (offset - at >= bytes) return at;
    at = end;
  }
  return at;
}

}  // namespace

size_t lay_out_arena(std::span<ArenaRange* const> ranges) {
  std::vector<ArenaRange*> begins;
  for (ArenaRange* range : ranges)
    if (range->bytes > 0 && range->first <= range->last) begins.push_back(range);
  std::vector<ArenaRange*> ends = begins;
  std::stable_sort(begins.begin(), begins.end(), [](auto* a, auto* b) { return a->first < b->first; });
  std::stable_sort(ends.begin(), ends.end(), [](auto* a, auto* b) { return a->last < b->last; });
  std::map<size_t, size_t> taken;
  size_t arena_bytes = 0, ended = 0;
  for (ArenaRange* range : begins) {
    while (ended < ends.size() && ends[ended]->last < range->first) taken.erase(ends[ended++]->offset);
    const size_t bytes = align_up(range->bytes);
    range->offset = lowest_gap(taken, bytes);
    taken.emplace(range->offset, range->offset + bytes);
    arena_bytes = std::max(arena_bytes, range->offset + bytes);
  }
  return arena_bytes;
}

size_t lay_out_arena_in_lanes(std::span<ArenaRange* const> ranges) {
  struct Lane {
    size_t bytes = 0;
    int32_t last = -2;  // step at which it is still taken
    std::vector<ArenaRange*> ranges;
  };
  std::vector<ArenaRange*> begins;
  for (ArenaRange* range : ranges)
    if (range->bytes > 0 && range->first <= range->last) begins.push_back(range);
  std::stable_sort(begins.begin(), begins.end(), [](auto* a, auto* b) { return a->first < b->first; });
  std::vector<Lane> lanes;
  for (ArenaRange* range : begins) {
    const size_t bytes = align_up(range->bytes);
    // Of the free lanes the smallest that is large enough, else the largest.
    Lane* best = nullptr;
    for (Lane& lane : lanes) {
      if (lane.last >= range->first) continue;
      const bool fits = lane.bytes >= bytes, best_fits = best && best->bytes >= bytes;
      if (!best || (fits && (!best_fits || lane.bytes < best->bytes)) ||
          (!fits && !best_fits && lane.bytes > best->bytes))
        best = &lane;
    }
    if (!best) best = &lanes.emplace_back();
    best->bytes = std::max(best->bytes, bytes);
    best->last = range->last;
    best->ranges.push_back(range);
  }
  size_t at = 0;
  for (const Lane& lane : lanes) {
    if (at > 0) at += k_between_workers;
    for (ArenaRange* range : lane.ranges)
      range->offset = at + (lane.bytes - align_up(range->bytes)) / 2 / k_alignment * k_alignment;
    at += lane.bytes;
  }
  return at;
}

}  // namespace octet
