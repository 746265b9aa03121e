#include "kernels/implicit_gemm/variant.h"

#include <algorithm>

#include "base/cpus.h"
#include "base/vector_width.h"

namespace octet {
namespace {

constexpr std::string_view k_by_panels = " by panels", k_by_pixels = " by pixels";

// A core as the model sees it: two vectors of dot products per cycle, what TileCosts says beside them (two loads per
// cycle, sums that can be added to every four), and a round clock. Only ratios matter.
constexpr double k_cycles_per_us = 3500;
// A pixel's row for tiles: its pointers, then a copy per segment.
constexpr double k_cycles_per_row = 20, k_cycles_per_segment = 8;
// Before the first product of a layer that reads a copy, by measurement (docs/benchmarks_amx.md).
constexpr double k_cycles_per_copy = 5000;

double cost_us(const ConvTile& tile, const ConvExtent& extent) {
  const int64_t tiles = (extent.pixels + tile.rows - 1) / tile.rows;
  const double rows = static_cast<double>(extent.pixels) / static_cast<double>(tiles);
  double cycles = 0;
  if (tile.is_tile_unit) {
    const double tile_rows = static_cast<double>(extent.tile_rows) / static_cast<double>(tiles);
    for (const int vectors : panel_vectors(extent.group_channels, tile.lanes, tile.vectors))
      cycles += tile_rows * vectors *
                    (static_cast<double>(extent.tile_steps) * tile.dot_cycles +
                     (vectors > 1 ? tile.costs.result : tile.costs.lone_result)) +
                4 * tile.costs.tile;
    if (extent.gathered_segments > 0)
      cycles += rows * (k_cycles_per_row + k_cycles_per_segment * static_cast<double>(extent.gathered_segments));
    const double once = tile.costs.layer + (extent.is_copied ? k_cycles_per_copy : 0);
    return (cycles * static_cast<double>(tiles * extent.groups) + once) / k_cycles_per_us;
  }
  for (const int vectors : panel_vectors(extent.group_channels, tile.lanes, tile.vectors)) {
    const double dots = rows * vectors;
    const double loads = tile.loads > 0 ? tile.loads : rows + vectors;
    const double step = std::max({dots * tile.dot_cycles, loads * tile.costs.load, tile.costs.latency});
    cycles += static_cast<double>(extent.steps) * step + dots * tile.costs.result + tile.costs.tile;
  }
  return cycles * static_cast<double>(tiles * extent.groups) / k_cycles_per_us;
}

/// Empty, or why the tile cannot be used under `isa`.
std::string refuse(const ConvTile& tile, Isa isa) {
  if (tile.isa > isa)
    return "needs " + std::string(name(tile.isa)) + ", the engine is built for " + std::string(name(isa));
  const std::vector<Isa> have = available_isas();
  if (std::find(have.begin(), have.end(), tile.isa) == have.end())
    return "this machine has no " + std::string(name(tile.isa));
  return tile.refused;
}

int cheapest(std::span<const ConvTile> tiles, const ConvExtent& extent, Isa isa) {
  int best = -1;
  double best_us = 0;
  for (size_t i = 0; i < tiles.size(); ++i) {
    if (!refuse(tiles[i], isa).empty()) continue;
    const double us = cost_us(tiles[i], extent);
    if (best < 0 || us < best_us) best = static_cast<int>(i), best_us = us;
  }
  return best;
}

}  // namespace

ConvCpu conv_cpu() {
  static const ConvCpu cpu = {has_half_width_avx512(), cache_sizes().l2_bytes};
  return cpu;
}

std::vector<int> panel_vectors(int64_t channels, int lanes, int most) {
  const int64_t vectors = (channels + lanes - 1) / lanes;
  const int64_t panels = (vectors + most - 1) / most;
  std::vector<int> widths;
  for (int64_t p = 0; p < panels; ++p)
    widths.push_back(static_cast<int>(vectors / panels + (p < vectors % panels ? 1 : 0)));
  return widths;
}

std::vector<ConvVariant> conv_variants(std::span<const ConvTile> tiles, const ConvExtent& extent, Isa isa,
                                       int threads) {
  std::vector<ConvVariant> variants;
  const int best = cheapest(tiles, extent, isa);
  for (size_t i = 0; i < tiles.size(); ++i) {
    ConvVariant variant{std::string(tiles[i].name), refuse(tiles[i], isa), 0};
    if (variant.refused.empty()) variant.cost_us = cost_us(tiles[i], extent);
    variants.push_back(variant);
    if (threads == 1 || static_cast<int>(i) != best) continue;
    // A shade dearer than the automatic cut: without a measurement that one is taken.
    for (const std::string_view cut : {k_by_panels, k_by_pixels})
      variants.push_back({variant.name + std::string(cut), "", variant.cost_us * 1.01});
  }
  return variants;
}

ConvVariant scalar_variant(const ConvExtent& extent) {
  constexpr double k_steps_per_us = 1000;
  const auto steps = static_cast<double>(extent.pixels * extent.groups * extent.group_channels * extent.steps);
  return {std::string(name(Isa::scalar)), "", steps / k_steps_per_us};
}

ChosenVariant choose_variant(std::span<const ConvTile> tiles, const ConvExtent& extent, Isa isa,
                             std::string_view name) {
  if (name.empty()) return {cheapest(tiles, extent, isa), CutBy::automatic};
  ChosenVariant chosen;
  if (name.ends_with(k_by_panels)) chosen.cut = CutBy::panels, name.remove_suffix(k_by_panels.size());
  if (name.ends_with(k_by_pixels)) chosen.cut = CutBy::pixels, name.remove_suffix(k_by_pixels.size());
  for (size_t i = 0; i < tiles.size(); ++i)
    if (tiles[i].name == name && refuse(tiles[i], isa).empty()) chosen.tile = static_cast<int>(i);
  return chosen;
}

}  // namespace octet
