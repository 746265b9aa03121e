#include "kernels/conv_f32/packing.h"

#include <algorithm>
#include <cstring>

#include "base/aligned.h"
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

std::string form_of(const ConvF32Kernel& kernel, const TapTable& taps) {
  return "f32 " + std::string(kernel.name) + ", " + std::to_string(taps.segments()) + " x " +
         std::to_string(taps.segment_elements()) + " positions, packing " + std::to_string(k_conv_f32_packing);
}

/// weights and bias are zero before.
void fill(const ConvF32Desc& desc, const TapTable& taps, int64_t lanes, const std::vector<WeightPanel>& panels,
          float* weights, float* bias) {
  const WindowGeometry& g = desc.geometry;
  const int64_t oc_stride = (g.ic / g.groups) * g.kh * g.kw;
  const std::vector<int64_t> order = taps.weight_order();
  for (const WeightPanel& panel : panels) {
    // Blocks follow one another in k order, so the panel is simply [segment][position][channel].
    float* to = weights + panel.weights_offset;
    const float* from = desc.weights.data() + panel.first_channel * oc_stride;
    const int64_t lanes_used = (panel.channels + lanes - 1) / lanes * lanes;
    for (size_t k = 0; k < order.size(); ++k, to += lanes_used)
      for (int64_t c = 0; c < panel.channels; ++c) to[c] = from[c * oc_stride + order[k]];
    for (int64_t c = 0; c < panel.channels && !desc.bias.empty(); ++c)
      bias[panel.bias_offset + static_cast<size_t>(c)] = desc.bias[static_cast<size_t>(panel.first_channel + c)];
  }
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
  const size_t bias_at = (packed.weights_bytes + k_alignment - 1) / k_alignment * k_alignment;
  const size_t bytes = bias_at + 4 * bias_floats;
  packed.kept = {form_of(kernel, taps), desc.packed.bytes};
  const bool is_given = desc.packed.form == packed.kept.form && desc.packed.bytes.size() == bytes &&
                        reinterpret_cast<uintptr_t>(desc.packed.bytes.data()) % k_alignment == 0;
  if (!is_given) {
    packed.own = allocate_weights(bytes);
    packed.kept.bytes = {packed.own.get(), bytes};
    std::memset(packed.own.get(), 0, bytes);
    fill(desc, taps, lanes, packed.panels, reinterpret_cast<float*>(packed.own.get()),
         reinterpret_cast<float*>(packed.own.get() + bias_at));
  }
  packed.weights = reinterpret_cast<const float*>(packed.kept.bytes.data());
  packed.bias = {reinterpret_cast<const float*>(packed.kept.bytes.data() + bias_at), bias_floats};
  return packed;
}

}  // namespace octet
