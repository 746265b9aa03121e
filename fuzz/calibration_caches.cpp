// Calibration caches of every kind: nothing may crash, and what reads must come back from what it writes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "quant/cache_file.h"
#include "quant/trt_histogram.h"

namespace octet {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const TrtCache& cache) {
  const Result<TrtCache> again = parse_trt_cache(to_text(cache));
  require(again && again->scales == cache.scales && again->version == cache.version &&
          again->algorithm == cache.algorithm);
  (void)fit_cache(foreign_ranges(cache), {"a", "b"}, {"a"});
}

void check(const OrtTable& table) {
  const Result<OrtTable> again = parse_ort_table(to_bytes(table, OrtForm::flatbuffers), OrtForm::flatbuffers);
  require(again && again->ranges.size() == table.ranges.size());
  (void)to_bytes(table, OrtForm::text);
  (void)rows_from(foreign_ranges(table), {"a", "b"});
}

void check(const CalibrationTable& table) {
  const Result<CalibrationTable> again = ranges_from_json(to_json(table));
  require(again.has_value());
}

void check(const TrtHistogramCache& cache) {
  const Result<TrtHistogramCache> again = parse_trt_histograms(to_bytes(cache));
  require(again && again->histograms == cache.histograms);
  for (const auto& [name, histogram] : cache.histograms) (void)histogram.quantile_threshold(0.99);
}

}  // namespace
}  // namespace octet

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace octet;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const Result<TrtCache> trt = parse_trt_cache(bytes)) check(*trt);
  for (const OrtForm form : {OrtForm::text, OrtForm::json, OrtForm::flatbuffers})
    if (const Result<OrtTable> ort = parse_ort_table(bytes, form)) check(*ort);
  if (const Result<CalibrationTable> own = ranges_from_json(bytes)) check(*own);
  if (const Result<TrtHistogramCache> histograms = parse_trt_histograms(bytes)) check(*histograms);
  (void)parse_cache(bytes);
  return 0;
}
