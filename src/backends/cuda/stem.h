#pragma once
// The first layers of a network of images as one kernel: quantization of the caller's floats, a convolution of at most
// four channels, and the max pool behind it.

#include "backends/cuda/launch.h"

namespace octet::cuda {

struct StemParams {
  const void* x = nullptr;        // f32 images as the caller has them, or codes of four bytes a pixel
  const float* scale = nullptr;   // of the codes that f32 images become; null where x holds codes
  const int32_t* zero = nullptr;  // likewise, u8 domain
  const void* w = nullptr;        // [oc / 64][64 rows, permuted as conv_mma.cuh says][kh][8 pixels of 4 bytes]
  const float* multiplier = nullptr;
  const int32_t* bias = nullptr;  // of halves: floats
  void* y = nullptr;
  int batch = 1, c = 3, ih = 1, iw = 1, oh = 1, ow = 1;  // oh, ow: of the convolution
  int kh = 1, kw = 1, stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
  bool pool = false;
  int ph = 1, pw = 1;  // of what is stored: the pool's output, or the convolution's
  int pool_kh = 1, pool_kw = 1, pool_stride_h = 1, pool_stride_w = 1, pool_top = 0, pool_left = 0;
  int y_pitch = 64;
  uint32_t fill = 0;                           // the code of real zero, four times
  bool small_sums = false, from_zero = false;  // see ConvParams
  Epilogue epilogue;
  // The part of a CTA: outputs, and the convolution's outputs and input pixels that they need.
  int tile_h = 1, tile_w = 1, conv_h = 1, conv_w = 1, patch_h = 1, patch_w = 1;
  FastDiv by_tiles_w, by_tiles, by_conv_w, by_patch_w, by_tile_w;  // tiles of a row; of an image
};

/// Of a CTA at most, on every capability that is compiled for.
inline constexpr int k_most_shared_bytes = 96 * 1024;
/// Bytes of shared memory of a CTA.
size_t shared_bytes(const StemParams& p);
/// For the current device, before the first launch there.
cudaError_t stem_setup();
/// wide: two fragments of pixels a warp, for many pixels a tile.
cudaError_t launch_stem(const StemParams& p, bool wide, cudaStream_t stream);

/// The same in half precision, of f32 images as the caller has them. w: [oc / 64][64 rows, permuted][kh][8 pixels of
/// four halves].
size_t half_stem_bytes(const StemParams& p);
cudaError_t half_stem_setup();
cudaError_t launch_half_stem(const StemParams& p, bool wide, cudaStream_t stream);

}  // namespace octet::cuda
