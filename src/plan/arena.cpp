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

}  // namespace octet
