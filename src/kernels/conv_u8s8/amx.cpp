// u8 x s8 convolution for AMX: 2 x 2 tiles of sums, two tiles of input and two of weights; a step of 64 positions is
// four tile loads and four tdpbusd.

#include <immintrin.h>

#include "kernels/conv_u8s8/amx_isa.h"
#include "kernels/tile_config_amx.h"

namespace octet {
namespace {

constexpr int k_tile_bytes = 1024;
constexpr int k_sums_stride = 4 * k_amx_block_channels;

/// Fewer steps than this leave time for half a block only.
constexpr int64_t k_many_steps = 8;

/// Finishes pending pixels bit by bit.
class Finishing {
 public:
  Finishing(const ConvAmxBlock& block, int64_t steps)
      : pending_(block.pending), sums_(block.sums), count_(block.pending.run ? block.pending.run->row_count : 0) {
    in_steps_ = steps < k_many_steps && pending_.lower < count_ ? pending_.lower : count_;
    per_step_ = steps < k_many_steps ? static_cast<int>((in_steps_ + steps - 1) / steps + 3) / 4 * 4 : 4;
  }
  void step() {
    if (done_ < in_steps_) to(done_ + per_step_ < in_steps_ ? done_ + per_step_ : in_steps_);
  }
  void steps_done() {
    if (done_ < in_steps_) to(in_steps_);
  }
  void rest() {
    if (done_ < count_) to(count_);
  }

 private:
  void to(int end) {
    pending_.finish(*pending_.run, sums_, pending_.sum_rows, done_, end);
    done_ = end;
  }
  const ConvAmxPending& pending_;
  const int32_t* sums_;
  int count_, in_steps_, per_step_, done_ = 0;
};

template <int row_tiles, int vectors>
void sums(const ConvAmxBlock& block) {
  // Rows at a distance of nothing: sixteen times the bias.
  _tile_loadd(0, block.bias, 0);
  if constexpr (vectors > 1) _tile_loadd(1, block.bias + 16, 0);
  if constexpr (row_tiles > 1) _tile_loadd(2, block.bias, 0);
  if constexpr (row_tiles > 1 && vectors > 1) _tile_loadd(3, block.bias + 16, 0);
  Finishing finishing(block, block.segments * block.steps);
  const char* weights = static_cast<const char*>(block.weights);
  const char* prefetch = block.prefetch;
  const int64_t stride = block.a_stride;
  const int prefetch_bytes = 64 * block.prefetch_lines;
  for (int64_t segment = 0; segment < block.segments; ++segment) {
    const int64_t x = block.segment_list[segment].x;
    const uint8_t *a = block.a[0] + x, *b = row_tiles > 1 ? block.a[1] + x : nullptr;
    for (int64_t s = 0; s < block.steps; ++s, weights += vectors * k_tile_bytes) {
      const int64_t at = s * k_amx_step_bytes;
      _tile_loadd(4, a + at, stride);
      _tile_loadd(6, weights, 64);
      _tile_dpbusd(0, 4, 6);
      for (int line = 0; line < prefetch_bytes; line += 64) _mm_prefetch(prefetch + line, _MM_HINT_T1);
      prefetch += prefetch_bytes;
      if constexpr (row_tiles > 1) {
        _tile_loadd(5, b + at, stride);
        _tile_dpbusd(2, 5, 6);
      }
      if constexpr (vectors > 1) {
        _tile_loadd(7, weights + k_tile_bytes, 64);
        _tile_dpbusd(1, 4, 7);
        if constexpr (row_tiles > 1) _tile_dpbusd(3, 5, 7);
      }
      finishing.step();
    }
  }
  finishing.steps_done();
  int32_t* const out = block.sums;
  _tile_stored(0, out, k_sums_stride);
  if constexpr (vectors > 1) _tile_stored(1, out + 16, k_sums_stride);
  finishing.rest();
  if constexpr (row_tiles > 1) _tile_stored(2, out + k_amx_tile_rows * k_amx_block_channels, k_sums_stride);
  if constexpr (row_tiles > 1 && vectors > 1)
    _tile_stored(3, out + k_amx_tile_rows * k_amx_block_channels + 16, k_sums_stride);
}

}  // namespace

void conv_amx_configure() { configure_tiles(); }

void conv_amx_sums(const ConvAmxBlock& block) {
  if (block.row_tiles > 1) return block.vectors > 1 ? sums<2, 2>(block) : sums<2, 1>(block);
  return block.vectors > 1 ? sums<1, 2>(block) : sums<1, 1>(block);
}

}  // namespace octet
