#pragma once
// From a decoded picture to a network's input. The spec is short and visible; names stand for common ones.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace octet {

/// Interleaved 8-bit RGB, rows top to bottom.
struct Image {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

struct Preprocess {
  bool none = true;            // "none": the values as they are (dense float data, or pixels 0..255)
  int64_t resize_shorter = 0;  // resize=256: shorter side to 256, longer in proportion (truncated, as torchvision)
  int64_t stretch_w = 0, stretch_h = 0;  // stretch=224x224: whatever the aspect
  int64_t crop_w = 0, crop_h = 0;        // crop=224: centre
  bool antialias = true;                 // antialias=0: plain bilinear, as torchvision before 0.17 on tensors
  bool in_float = false;      // float: resize floats as torchvision does tensors, not 8-bit pixels as Pillow does
  bool bgr = false;           // rgb | bgr: order of the planes given to the network
  bool scale_to_unit = true;  // pixels / 255 before the norm (caffe_bgr: not)
  std::array<float, 3> mean = {0, 0, 0};  // in the order of the planes
  std::array<float, 3> std = {1, 1, 1};
  bool has_geometry() const { return resize_shorter || stretch_w || crop_w; }
  bool operator==(const Preprocess&) const = default;
};

/// A comma list of words, the first of which may be a preset (presets.def: none, imagenet, cifar10, opencv224):
/// resize=N | stretch=WxH, crop=N|WxH, antialias=0|1, float, rgb | bgr, pixels (no division by 255),
/// norm=NAME (norms.def) or mean=A[/B/C], std=A[/B/C] in the order of the planes. Later words replace earlier ones.
/// An Error names the word and lists what is known.
Result<Preprocess> parse_preprocess(std::string_view spec);
/// The canonical long form; parse(to_string(p)) == p.
std::string to_string(const Preprocess& p);

/// Width and height after geometry, as torchvision counts: the longer side of resize=N is truncated.
std::pair<int64_t, int64_t> output_size(const Preprocess& p, int64_t width, int64_t height);
/// Pixels -> planes [3, h, w] of floats, (x/255 - mean)/std; out holds 3*h*w floats, h and w from output_size().
/// A crop beyond the picture is padded with black, its odd pixel right and below.
void apply(const Preprocess& p, const Image& image, std::span<float> out);

}  // namespace octet
