#pragma once
// The clock of the loops of this folder.

#include <algorithm>
#include <chrono>

namespace octet {

/// Smallest seconds of `tries` calls.
template <class F>
double best_seconds(int tries, F&& run) {
  double best = 1e9;
  for (int i = 0; i < tries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace octet
