#include "kernels/conv_f32/packing.h"

#include <string>

#include "kernels/implicit_gemm/listed_packing.h"

namespace octet {

ListedWeights pack_conv_f32(const ConvF32Desc& desc, const ListedTiles& tiles, const ConvF32Kernel& kernel) {
  const WindowGeometry& g = desc.geometry;
  const TapTable& taps = tiles.taps();
  const std::string form = "f32 " + std::string(kernel.name) + ", " + std::to_string(taps.segments()) + " x " +
                           std::to_string(taps.segment_elements()) + " positions, packing " +
                           std::to_string(k_conv_f32_packing);
  const int64_t oc_stride = (g.ic / g.groups) * g.kh * g.kw;
  const std::vector<int64_t> order = taps.weight_order();
  return tiles.pack(desc.packed, form, desc.bias, [&](int64_t channel, int64_t k) {
    return desc.weights[static_cast<size_t>(channel * oc_stride + order[static_cast<size_t>(k)])];
  });
}

}  // namespace octet
