#pragma once
// Weights as the tensor-core kernels read them: one row per output channel, K-contiguous, taps outermost and the
// channels of a tap padded to 16 bytes; rows padded with zeros to 128 bytes and their number to 64.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octet::cuda {

struct PackedWeights {
  std::vector<std::byte> bytes;
  int rows = 0, row_bytes = 0;
  int taps = 1;        // padded taps
  int tap_chunks = 1;  // 16-byte chunks of one
};

/// w: [oc][ic][kh * kw] elements of `size` bytes. small_c (ic <= 4, size 1): a tap is a window row, four bytes a pixel.
PackedWeights pack_weights(const std::byte* w, int64_t oc, int64_t ic, int64_t kh, int64_t kw, size_t size,
                           bool small_c);

/// The same rows as the tiles of the warpgroup kernels lie in shared memory: blocks of 64 rows by `width` bytes (128 or
/// 64), [row / 64][column / width], rows permuted as conv_mma.cuh says, 16-byte chunks exchanged by the swizzle of that
/// width.
std::vector<std::byte> pack_blocks(const PackedWeights& packed, int width);

/// The columns of 1x1 weights in the order in which conv_chain.cuh meets them: among 64, those that a thread holds.
PackedWeights turn_columns(const PackedWeights& packed);

}  // namespace octet::cuda
