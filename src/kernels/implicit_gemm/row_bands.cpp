#include "kernels/implicit_gemm/row_bands.h"

#include <algorithm>

#include "kernels/implicit_gemm/split.h"

namespace octet {
namespace {

/// Cycles of `pixels` pixels x one panel over `steps` steps, in tiles of nearly equal height.
double cycles(int64_t pixels, double steps, const ConvTile& tile) {
  constexpr double k_tile_cycles = 50;  // around the steps of a tile
  const TileRuns runs = tile_runs(pixels, tile.rows);
  const auto step = [&](int64_t rows) {
    const double dots = static_cast<double>(rows * tile.vectors) * tile.dot_cycles;
    return std::max({dots, 0.5 * static_cast<double>(rows + tile.vectors), 4.0});
  };
  return static_cast<double>(runs.tall) * (steps * step(runs.rows + 1) + k_tile_cycles) +
         static_cast<double>(runs.low) * (steps * step(runs.rows) + k_tile_cycles);
}

}  // namespace

std::vector<RowBand> row_bands(const WindowGeometry& g) {
  std::vector<RowBand> bands;
  for (int64_t oy = 0; oy < g.oh; ++oy) {
    const int64_t top = oy * g.stride_h - g.pad_top;  // of kernel row 0
    int64_t begin = 0, end = g.kh;
    while (begin < g.kh && top + begin * g.dilation_h < 0) ++begin;
    while (end > begin && top + (end - 1) * g.dilation_h >= g.ih) --end;
    if (!bands.empty() && bands.back().ky_begin == begin && bands.back().ky_end == end)
      bands.back().oy_end = oy + 1;
    else
      bands.push_back({oy, oy + 1, begin, end});
  }
  return bands;
}

bool bands_pay(const WindowGeometry& g, const std::vector<RowBand>& bands, const ConvTile& tile, int64_t row_steps) {
  constexpr double k_least_gain = 0.97;
  if (bands.size() < 2) return false;
  double banded = 0;
  for (const RowBand& band : bands)
    banded += cycles((band.oy_end - band.oy_begin) * g.ow,
                     static_cast<double>((band.ky_end - band.ky_begin) * row_steps), tile);
  return banded < k_least_gain * cycles(g.oh * g.ow, static_cast<double>(g.kh * row_steps), tile);
}

}  // namespace octet
