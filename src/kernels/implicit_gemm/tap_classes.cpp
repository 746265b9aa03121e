#include "kernels/implicit_gemm/tap_classes.h"

#include <algorithm>
#include <utility>

namespace octet {
namespace {

constexpr size_t k_most_bands = 5;  // of one axis

std::vector<TapBand> bands_of(const WindowAxis& axis, bool is_cut) {
  std::vector<TapBand> bands = tap_bands(axis);
  if (!is_cut || bands.size() > k_most_bands) bands = {{0, axis.out, 0, axis.kernel}};
  return bands;
}

}  // namespace

TapClasses::TapClasses(const WindowGeometry& geometry, bool cut_rows, bool cut_columns) : geometry_(geometry) {
  const WindowGeometry& g = geometry_;
  const std::vector<TapBand> columns = bands_of({g.iw, g.ow, g.kw, g.stride_w, g.pad_left, g.dilation_w}, cut_columns);
  cuts_columns_ = columns.size() > 1;
  for (const TapBand& r : bands_of({g.ih, g.oh, g.kh, g.stride_h, g.pad_top, g.dilation_h}, cut_rows))
    for (const TapBand& c : columns) classes_.push_back({r, c});
}

double TapClasses::cycles(const ConvTile& tile, double tap_steps) const {
  constexpr double k_cycles_per_tile = 60;  // around the steps of a tile
  const auto step = [&](int64_t rows) {
    const auto pixels = static_cast<double>(rows), vectors = static_cast<double>(tile.vectors);
    return std::max({pixels * vectors * tile.dot_cycles, (pixels + vectors) * tile.costs.load, tile.costs.latency});
  };
  double sum = 0;
  for (const TapClass& c : classes_) {
    const int64_t pixels = (c.rows.end - c.rows.begin) * (c.columns.end - c.columns.begin);
    const auto taps = static_cast<double>((c.rows.k_end - c.rows.k_begin) * (c.columns.k_end - c.columns.k_begin));
    const TileRuns runs = tile_runs(pixels, tile.rows);
    sum += static_cast<double>(runs.tall) * (taps * tap_steps * step(runs.rows + 1) + k_cycles_per_tile) +
           static_cast<double>(runs.low) * (taps * tap_steps * step(runs.rows) + k_cycles_per_tile);
  }
  return sum;
}

TapClasses TapClasses::cheapest(const WindowGeometry& geometry, const ConvTile& tile, double tap_steps) {
  TapClasses best(geometry, false, false);
  double best_cycles = best.cycles(tile, tap_steps);
  for (const auto& [rows, columns] : {std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
    TapClasses other(geometry, rows, columns);
    const double cycles = other.cycles(tile, tap_steps);
    if (cycles < best_cycles) best_cycles = cycles, best = std::move(other);
  }
  return best;
}

void TapClasses::sort(IndexRange pixels, int32_t* to, int64_t* counts, int64_t slack) const {
  const WindowGeometry& g = geometry_;
  const int64_t first_row = pixels.begin / g.ow, last_row = (pixels.end - 1) / g.ow;  // over the batch
  for (const TapClass& c : classes_) {
    const int32_t* const begin = to;
    for (int64_t row = first_row; row <= last_row; ++row) {
      const int64_t oy = row % g.oh, at = row * g.ow - pixels.begin;
      if (oy < c.rows.begin || oy >= c.rows.end) continue;
      const int64_t from = std::max(c.columns.begin, -at);
      const int64_t end = std::min(c.columns.end, pixels.end - pixels.begin - at);
      for (int64_t ox = from; ox < end; ++ox) *to++ = static_cast<int32_t>(at + ox);
    }
    *counts++ = to - begin;
  }
  std::fill_n(to, slack, 0);
}

}  // namespace octet
