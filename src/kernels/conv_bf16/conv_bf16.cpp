#include "kernels/conv_bf16/conv_bf16.h"

#include <cassert>

#include "base/bf16.h"
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/conv_bf16/layer.h"
#include "kernels/conv_bf16/scalar.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/peak/peak.h"

namespace octet {
namespace {

struct Entry {
  Isa isa;
  const ConvBf16Kernel* kernel;
};
/// Those that this machine runs; the ISA is the one that asks for them.
const std::vector<Entry>& entries() {
  static const std::vector<Entry> list = [] {
    std::vector<Entry> all = {
#define OCTET_KERNEL(entry, kernel) {Isa::entry, &kernel},
#include "kernels/conv_bf16/kernels.def"
#undef OCTET_KERNEL
    };
    std::erase_if(all, [](const Entry& entry) { return !has_bf16_products(entry.isa); });
    return all;
  }();
  return list;
}

/// Of vdpbf16ps where it does not pay.
constexpr double k_slow_dot_cycles = 2;

std::vector<ConvTile> tiles() {
  std::vector<ConvTile> list;
  for (const Entry& entry : entries()) {
    const ConvBf16Kernel& k = *entry.kernel;
    const bool is_tile_unit = k.step > 2;
    const double dot_cycles = is_tile_unit || bf16_dots_pay() ? k.dot_cycles : k_slow_dot_cycles;
    list.push_back({entry.isa, k.rows, 16, k.vectors, dot_cycles, k.name, is_tile_unit});
  }
  return list;
}

ConvExtent extent_of(const WindowGeometry& g, int64_t batch) {
  const TapTable taps(g, sizeof(uint16_t), 1);
  const auto up_to_16 = [](int64_t n) { return (n + 15) / 16 * 16; };
  const int64_t pixels = batch * g.oh * g.ow, pairs = (taps.segments() * taps.segment_elements() + 1) / 2;
  return {.pixels = pixels,
          .groups = g.groups,
          .group_channels = g.oc / g.groups,
          .steps = pairs,
          .tile_rows = up_to_16(pixels),
          .tile_steps = up_to_16(pairs),
          .gathered_segments = taps.is_linear() ? 0 : taps.segments()};
}

}  // namespace

std::unique_ptr<const ConvBf16> ConvBf16::make(const ConvBf16Desc& desc, Isa isa, std::string_view variant) {
  [[maybe_unused]] const WindowGeometry& g = desc.geometry;
  assert(g.ic % g.groups == 0 && g.oc % g.groups == 0 && "groups divide both channel counts");
  assert(static_cast<int64_t>(desc.weights.size()) == g.oc * (g.ic / g.groups) * g.kh * g.kw);
  if (!has_bf16_products(isa)) return make_conv_bf16_scalar(desc);
  const ChosenVariant chosen = choose_variant(tiles(), extent_of(desc.geometry, 1), isa, variant);
  if (chosen.tile < 0) return variant.empty() ? make_conv_bf16_scalar(desc) : nullptr;
  return make_conv_bf16_layer(desc, *entries()[static_cast<size_t>(chosen.tile)].kernel, chosen.cut, isa);
}

bool conv_bf16_pays(Isa isa) { return has_bf16_products(isa) && (isa == Isa::amx || bf16_dots_pay()); }

std::vector<ConvVariant> conv_bf16_variants(const WindowGeometry& geometry, int64_t batch, Isa isa, int threads) {
  if (!has_bf16_products(isa)) return {scalar_variant(extent_of(geometry, batch))};
  return conv_variants(tiles(), extent_of(geometry, batch), isa, threads);
}

}  // namespace octet
