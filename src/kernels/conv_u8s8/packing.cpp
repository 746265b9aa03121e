#include "kernels/conv_u8s8/packing.h"

#include <algorithm>
#include <cstring>

#include "kernels/implicit_gemm/variant.h"

namespace octet {
namespace {

/// The weights of one output channel, by segment and position, with merged groups' zeros.
class ChannelWeights {
 public:
  ChannelWeights(const ConvU8S8Desc& desc, int64_t merge, const TapTable& taps)
      : desc_(desc), merge_(merge), taps_(taps), own_channels_(desc.geometry.ic / desc.geometry.groups) {}

  int8_t at(int64_t oc, int64_t segment, int64_t position) const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t taps = g.kh * g.kw;
    int64_t index = taps_.weight_index(segment, position);
    if (merge_ > 1) {
      const int64_t group_in_merge = oc / (g.oc / g.groups) % merge_;
      const int64_t channel = index / taps - group_in_merge * own_channels_;
      if (channel < 0 || channel >= own_channels_) return 0;
      index = channel * taps + index % taps;
    }
    return desc_.weights[static_cast<size_t>(oc * own_channels_ * taps + index)];
  }

 private:
  const ConvU8S8Desc& desc_;
  int64_t merge_;
  const TapTable& taps_;
  int64_t own_channels_;
};

std::vector<ConvU8S8Panel> lay_out_panels(const WindowGeometry& g, int64_t groups, const ConvU8S8Kernel& kernel,
                                          size_t vector_bytes) {
  std::vector<ConvU8S8Panel> panels;
  const int64_t group_channels = g.oc / groups;
  const std::vector<int> widths = panel_vectors(group_channels, kernel.lanes, kernel.vectors);
  size_t weights_offset = 0, lane_offset = 0;
  for (int64_t group = 0; group < groups; ++group) {
    int64_t c = 0;
    for (const int vectors : widths) {
      const int64_t channels = std::min<int64_t>(vectors * kernel.lanes, group_channels - c);
      panels.push_back({group, group * group_channels + c, channels, weights_offset, lane_offset});
      weights_offset += static_cast<size_t>(vectors) * vector_bytes;
      lane_offset += static_cast<size_t>(vectors * kernel.lanes);
      c += channels;
    }
  }
  return panels;
}

}  // namespace

int64_t merged_groups(const WindowGeometry& g, int lanes) {
  const int64_t channels = g.oc / g.groups;
  int64_t merge = 1;
  for (int64_t m = 2; m <= g.groups && m * channels <= lanes; ++m)
    if (g.groups % m == 0) merge = m;
  return merge;
}

PackedConvU8S8 pack_conv_u8s8(const ConvU8S8Desc& desc, int64_t merge, const TapTable& taps,
                              const ConvU8S8Kernel& kernel, bool natural_order) {
  const WindowGeometry& g = desc.geometry;
  const int64_t dwords = (taps.segment_elements() + 3) / 4, lanes = kernel.lanes;
  const size_t steps = static_cast<size_t>(taps.segments() * dwords);
  const size_t vector_bytes = steps * static_cast<size_t>(lanes) * (kernel.widened_weights ? 8 : 4);
  PackedConvU8S8 packed;
  packed.panels = lay_out_panels(g, g.groups / merge, kernel, vector_bytes);
  const ConvU8S8Panel& last = packed.panels.back();
  const size_t last_vectors = static_cast<size_t>((last.channels + lanes - 1) / lanes);
  packed.weights_bytes = last.weights_offset + last_vectors * vector_bytes;
  packed.weights = allocate_aligned(packed.weights_bytes);
  std::memset(packed.weights.get(), 0, packed.weights_bytes);
  packed.bias.assign(last.lane_offset + last_vectors * static_cast<size_t>(lanes), 0);
  packed.multiplier.assign(packed.bias.size(), 0.0f);

  const ChannelWeights weights(desc, merge, taps);
  for (const ConvU8S8Panel& panel : packed.panels) {
    const int vectors = static_cast<int>((panel.channels + lanes - 1) / lanes);
    std::byte* const start = packed.weights.get() + panel.weights_offset;
    for (int v = 0; v < vectors; ++v)
      for (int lane = 0; lane < lanes; ++lane) {
        const int64_t c = conv_u8s8_channel(kernel, vectors, natural_order, v, lane);
        if (c >= panel.channels) continue;
        const int64_t oc = panel.first_channel + c;
        int64_t sum = 0;
        for (int64_t s = 0; s < taps.segments(); ++s)
          for (int64_t k = 0; k < taps.segment_elements(); ++k) {
            const int8_t w = weights.at(oc, s, k);
            sum += w;
            const int64_t vector = (s * dwords + k / 4) * vectors + v;  // counted over the panel
            if (kernel.widened_weights) {
              // A vector of the positions' pairs (0, 2) comes first, then one of pairs (1, 3).
              const int64_t pair = (vector * 2 + k % 2) * lanes + lane;
              const int16_t wide = w;
              std::memcpy(start + (pair * 2 + k % 4 / 2) * 2, &wide, 2);
            } else {
              std::memcpy(start + (vector * lanes + lane) * 4 + k % 4, &w, 1);
            }
          }
        const size_t slot = panel.lane_offset + static_cast<size_t>(v * lanes + lane);
        const int32_t bias = desc.bias.empty() ? 0 : desc.bias[static_cast<size_t>(oc)];
        packed.bias[slot] = static_cast<int32_t>(bias - desc.x_zero_point * sum);
        packed.multiplier[slot] = desc.multiplier[static_cast<size_t>(oc)];
      }
  }
  return packed;
}

}  // namespace octet
