#pragma once
// The positions of a block that AMX multiplies 32 at a time: which of them are pixels, and where their rows lie.

#include <algorithm>
#include <cstdint>

#include "kernels/implicit_gemm/tile_block_isa.h"
#include "kernels/implicit_gemm/tile_copy.h"

namespace octet {

/// Which of 32 positions are pixels.
struct TilePixels {
  int32_t count, lower;
  const int32_t* sum_rows;
  const int32_t* pixels;  // from first_pixel
  int64_t first_pixel;
};

struct TilePositions {
  static constexpr int32_t k_in_order[k_amx_block_rows] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                           11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                           22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

  int64_t first_pixel = 0, count = 0;
  uint8_t* panel = nullptr;             // rows that were gathered, or the copy; room for a few where rows are the input
  const AmxPositions* lists = nullptr;  // of each 32 positions; null = every position is a pixel

  int64_t rows(int64_t at) const { return std::min<int64_t>(k_amx_block_rows, count - at); }

  TilePixels pixels(int64_t at) const {
    if (lists) {
      const AmxPositions& list = lists[at / k_amx_block_rows];
      return {list.count, list.lower, list.sum_rows, list.pixels, first_pixel};
    }
    const auto own = static_cast<int32_t>(rows(at));
    return {own, std::min(own, k_amx_tile_rows), k_in_order, k_in_order, first_pixel + at};
  }
};

}  // namespace octet
