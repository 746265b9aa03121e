#pragma once
// The layer object of 3x3 layers on images of 4 x 4: its own packing and its own walk, the same answers.

#include <memory>

#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/conv_u8s8/image_isa.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// 3x3, stride 1, one pixel of padding on each side, one group.
bool is_small_image(const WindowGeometry& geometry);

/// Of codes out of codes, for a geometry that is_small_image.
std::unique_ptr<const ConvU8S8> make_conv_u8s8_images(const ConvU8S8Desc& desc, const ConvU8S8ImageKernel& kernel,
                                                      CutBy cut);

}  // namespace octet
