#pragma once
// s8 weights per output channel and s32 biases on their grid: the arithmetic of placement.

#include <optional>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace octet {

struct WeightCodes {
  Tensor codes;               // s8 in [-127, 127], dims of the weight
  std::vector<float> scale;   // by output channel (axis 0), each a positive normal float
  std::vector<int64_t> weak;  // channels whose own amax/127 was not enough
};
/// weight: f32, output channels first, finite. bias: [OC] or empty.
///   scale[c] = max(amax[c]/127, median * 2^-12, |bias[c]| / (x_scale * 2^30)); an all-zero channel takes the median of
///   the others (1/127 when all are zero). No scale is below 2^-60, so that x_scale * scale is a normal float.
WeightCodes quantize_weight(const Tensor& weight, std::span<const float> bias, float x_scale);

struct BiasCodes {
  Tensor codes;              // s32 [OC]: rne(bias / scale)
  std::vector<float> scale;  // x_scale * w_scale[c], one float product
};
BiasCodes quantize_bias(std::span<const float> bias, float x_scale, std::span<const float> w_scale);

}  // namespace octet
