#pragma once
// The ranges table: what calibration found for every activation of a float graph, for all methods at once.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

/// automatic ("auto"): one of the others for each tensor, chosen by the error of the network's outputs.
enum class CalibrationMethod { max, entropy, percentile, mse, automatic };
/// Those that choose from a histogram alone.
inline constexpr std::array<CalibrationMethod, 4> k_calibration_methods = {
    CalibrationMethod::max, CalibrationMethod::entropy, CalibrationMethod::percentile, CalibrationMethod::mse};
std::string_view name(CalibrationMethod method);
std::optional<CalibrationMethod> calibration_method_from_name(std::string_view word);

/// One method's answer for one tensor, in the tensor's own unit.
struct ChosenRange {
  float amax = 0;  // symmetric s8: codes -127..127 span -amax..amax
  float lo =
      0;  // u8 with zero point: codes 0..255 span lo..hi, lo <= 0 <= hi; lo = 0 where the tensor was never negative
  float hi = 0;
  bool operator==(const ChosenRange&) const = default;
};

/// Per-channel activations: the ends of each channel along the axis.
struct ChannelRanges {
  int64_t axis = 1;
  std::vector<float> min, max;
  bool operator==(const ChannelRanges&) const = default;
};

struct TensorRange {
  std::string name;
  float min = 0, max = 0;                // seen, finite
  uint64_t count = 0;                    // elements
  std::array<ChosenRange, 4> by_method;  // in the order of k_calibration_methods
  std::optional<ChosenRange> automatic = {};
  std::string automatic_from = {};  // "percentile 99.999": whose range automatic is
  std::optional<ChannelRanges> channels = {};
  const ChosenRange& range(CalibrationMethod m) const {
    if (m != CalibrationMethod::automatic) return by_method[static_cast<size_t>(m)];
    return automatic ? *automatic : by_method[static_cast<size_t>(CalibrationMethod::entropy)];
  }
  bool operator==(const TensorRange&) const = default;
};

struct CalibrationTable {
  std::string octet_version;  // that wrote it; empty in version 1 of the format
  std::string source;         // where the ranges come from when octet did not find them: "TensorRT 8.0.3 ... cache"
  bool uncalibrated = false;  // found on noise: artefacts made with it say UNCALIBRATED
  std::string forced;         // what did not fit, where --force was given
  std::string model_hash;     // content hash of the float graph (names, ops, attributes, weights)
  std::string data;           // what the samples were, as the user gave it
  std::string data_hash;
  std::string preprocess;  // canonical spec
  int64_t samples = 0;
  CalibrationMethod method = CalibrationMethod::entropy;  // the one that quantize uses unless told otherwise
  double percentile = 99.99;
  int bins = 0;                      // of the histograms; 0 = unknown
  std::string target;                // octet or tensorrt: what `automatic` was chosen for
  std::vector<TensorRange> tensors;  // in graph order
  const TensorRange* find(std::string_view name) const;
};

/// JSON with shortest round-trip decimals and hex bits; see docs/ranges_format.md.
std::string to_json(const CalibrationTable& table);
/// An Error says which key is missing, of the wrong kind or not finite.
Result<CalibrationTable> ranges_from_json(std::string_view text);

}  // namespace octet
