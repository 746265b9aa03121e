#include "kernels/conv_bf16/packing.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/aligned.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {
namespace {

constexpr int64_t k_lanes = 16;

std::string form_of(const ConvBf16TileKernel& kernel, const TapTable& taps) {
  return "bf16 " + std::string(kernel.name) + ", " + std::to_string(taps.segments()) + " x " +
         std::to_string(taps.segment_elements()) + " positions, packing " + std::to_string(k_conv_bf16_packing);
}

/// weights and bias are zero before.
void fill(const ConvBf16Desc& desc, const TapTable& taps, int64_t step, const std::vector<WeightPanel>& panels,
          uint16_t* weights, float* bias) {
  const WindowGeometry& g = desc.geometry;
  const int64_t oc_stride = (g.ic / g.groups) * g.kh * g.kw;
  const std::vector<int64_t> order = taps.weight_order();
  for (const WeightPanel& panel : panels) {
    const uint16_t* from = desc.weights.data() + panel.first_channel * oc_stride;
    const int64_t vectors = (panel.channels + k_lanes - 1) / k_lanes;
    for (size_t k = 0; k < order.size(); ++k) {
      const auto at = static_cast<int64_t>(k);
      uint16_t* to = weights + panel.weights_offset + at / step * vectors * step * k_lanes;
      to += at % step / 2 * 2 * k_lanes + at % 2;
      for (int64_t c = 0; c < panel.channels; ++c)
        to[c / k_lanes * step * k_lanes + c % k_lanes * 2] = from[c * oc_stride + order[k]];
    }
    for (int64_t c = 0; c < panel.channels && !desc.bias.empty(); ++c)
      bias[panel.bias_offset + static_cast<size_t>(c)] = desc.bias[static_cast<size_t>(panel.first_channel + c)];
  }
}

}  // namespace

PackedConvBf16 pack_conv_bf16(const ConvBf16Desc& desc, const TapTable& taps, const ConvBf16TileKernel& kernel) {
  const WindowGeometry& g = desc.geometry;
  const int64_t group_channels = g.oc / g.groups;
  const int64_t positions = (taps.segments() * taps.segment_elements() + kernel.step - 1) / kernel.step * kernel.step;
  PackedConvBf16 packed;
  size_t elements = 0, bias_floats = 0;
  for (int64_t group = 0; group < g.groups; ++group) {
    int64_t c = 0;
    for (const int vectors : panel_vectors(group_channels, k_lanes, kernel.vectors)) {
      const int64_t channels = std::min(vectors * k_lanes, group_channels - c);
      packed.panels.push_back({group, group * group_channels + c, channels, elements, bias_floats});
      elements += static_cast<size_t>(positions * vectors * k_lanes);
      bias_floats += static_cast<size_t>(vectors * k_lanes);
      c += channels;
    }
  }
  packed.weights_bytes = sizeof(uint16_t) * elements;
  const size_t bias_at = (packed.weights_bytes + k_alignment - 1) / k_alignment * k_alignment;
  const size_t bytes = bias_at + sizeof(float) * bias_floats;
  packed.kept = {form_of(kernel, taps), desc.packed.bytes};
  const bool is_given = desc.packed.form == packed.kept.form && desc.packed.bytes.size() == bytes &&
                        reinterpret_cast<uintptr_t>(desc.packed.bytes.data()) % k_alignment == 0;
  if (!is_given) {
    packed.own = allocate_weights(bytes);
    packed.kept.bytes = {packed.own.get(), bytes};
    std::memset(packed.own.get(), 0, bytes);
    fill(desc, taps, kernel.step, packed.panels, reinterpret_cast<uint16_t*>(packed.own.get()),
         reinterpret_cast<float*>(packed.own.get() + bias_at));
  }
  packed.weights = reinterpret_cast<const uint16_t*>(packed.kept.bytes.data());
  packed.bias = {reinterpret_cast<const float*>(packed.kept.bytes.data() + bias_at), bias_floats};
  return packed;
}

}  // namespace octet
