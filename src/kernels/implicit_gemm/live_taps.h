#pragma once
// Taps of a window where all output channels of a vector have zeros. A transposed convolution that runs as a
// convolution has them: of 3x3 taps with stride 2 its four phases have 1, 2, 2 and 4 of the window's 4 taps (pass
// conv_transpose_to_conv). Panels are cut where the taps change, and taps without weights are not computed. So an
// infinity or a NaN that meets nothing but such zeros makes no NaN.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/conventions.h"
#include "kernels/implicit_gemm/packed_weights.h"

namespace octet {

/// Bit ky * kw + kx: some weight of the tap is not 0.
using LiveTaps = uint64_t;
inline constexpr LiveTaps k_all_taps = ~LiveTaps{0};

/// Neighbouring output channels with the same live taps: whole vectors, but for the last channels.
struct TapRun {
  int64_t channels = 0;
  LiveTaps taps = k_all_taps;
};

/// What the forms of a kernel's weights begin with, and what they end with in front of the runs: the packing's number.
struct OwnForm {
  std::string begin, end;
};

/// The runs of a layer, in order; empty = nothing can be left out. weights: [oc][ic][kh][kw], of one group. Only the
/// first and the last vector are looked at where all their taps are live: phases whose taps are fewer lie at an end.
/// given: packed weights; where their form is `own`, they tell the runs, and weights are not read.
std::vector<TapRun> tap_runs(std::span<const float> weights, const WindowGeometry& geometry, int64_t lanes,
                             const PackedConvWeights& given, const OwnForm& own);
std::vector<TapRun> tap_runs(std::span<const int8_t> weights, const WindowGeometry& geometry, int64_t lanes,
                             const PackedConvWeights& given, const OwnForm& own);
/// The end of a form: ", taps CHANNELS:BITS ..." of each run; nothing where there are none.
std::string form_of(std::span<const TapRun> runs);

/// A panel's channels, counted from the group's first one.
struct PanelCut {
  int64_t first = 0, channels = 0;
  int vectors = 0;
  LiveTaps taps = k_all_taps;
};

/// The panels of a group: those of panel_vectors(), or of each run.
std::vector<PanelCut> cut_panels(int64_t group_channels, int lanes, int most_vectors, std::span<const TapRun> runs);

}  // namespace octet
