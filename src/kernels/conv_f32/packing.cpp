#include "kernels/conv_f32/packing.h"

#include <algorithm>
#include <cstring>

#include "kernels/implicit_gemm/variant.h"

namespace octet {
namespace {

/// Weights of one block of one panel: a quarter to an eighth of L2, beside the next block that is being fetched.
constexpr int64_t k_block_bytes = 256 << 10;

std::vector<ConvF32Block> cut_reduction(const TapTable& taps, int64_t panel_width) {
  const int64_t most = std::max<int64_t>(k_block_bytes / (4 * panel_width), 1);  // positions
  const int64_t segments = taps.segments(), elements = taps.segment_elements();
  std::vector<ConvF32Block> blocks;
  if (elements > most) {
    const int64_t parts = (elements + most - 1) / most;
    for (int64_t s = 0; s < segments; ++s)
      for (int64_t p = 0; p < parts; ++p) {
        const int64_t begin = elements * p / parts, end = elements * (p + 1) / parts;
        blocks.push_back({s, 1, begin, end - begin});
      }
    return blocks;
  }
  const int64_t parts = (segments * elements + most - 1) / most;
  for (int64_t p = 0; p < parts; ++p) {
    const int64_t begin = segments * p / parts, end = segments * (p + 1) / parts;
    if (begin < end) blocks.push_back({begin, end - begin, 0, elements});
  }
  return blocks;
}

}  // namespace

PackedConvF32 pack_conv_f32(const ConvF32Desc& desc, const TapTable& taps, const ConvF32Kernel& kernel) {
  const WindowGeometry& g = desc.geometry;
  const int64_t lanes = kernel.lanes, width = lanes * kernel.vectors, group_channels = g.oc / g.groups;
  const std::vector<int> widths = panel_vectors(group_channels, kernel.lanes, kernel.vectors);
  const size_t depth = static_cast<size_t>(taps.segments() * taps.segment_elements());
  PackedConvF32 packed;
  packed.blocks = cut_reduction(taps, width);
  size_t floats = 0, bias_floats = 0;
  for (int64_t group = 0; group < g.groups; ++group) {
    int64_t c = 0;
    for (const int vectors : widths) {
      const int64_t channels = std::min(vectors * lanes, group_channels - c);
      packed.panels.push_back({group, group * group_channels + c, channels, floats, bias_floats});
      const size_t lanes_used = static_cast<size_t>(vectors * lanes);
      floats += depth * lanes_used;
      bias_floats += lanes_used;
      c += channels;
    }
  }
  packed.weights_bytes = 4 * floats;
  packed.weights = allocate_aligned(packed.weights_bytes);
  std::memset(packed.weights.get(), 0, packed.weights_bytes);
  packed.bias.assign(bias_floats, 0.0f);

  const int64_t oc_stride = (g.ic / g.groups) * g.kh * g.kw;
  for (const ConvF32Panel& panel : packed.panels) {
    // Blocks follow one another in k order, so the panel is simply [segment][position][channel].
    float* to = reinterpret_cast<float*>(packed.weights.get()) + panel.weights_offset;
    const int64_t lanes_used = (panel.channels + lanes - 1) / lanes * lanes;
    for (int64_t s = 0; s < taps.segments(); ++s)
      for (int64_t k = 0; k < taps.segment_elements(); ++k, to += lanes_used)
        for (int64_t c = 0; c < panel.channels; ++c)
          to[c] = desc.weights[static_cast<size_t>((panel.first_channel + c) * oc_stride + taps.weight_index(s, k))];
    for (int64_t c = 0; c < panel.channels && !desc.bias.empty(); ++c)
      packed.bias[panel.bias_offset + static_cast<size_t>(c)] = desc.bias[static_cast<size_t>(panel.first_channel + c)];
  }
  return packed;
}

}  // namespace octet
