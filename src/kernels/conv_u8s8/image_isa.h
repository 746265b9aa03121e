#pragma once
// The inner function of 3x3 layers on images of 4 x 4: one image x one vector of output channels. C headers only: ISA
// files include this.
//
// The inputs of half an image, four channels of each pixel, stay in registers while the nine taps pass, and all 16 sums
// with them: every vector of weights is loaded twice, one load right behind the other, and all of a layer's weights
// pass once, in a row. Taps in the padding are not there.

#include "kernels/conv_u8s8/conv_u8s8_isa.h"

namespace octet {

inline constexpr int k_image_pixels = 16, k_image_taps = 9;

struct ConvU8S8ImageKernel {
  /// run.x: the image's first pixel, the others follow at pixel_bytes each. run.weights: [dword][tap][lane][4].
  /// run.bias: of pixel i at i * run.side_bias_step. y_pixels and residual_pixels: 16 of them. Codes only.
  /// run.prefetch: run.prefetch_step bytes for each dword's nine vectors, 576 or 0.
  void (*run)(const ConvU8S8Run& run, int64_t pixel_bytes);
  int lanes;
  const char* name;
};

extern const ConvU8S8ImageKernel conv_u8s8_avx512_vnni_images;

}  // namespace octet
