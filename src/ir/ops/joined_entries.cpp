#include "ir/ops/joined_entries.h"

#include <algorithm>

namespace octet {

std::optional<int64_t> first_outside(std::span<const int64_t> indices, int64_t extent) {
  const auto at = std::find_if(indices.begin(), indices.end(), [&](int64_t i) { return i < -extent || i >= extent; });
  return at == indices.end() ? std::nullopt : std::optional(*at);
}

std::vector<JoinedEntry> joined_entries(std::span<const int64_t> extents, std::span<const int64_t> indices) {
  std::vector<int64_t> begins = {0};  // of each value's entries among all; the last: of none
  for (const int64_t extent : extents) begins.push_back(begins.back() + extent);
  std::vector<JoinedEntry> entries;
  for (const int64_t index : indices) {
    const int64_t at = index < 0 ? index + begins.back() : index;
    const auto behind = std::upper_bound(begins.begin(), begins.end(), at);
    entries.push_back({static_cast<size_t>(behind - begins.begin() - 1), at - *(behind - 1)});
  }
  return entries;
}

}  // namespace octet
