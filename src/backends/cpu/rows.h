#pragma once
// Element-wise work as rows of at most k_row_block elements, spread over the pool.

#include <algorithm>

#include "backends/cpu/step.h"
#include "backends/cpu/strided.h"

namespace octet::cpu {

/// Elements handled at a time: several passes over such a row stay in the first-level cache (16 KB of f32).
inline constexpr int64_t k_row_block = 4096;

/// The loop over a result and what it reads, all in the back end's layout. One flat row where all lie alike, padding
/// channels included (they may hold anything); else inputs are broadcast to the result.
StridedLoop element_loop(const Layout& y, std::initializer_list<const Layout*> inputs);

/// Copies `channels` codes of each pixel from one pitch to another.
void copy_pixels(const uint8_t* from, int64_t from_pitch, int64_t pixels, int64_t channels, uint8_t* to,
                 int64_t to_pitch);

/// Calls body(offsets, n, worker) for pieces of rows, each element once.
template <class F>
void for_row_blocks(const RunContext& run, const StridedLoop& loop, F&& body) {
  const int64_t length = loop.row_length();
  const int64_t blocks = std::max<int64_t>(1, (length + k_row_block - 1) / k_row_block);
  run.parallel(loop.rows() * blocks, std::min(length, k_row_block), [&](int64_t first, int64_t last, int worker) {
    if (blocks == 1)
      return loop.for_rows(first, last, [&](const StridedLoop::Offsets& at) { body(at, length, worker); });
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t start = unit % blocks * k_row_block;
      StridedLoop::Offsets at = loop.row_offsets(unit / blocks);
      for (size_t i = 0; i < k_max_operands; ++i) at[i] += start * loop.row_stride(i);
      body(at, std::min(k_row_block, length - start), worker);
    }
  });
}

/// n elements with stride 1: the operand itself, or a copy in scratch where its stride is another.
template <class T>
const T* contiguous_row(const T* x, int64_t stride, int64_t n, T* scratch) {
  if (stride == 1) return x;
  if (stride == 0) {
    std::fill_n(scratch, n, *x);
  } else {
    for (int64_t i = 0; i < n; ++i) scratch[i] = x[i * stride];
  }
  return scratch;
}

}  // namespace octet::cpu
