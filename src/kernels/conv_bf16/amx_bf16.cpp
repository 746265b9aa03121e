// bfloat16 convolution for AMX: 2 x 2 tiles of sums, two tiles of input and two of weights; a step of 32 positions is
// four tile loads and four tdpbf16ps. Gathering and what is behind the sums are AVX512's.

#include <immintrin.h>

#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/tile_config_amx.h"

namespace octet {
namespace {

constexpr int k_tile_rows = 16, k_step = 32, k_channels = 32;
constexpr int k_tile_elements = 512;
constexpr int k_sums_stride = 4 * k_channels;

template <int row_tiles, int vectors>
void sums(const ConvBf16Block& block) {
  // Rows at a distance of nothing: sixteen times the bias.
  _tile_loadd(0, block.bias, 0);
  if constexpr (vectors > 1) _tile_loadd(1, block.bias + 16, 0);
  if constexpr (row_tiles > 1) _tile_loadd(2, block.bias, 0);
  if constexpr (row_tiles > 1 && vectors > 1) _tile_loadd(3, block.bias + 16, 0);
  const int64_t stride = 2 * block.x_step;
  const uint16_t *a = block.x, *b = block.x + k_tile_rows * block.x_step, *weights = block.weights;
  for (int64_t s = 0; s < block.steps; ++s, a += k_step, b += k_step, weights += vectors * k_tile_elements) {
    _tile_loadd(4, a, stride);
    _tile_loadd(6, weights, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (row_tiles > 1) {
      _tile_loadd(5, b, stride);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (vectors > 1) {
      _tile_loadd(7, weights + k_tile_elements, 64);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (row_tiles > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  float* const out = block.sums;
  _tile_stored(0, out, k_sums_stride);
  if constexpr (vectors > 1) _tile_stored(1, out + 16, k_sums_stride);
  if constexpr (row_tiles > 1) _tile_stored(2, out + k_tile_rows * k_channels, k_sums_stride);
  if constexpr (row_tiles > 1 && vectors > 1) _tile_stored(3, out + k_tile_rows * k_channels + 16, k_sums_stride);
}

}  // namespace

void conv_bf16_amx_configure() { configure_tiles(); }

void conv_bf16_amx_sums(const ConvBf16Block& block) {
  if (block.rows > k_tile_rows) return block.vectors > 1 ? sums<2, 2>(block) : sums<2, 1>(block);
  return block.vectors > 1 ? sums<1, 2>(block) : sums<1, 1>(block);
}

const ConvBf16TileKernel conv_bf16_amx_bf16 = {.configure = conv_bf16_amx_configure,
                                               .sums = conv_bf16_amx_sums,
                                               .gather = conv_bf16_gather,
                                               .finish = conv_bf16_finish,
                                               .rows = 2 * k_tile_rows,
                                               .vectors = 2,
                                               .step = k_step,
                                               .read_rows = k_tile_rows,
                                               .dot_cycles = 0.12,
                                               .name = "amx_bf16 32x32"};

}  // namespace octet
