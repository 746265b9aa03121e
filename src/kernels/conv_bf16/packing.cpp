#include "kernels/conv_bf16/packing.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/aligned.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {
namespace {

constexpr int64_t k_lanes = 16;

/// weights and bias are zero before.
void fill(const ConvBf16Desc& desc, const std::vector<int64_t>& order, int64_t step, const TilePanel& panel,
          uint16_t* weights, float* bias) {
  const WindowGeometry& g = desc.geometry;
  const int64_t oc_stride = (g.ic / g.groups) * g.kh * g.kw;
  const uint16_t* from = desc.weights.data() + panel.first_channel * oc_stride;
  for (size_t k = 0; k < order.size(); ++k) {
    if (order[k] < 0) continue;
    const auto at = static_cast<int64_t>(k);
    uint16_t* to = weights + at / step * panel.vectors() * step * k_lanes;
    to += at % step / 2 * 2 * k_lanes + at % 2;
    for (int64_t c = 0; c < panel.channels; ++c)
      to[c / k_lanes * step * k_lanes + c % k_lanes * 2] = from[c * oc_stride + order[k]];
  }
  for (int64_t c = 0; c < panel.channels && !desc.bias.empty(); ++c)
    bias[c] = desc.bias[static_cast<size_t>(panel.first_channel + c)];
}

}  // namespace

PackedConvBf16 pack_conv_bf16(const ConvBf16Desc& desc, const std::vector<int64_t>& order, int64_t step,
                              const std::string& form) {
  assert(static_cast<int64_t>(order.size()) % step == 0);
  const WindowGeometry& g = desc.geometry;
  const int64_t group_channels = g.oc / g.groups;
  PackedConvBf16 packed;
  size_t lanes = 0;
  for (int64_t group = 0; group < g.groups; ++group) {
    int64_t c = 0;
    for (const int vectors : panel_vectors(group_channels, k_lanes, k_amx_block_channels / k_lanes)) {
      const int64_t channels = std::min(vectors * k_lanes, group_channels - c);
      packed.panels.push_back({group, group * group_channels + c, channels, packed.weights_bytes, lanes});
      packed.weights_bytes += sizeof(uint16_t) * order.size() * static_cast<size_t>(vectors * k_lanes);
      lanes += static_cast<size_t>(vectors * k_lanes);
      c += channels;
    }
  }
  const size_t bias_at = (packed.weights_bytes + k_alignment - 1) / k_alignment * k_alignment;
  const size_t bytes = bias_at + sizeof(float) * lanes;
  packed.kept = {form + ", packing " + std::to_string(k_conv_bf16_packing), desc.packed.bytes};
  const bool is_given = desc.packed.form == packed.kept.form && desc.packed.bytes.size() == bytes &&
                        reinterpret_cast<uintptr_t>(desc.packed.bytes.data()) % k_alignment == 0;
  if (!is_given) {
    packed.own = allocate_weights(bytes);
    packed.kept.bytes = {packed.own.get(), bytes};
    std::memset(packed.own.get(), 0, bytes);
    for (const TilePanel& panel : packed.panels)
      fill(desc, order, step, panel, reinterpret_cast<uint16_t*>(packed.own.get() + panel.weights_offset),
           reinterpret_cast<float*>(packed.own.get() + bias_at) + panel.lane_offset);
  }
  packed.weights = packed.kept.bytes.data();
  packed.bias = {reinterpret_cast<const float*>(packed.weights + bias_at), lanes};
  return packed;
}

}  // namespace octet
