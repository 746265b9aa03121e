#pragma once
// The inner functions of the integer convolution on AMX (tile_block_isa.h). C headers only: ISA files include this.
// What a row holds behind its positions meets zero weights; sums are exact.

#include <stdint.h>

#include "kernels/conv_u8s8/conv_u8s8_isa.h"
#include "kernels/implicit_gemm/tile_block_isa.h"

namespace octet {

using ConvAmxPending = TilePending<ConvU8S8Run, int32_t>;
using ConvAmxUpper = TileUpper<int32_t>;
using ConvAmxBlock = TileBlock<ConvU8S8Run, int32_t>;

/// Rows of pointers -> rows of bytes. From each of rows[s] + first_position `bytes` bytes, one segment behind the
/// other; up to 63 bytes more are read and written at each, and overwritten by the next segment or never used.
struct ConvAmxGather {
  const uint8_t* const* rows = nullptr;  // first segment's pointer of the pixel, others at row_step
  int64_t row_step = 0, segments = 0;
  int64_t first_position = 0, bytes = 0;
  uint8_t* to = nullptr;
};

using ConvAmxKernel = TileKernel<ConvU8S8Run, int32_t, ConvAmxGather>;

void conv_amx_configure(int64_t step_bytes);
void conv_amx_sums(const ConvAmxBlock& block);
void conv_amx_flush(const ConvAmxUpper& upper);
void conv_amx_gather(const ConvAmxGather& row);
void conv_amx_finish(const ConvU8S8Run& run, const int32_t* sums, const int32_t* sum_rows, int first, int last);

}  // namespace octet
