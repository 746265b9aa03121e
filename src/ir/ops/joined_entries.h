#pragma once
// Entries of several values along an axis, numbered as if these lay side by side: what JoinedGather's indices mean.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace octet {

/// An entry of one of the values.
struct JoinedEntry {
  size_t value = 0;
  int64_t entry = 0;
};

/// The first index that is none of `extent` entries, counted from either end.
std::optional<int64_t> first_outside(std::span<const int64_t> indices, int64_t extent);

/// Where the indices point to, of values with these extents. They are in range. Takes a list of the values, not of
/// their entries.
std::vector<JoinedEntry> joined_entries(std::span<const int64_t> extents, std::span<const int64_t> indices);

}  // namespace octet
