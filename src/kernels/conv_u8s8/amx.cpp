// u8 x s8 convolution for AMX: 2 x 2 tiles of sums, two tiles of input and two of weights; a step of 64 positions is
// four tile loads and four tdpbusd.

#include <immintrin.h>

#include "kernels/conv_u8s8/amx_isa.h"

namespace octet {
namespace {

/// Palette 1: eight tiles of 16 rows x 64 bytes. Constant, because gcc 12 takes ldtilecfg to read its first 8 bytes
/// only and may put off stores to the rest.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);
const TileConfig k_config;

constexpr int k_tile_bytes = 1024;
constexpr int k_sums_stride = 4 * k_amx_block_channels;

template <int row_tiles, int vectors>
void sums(const ConvAmxBlock& block) {
  _tile_zero(0);
  if constexpr (vectors > 1) _tile_zero(1);
  if constexpr (row_tiles > 1) _tile_zero(2);
  if constexpr (row_tiles > 1 && vectors > 1) _tile_zero(3);
  const char* weights = static_cast<const char*>(block.weights);
  const char* prefetch = block.prefetch;
  const int64_t stride = block.a_stride;
  const int prefetch_bytes = 64 * block.prefetch_lines;
  for (int64_t segment = 0; segment < block.segments; ++segment) {
    const uint8_t* a = block.a + block.segment_list[segment].x;
    for (int64_t s = 0; s < block.steps; ++s, a += k_amx_step_bytes, weights += vectors * k_tile_bytes) {
      _tile_loadd(4, a, stride);
      _tile_loadd(6, weights, 64);
      _tile_dpbusd(0, 4, 6);
      for (int line = 0; line < prefetch_bytes; line += 64) _mm_prefetch(prefetch + line, _MM_HINT_T1);
      prefetch += prefetch_bytes;
      if constexpr (row_tiles > 1) {
        _tile_loadd(5, a + k_amx_tile_rows * stride, stride);
        _tile_dpbusd(2, 5, 6);
      }
      if constexpr (vectors > 1) {
        _tile_loadd(7, weights + k_tile_bytes, 64);
        _tile_dpbusd(1, 4, 7);
        if constexpr (row_tiles > 1) _tile_dpbusd(3, 5, 7);
      }
    }
  }
  int32_t* const out = block.sums;
  _tile_stored(0, out, k_sums_stride);
  if constexpr (vectors > 1) _tile_stored(1, out + 16, k_sums_stride);
  if constexpr (row_tiles > 1) _tile_stored(2, out + k_amx_tile_rows * k_amx_block_channels, k_sums_stride);
  if constexpr (row_tiles > 1 && vectors > 1)
    _tile_stored(3, out + k_amx_tile_rows * k_amx_block_channels + 16, k_sums_stride);
}

}  // namespace

void conv_amx_configure() {
  __asm__ volatile("" ::: "memory");
  _tile_loadconfig(&k_config);
}

void conv_amx_sums(const ConvAmxBlock& block) {
  if (block.row_tiles > 1) return block.vectors > 1 ? sums<2, 2>(block) : sums<2, 1>(block);
  return block.vectors > 1 ? sums<1, 2>(block) : sums<1, 1>(block);
}

}  // namespace octet
