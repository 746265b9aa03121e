#pragma once
// One way among several to run a convolution: an inner function with its tile, and the side of the work that is cut for
// the threads. The static cost ranks the ways; a measurement may rank them otherwise.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/isa.h"
#include "kernels/conventions.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

struct ConvVariant {
  std::string name;     // "avx512_vnni 6x64", "avx512_vnni 6x64 by panels"
  std::string refused;  // empty = it can be used; else why not
  double cost_us = 0;   // static estimate on one thread
};

/// What static costs depend on beside the layer.
struct ConvCpu {
  bool has_half_width = false;  // has_half_width_avx512()
  size_t l2_bytes = 0;
};
/// Of this machine.
ConvCpu conv_cpu();

/// What products cost beside themselves, in cycles of the cost model: loads, the way from one product to the next of
/// the same sum, each vector of results, each tile, and the layer. lone_result: a tile unit's vector of results that
/// has its row for itself.
struct TileCosts {
  double load = 0.5, latency = 4, result = 3.5, lone_result = 3.5, tile = 25, layer = 0;
};

/// Where a 512-bit instruction takes two turns a cycle of the model is two of them: there loads and sums that wait for
/// each other cost half as much beside the products. Results and tiles by measurement.
inline constexpr TileCosts k_half_width_costs = {.load = 0.2, .latency = 2.25, .result = 1.5, .tile = 43};

/// An inner function as the cost model sees it.
struct ConvTile {
  Isa isa = Isa::scalar;    // that it needs
  int rows = 6;             // most pixels
  int lanes = 16;           // channels of a vector
  int vectors = 4;          // of a full panel
  double dot_cycles = 0.5;  // of one vector of dot products or fma
  std::string_view name;
  bool is_tile_unit = false;  // AMX: whole tiles of 16 rows and 16 steps, whose latency and loads dot_cycles includes
  double loads = 0;           // in a step; 0 = one for each pixel and vector
  std::string refused = {};   // why it cannot run the layer, whatever the machine has; empty = it can
  TileCosts costs = {};
};

/// A convolution seen from the cost model: pixels x channels of a group x steps of the reduction. For a tile unit also:
/// how many rows and steps its tiles come to, of how many segments a pixel's row is gathered (0 = it reads the input,
/// or one copy of it), and whether there is a copy.
struct ConvExtent {
  int64_t pixels = 1, groups = 1, group_channels = 1, steps = 1;
  int64_t tile_rows = 1, tile_steps = 1, gathered_segments = 0;
  bool is_copied = false;
};

/// How many vectors each panel of `channels` channels has: as few panels as `most` vectors allow, of equal width where
/// that can be, since a narrow last panel would leave the multipliers idle.
std::vector<int> panel_vectors(int64_t channels, int lanes, int most);

/// Every tile of the list for this layer with its cost, or the reason why not; with several threads also the two forced
/// cuts of the cheapest one.
std::vector<ConvVariant> conv_variants(std::span<const ConvTile> tiles, const ConvExtent& extent, Isa isa, int threads);

/// The judge's plain loops, the only way where the engine is built for no vector ISA.
ConvVariant scalar_variant(const ConvExtent& extent);

/// A variant's name taken apart: index in `tiles` or -1, and the cut. An empty name is the cheapest tile.
struct ChosenVariant {
  int tile = -1;
  CutBy cut = CutBy::automatic;
};
ChosenVariant choose_variant(std::span<const ConvTile> tiles, const ConvExtent& extent, Isa isa, std::string_view name);

}  // namespace octet
