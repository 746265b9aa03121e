#pragma once
// The inner functions of convolutions on AMX: a block of up to 32 pixels x 32 channels in four tiles of sums. C headers
// only: ISA files include this.
//
// Tiles load rows of 64 bytes at one constant stride. So the rows of a block lie in a panel, gathered through the
// pointer table; or they are the input itself, where a 1x1 layer visits every pixel; or pixels of a copy of the input
// with padding around its rows, from which each tap is at a distance of its own.

#include <stdint.h>

#include "kernels/implicit_gemm/window_segment_isa.h"

namespace octet {

inline constexpr int k_amx_tile_rows = 16, k_amx_block_rows = 32, k_amx_block_channels = 32;
inline constexpr int k_amx_step_bytes = 64;  // most of one step of the reduction

/// Pixels whose sums wait to be finished: finish(run, sums, sum_rows, first, last) stores [first, last).
template <class Run, class Sum>
struct TilePending {
  const Run* run = nullptr;
  const Sum* sums = nullptr;
  const int32_t* sum_rows = nullptr;  // of each pixel, increasing
  int lower = 0;                      // pixels whose sums lie in the first 16 rows
  void (*finish)(const Run& run, const Sum* sums, const int32_t* sum_rows, int first, int last) = nullptr;
};

/// The rows 16 to 31 of a block, in tiles until they are stored.
template <class Sum>
struct TileUpper {
  Sum* sums = nullptr;  // null = nothing is in the tiles
  int vectors = 0;
};

/// sums[r][c] = bias[c] + sum over segments s, positions k of a[r / 16][r % 16][s.x + k] * weights[s][k][c],
/// r < 16 * row_tiles, c < 16 * vectors.
///
/// A call stores the sums of the rows 0 to 15 and leaves those of the rows 16 to 31 in their tiles: the next call, or
/// flush(), stores them to `upper` behind its own first dots. So storing one half (as long as four dots) and the dots
/// of the other run side by side.
///
/// The pending pixels, whose sums are stored with that, are finished between the steps, so that tile unit and vector
/// units do not wait for each other: those of the first 16 rows from the first step on and before `sums` is written
/// again, the others behind the store to `upper`. Few steps leave time for those of the first 16 rows only; the others'
/// turn comes at the end. So no load follows closely behind the store of its sums, nor behind a store at the same
/// distance in another page, which it would wait for just as well.
template <class Run, class Sum>
struct TileBlock {
  const uint8_t* a[2] = {};  // 16 rows each
  int64_t a_stride = 0;
  const Sum* bias = nullptr;  // [vector][lane], 64-byte aligned
  TilePending<Run, Sum> pending;
  TileUpper<Sum> upper;           // of the call before
  const void* weights = nullptr;  // [segment][step][vector][dword of the step][lane 0..15][4 bytes]
  const WindowSegment* segment_list = nullptr;
  int64_t segments = 1, steps = 0;  // steps in a segment
  int64_t step_bytes = k_amx_step_bytes;
  const char* prefetch = nullptr;  // weights wanted next: prefetch_lines cache lines per step, to L2
  int prefetch_lines = 0;
  int row_tiles = 1, vectors = 1;  // 1 or 2
  bool passes_rows = false;        // they are not kept in L1
  Sum* sums = nullptr;             // [row][32], 64-byte aligned
};

template <class Run, class Sum, class Gather>
struct TileKernel {
  void (*configure)(int64_t step_bytes);           // once per chunk, never released
  void (*sums)(const TileBlock<Run, Sum>& block);  // needs AMX
  void (*flush)(const TileUpper<Sum>& upper);      // needs AMX
  void (*gather)(const Gather& row);               // needs AVX512
  /// Finishes and stores the pixels [first, last) of run, whose sums lie in the rows sum_rows. Needs AVX512.
  void (*finish)(const Run& run, const Sum* sums, const int32_t* sum_rows, int first, int last);
};

}  // namespace octet
