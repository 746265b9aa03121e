#include "calibrate/calibration_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace octet {
namespace {

constexpr int64_t k_fewest_late = 10;
constexpr double k_still = 0.01, k_most_moving = 0.05;
constexpr size_t k_shown = 8;

std::string percent(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g %%", 100 * x);
  return text;
}

std::string quoted_names(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), k_shown); ++i) text += (i ? ", '" : "'") + names[i] + "'";
  return text + (names.size() > k_shown ? " and " + std::to_string(names.size() - k_shown) + " more" : "");
}

std::string numbers(const std::vector<int64_t>& values) {
  std::string text = "[";
  for (size_t i = 0; i < std::min(values.size(), k_shown); ++i) text += (i ? "," : "") + std::to_string(values[i]);
  return text + (values.size() > k_shown ? ",...]" : "]");
}

}  // namespace

double range_drift(float before, float now) {
  if (before == now) return 0;
  return now > 0 ? std::min(std::abs(static_cast<double>(now) - before) / now, 1.0) : 1.0;
}

Stability judge_stability(CalibrationMethod method, const std::vector<std::string>& names,
                          const std::vector<double>& drifts, int64_t late_samples) {
  Stability s;
  s.method = method;
  s.late_samples = late_samples;
  s.tensors = static_cast<int64_t>(drifts.size());
  s.known = late_samples >= k_fewest_late && !drifts.empty();
  if (drifts.empty()) return s;
  const auto largest = std::max_element(drifts.begin(), drifts.end());
  s.largest = *largest;
  s.tensor = names[static_cast<size_t>(largest - drifts.begin())];
  s.moving = std::count_if(drifts.begin(), drifts.end(), [](double d) { return d > k_moving; });
  std::vector<double> sorted = drifts;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2), sorted.end());
  s.median = sorted[sorted.size() / 2];
  s.converged = s.known && s.median < k_still &&
                static_cast<double>(s.moving) <= k_most_moving * static_cast<double>(drifts.size());
  return s;
}

std::string to_text(const Stability& s) {
  if (!s.known)
    return "stability: too few samples to tell (" + std::to_string(s.late_samples) +
           " in the last fifth, 10 are needed): add images";
  const std::string moved = "stability: over the last fifth of the samples (" + std::to_string(s.late_samples) +
                            ") the ranges (" + std::string(name(s.method)) + ") moved by " + percent(s.median) +
                            " in the median, at most " + percent(s.largest) + " ('" + s.tensor + "'): ";
  if (s.converged) return moved + "converged";
  return moved + "not converged, " + std::to_string(s.moving) + " of " + std::to_string(s.tensors) +
         " tensors still move by more than " + percent(k_moving) + ": add images";
}

std::vector<std::string> lines_of(const CalibrationReport& r) {
  std::vector<std::string> lines = {"calibrated " + std::to_string(r.samples) + " samples, " +
                                    std::to_string(r.tensors) + " of " + std::to_string(r.tensors) +
                                    " tensors observed, 0 values not finite"};
  for (const std::string& input : r.inputs) lines.push_back("input " + input);
  if (r.labelled > 0)
    lines.push_back("float top-1 on the labelled samples: " + std::to_string(r.right) + " of " +
                    std::to_string(r.labelled));
  if (r.swap_judged > 0)
    lines.push_back("channel order: of " + std::to_string(r.swap_judged) + " labelled samples " +
                    std::to_string(r.as_given) + " are right as given, " + std::to_string(r.swapped) +
                    " with red and blue swapped");
  for (const std::string& finding : r.findings) lines.push_back("warning: " + finding);
  if (!r.dead_tensors.empty())
    lines.push_back("warning: " + std::to_string(r.dead_tensors.size()) +
                    " tensors are zero for every sample: " + quoted_names(r.dead_tensors));
  if (!r.tiny_tensors.empty())
    lines.push_back("warning: " + std::to_string(r.tiny_tensors.size()) +
                    " tensors never exceed 2^-24, which the pytorch-quantization toolkit takes for zero: " +
                    quoted_names(r.tiny_tensors));
  for (size_t i = 0; i < std::min(r.dead_channels.size(), k_shown); ++i) {
    const CalibrationReport::DeadChannels& d = r.dead_channels[i];
    lines.push_back("note: '" + d.tensor + "': " + std::to_string(d.dead.size()) + " of " + std::to_string(d.channels) +
                    " channels are zero for every sample " + numbers(d.dead) + "; consider pruning");
  }
  if (r.dead_channels.size() > k_shown)
    lines.push_back("note: " + std::to_string(r.dead_channels.size() - k_shown) + " more tensors have dead channels");
  lines.push_back(to_text(r.stability));
  return lines;
}

}  // namespace octet
