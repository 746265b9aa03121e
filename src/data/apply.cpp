// A picture's way to the network's planes: resize or stretch, centre crop, channel order, norm.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "data/preprocess.h"
#include "data/resize.h"

namespace octet {
namespace {

PlaneSize resized(const Preprocess& p, int64_t width, int64_t height) {
  if (p.stretch_w) return {p.stretch_w, p.stretch_h};
  if (!p.resize_shorter) return {width, height};
  // torchvision: the longer side is int(size * long / short), truncated.
  if (width <= height) return {p.resize_shorter, p.resize_shorter * height / width};
  return {p.resize_shorter * width / height, p.resize_shorter};
}

/// Where a crop begins in the picture; negative where it reaches beyond and is padded.
int64_t crop_start(int64_t whole, int64_t crop) {
  const int64_t spare = whole - crop;
  if (spare < 0) return -((crop - whole) / 2);
  // torchvision: int(round(spare / 2)), and Python rounds halves to even.
  return spare / 2 + (spare % 2 == 1 && spare / 2 % 2 == 1 ? 1 : 0);
}

/// The crop as a window on planes or pixels of size whole: the part that exists, and where it lands.
struct Window {
  int64_t from = 0, to = 0, length = 0;
};
Window window(int64_t whole, int64_t crop) {
  if (crop == 0) return {0, 0, whole};
  const int64_t start = crop_start(whole, crop);
  return {std::max<int64_t>(start, 0), std::max<int64_t>(-start, 0), std::min(whole, crop)};
}

float normalized(const Preprocess& p, size_t plane, float value) {
  return p.none ? value : (value - p.mean[plane]) / p.std[plane];
}
float scaled(const Preprocess& p, uint8_t pixel) {
  const auto value = static_cast<float>(pixel);
  return !p.none && p.scale_to_unit ? value / 255.0f : value;
}

void fill_with_black(const Preprocess& p, std::span<float> out) {
  for (size_t plane = 0; plane < 3; ++plane) {
    const std::span<float> part = out.subspan(plane * (out.size() / 3), out.size() / 3);
    std::fill(part.begin(), part.end(), normalized(p, plane, 0.0f));
  }
}

/// Interleaved pixels -> planes, through a table of the 256 results of each plane.
void pixels_to_planes(const Preprocess& p, const Image& image, PlaneSize size, std::span<float> out) {
  const Window across = window(image.width, p.crop_w), down = window(image.height, p.crop_h);
  if (size.width > across.length || size.height > down.length) fill_with_black(p, out);
  for (size_t plane = 0; plane < 3; ++plane) {
    float table[256];
    for (int i = 0; i < 256; ++i) table[i] = normalized(p, plane, scaled(p, static_cast<uint8_t>(i)));
    const size_t channel = p.bgr ? 2 - plane : plane;
    for (int64_t y = 0; y < down.length; ++y) {
      const uint8_t* from = image.rgb.data() + 3 * ((down.from + y) * image.width + across.from) + channel;
      float* to = out.data() + (static_cast<int64_t>(plane) * size.height + down.to + y) * size.width + across.to;
      for (int64_t x = 0; x < across.length; ++x) to[x] = table[from[3 * x]];
    }
  }
}

std::vector<float> to_planes(const Preprocess& p, const Image& image, bool scale) {
  const auto pixels = static_cast<size_t>(image.width * image.height);
  std::vector<float> planes(3 * pixels);
  for (size_t plane = 0; plane < 3; ++plane) {
    const size_t channel = p.bgr ? 2 - plane : plane;
    for (size_t i = 0; i < pixels; ++i) {
      const uint8_t pixel = image.rgb[3 * i + channel];
      planes[plane * pixels + i] = scale ? scaled(p, pixel) : static_cast<float>(pixel);
    }
  }
  return planes;
}

/// The whole way in floats: pixels are never rounded again.
void apply_in_float(const Preprocess& p, const Image& image, PlaneSize size, std::span<float> out) {
  const PlaneSize whole = resized(p, image.width, image.height);
  const std::vector<float> planes =
      resize_planes(to_planes(p, image, true), 3, {image.width, image.height}, whole, p.antialias);
  const Window across = window(whole.width, p.crop_w), down = window(whole.height, p.crop_h);
  fill_with_black(p, out);
  for (int64_t plane = 0; plane < 3; ++plane) {
    for (int64_t y = 0; y < down.length; ++y) {
      const float* from = planes.data() + (plane * whole.height + down.from + y) * whole.width + across.from;
      float* to = out.data() + (plane * size.height + down.to + y) * size.width + across.to;
      for (int64_t x = 0; x < across.length; ++x) to[x] = normalized(p, static_cast<size_t>(plane), from[x]);
    }
  }
}

/// Plain bilinear to 8 bits: interpolated in float, rounded half to even once.
Image resize_plainly(const Image& image, PlaneSize size) {
  const std::vector<float> planes =
      resize_planes(to_planes(Preprocess{}, image, false), 3, {image.width, image.height}, size, /*antialias=*/false);
  const auto pixels = static_cast<size_t>(size.width * size.height);
  Image out{size.width, size.height, std::vector<uint8_t>(3 * pixels)};
  for (size_t c = 0; c < 3; ++c) {
    for (size_t i = 0; i < pixels; ++i) {
      out.rgb[3 * i + c] = static_cast<uint8_t>(std::clamp(std::nearbyint(planes[c * pixels + i]), 0.0f, 255.0f));
    }
  }
  return out;
}

}  // namespace

std::pair<int64_t, int64_t> output_size(const Preprocess& p, int64_t width, int64_t height) {
  const PlaneSize size = resized(p, width, height);
  return {p.crop_w ? p.crop_w : size.width, p.crop_h ? p.crop_h : size.height};
}

void apply(const Preprocess& p, const Image& image, std::span<float> out) {
  const auto [width, height] = output_size(p, image.width, image.height);
  assert(out.size() == static_cast<size_t>(3 * width * height) && "out holds 3*h*w floats of output_size()");
  const PlaneSize whole = resized(p, image.width, image.height);
  const bool resizes = whole.width != image.width || whole.height != image.height;
  if (p.in_float && resizes) {
    apply_in_float(p, image, {width, height}, out);
  } else if (resizes) {
    const Image smaller = p.antialias ? resize_pillow(image, whole.width, whole.height) : resize_plainly(image, whole);
    pixels_to_planes(p, smaller, {width, height}, out);
  } else {
    pixels_to_planes(p, image, {width, height}, out);
  }
}

}  // namespace octet
