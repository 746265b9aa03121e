#include "kernels/implicit_gemm/live_taps.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "kernels/implicit_gemm/variant.h"

namespace octet {
namespace {

constexpr int64_t k_most_taps = 64;
constexpr size_t k_most_runs = 64;  // a form tells them
constexpr std::string_view k_runs_begin = ", taps ";

/// The runs at the end of a form; empty where there are none, or none that these channels fall into.
std::vector<TapRun> told_runs(std::string_view form, int64_t channels, int64_t lanes) {
  const size_t begin = form.rfind(k_runs_begin);
  if (begin == form.npos) return {};
  std::vector<TapRun> runs;
  const char *at = form.data() + begin + k_runs_begin.size(), *const end = form.data() + form.size();
  for (int64_t left = channels; left > 0;) {
    TapRun run;
    const auto [colon, no_channels] = std::from_chars(at, end, run.channels);
    if (no_channels != std::errc() || colon == end || *colon != ':') return {};
    const auto [next, no_taps] = std::from_chars(colon + 1, end, run.taps);
    if (no_taps != std::errc() || run.channels < 1 || run.channels > left || runs.size() == k_most_runs) return {};
    left -= run.channels;
    if (left > 0 && (run.channels % lanes != 0 || next == end || *next != ' ')) return {};
    runs.push_back(run);
    at = next + (left > 0 ? 1 : 0);
  }
  return at == end ? runs : std::vector<TapRun>();
}

/// Of `channels` output channels.
template <class T>
LiveTaps live_taps(const T* weights, int64_t channels, int64_t ic, int64_t taps) {
  const LiveTaps all = k_all_taps >> (k_most_taps - taps);
  LiveTaps live = 0;
  for (int64_t i = 0; i < channels * ic && live != all; ++i, weights += taps)
    for (int64_t t = 0; t < taps; ++t) live |= static_cast<LiveTaps>(weights[t] != 0) << t;
  return live;
}

template <class T>
std::vector<TapRun> runs_of(std::span<const T> weights, const WindowGeometry& g, int64_t lanes,
                            const PackedConvWeights& given, const OwnForm& own) {
  const int64_t taps = g.kh * g.kw;
  if (g.groups != 1 || taps < 2 || taps > k_most_taps || weights.empty()) return {};
  const std::string_view head = std::string_view(given.form).substr(0, given.form.rfind(k_runs_begin));
  if (head.starts_with(own.begin) && head.ends_with(own.end)) return told_runs(given.form, g.oc, lanes);
  const LiveTaps all = k_all_taps >> (k_most_taps - taps);
  const auto of_vector = [&](int64_t first) {
    return live_taps(weights.data() + first * g.ic * taps, std::min(lanes, g.oc - first), g.ic, taps);
  };
  if (of_vector(0) == all && of_vector((g.oc - 1) / lanes * lanes) == all) return {};
  std::vector<TapRun> runs;
  for (int64_t first = 0; first < g.oc; first += lanes) {
    const TapRun vector{std::min(lanes, g.oc - first), of_vector(first)};
    if (!runs.empty() && runs.back().taps == vector.taps)
      runs.back().channels += vector.channels;
    else
      runs.push_back(vector);
  }
  return runs.size() <= k_most_runs ? runs : std::vector<TapRun>();
}

}  // namespace

std::vector<TapRun> tap_runs(std::span<const float> weights, const WindowGeometry& geometry, int64_t lanes,
                             const PackedConvWeights& given, const OwnForm& own) {
  return runs_of(weights, geometry, lanes, given, own);
}

std::vector<TapRun> tap_runs(std::span<const int8_t> weights, const WindowGeometry& geometry, int64_t lanes,
                             const PackedConvWeights& given, const OwnForm& own) {
  return runs_of(weights, geometry, lanes, given, own);
}

std::string form_of(std::span<const TapRun> runs) {
  std::string text(runs.empty() ? "" : k_runs_begin);
  for (const TapRun& run : runs) {
    if (&run != runs.data()) text += ' ';
    text += std::to_string(run.channels) + ':' + std::to_string(run.taps);
  }
  return text;
}

std::vector<PanelCut> cut_panels(int64_t group_channels, int lanes, int most_vectors, std::span<const TapRun> runs) {
  const TapRun whole{group_channels};
  if (runs.empty()) runs = {&whole, 1};
  std::vector<PanelCut> panels;
  int64_t begin = 0;
  for (const TapRun& run : runs) {
    int64_t c = begin;
    begin += run.channels;
    for (const int vectors : panel_vectors(run.channels, lanes, most_vectors)) {
      const int64_t channels = std::min<int64_t>(vectors * lanes, begin - c);
      panels.push_back({c, channels, vectors, run.taps});
      c += channels;
    }
  }
  return panels;
}

}  // namespace octet
