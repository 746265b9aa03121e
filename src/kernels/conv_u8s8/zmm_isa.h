#pragma once
// The 512-bit kernels: tiles of up to `rows` pixels x `vectors` * 16 channels in rows * vectors accumulators. A step of
// the inner loop takes 4 positions: `vectors` weight vectors, `rows` broadcasts, rows * vectors vpdpbusd; 6 x 4, 8 x 3
// and 12 x 2 leave the loads hidden and fill most of the 32 registers. Everything is in an unnamed namespace: each file
// that includes this has its own copy.

#include "kernels/conv_u8s8/zmm_finish_isa.h"
#include "kernels/conv_u8s8/zmm_rows_isa.h"
#include "kernels/implicit_gemm/find_tile_isa.h"

namespace octet {
namespace {

/// The lines that the next tile of this panel, R pixels on, will read and write: they may be as far as DRAM, and what
/// follows the accumulation is too short to hide that.
template <int R, Form form>
inline __attribute__((always_inline)) void prefetch_next(const ConvU8S8Run& tile) {
  for (int r = R; r < 2 * R; ++r) {
    if (has_residual<form>(tile))
      _mm_prefetch(tile.residual + tile.residual_pixels[r] * tile.residual_step, _MM_HINT_T0);
    const int64_t pixel = tile.y_pixels[r];
    const char* y = static_cast<const char*>(tile.y) + pixel * tile.y_step * (is_f32(form) ? 4 : 1);
    __builtin_prefetch(y, 1, 3);
  }
}

/// The same where a tile's pixels are neighbours, several of which may share a line.
template <int R, Form form>
inline __attribute__((always_inline)) void prefetch_neighbours(const ConvU8S8Run& tile) {
  const auto lines = [](int64_t step, auto&& fetch) __attribute__((always_inline)) {
    const int64_t apart = step < 64 ? 64 : step;
    for (int64_t at = 0; at < R * step; at += apart) fetch(at);
  };
  if (has_residual<form>(tile)) {
    const uint8_t* const residual = tile.residual + tile.residual_pixels[R] * tile.residual_step;
    lines(tile.residual_step, [&](int64_t at) { _mm_prefetch(residual + at, _MM_HINT_T0); });
  }
  const auto* const y = static_cast<const uint8_t*>(tile.y) + tile.y_pixels[R] * tile.y_step;
  lines(tile.y_step, [&](int64_t at) { __builtin_prefetch(y + at, 1, 3); });
}

/// The sums of a tile to what is asked for. How codes are clamped is asked behind the sums, so that they are there once
/// for all ways.
template <int R, int C, Form form>
inline __attribute__((always_inline)) void finish_tile(const ConvU8S8Run& tile, const __m512i (&acc)[R][C]) {
  if constexpr (is_f32(form)) {
    finish_floats<R, C, form>(tile, acc);
  } else {
    constexpr bool k_adds = form == Form::u8_residual;
    const bool from_zero = k_adds && tile.residual_zero_point == 0;
    switch (tile.channels == 16 * C ? tile.clamp : CodeClamp::any) {
      case CodeClamp::u8:
        if (from_zero) return finish_codes<R, C, form, CodeClamp::u8, k_adds>(tile, acc);
        return finish_codes<R, C, form, CodeClamp::u8>(tile, acc);
      case CodeClamp::u7:
        if (from_zero) return finish_codes<R, C, form, CodeClamp::u7, k_adds>(tile, acc);
        return finish_codes<R, C, form, CodeClamp::u7>(tile, acc);
      case CodeClamp::s8: return finish_codes<R, C, form, CodeClamp::s8>(tile, acc);
      case CodeClamp::at_zero_point:
        if constexpr (form == Form::u8) return finish_codes<R, C, form, CodeClamp::at_zero_point>(tile, acc);
        [[fallthrough]];
      case CodeClamp::any: return finish_codes<R, C, form, CodeClamp::any>(tile, acc);
    }
  }
}

/// In place of the width of whole rows.
constexpr int k_neighbours = -1;

template <int R, int C, Form form, int W = 0>
void run_tiles(const ConvU8S8Run& run) {
  if (run.tiles <= 0) return;
  ConvU8S8Run place = run;
  const Kept kept = &place;
  int32_t left = 0;
  do {
    if constexpr (W == k_neighbours)
      prefetch_neighbours<R, form>(*kept);
    else
      prefetch_next<R, form>(*kept);
    __m512i acc[R][C];
    if constexpr (W == k_neighbours)
      accumulate_neighbours<R>(kept, acc);
    else if constexpr (W > 0)
      accumulate_rows<R, C, W>(kept, acc);
    else
      accumulate<R, C>(kept, acc);
    ConvU8S8Run& tile = *kept;
    finish_tile<R, C, form>(tile, acc);
    tile.x_offsets += R;
    asm volatile("" : : : "memory");  // or both are one vector's addition, which waits as accumulate() says
    tile.y_pixels += R;
    asm volatile("" : : : "memory");
    if (has_residual<form>(tile)) tile.residual_pixels += R;
    tile.prefetch += tile.dwords * tile.prefetch_step;
    left = --tile.tiles;
  } while (left > 0);
}

struct Tiles {
  static constexpr int k_lanes = 16;
  template <int R, int C>
  static void run(const ConvU8S8Run& run) {
    if (run.f32_output) return run_tiles<R, C, Form::f32>(run);
    return run.residual ? run_tiles<R, C, Form::u8_residual>(run) : run_tiles<R, C, Form::u8>(run);
  }
};

/// dot_cycles: two a cycle, and a few percent for the loads beside them, by measurement.
template <int rows, int vectors>
constexpr ConvU8S8Kernel zmm_kernel(const char* name, double dot_cycles, double half_width_dot_cycles) {
  return {.run = run_panel<Tiles, rows, vectors>,
          .rows = rows,
          .lanes = 16,
          .vectors = vectors,
          .widened_weights = false,
          .dot_cycles = dot_cycles,
          .name = name,
          .half_width_dot_cycles = half_width_dot_cycles};
}

}  // namespace
}  // namespace octet
