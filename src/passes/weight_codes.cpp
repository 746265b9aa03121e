#include "passes/weight_codes.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace octet {
namespace {

constexpr float k_weak_ratio = 0x1p-12f;  // of the median: weaker channels would carry biases of huge codes
constexpr float k_smallest_scale = 0x1p-60f;
constexpr double k_bias_codes = 0x1p30;  // keeps |bias code| <= 2^30, half of int32

float abs_max(std::span<const float> channel) {
  float amax = 0.0f;
  for (const float w : channel) amax = std::max(amax, std::abs(w));
  return amax;
}

}  // namespace

float median_positive(std::vector<float> scales) {
  std::erase_if(scales, [](float s) { return !(s > 0.0f); });
  if (scales.empty()) return 1.0f / 127.0f;
  const auto middle = scales.begin() + static_cast<std::ptrdiff_t>((scales.size() - 1) / 2);
  std::nth_element(scales.begin(), middle, scales.end());
  return *middle;
}

std::string scale_obstacle(const WeightCodes& codes) {
  for (size_t c = 0; c < codes.scale.size(); ++c) {
    if (codes.scale[c] <= k_largest_scale) continue;
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", double{codes.scale[c]});
    return "float: output channel " + std::to_string(c) + " would need a weight scale of " + text +
           ", the largest is 2^33";
  }
  return {};
}

WeightCodes quantize_weight(const Tensor& weight, std::span<const float> bias, float x_scale) {
  const std::span<const float> all = weight.as<float>();
  const auto channels = static_cast<size_t>(weight.dims()[0]);
  const size_t size = channels == 0 ? 0 : all.size() / channels;
  std::vector<float> own(channels);
  for (size_t c = 0; c < channels; ++c) own[c] = abs_max(all.subspan(c * size, size)) / 127.0f;
  const float median = median_positive(own);
  WeightCodes result;
  std::vector<int8_t> codes(all.size());
  for (size_t c = 0; c < channels; ++c) {
    float scale = own[c] > 0.0f ? std::max(own[c], median * k_weak_ratio) : median;
    if (!bias.empty())
      scale = std::max(scale, static_cast<float>(std::abs(double{bias[c]}) / (double{x_scale} * k_bias_codes)));
    scale = std::max(scale, k_smallest_scale);
    if (scale != own[c]) result.weak.push_back(static_cast<int64_t>(c));
    result.scale.push_back(scale);
    for (size_t i = c * size; i < (c + 1) * size; ++i)
      codes[i] = static_cast<int8_t>(std::clamp(std::nearbyint(all[i] / scale), -127.0f, 127.0f));
  }
  result.codes = Tensor::from<int8_t>(DType::s8, weight.dims(), codes);
  return result;
}

BiasCodes quantize_bias(std::span<const float> bias, float x_scale, std::span<const float> w_scale) {
  BiasCodes result;
  std::vector<int32_t> codes;
  for (size_t c = 0; c < bias.size(); ++c) {
    result.scale.push_back(x_scale * w_scale[c]);
    codes.push_back(static_cast<int32_t>(std::nearbyint(double{bias[c]} / double{result.scale.back()})));
  }
  result.codes = Tensor::from<int32_t>(DType::s32, {static_cast<int64_t>(codes.size())}, codes);
  return result;
}

}  // namespace octet
