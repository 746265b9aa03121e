#include "kernels/conv_bf16/conv_bf16.h"

#include <cassert>

#include "base/bf16.h"
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/conv_bf16/listed_layer.h"
#include "kernels/conv_bf16/scalar.h"
#include "kernels/conv_bf16/tile_layer.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/peak/peak.h"

namespace octet {
namespace {

const std::vector<const ConvBf16Kernel*>& kernels() {
  static const std::vector<const ConvBf16Kernel*> list = {
#define OCTET_KERNEL(entry, kernel) &kernel,
#include "kernels/conv_bf16/kernels.def"
#undef OCTET_KERNEL
  };
  return list;
}

/// Of vdpbf16ps where it does not pay.
constexpr double k_slow_dot_cycles = 2;

/// Those that this machine runs: AMX first, a layer of its own, then kernels() in order.
std::vector<ConvTile> tiles() {
  std::vector<ConvTile> list;
  constexpr double k_amx_dot_cycles = 0.12;
  if (has_bf16_products(Isa::amx))
    list.push_back({Isa::amx, k_amx_block_rows, 16, 2, k_amx_dot_cycles, k_conv_bf16_amx, true});
  if (!has_bf16_products(Isa::avx512_vnni)) return list;
  const bool pays = bf16_dots_pay();
  for (const ConvBf16Kernel* k : kernels()) {
    ConvTile tile = {Isa::avx512_vnni, k->rows, 16, k->vectors, pays ? k->dot_cycles : k_slow_dot_cycles, k->name};
    if (conv_cpu().has_half_width) tile.dot_cycles = k->half_width_dot_cycles, tile.costs = k_half_width_costs;
    list.push_back(tile);
  }
  return list;
}

ConvExtent extent_of(const WindowGeometry& g, int64_t batch) {
  const TapTable taps(g, sizeof(uint16_t), 1);
  const auto up_to_16 = [](int64_t n) { return (n + 15) / 16 * 16; };
  const int64_t pixels = batch * g.oh * g.ow, pairs = (taps.segments() * taps.segment_elements() + 1) / 2;
  const int64_t short_steps = conv_bf16_short_steps(g);  // each as long as a whole one
  return {.pixels = pixels,
          .groups = g.groups,
          .group_channels = g.oc / g.groups,
          .steps = pairs,
          .tile_rows = up_to_16(pixels),
          .tile_steps = short_steps > 0 ? 16 * short_steps : up_to_16(pairs),
          .gathered_segments = taps.is_linear() || short_steps > 0 ? 0 : taps.segments()};
}

}  // namespace

std::unique_ptr<const ConvBf16> ConvBf16::make(const ConvBf16Desc& desc, Isa isa, std::string_view variant) {
  [[maybe_unused]] const WindowGeometry& g = desc.geometry;
  assert(g.ic % g.groups == 0 && g.oc % g.groups == 0 && "groups divide both channel counts");
  assert(static_cast<int64_t>(desc.weights.size()) == g.oc * (g.ic / g.groups) * g.kh * g.kw);
  if (!has_bf16_products(isa)) return make_conv_bf16_scalar(desc);
  const std::vector<ConvTile> all = tiles();
  const ChosenVariant chosen = choose_variant(all, extent_of(desc.geometry, 1), isa, variant);
  if (chosen.tile < 0) return variant.empty() ? make_conv_bf16_scalar(desc) : nullptr;
  const ConvTile& tile = all[static_cast<size_t>(chosen.tile)];
  if (tile.is_tile_unit) return make_conv_bf16_tiles(desc, conv_bf16_amx_kernel, chosen.cut, isa);
  const size_t listed = static_cast<size_t>(chosen.tile) - (all.size() - kernels().size());
  return make_conv_bf16_listed(desc, *kernels()[listed], tile, chosen.cut, isa);
}

bool conv_bf16_pays(Isa isa) { return has_bf16_products(isa) && (isa == Isa::amx || bf16_dots_pay()); }

std::vector<ConvVariant> conv_bf16_variants(const WindowGeometry& geometry, int64_t batch, Isa isa, int threads) {
  if (!has_bf16_products(isa)) return {scalar_variant(extent_of(geometry, batch))};
  return conv_variants(tiles(), extent_of(geometry, batch), isa, threads);
}

}  // namespace octet
