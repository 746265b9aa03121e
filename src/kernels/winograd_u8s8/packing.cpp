#include "kernels/winograd_u8s8/packing.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/aligned.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {
namespace {

/// Rows of G times 24, 6, 6, 24, 24 and 6: no row's absolute values add to more than 7, so a transformed weight stays
/// within 49 * 128 = 6,272. In: three vectors of numbers; out: six.
template <size_t N>
void transform(const std::array<int16_t, N>& a, const std::array<int16_t, N>& b, const std::array<int16_t, N>& c,
               std::array<int16_t, N>* const (&to)[6]) {
  for (size_t i = 0; i < N; ++i) {
    const int outer = a[i] + c[i], far = a[i] + 4 * c[i];
    (*to[0])[i] = static_cast<int16_t>(6 * a[i]);
    (*to[1])[i] = static_cast<int16_t>(-outer - b[i]);
    (*to[2])[i] = static_cast<int16_t>(b[i] - outer);
    (*to[3])[i] = static_cast<int16_t>(far + 2 * b[i]);
    (*to[4])[i] = static_cast<int16_t>(far - 2 * b[i]);
    (*to[5])[i] = static_cast<int16_t>(6 * c[i]);
  }
}

constexpr size_t k_most_lanes = 16;
/// Weights of one pair of input channels and one vector of output channels: [lane][2].
using Pairs = std::array<int16_t, 2 * k_most_lanes>;

/// u = G g G^T of windows side by side.
void transform(const Pairs (&g)[9], Pairs (&u)[k_winograd_positions]) {
  Pairs columns[6][3];
  for (size_t x = 0; x < 3; ++x)
    transform(g[x], g[3 + x], g[6 + x],
              {&columns[0][x], &columns[1][x], &columns[2][x], &columns[3][x], &columns[4][x], &columns[5][x]});
  for (size_t y = 0; y < 6; ++y) {
    Pairs* const to = u + 6 * y;
    transform(columns[y][0], columns[y][1], columns[y][2], {to, to + 1, to + 2, to + 3, to + 4, to + 5});
  }
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

/// One panel's weights, [position][pair][vector][lane][2].
void pack_panel(const ConvU8S8Desc& desc, const WinogradKernel& kernel, bool natural_order, const ConvU8S8Panel& panel,
                int16_t* weights, int32_t* bias) {
  const int64_t ic = desc.geometry.ic, pairs = (ic + 1) / 2;
  const int lanes = kernel.lanes, vectors = static_cast<int>((panel.channels + lanes - 1) / lanes);
  const int64_t position_step = pairs * vectors * lanes * 2;
  for (int v = 0; v < vectors; ++v) {
    const int8_t* windows[k_most_lanes] = {};  // of each lane's channel, null = none
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t oc = channel_of(panel, lanes, vectors, natural_order, v, lane);
      if (oc < 0) continue;
      windows[lane] = desc.weights.data() + oc * ic * 9;
      bias[v * lanes + lane] = desc.bias.empty() ? 0 : desc.bias[static_cast<size_t>(oc)];
    }
    for (int64_t p = 0; p < pairs; ++p) {
      Pairs g[9] = {}, u[k_winograd_positions];
      const int64_t own = std::min<int64_t>(2, ic - 2 * p);
      for (int lane = 0; lane < lanes; ++lane)
        for (int64_t i = 0; i < own && windows[lane]; ++i)
          for (int64_t k = 0; k < 9; ++k) g[k][static_cast<size_t>(2 * lane + i)] = windows[lane][(2 * p + i) * 9 + k];
      transform(g, u);
      int16_t* to = weights + (p * vectors + v) * lanes * 2;
      for (const Pairs& position : u) {
        std::memcpy(to, position.data(), static_cast<size_t>(lanes) * 2 * sizeof(int16_t));
        to += position_step;
      }
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
