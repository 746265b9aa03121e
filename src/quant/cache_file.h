#pragma once
// Calibration caches of other programs, seen as one thing: names with a symmetric range. Which file is which is told
// by its first bytes, since extensions tell nothing (.cache .table .bin .calib and none are all in use).

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "quant/ort_table.h"
#include "quant/ranges.h"
#include "quant/trt_cache.h"

namespace octet {

enum class CacheFormat { octet, tensorrt, ort_text, ort_json, ort_flatbuffers };
/// "octet", "tensorrt", "onnxruntime-text", "onnxruntime-json", "onnxruntime-flatbuffers".
std::string_view name(CacheFormat format);
std::optional<CacheFormat> cache_format_from_name(std::string_view word);
/// An Error lists the formats that octet reads.
Result<CacheFormat> detect_cache_format(std::string_view bytes);

using AnyCache = std::variant<CalibrationTable, TrtCache, OrtTable>;
Result<AnyCache> parse_cache(std::string_view bytes);

/// A foreign cache's line, the last of a name that occurs twice, in the file's order.
struct ForeignRange {
  std::string name;
  float amax = 0;                               // 127 * scale of TensorRT's
  std::optional<std::pair<float, float>> ends;  // [lowest, highest] where the file has them
  bool usable = true;                           // amax is neither 0, infinite nor beyond 1e30 * 127
};
std::vector<ForeignRange> foreign_ranges(const TrtCache& cache);
std::vector<ForeignRange> foreign_ranges(const OrtTable& table);

/// How a foreign cache and a network's tensors meet.
struct CacheFit {
  int64_t matched = 0;
  std::vector<std::string> missing;    // the network wants a range, the cache has none: stays float
  std::vector<std::string> unmatched;  // in the cache only: fused away here, or made by the other parser
  std::vector<std::string> unusable;   // matched, but zero or infinite: no range
  std::string refusal;                 // why it must not be used; empty = it fits
};
/// wanted: calibration points of the network; inputs: those of them that are network inputs. Refused: no tensor of the
/// network matches, half of them are missing, or a network input or more than a tenth of the matched are unusable.
CacheFit fit_cache(const std::vector<ForeignRange>& cache, const std::vector<std::string>& wanted,
                   const std::vector<std::string>& inputs);

/// Rows for the tensors that match and are usable, in the order of wanted; every method holds the file's range. A row
/// without ends has amax alone (lo = hi = 0), and the graph decides whether it may be negative.
std::vector<TensorRange> rows_from(const std::vector<ForeignRange>& cache, const std::vector<std::string>& wanted);

/// One method's ranges for TensorRT: scale = amax/127, the amax of dead tensors taken as 1.
std::vector<TrtScale> trt_scales(const CalibrationTable& table, CalibrationMethod method);
/// One method's ranges for ONNX Runtime, ends included; sorted by name.
OrtTable ort_table(const CalibrationTable& table, CalibrationMethod method);

}  // namespace octet
