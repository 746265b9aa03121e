#include "kernels/implicit_gemm/tile_grid.h"

#include <algorithm>
#include <cmath>

#include "base/ceil_div.h"

namespace octet {
namespace {

// Measured on AMX (docs/benchmarks_amx.md): a block of 32 positions x 32 channels takes 85 ns and 0.62 ns for each byte
// of a pixel's row, half a block a little more than half of that; weights come out of L3 at 20 GB/s.
constexpr double k_ns_per_block = 85, k_ns_per_block_byte = 0.62 / 32;
constexpr double k_half_block = 0.6;
constexpr double k_ns_per_streamed_byte = 0.05;
constexpr double k_waited = 0.25;  // of the lesser of both, which does not run beside the other
// 10 to 20 ns a line, several on their way at a time.
constexpr double k_ns_per_foreign_byte = 0.2;
constexpr double k_ns_per_chunk = 300;
// A chunk's start is worth less than this part of its work: more chunks than workers even out those that are held up.
constexpr double k_chunk_share = 0.006;
constexpr int64_t k_most_per_worker = 4;

/// Expected time of the worker that has most, where each has one chunk.
double worker_ns(const TileGridWork& work, const TileGrid& grid) {
  const int64_t units = ceil_div(work.pixel_units, grid.pixel_parts);
  const auto tiles = static_cast<int64_t>(std::ceil(static_cast<double>(units) * work.unit_tiles));
  const int64_t panels =
      std::min(ceil_div(ceil_div(work.panels, work.unit_panels), grid.panel_parts) * work.unit_panels, work.panels);
  const auto weights = static_cast<double>(panels * work.panel_bytes);
  const double block_ns = k_ns_per_block + static_cast<double>(work.panel_bytes) * k_ns_per_block_byte;
  const int64_t pairs = tiles / 2;
  const double blocks = static_cast<double>(pairs) + (tiles % 2 == 1 ? k_half_block : 0.0);
  const double own_input = static_cast<double>(work.input_bytes) / static_cast<double>(grid.pixel_parts);
  const auto cuts = static_cast<double>(std::min<int64_t>(grid.pixel_parts - 1, 2));
  const double foreign =
      own_input * (1 - 1 / static_cast<double>(grid.panel_parts)) + static_cast<double>(work.shared_bytes) / 2 * cuts;
  const double compute_ns = static_cast<double>(panels) * blocks * block_ns;
  const bool streams = work.panels * work.panel_bytes > static_cast<int64_t>(k_near_weight_bytes);
  const double stream_ns = streams ? weights * k_ns_per_streamed_byte : 0.0;
  return std::max(compute_ns, stream_ns) + k_waited * std::min(compute_ns, stream_ns) + foreign * k_ns_per_foreign_byte;
}

}  // namespace

TileGrid tile_grid(const TileGridWork& work, int threads, CutBy by) {
  const int64_t workers = std::max(1, threads), most_panels = ceil_div(work.panels, work.unit_panels);
  if (workers == 1) return {};
  TileGrid best;
  double best_ns = worker_ns(work, best);
  const int64_t most_pixel_parts = by == CutBy::panels ? 1 : std::min(workers, work.pixel_units);
  for (int64_t pixel_parts = 1; pixel_parts <= most_pixel_parts; ++pixel_parts) {
    const TileGrid grid = {pixel_parts, by == CutBy::pixels ? 1 : std::min(workers / pixel_parts, most_panels)};
    const double ns = worker_ns(work, grid);
    if (ns < best_ns) best = grid, best_ns = ns;
  }
  const auto per_worker =
      std::clamp(static_cast<int64_t>(best_ns * k_chunk_share / k_ns_per_chunk), int64_t{1}, k_most_per_worker);
  if (best.panel_parts > 1) {
    best.panel_parts = std::min(best.panel_parts * per_worker, most_panels);
  } else if (work.panels * work.panel_bytes <= static_cast<int64_t>(k_resident_weight_bytes)) {
    best.pixel_parts = std::min(best.pixel_parts * per_worker, work.pixel_units);  // each meets all weights
  }
  return best;
}

}  // namespace octet
