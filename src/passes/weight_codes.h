#pragma once
// s8 weights per output channel and s32 biases on their grid: the arithmetic of placement.

#include <optional>
#include <span>
#include <string>
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

/// Scales lie in [2^-61, 2^33]: then every product of two, and every quotient of such a product and a third, which is
/// what requantizing multiplies by, is a finite float. This says why a layer must stay float because a scale of its
/// weights, or of the weights that its bias asks for, would lie above; empty when it need not.
std::string scale_obstacle(const WeightCodes& codes);
inline constexpr float k_largest_scale = 0x1p33f;

/// The median of the positive scales (the lower one of an even number), 1/127 without any: what a dead channel takes.
float median_positive(std::vector<float> scales);

struct BiasCodes {
  Tensor codes;              // s32 [OC]: rne(bias / scale)
  std::vector<float> scale;  // x_scale * w_scale[c], one float product
};
BiasCodes quantize_bias(std::span<const float> bias, float x_scale, std::span<const float> w_scale);

}  // namespace octet
