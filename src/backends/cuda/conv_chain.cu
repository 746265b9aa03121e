// The kernels of conv_chain.cuh and conv_block.cuh and their launches.
#include "backends/cuda/conv_block.cuh"

#include <algorithm>

#include "backends/cuda/chain.h"
#include "backends/cuda/device.cuh"
#include "backends/cuda/tma.h"

namespace octet::cuda {
namespace {

template <class K>
__global__ void __launch_bounds__(K::k_threads, 1) chain_kernel(const __grid_constant__ ChainTmaParams t) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL  // elsewhere the instructions do not exist, and nobody calls this
  K::run(t);
#endif
}

struct ChainEntry {
  ConvTile tile;
  void (*kernel)(ChainTmaParams);
  ChainKind kind;
  int stage = 0;  // bytes, of blocks
};

template <int WG, int N, int BK, bool Joined>
ChainEntry chain_entry(const char* name) {
  using K = ChainKernel<WG, N, BK, Joined>;
  return {
      {name, K::BM, N, K::k_threads, 1, BK, 0, false}, chain_kernel<K>, Joined ? ChainKind::joined : ChainKind::pair};
}

template <int WG, int C, int N>
ChainEntry block_entry(const char* name) {
  using K = BlockKernel<WG, C, N>;
  return {{name, K::BM, N, K::k_threads, 1, C, K::k_stages, false}, chain_kernel<K>, ChainKind::block, K::k_stage};
}

std::span<const ChainEntry> entries() {
#ifndef OCTET_SM90A
  return {};
#else
  static const ChainEntry k_entries[] = {
      chain_entry<3, 64, 64, false>("chain 192x64 b64"),
      chain_entry<3, 128, 64, false>("chain 192x128 b64"),
      chain_entry<3, 128, 128, false>("chain 192x128"),
      chain_entry<3, 64, 64, true>("chain joined 192x64 b64"),
      chain_entry<3, 128, 128, true>("chain joined 192x128"),
      block_entry<3, 64, 64>("block 192x64"),
      block_entry<2, 128, 128>("block 128x128"),
  };
  return k_entries;
#endif
}

constexpr size_t k_most_shared = 232448, k_columns = 64;

size_t bytes_of(const ChainShape& s) {
  return 1024 + static_cast<size_t>(s.pixels) * s.buffers + static_cast<size_t>(s.stage) * s.stages +
         16 * static_cast<size_t>(s.stages + s.buffers);
}

/// The most stages that fit, and two places for pixels if three stages are left. stages 0: it does not fit.
ChainShape shape_of(const ChainEntry& e, const ChainParams& p) {
  if (e.kind == ChainKind::block) return {.stage = e.stage, .stages = e.tile.stages};
  const auto k_tiles = [&](const ConvParams& c) { return (c.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes; };
  const bool residual = p.kind == ChainKind::pair && p.first.epilogue.has_residual;
  ChainShape s;
  s.tiles_before = p.has_before() ? k_tiles(p.before) : 0, s.tiles_first = k_tiles(p.first);
  const int k = (s.tiles_before + s.tiles_first) * e.tile.k_bytes;
  s.pixels = e.tile.bm * k;
  s.stage = static_cast<int>(k_columns) * (k + e.tile.bn + (residual ? e.tile.bm : 0));
  constexpr int k_most_stages = 12;
  for (const int least : {3, 2}) {
    s.buffers = least - 1;
    s.stages = k_most_stages;
    while (s.stages > 0 && bytes_of(s) > k_most_shared) --s.stages;
    if (s.stages >= least) return s;
  }
  s.stages = 0;
  return s;
}

/// 1x1, codes to codes, and what the copy engine needs.
bool takes_conv(const ConvTile& tile, const ConvParams& p) {
  if (p.kh != 1 || p.kw != 1 || p.x_pitch % tile.k_bytes != 0 || (p.x_pitch % 128 == 0) != (tile.k_bytes == 128))
    return false;
  ConvTile whole = tile;
  if (p.pointwise) whole.k_bytes = 128;  // what single convolutions have there
  return tma_takes(ConvType::u8s8, whole, p);
}

}  // namespace

int chain_tile_count() { return static_cast<int>(entries().size()); }
const ConvTile& chain_tile(int index) { return entries()[static_cast<size_t>(index)].tile; }
ChainKind chain_kind(int index) { return entries()[static_cast<size_t>(index)].kind; }

bool chain_takes(int index, const ChainParams& p) {
  const ChainEntry& e = entries()[static_cast<size_t>(index)];
  if (e.kind != p.kind || e.tile.bn != p.last.w_rows || p.first.oc % static_cast<int>(k_columns) != 0) return false;
  if (p.first.oc != p.last.k_used || !p.last.pointwise || p.last.epilogue.has_residual) return false;
  ConvTile whole = e.tile;
  whole.k_bytes = 128;
  if (!tma_takes(ConvType::u8s8, whole, p.last) || shape_of(e, p).stages == 0) return false;
  if (p.kind == ChainKind::block)
    return !p.before.pointwise && p.before.oc == e.tile.k_bytes && p.first.k_used == p.before.oc && p.first.pointwise &&
           !p.before.epilogue.has_residual && tma_takes(ConvType::u8s8, e.tile, p.before) &&
           tma_takes(ConvType::u8s8, whole, p.first);
  return takes_conv(e.tile, p.first) && (!p.has_before() || takes_conv(e.tile, p.before));
}

cudaError_t chain_setup() {
  for (const ChainEntry& e : entries())
    if (const cudaError_t set = allow_shared(e.kernel, k_most_shared); set != cudaSuccess) return set;
  return cudaSuccess;
}

cudaError_t launch_chain(int index, const ChainParams& p, int sms, cudaStream_t stream) {
  const ChainEntry& e = entries()[static_cast<size_t>(index)];
  ChainTmaParams t{};
  t.shape = shape_of(e, p);
  t.last = p.last;
  ConvTile tile = e.tile;
  tile.bn = static_cast<int>(k_columns);
  const bool residual = p.kind != ChainKind::joined && p.first.epilogue.has_residual;
  if (!fill_maps(t.first, p.first, tile, 1, residual)) return cudaErrorInvalidValue;
  if (p.has_before() && !fill_maps(t.before, p.before, tile, 1, false)) return cudaErrorInvalidValue;
  const int tiles = (p.last.m + e.tile.bm - 1) / e.tile.bm;
  return launch(e.kernel, dim3(static_cast<unsigned>(std::min(tiles, sms))),
                dim3(static_cast<unsigned>(e.tile.group_threads)), bytes_of(t.shape), stream, t);
}

}  // namespace octet::cuda
