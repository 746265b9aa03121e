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
  Finishing(const ConvAmxPending& pending, int64_t steps)
      : pending_(pending), count_(pending.run ? pending.run->row_count : 0) {
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
    pending_.finish(*pending_.run, pending_.sums, pending_.sum_rows, done_, end);
    done_ = end;
  }
  const ConvAmxPending& pending_;
  int count_, in_steps_, per_step_, done_ = 0;
};

inline __attribute__((always_inline)) void store_upper(const ConvAmxUpper& upper) {
  if (!upper.sums) return;
  _tile_stored(2, upper.sums, k_sums_stride);
  if (upper.vectors > 1) _tile_stored(3, upper.sums + 16, k_sums_stride);
}

template <int row_tiles, int vectors>
void sums(const ConvAmxBlock& block) {
  // Rows at a distance of nothing: sixteen times the bias.
  _tile_loadd(0, block.bias, 0);
  if constexpr (vectors > 1) _tile_loadd(1, block.bias + 16, 0);
  Finishing finishing(block.pending, block.segments * block.steps);
  const char* weights = static_cast<const char*>(block.weights);
  const char* prefetch = block.prefetch;
  const int64_t stride = block.a_stride;
  const int prefetch_bytes = 64 * block.prefetch_lines;
  for (int64_t segment = 0; segment < block.segments; ++segment) {
    const int64_t x = block.segment_list[segment].x;
    const uint8_t *a = block.a[0] + x, *b = row_tiles > 1 ? block.a[1] + x : nullptr;
    for (int64_t s = 0; s < block.steps; ++s, weights += vectors * k_tile_bytes) {
      const int64_t at = s * k_amx_step_bytes;
      _tile_loadd(6, weights, 64);
      _tile_loadd(4, a + at, stride);
      _tile_dpbusd(0, 4, 6);
      if constexpr (vectors > 1) {
        _tile_loadd(7, weights + k_tile_bytes, 64);
        _tile_dpbusd(1, 4, 7);
      }
      for (int line = 0; line < prefetch_bytes; line += 64) _mm_prefetch(prefetch + line, _MM_HINT_T1);
      prefetch += prefetch_bytes;
      if (segment == 0 && s == 0) {
        store_upper(block.upper);
        if constexpr (row_tiles > 1) _tile_loadd(2, block.bias, 0);
        if constexpr (row_tiles > 1 && vectors > 1) _tile_loadd(3, block.bias + 16, 0);
      }
      if constexpr (row_tiles > 1) {
        _tile_loadd(5, b + at, stride);
        _tile_dpbusd(2, 5, 6);
        if constexpr (vectors > 1) _tile_dpbusd(3, 5, 7);
      }
      finishing.step();
    }
  }
  finishing.steps_done();
  _tile_stored(0, block.sums, k_sums_stride);
  if constexpr (vectors > 1) _tile_stored(1, block.sums + 16, k_sums_stride);
  finishing.rest();
}

}  // namespace

void conv_amx_configure() { configure_tiles(); }

void conv_amx_sums(const ConvAmxBlock& block) {
  if (block.row_tiles > 1) return block.vectors > 1 ? sums<2, 2>(block) : sums<2, 1>(block);
  return block.vectors > 1 ? sums<1, 2>(block) : sums<1, 1>(block);
}

void conv_amx_flush(const ConvAmxUpper& upper) { store_upper(upper); }

}  // namespace octet
