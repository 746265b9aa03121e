#pragma once
// From a run of equal tiles to the function made for their pixels and vectors. C headers only, and everything is in an
// unnamed namespace: each ISA file that includes this has its own copy.

#include <stdint.h>

namespace octet {
namespace {

/// Finds R = run.row_count among 1 .. R.
template <class Tiles, int R, int C, class Run>
void run_rows(const Run& run) {
  if constexpr (R > 1) {
    if (run.row_count < R) return run_rows<Tiles, R - 1, C>(run);
  }
  return Tiles::template run<R, C>(run);
}

/// Finds C, the vectors that the panel's channels fill, among 1 .. vectors, then R among 1 .. rows, and calls
/// Tiles::run<R, C>(run). Tiles::k_lanes: channels of a vector.
template <class Tiles, int rows, int C, class Run>
void run_panel(const Run& run) {
  if constexpr (C > 1) {
    if (run.channels <= Tiles::k_lanes * (C - 1)) return run_panel<Tiles, rows, C - 1>(run);
  }
  return run_rows<Tiles, rows, C>(run);
}

/// The tiles of a ListedRun, of R pixels each. run_one is not to be inlined here: the constants of its last lines would
/// be kept in registers across the loop, and its inner loop has none to spare.
template <int R, auto run_one, class Run>
void run_listed_tiles(const Run& run) {
  Run tile = run;
  for (int32_t t = 0; t < run.tiles; ++t) {
    run_one(tile);
    tile.pixels += R;
    tile.prefetch += tile.segments * tile.positions * 64;
  }
}

}  // namespace
}  // namespace octet
