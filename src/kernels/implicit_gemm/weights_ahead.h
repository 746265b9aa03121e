#pragma once
// Weights that a layer brings near for layers behind it while it computes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace octet {

/// Of a later layer's packed weights, by worker: a part of what it is going to read.
struct WeightsPart {
  std::vector<std::span<const std::byte>> by_worker;
};

struct WeightsAhead {
  /// So many bytes of the layer's own weights are near when it begins: the first that each worker reads.
  size_t own_near = 0;
  std::vector<WeightsPart> parts;  // in the order of their use
};

/// The worker in whose range a chunk lies, and its chunks (ChunkRanges deals them out like this).
struct ChunksOfWorker {
  int64_t worker = 0, first = 0, end = 1;
};
inline ChunksOfWorker chunks_of_worker(int64_t chunk, int64_t chunks, int64_t workers) {
  const int64_t worker = chunk * workers / chunks;
  return {worker, (chunks * worker + workers - 1) / workers, (chunks * (worker + 1) + workers - 1) / workers};
}

/// Where it is not known what the workers of a layer read: an equal part.
inline std::span<const std::byte> worker_share(std::span<const std::byte> weights, int64_t worker, int64_t workers) {
  const auto at = static_cast<size_t>(worker), all = static_cast<size_t>(workers);
  const size_t begin = weights.size() * at / all;
  return weights.subspan(begin, weights.size() * (at + 1) / all - begin);
}

/// What one of `chunks` brings of a part: its share of its worker's, in whole lines.
inline std::span<const std::byte> share_of(const WeightsPart& part, int64_t chunk, int64_t chunks) {
  const auto own = chunks_of_worker(chunk, chunks, static_cast<int64_t>(part.by_worker.size()));
  const std::span<const std::byte> all = part.by_worker[static_cast<size_t>(own.worker)];
  const auto place = [&](int64_t at) {
    const auto lines = (all.size() + 63) / 64;
    return std::min(lines * static_cast<size_t>(at - own.first) / static_cast<size_t>(own.end - own.first) * 64,
                    all.size());
  };
  return all.subspan(place(chunk), place(chunk + 1) - place(chunk));
}

}  // namespace octet
