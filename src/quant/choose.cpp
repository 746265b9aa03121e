#include "quant/choose.h"

#include <algorithm>

namespace octet {

ChosenRange choose(CalibrationMethod method, const Histogram& histogram, const ChooseOptions& options) {
  switch (method) {
#define OCTET_METHOD(word)      \
  case CalibrationMethod::word: \
    return choose_##word(histogram, options);
#include "quant/methods.def"
#undef OCTET_METHOD
    case CalibrationMethod::automatic: break;  // not a matter of the histogram alone
  }
  return {};
}

std::string_view name(CalibrationMethod method) {
  switch (method) {
#define OCTET_METHOD(word)      \
  case CalibrationMethod::word: \
    return #word;
#include "quant/methods.def"
#undef OCTET_METHOD
    case CalibrationMethod::automatic: return "auto";
  }
  return "";
}

std::optional<CalibrationMethod> calibration_method_from_name(std::string_view word) {
  for (const CalibrationMethod method : k_calibration_methods) {
    if (name(method) == word) return method;
  }
  return word == "auto" ? std::optional(CalibrationMethod::automatic) : std::nullopt;
}

// max: everything that was seen.
ChosenRange choose_max(const Histogram& histogram, const ChooseOptions&) {
  const float lo = std::min(histogram.min(), 0.0f), hi = std::max(histogram.max(), 0.0f);
  return {std::max(-lo, hi), lo, hi};
}

}  // namespace octet
