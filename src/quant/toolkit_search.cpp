// The toolkit's three searches, by definition: slow where octet's choose_*.cpp are fast, and to its last bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "quant/rows/rows.h"
#include "quant/toolkit_histogram.h"

namespace octet {
namespace {

Error refused(std::string message) { return {ErrorCode::bad_argument, "ref_compat: " + std::move(message)}; }

/// NumPy's order of adding doubles: eight accumulators in blocks of up to 128, halves above.
double numpy_sum(const double* x, size_t n) {
  if (n < 8) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += x[i];
    return sum;
  }
  if (n <= 128) {
    double r[8];
    for (size_t j = 0; j < 8; ++j) r[j] = x[j];
    size_t i = 8;
    for (; i + 8 <= n; i += 8) {
      for (size_t j = 0; j < 8; ++j) r[j] += x[i + j];
    }
    double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; ++i) sum += x[i];
    return sum;
  }
  const size_t half = n / 2 - n / 2 % 8;
  return numpy_sum(x, half) + numpy_sum(x + half, n - half);
}

double relative_entropy(double p, double q) {
  if (std::isnan(p) || std::isnan(q)) return std::nan("");
  if (p > 0 && q > 0) return p * std::log(p / q);
  return p == 0 && q >= 0 ? 0.0 : std::numeric_limits<double>::infinity();
}

/// D(i): h = the counts with h[0] := h[1], `kept` bins kept on `levels` levels, the rest added to the last kept bin.
double divergence(const std::vector<double>& h, size_t kept, size_t levels, std::vector<double>& p,
                  std::vector<double>& q) {
  double clipped = 0;
  for (size_t k = kept; k < h.size(); ++k) clipped += h[k];
  p.assign(h.begin(), h.begin() + static_cast<ptrdiff_t>(kept));
  p.back() += clipped;
  q.assign(kept, 0.0);
  for (size_t begin = 0; begin < kept;) {
    // Bins of one level are neighbours: floor(k * levels / kept) is the same.
    const size_t level = begin * levels / kept;
    const size_t end = ((level + 1) * kept + levels - 1) / levels;
    size_t filled = 0;
    double mass = 0;
    for (size_t k = begin; k < end; ++k) {
      mass += h[k];
      filled += h[k] != 0;
    }
    for (size_t k = begin; k < end; ++k) q[k] = h[k] != 0 ? mass / static_cast<double>(filled) : 0.0;
    begin = end;
  }
  const double p_sum = numpy_sum(p.data(), kept), q_sum = numpy_sum(q.data(), kept);
  for (size_t k = 0; k < kept; ++k) p[k] = relative_entropy(p[k] / p_sum, q[k] / q_sum);
  return numpy_sum(p.data(), kept);
}

Result<Done> check_search(const ToolkitSearch& s) {
  if (s.stride >= 1 && s.start_bin >= 1) return Done{};
  return refused("start_bin is " + std::to_string(s.start_bin) + " and stride " + std::to_string(s.stride) +
                 "; both are expected to be at least 1");
}

Error no_candidates(const ToolkitSearch& s, size_t bins) {
  return refused("start_bin " + std::to_string(s.start_bin) + " leaves no candidate in " + std::to_string(bins) +
                 " bins (D29)");
}

}  // namespace

Result<ToolkitChoice> toolkit_entropy(ToolkitHistogram& histogram, const ToolkitSearch& s) {
  if (Result<Done> checked = check_search(s); !checked) return checked.error();
  if (s.num_bits.is_e4m3) return refused("entropy counts levels, which (4, 3) has not");
  const int shift = s.num_bits.integer - 1 + (s.is_unsigned ? 1 : 0);
  if (shift < 0 || shift > 30) return refused("entropy of " + std::to_string(s.num_bits.integer) + " bits");
  std::vector<double> h = histogram.counts;
  const size_t n = h.size();
  if (n < 2 || static_cast<size_t>(s.start_bin) > n) return no_candidates(s, n);
  h[0] = h[1];
  if (!histogram.torch_hist) histogram.counts[0] = h[1];  // D27
  ToolkitChoice choice;
  std::vector<size_t> candidates;
  std::vector<double> p, q;
  for (auto i = static_cast<size_t>(s.start_bin); i <= n; i += static_cast<size_t>(s.stride)) {
    candidates.push_back(i);
    choice.curve.push_back(divergence(h, i, size_t{1} << shift, p, q));
  }
  // numpy.argmin of the reversed curve: the last of the smallest, and a NaN counts as smaller than everything.
  size_t best = candidates.size() - 1;
  for (size_t c = candidates.size(); c-- > 0 && !std::isnan(choice.curve[best]);) {
    if (choice.curve[c] < choice.curve[best] || std::isnan(choice.curve[c])) best = c;
  }
  if (candidates[best] >= histogram.edges.size()) return refused("the histogram grew to fewer edges than counts (D1)");
  choice.amax = static_cast<float>(histogram.edges[candidates[best]]);
  return choice;
}

