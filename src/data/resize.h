#pragma once
// Bilinear resizing of interleaved pixels, to the last bit as Pillow does it, and of float planes as torchvision does.

#include <cstdint>
#include <span>
#include <vector>

#include "data/preprocess.h"

namespace octet {

/// Pillow's Image.resize((width, height), BILINEAR) on RGB: antialiased when shrinking, 8-bit result of each pass.
Image resize_pillow(const Image& image, int64_t width, int64_t height);

struct PlaneSize {
  int64_t width = 0, height = 0;
};
/// Dense planes [count, in.height, in.width] -> [count, out.height, out.width], antialiased when shrinking, or plain
/// two-tap bilinear. As torch's interpolate(mode="bilinear", align_corners=False, antialias=...) up to rounding.
std::vector<float> resize_planes(std::span<const float> planes, int64_t count, PlaneSize in, PlaneSize out,
                                 bool antialias);

}  // namespace octet
