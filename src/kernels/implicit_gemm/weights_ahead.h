#pragma once
// Weights that a layer brings near for layers behind it while it computes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace octet {

/// Bytes [first, end) of a later layer's packed weights: of these each chunk brings its part.
struct WeightsPart {
  std::span<const std::byte> weights;  // the whole layer's
  size_t first = 0, end = 0;
};

struct WeightsAhead {
  /// So many bytes of the layer's own weights are near when it begins: the first of each chunk's.
  size_t own_near = 0;
  std::vector<WeightsPart> parts;  // in the order of their use
};

/// What one of `chunks` brings of a part. Each has its own place in the weights, which is about what the same worker is
/// going to read where the later layer is cut by channels.
inline std::span<const std::byte> share_of(const WeightsPart& part, int64_t chunk, int64_t chunks) {
  const auto at = static_cast<size_t>(chunk), all = static_cast<size_t>(chunks);
  const size_t place = part.weights.size() * at / all, next_place = part.weights.size() * (at + 1) / all;
  const size_t begin = std::min(place + part.first / all, next_place);
  return part.weights.subspan(begin, std::min(place + (part.end + all - 1) / all, next_place) - begin);
}

}  // namespace octet