Result<ToolkitChoice> toolkit_mse(const ToolkitHistogram& histogram, const ToolkitSearch& s) {
  if (Result<Done> checked = check_search(s); !checked) return checked.error();
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (histogram.edges.size() != histogram.counts.size() + 1) {
    return refused("the histogram grew to " + std::to_string(histogram.counts.size()) + " counts and " +
                   std::to_string(histogram.edges.size()) + " edges, which do not fit together (D1)");
  }
  const size_t n = histogram.counts.size();
  std::vector<float> x(n), y(n);
  for (size_t k = 0; k < n; ++k) {
    x[k] = (static_cast<float>(histogram.edges[k + 1]) + static_cast<float>(histogram.edges[k])) / 2;
  }
  const auto bound = static_cast<float>(std::ldexp(1.0, s.num_bits.integer - 1 + (s.is_unsigned ? 1 : 0)) - 1.0);
  ToolkitChoice choice;
  std::vector<size_t> candidates;
  for (auto i = static_cast<size_t>(s.start_bin); i < n; i += static_cast<size_t>(s.stride)) {
    if (s.is_unsigned && !s.num_bits.is_e4m3 && x[0] < 0)
      return refused("Negative values encountered in unsigned quantization.");
    if (x[i] < 0 && !s.num_bits.is_e4m3) return refused("Negative values in amax");
    if (s.num_bits.is_e4m3) {
      const float scale = 448.0f / x[i];
      (*rows)->e4m3(x.data(), n, &scale, false, y.data());
    } else {
      const bool zero = x[i] <= 0x1p-24f;
      const float scale = zero ? 0.0f : bound / x[i], divisor = zero ? 1.0f : scale;
      (*rows)->fake_quantize(x.data(), n, &scale, &divisor, false, s.is_unsigned ? 0.0f : -bound, bound, y.data());
    }
    double sum = 0;
    for (size_t k = 0; k < n; ++k) {
      const float error = y[k] - x[k];
      sum += static_cast<double>(error * error * static_cast<float>(histogram.counts[k]));
    }
    candidates.push_back(i);
    choice.curve.push_back(static_cast<float>(sum / static_cast<double>(n)));
  }
  if (candidates.empty()) return no_candidates(s, n);
  size_t best = 0;
  for (size_t c = 1; c < candidates.size(); ++c) {
    if (choice.curve[c] < choice.curve[best]) best = c;
  }
  choice.amax = x[candidates[best]];
  return choice;
}

Result<float> toolkit_percentile(const ToolkitHistogram& histogram, double percentile) {
  if (!(percentile >= 0 && percentile <= 100)) {
    return Error{ErrorCode::bad_argument,
                 "Invalid percentile. Must be in range 0 <= percentile <= 100, not " + std::to_string(percentile)};
  }
  double total = 0, running = 0;
  for (const double h : histogram.counts) total += h;
  size_t i = 0;
  if (total > 0) {  // otherwise the running sum is NaN, which NumPy sorts last: bin 0
    for (; i < histogram.counts.size(); ++i) {
      running += histogram.counts[i] / total;
      if (running >= percentile / 100) break;
    }
  }
  if (i >= histogram.edges.size()) return refused("the histogram grew to fewer edges than counts (D1)");
  return static_cast<float>(histogram.edges[i]);
}

}  // namespace octet
