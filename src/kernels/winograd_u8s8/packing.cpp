#include "kernels/winograd_u8s8/packing.h"

#include <algorithm>
#include <array>
#include <cstring>

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

/// One panel's weights as codes, in the order of WinogradKernel::from_codes.
void pack_codes(const ConvU8S8Desc& desc, const WinogradKernel& kernel, bool natural_order, const ConvU8S8Panel& panel,
                int8_t* weights, int32_t* bias) {
  const int64_t ic = desc.geometry.ic, pairs = (ic + 1) / 2, lanes = kernel.lanes;
  const int vectors = static_cast<int>((panel.channels + lanes - 1) / lanes);
  std::memset(weights, 0, static_cast<size_t>(vectors * pairs * lanes * k_winograd_codes));
  for (int v = 0; v < vectors; ++v)
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t oc = channel_of(panel, kernel.lanes, vectors, natural_order, v, lane);
      if (oc < 0) continue;
      bias[v * lanes + lane] = desc.bias.empty() ? 0 : desc.bias[static_cast<size_t>(oc)];
      const int8_t* window = desc.weights.data() + oc * ic * 9;
      for (int64_t c = 0; c < ic; ++c, window += 9) {
        int8_t* const pair = weights + (v * pairs + c / 2) * lanes * k_winograd_codes;
        int8_t* const outer = pair + (2 * lane + c % 2) * 2;
        int8_t* const middle = pair + 12 * lanes + 2 * lane + c % 2;
        for (int64_t x = 0; x < 3; ++x) {
          outer[4 * lanes * x] = window[x];
          outer[4 * lanes * x + 1] = window[6 + x];
          middle[2 * lanes * x] = window[3 + x];
        }
      }
    }
}

std::string form_of(const WinogradKernel& kernel, int64_t ic, bool natural_order) {
  return "winograd_u8s8 " + std::string(kernel.name) + ", " + std::to_string(ic) + " channels, " +
         (natural_order ? "natural" : "lane") + " order, packing " + std::to_string(k_winograd_u8s8_packing);
}

}  // namespace

PackedConvU8S8 pack_winograd_u8s8(const ConvU8S8Desc& desc, const WinogradKernel& kernel, bool natural_order) {
  const int64_t pairs = (desc.geometry.ic + 1) / 2;
  const int64_t pair_bytes = kernel.from_codes ? k_winograd_codes : 4 * k_winograd_positions;  // and lane
  const ConvPanelOrder order{.lanes = kernel.lanes,
                             .vectors = kernel.vectors,
                             .vector_bytes = static_cast<size_t>(pairs * kernel.lanes * pair_bytes),
                             .natural_order = natural_order,
                             .form = form_of(kernel, desc.geometry.ic, natural_order)};
  return pack_panels(desc, order, [&](const ConvU8S8Panel& panel, std::byte* weights, int32_t* bias) {
    if (kernel.from_codes)
      pack_codes(desc, kernel, natural_order, panel, reinterpret_cast<int8_t*>(weights), bias);
    else
      pack_panel(desc, kernel, natural_order, panel, reinterpret_cast<int16_t*>(weights), bias);
  });
}

}  // namespace octet
