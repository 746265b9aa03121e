#include "kernels/conv_f32/packing.h"

#include <string>

#include "kernels/implicit_gemm/listed_packing.h"

namespace octet {
namespace {

/// What the forms of a kernel's weights begin with.
std::string own_form(const ConvF32Kernel& kernel) { return "f32 " + std::string(kernel.name) + ", "; }

}  // namespace

std::vector<TapRun> conv_f32_runs(const ConvF32Desc& desc, const ConvF32Kernel& kernel) {
  return tap_runs(desc.weights, desc.geometry, kernel.lanes, desc.packed,
                  {own_form(kernel), ", packing " + std::to_string(k_conv_f32_packing)});
}

ListedWeights pack_conv_f32(const ConvF32Desc& desc, const ListedTiles& tiles, const ConvF32Kernel& kernel,
                            std::span<const TapRun> runs) {
  const WindowGeometry& g = desc.geometry;
  const TapTable& taps = tiles.taps();
  const std::string form = own_form(kernel) + std::to_string(taps.segments()) + " x " +
                           std::to_string(taps.segment_elements()) + " positions, packing " +
                           std::to_string(k_conv_f32_packing) + form_of(runs);
  const int64_t oc_stride = (g.ic / g.groups) * g.kh * g.kw;
  const std::vector<int64_t> order = taps.weight_order();
  return tiles.pack(desc.packed, form, desc.bias, [&](int64_t channel, int64_t k) {
    return desc.weights[static_cast<size_t>(channel * oc_stride + order[static_cast<size_t>(k)])];
  });
}

}  // namespace octet
