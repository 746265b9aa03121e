#include "kernels/implicit_gemm/split.h"

#include <algorithm>

namespace octet {
namespace {

// Sizes of a core's caches on the CPUs octet is for: L1 32 to 48 KB, L2 1 to 2 MB.
constexpr int64_t k_l1_share = 16 << 10;
constexpr int64_t k_l2_share = 256 << 10;
constexpr int64_t k_table_bytes = 128 << 10;

}  // namespace

ConvGrid conv_grid(const ConvWork& work, int threads) {
  const int64_t workers = std::max(1, threads);
  if (workers == 1) return {};
  const int64_t tiles = (work.pixels + k_tile_rows - 1) / k_tile_rows;
  const int64_t weight_bytes = work.panels * work.panel_bytes;
  const int64_t input_bytes = work.pixels * work.pixel_bytes;
  const bool many_pixels = tiles >= 8 * workers && weight_bytes <= std::max(input_bytes, k_l2_share);
  if (many_pixels) return {std::min(2 * workers, tiles), 1};
  const int64_t panel_parts = std::min(work.panels, workers);
  const int64_t pixel_parts = std::min(tiles, (workers + panel_parts - 1) / panel_parts);
  return {pixel_parts, panel_parts};
}

int64_t conv_block_pixels(const ConvWork& work) {
  const int64_t weight_bytes = work.panels * work.panel_bytes;
  const int64_t share = weight_bytes <= k_l2_share ? k_l1_share : k_l2_share;
  const int64_t by_table = k_table_bytes / (static_cast<int64_t>(sizeof(void*)) * work.segments);
  const int64_t pixels = std::min(share / std::max<int64_t>(work.pixel_bytes, 1), by_table);
  const int64_t tiles = std::max<int64_t>(pixels / k_tile_rows, 4);
  return tiles * k_tile_rows;
}

IndexRange part_of(int64_t n, int64_t parts, int64_t index, int64_t multiple) {
  const int64_t units = (n + multiple - 1) / multiple;
  return {std::min(n, units * index / parts * multiple), std::min(n, units * (index + 1) / parts * multiple)};
}

TileRuns tile_runs(int64_t pixels) {
  const int64_t tiles = (pixels + k_tile_rows - 1) / k_tile_rows;
  const int64_t rows = pixels / tiles, tall = pixels - tiles * rows;
  return {rows, tall, tiles - tall};
}

}  // namespace octet
