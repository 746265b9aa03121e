#include "kernels/implicit_gemm/split.h"

#include <algorithm>

namespace octet {
namespace {

// Sizes of a core's caches on the CPUs octet is for: L1 32 to 48 KB, L2 1 to 2 MB.
constexpr int64_t k_l1_share = 16 << 10;
constexpr int64_t k_l2_share = 256 << 10;
constexpr int64_t k_table_bytes = 128 << 10;

// A rough clock of a core: one tile takes 12 cycles per 256 bytes of weights and 60 around them, weights come out of L3
// at 20 GB/s, and a chunk costs some table filling. Only ratios matter: they choose between cuts, never an answer.
constexpr double k_ns_per_weight_byte = 12.0 / 256 / 4;
constexpr double k_ns_per_tile = 15;
constexpr double k_ns_per_streamed_byte = 0.05;
constexpr double k_ns_per_chunk = 300;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Time until the last worker is done, when chunks are taken as workers become free.
double makespan_ns(const ConvWork& work, ConvGrid grid, int64_t workers) {
  const double tiles = static_cast<double>(ceil_div(ceil_div(work.pixels, work.tile_rows), grid.pixel_parts));
  const double panels = static_cast<double>(ceil_div(work.panels, grid.panel_parts));
  const double bytes = static_cast<double>(work.panel_bytes);
  const double panel_ns = tiles * (bytes * k_ns_per_weight_byte + k_ns_per_tile) + bytes * k_ns_per_streamed_byte;
  const double input_ns = tiles * static_cast<double>(work.tile_rows * work.pixel_bytes) * k_ns_per_streamed_byte;
  const double rounds = static_cast<double>(ceil_div(grid.pixel_parts * grid.panel_parts, workers));
  return rounds * (panels * panel_ns + input_ns + k_ns_per_chunk);
}

}  // namespace

ConvGrid conv_grid(const ConvWork& work, int threads, CutBy by) {
  const int64_t workers = std::max(1, threads);
  if (workers == 1) return {};
  const int64_t tiles = ceil_div(work.pixels, work.tile_rows);
  if (by == CutBy::pixels) return {std::min(tiles, 2 * workers), 1};
  if (by == CutBy::panels) return {1, std::min(work.panels, 2 * workers)};
  // Of cuts that are as good within a few percent the finest is taken: it evens out workers that are held up.
  constexpr double k_slack = 1.04;
  ConvGrid best;
  double best_ns = makespan_ns(work, best, workers);
  for (const int64_t panel_wish : {int64_t{1}, workers, 2 * workers, work.panels})
    for (const int64_t per_worker : {1, 2, 4}) {
      const int64_t panel_parts = std::min(panel_wish, work.panels);
      const ConvGrid grid = {std::min(tiles, ceil_div(per_worker * workers, panel_parts)), panel_parts};
      const double ns = makespan_ns(work, grid, workers);
      const bool finer = grid.pixel_parts * grid.panel_parts > best.pixel_parts * best.panel_parts;
      if (ns * (finer ? 1.0 : k_slack) < best_ns * (finer ? k_slack : 1.0))
        best = grid, best_ns = std::min(ns, best_ns);
    }
  return best;
}

int64_t conv_block_pixels(const ConvWork& work) {
  const int64_t weight_bytes = work.panels * work.panel_bytes;
  const int64_t share = weight_bytes <= k_l2_share ? k_l1_share : k_l2_share;
  const int64_t by_table = k_table_bytes / (static_cast<int64_t>(sizeof(void*)) * work.segments);
  const int64_t pixels = std::min(share / std::max<int64_t>(work.pixel_bytes, 1), by_table);
  const int64_t tiles = std::max<int64_t>(pixels / work.tile_rows, 4);
  return tiles * work.tile_rows;
}

IndexRange part_of(int64_t n, int64_t parts, int64_t index, int64_t multiple) {
  const int64_t units = (n + multiple - 1) / multiple;
  return {std::min(n, units * index / parts * multiple), std::min(n, units * (index + 1) / parts * multiple)};
}

TileRuns tile_runs(int64_t pixels, int64_t tile_rows) {
  const int64_t tiles = (pixels + tile_rows - 1) / tile_rows;
  const int64_t rows = pixels / tiles, tall = pixels - tiles * rows;
  return {rows, tall, tiles - tall};
}

}  // namespace octet
