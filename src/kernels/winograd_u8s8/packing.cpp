#include "kernels/winograd_u8s8/packing.h"

#include <cstring>

#include "base/aligned.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {
namespace {

/// Rows of G times 24, 6, 6, 24, 24 and 6: no row's absolute values add to more than 7, so a transformed weight stays
/// within 49 * 128 = 6,272.
constexpr int k_g[6][3] = {{6, 0, 0}, {-1, -1, -1}, {-1, 1, -1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 6}};

/// u = G g G^T of one 3 x 3 window.
void transform(const int8_t* g, int16_t* u) {
  int rows[6][3];
  for (int i = 0; i < 6; ++i)
    for (int x = 0; x < 3; ++x) rows[i][x] = k_g[i][0] * g[x] + k_g[i][1] * g[3 + x] + k_g[i][2] * g[6 + x];
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 6; ++j)
      u[6 * i + j] = static_cast<int16_t>(rows[i][0] * k_g[j][0] + rows[i][1] * k_g[j][1] + rows[i][2] * k_g[j][2]);
}

std::vector<ConvU8S8Panel> lay_out_panels(int64_t channels, const WinogradKernel& kernel, size_t vector_bytes) {
  std::vector<ConvU8S8Panel> panels;
  ConvU8S8Panel next;
  for (const int vectors : panel_vectors(channels, kernel.lanes, kernel.vectors)) {
    next.channels = std::min<int64_t>(vectors * kernel.lanes, channels - next.first_channel);
    panels.push_back(next);
    next.first_channel += next.channels;
    next.weights_offset += static_cast<size_t>(vectors) * vector_bytes;
    next.lane_offset += static_cast<size_t>(vectors * kernel.lanes);
  }
  return panels;
}

/// The output channel of a lane; -1 = none.
int64_t channel_of(const ConvU8S8Panel& panel, int lanes, int vectors, bool natural_order, int v, int lane) {
  const int64_t c = conv_u8s8_channel(lanes, vectors, natural_order, v, lane);
  return c < panel.channels ? panel.first_channel + c : -1;
}

void pack_panel(const ConvU8S8Desc& desc, const WinogradKernel& kernel, bool natural_order, const ConvU8S8Panel& panel,
                int16_t* weights, int32_t* bias) {
  const int64_t ic = desc.geometry.ic, pairs = (ic + 1) / 2;
  const int lanes = kernel.lanes, vectors = static_cast<int>((panel.channels + lanes - 1) / lanes);
  const int64_t pair_step = 2 * lanes * vectors, position_step = pairs * pair_step;
  std::memset(weights, 0, static_cast<size_t>(k_winograd_positions * position_step) * sizeof(int16_t));
  for (int v = 0; v < vectors; ++v)
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t oc = channel_of(panel, lanes, vectors, natural_order, v, lane);
      if (oc < 0) continue;
      bias[v * lanes + lane] = desc.bias.empty() ? 0 : desc.bias[static_cast<size_t>(oc)];
      for (int64_t c = 0; c < ic; ++c) {
        int16_t u[k_winograd_positions];
        transform(desc.weights.data() + (oc * ic + c) * 9, u);
        int16_t* to = weights + c / 2 * pair_step + (v * lanes + lane) * 2 + c % 2;
        for (int i = 0; i < k_winograd_positions; ++i, to += position_step) *to = u[i];
      }
    }
}

std::string form_of(const WinogradKernel& kernel, int64_t ic, bool natural_order) {
  return "winograd_u8s8 " + std::string(kernel.name) + ", " + std::to_string(ic) + " channels, " +
         (natural_order ? "natural" : "lane") + " order, packing " + std::to_string(k_winograd_u8s8_packing);
}

}  // namespace

PackedWinogradU8S8 pack_winograd_u8s8(const ConvU8S8Desc& desc, const WinogradKernel& kernel, bool natural_order) {
  const int64_t lanes = kernel.lanes, pairs = (desc.geometry.ic + 1) / 2;
  const auto vector_bytes = static_cast<size_t>(k_winograd_positions * pairs * 2 * lanes) * sizeof(int16_t);
  PackedWinogradU8S8 packed;
  packed.panels = lay_out_panels(desc.geometry.oc, kernel, vector_bytes);
  const ConvU8S8Panel& last = packed.panels.back();
  const size_t last_vectors = static_cast<size_t>((last.channels + lanes - 1) / lanes);
  packed.weights_bytes = last.weights_offset + last_vectors * vector_bytes;
  const size_t lane_count = last.lane_offset + last_vectors * static_cast<size_t>(lanes);
  const size_t bias_at = (packed.weights_bytes + k_alignment - 1) / k_alignment * k_alignment;
  const size_t bytes = bias_at + lane_count * sizeof(int32_t);

  packed.multiplier.assign(lane_count, 0.0f);
  for (const ConvU8S8Panel& panel : packed.panels) {
    const int vectors = static_cast<int>((panel.channels + lanes - 1) / lanes);
    for (int v = 0; v < vectors; ++v)
      for (int lane = 0; lane < lanes; ++lane)
        if (const int64_t oc = channel_of(panel, kernel.lanes, vectors, natural_order, v, lane); oc >= 0)
          packed.multiplier[panel.lane_offset + static_cast<size_t>(v * lanes + lane)] =
              desc.multiplier[static_cast<size_t>(oc)];
  }
  packed.kept = {form_of(kernel, desc.geometry.ic, natural_order), desc.packed.bytes};
  const bool is_given = desc.packed.form == packed.kept.form && desc.packed.bytes.size() == bytes &&
                        reinterpret_cast<uintptr_t>(desc.packed.bytes.data()) % k_alignment == 0;
  if (!is_given) {
    packed.own = allocate_weights(bytes);
    packed.kept.bytes = {packed.own.get(), bytes};
    std::memset(packed.own.get() + packed.weights_bytes, 0, bytes - packed.weights_bytes);
    auto* const bias = reinterpret_cast<int32_t*>(packed.own.get() + bias_at);
    for (const ConvU8S8Panel& panel : packed.panels)
      pack_panel(desc, kernel, natural_order, panel,
                 reinterpret_cast<int16_t*>(packed.own.get() + panel.weights_offset), bias + panel.lane_offset);
  }
  packed.weights = packed.kept.bytes.data();
  packed.bias = {reinterpret_cast<const int32_t*>(packed.weights + bias_at), lane_count};
  return packed;
}

}  // namespace octet
