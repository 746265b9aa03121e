#pragma once
// What calibration found out beside the ranges: whether they may be trusted.

#include <cstdint>
#include <string>
#include <vector>

#include "quant/ranges.h"

namespace octet {

/// How far one method's ranges moved when the last fifth of the samples came in.
struct Stability {
  CalibrationMethod method = CalibrationMethod::entropy;
  int64_t late_samples = 0, tensors = 0;
  int64_t moving = 0;              // tensors whose amax moved by more than k_moving
  double median = 0, largest = 0;  // |amax now - amax before| / amax now
  std::string tensor;              // that of the largest
  bool known = false;              // enough samples to tell
  bool converged = false;
};
inline constexpr double k_moving = 0.05;

struct CalibrationReport {
  int64_t samples = 0, tensors = 0;
  std::vector<std::string> inputs;    // "input: mean [...] std [...], from ... to ..."
  std::vector<std::string> findings;  // what is likely wrong, a sentence each
  std::vector<std::string> dead_tensors;
  std::vector<std::string> tiny_tensors;  // 0 < amax <= 2^-24, which the toolkit takes for zero
  struct DeadChannels {
    std::string tensor;
    int64_t channels = 0;
    std::vector<int64_t> dead;
  };
  std::vector<DeadChannels> dead_channels;
  Stability stability;
  int64_t labelled = 0, right = 0;                     // top-1 of the float network on the samples
  int64_t swap_judged = 0, as_given = 0, swapped = 0;  // right answers with the channels in both orders
};

/// drifts: by tensor; names alongside. Converged: the median moves less than 1 %, at most 5 % of the tensors more than
/// k_moving. Fewer than 10 late samples: unknown.
Stability judge_stability(CalibrationMethod method, const std::vector<std::string>& names,
                          const std::vector<double>& drifts, int64_t late_samples);
/// |now - before| / now; 0 where both are 0, 1 where only one is.
double range_drift(float before, float now);

std::string to_text(const Stability& stability);
/// One line each: the count of samples and tensors, inputs, channel order, findings, dead ones, stability.
std::vector<std::string> lines_of(const CalibrationReport& report);

}  // namespace octet
