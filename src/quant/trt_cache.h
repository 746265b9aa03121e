#pragma once
// TensorRT's calibration caches: text, one line a tensor. Source: spec of the format as found in files of TensorRT 4 to
// 10.13 (docs/caches.md).
//
//   file   = header NL { NAME ":" SP HEX NL }
//   header = "TRT-" VERSION "-" ALGORITHM | "0" SP HEX16 SP HEX16 | "1"
//
// HEX is the bit pattern of a float32 without leading zeros: the scale, so that amax = 127 * scale. NAME is everything
// before the last colon, blanks and colons included.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

/// The numbers of TensorRT's enum CalibrationAlgoType.
enum class TrtAlgorithm { legacy = 0, entropy = 1, entropy2 = 2, minmax = 3 };
/// "LegacyCalibration", "EntropyCalibration", "EntropyCalibration2", "MinMaxCalibration".
std::string_view trt_word(TrtAlgorithm algorithm);
/// "legacy", "entropy", "entropy2", "minmax": the words of octet's command line.
std::optional<TrtAlgorithm> trt_algorithm_from_name(std::string_view word);

struct TrtScale {
  std::string name;
  float scale = 0;
  bool operator==(const TrtScale&) const = default;
};

struct TrtCache {
  std::string version;  // "8003", "100300", also placeholders; empty for the headers "1" and "0 ..."
  TrtAlgorithm algorithm = TrtAlgorithm::entropy2;
  double regression_cutoff = 1, quantile = 0;  // legacy
  bool crlf = false;                           // every line ends in CR LF
  bool final_newline = true;
  std::vector<TrtScale> scales;    // in the file's order; a name may occur twice, the last one counts
  std::vector<std::string> notes;  // what was tolerated: a byte-order mark, blank lines, names that occur twice

  /// "TensorRT 8.0.3 EntropyCalibration2"
  std::string description() const;
};

/// Whether the first line is one of the three headers.
bool is_trt_cache(std::string_view text);
/// Errors name the line: no header, no colon, not 1 to 8 hex digits, NaN, a negative scale.
Result<TrtCache> parse_trt_cache(std::string_view text);
/// The file; of a parsed one the same bytes, but for what notes lists and for digits that were not canonical.
std::string to_text(const TrtCache& cache);

/// False for zero, subnormal, infinite or above 1e30: the tensor has no range. Such lines occur in working caches
/// (log-softmax).
bool is_usable_scale(float scale);

}  // namespace octet
