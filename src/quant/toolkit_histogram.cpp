#include "quant/toolkit_histogram.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace octet {
namespace {

Error refused(std::string message) { return {ErrorCode::bad_argument, "ref_compat: " + std::move(message)}; }

Error too_many(double bins) {
  return refused("the toolkit would make " + std::to_string(static_cast<int64_t>(bins)) +
                 " bins, as the width of the first batch is tiny (D41); the default keeps a fixed number");
}

bool any_nan(std::span<const float> x) {
  return std::any_of(x.begin(), x.end(), [](float v) { return std::isnan(v); });
}

/// torch.max: NaN wins.
float torch_max(std::span<const float> x) { return any_nan(x) ? std::nanf("") : *std::max_element(x.begin(), x.end()); }

/// torch.linspace(0, last, n) on a CPU with FMA.
std::vector<double> torch_linspace(float last, int64_t n) {
  std::vector<double> edges(static_cast<size_t>(n));
  const float step = last / static_cast<float>(n - 1);
  for (int64_t i = 0; i < n; ++i) {
    const float edge = i < n / 2 ? step * static_cast<float>(i) : std::fma(-step, static_cast<float>(n - 1 - i), last);
    edges[static_cast<size_t>(i)] = edge;
  }
  return edges;
}

/// torch.arange(0, ., w): groups of 8 start at a rounded multiple, all but the last n mod 16.
std::vector<double> torch_arange(int64_t n, float width) {
  std::vector<double> edges(static_cast<size_t>(n));
  const double w = width;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t group = i / 8 * 8;
    const double edge = i < n - n % 16 ? static_cast<double>(static_cast<float>(w * static_cast<double>(group))) +
                                             w * static_cast<double>(i - group)
                                       : w * static_cast<double>(i);
    edges[static_cast<size_t>(i)] = static_cast<float>(edge);
  }
  return edges;
}

/// torch.histc(x, n, lo, hi), f32 throughout, counts too.
Result<std::vector<float>> torch_histc(std::span<const float> x, int64_t n, float lo, float hi) {
  if (lo == hi) {
    lo = any_nan(x) ? std::nanf("") : *std::min_element(x.begin(), x.end());
    hi = torch_max(x);
    if (lo == hi) {
      lo -= 1;
      hi += 1;
    }
  }
  if (!std::isfinite(lo) || !std::isfinite(hi)) return refused("the batch's range is not finite (D5)");
  std::vector<float> counts(static_cast<size_t>(n), 0.0f);
  const auto bins = static_cast<float>(n);
  for (const float v : x) {
    if (!(v >= lo && v <= hi)) continue;
    const auto k = static_cast<int64_t>((v - lo) * bins / (hi - lo));
    counts[static_cast<size_t>(std::min(k, n - 1))] += 1.0f;
  }
  return counts;
}

/// Elements in [edges[k], edges[k+1]); the last bin is closed. Others, and NaN, are dropped.
std::vector<double> numpy_counts(std::span<const float> x, std::span<const double> edges) {
  std::vector<double> counts(edges.size() - 1, 0.0);
  for (const float v : x) {
    if (!(v >= edges.front() && v <= edges.back())) continue;
    const auto above = std::upper_bound(edges.begin(), edges.end(), static_cast<double>(v));
    const auto k = std::min<size_t>(static_cast<size_t>(above - edges.begin()), counts.size()) - 1;
    counts[k] += 1;
  }
  return counts;
}

/// numpy.histogram's edges over [lo, hi], rounded to the data's f32 (NumPy 1.x computes them in double).
std::vector<double> numpy_edges(double lo, double hi, int64_t n) {
  if (lo == hi) {
    lo -= 0.5;
    hi += 0.5;
  }
  const double step = (hi - lo) / static_cast<double>(n);
  std::vector<double> edges(static_cast<size_t>(n) + 1);
  for (size_t i = 0; i < edges.size(); ++i) edges[i] = static_cast<float>(static_cast<double>(i) * step + lo);
  edges.back() = static_cast<float>(hi);
  return edges;
}

}  // namespace

Result<Done> ToolkitHistogram::collect(std::span<const float> batch) {
  if (batch.empty()) return refused("an empty batch: the toolkit takes the maximum of nothing (D3)");
  std::vector<float> x(batch.begin(), batch.end());
  // Decided once for the whole batch; torch.min is NaN where there is one, and NaN < 0 is false.
  const bool negative = !any_nan(x) && *std::min_element(x.begin(), x.end()) < 0;
  if (negative) std::transform(x.begin(), x.end(), x.begin(), [](float v) { return std::abs(v); });
  if (skip_zeros) std::erase(x, 0.0f);
  return torch_hist ? collect_torch(std::move(x)) : collect_numpy(std::move(x));
}

void ToolkitHistogram::reset() {
  open = true;
  width_is_double_ = false;
  counts.clear();
  edges.clear();
}

Result<Done> ToolkitHistogram::collect_torch(std::vector<float> x) {
  if (x.empty())
    return refused("nothing but zeros is left out by skip_zeros: the toolkit takes the maximum of nothing (D3)");
  const float most = torch_max(x);
  if (open) {
    const Result<std::vector<float>> first = torch_histc(x, num_bins, 0.0f, most);
    if (!first) return first.error();
    counts.assign(first->begin(), first->end());
    edges = torch_linspace(most, num_bins + 1);
    open = false;
    return Done{};
  }
  if (static_cast<double>(most) > edges.back()) {
    if (Result<Done> grown = grow_torch(most); !grown) return grown;
  }
  const Result<std::vector<float>> added = torch_histc(x, num_bins, 0.0f, static_cast<float>(edges.back()));
  if (!added) return added.error();
  std::vector<double> sum(added->begin(), added->end());
  for (size_t i = 0; i < counts.size() && i < sum.size(); ++i) {
    sum[i] = static_cast<float>(sum[i]) + static_cast<float>(counts[i]);
  }
  counts = std::move(sum);
  return Done{};
}

Result<Done> ToolkitHistogram::grow_torch(float most) {
  const auto width = static_cast<float>(edges[1]) - static_cast<float>(edges[0]);
  const float bins = std::ceil(most / width);
  if (!std::isfinite(bins))
    return refused("the width is 0 or the maximum infinite: cannot convert float infinity to integer (D2, D5)");
  const double edge_count = std::ceil(static_cast<double>(most + width) / static_cast<double>(width));
  if (bins > static_cast<float>(k_toolkit_most_bins) || !(edge_count <= static_cast<double>(k_toolkit_most_bins) + 2)) {
    return too_many(bins);
  }
  num_bins = static_cast<int64_t>(bins);
  edges = torch_arange(static_cast<int64_t>(edge_count), width);
  return Done{};
}

Result<Done> ToolkitHistogram::collect_numpy(std::vector<float> x) {
  if (open) {
    if (any_nan(x)) return refused("NaN in the first batch: the range is not finite (D5)");
    // NumPy gives an empty array the range 0..1.
    const double lo = x.empty() ? 0.0 : *std::min_element(x.begin(), x.end());
    const double hi = x.empty() ? 1.0 : *std::max_element(x.begin(), x.end());
    if (!std::isfinite(lo) || !std::isfinite(hi)) return refused("the batch's range is not finite (D5)");
    edges = numpy_edges(lo, hi, num_bins);
    counts = numpy_counts(x, edges);
    open = false;
    return Done{};
  }
  if (x.empty())
    return refused("nothing but zeros is left out by skip_zeros: the toolkit takes the maximum of nothing (D3)");
  const float most = torch_max(x);
  if (static_cast<double>(most) > edges.back()) {
    if (Result<Done> grown = grow_numpy(most); !grown) return grown;
  }
  std::vector<double> sum = numpy_counts(x, edges);
  for (size_t i = 0; i < counts.size(); ++i) sum[i] += counts[i];
  counts = std::move(sum);
  return Done{};
}

Result<Done> ToolkitHistogram::grow_numpy(float most) {
  // Each in the type of its operands: f32 at the first growth, double after, when the edges are double.
  const auto rounded = [this](double v) { return width_is_double_ ? v : static_cast<double>(static_cast<float>(v)); };
  const double width = rounded(edges[1] - edges[0]);
  const double start = rounded(edges.back() + width);
  const double stop = rounded(static_cast<double>(most) + width);
  const double next = rounded(start + width);
  const double count = std::ceil((stop - start) / width);
  if (!std::isfinite(count)) return refused("the width is 0 or the maximum infinite (D2, D5)");
  if (count + static_cast<double>(edges.size()) > static_cast<double>(k_toolkit_most_bins)) {
    return too_many(count + static_cast<double>(edges.size()) - 1);
  }
  const double delta = next - start;
  for (int64_t j = 0; j < static_cast<int64_t>(count); ++j) edges.push_back(start + static_cast<double>(j) * delta);
  width_is_double_ = true;
  return Done{};
}

ToolkitHistogram toolkit_weight_histogram(std::span<const float> weights, int64_t num_bins) {
  ToolkitHistogram histogram;
  histogram.torch_hist = false;
  histogram.num_bins = num_bins;
  histogram.open = false;
  std::vector<float> magnitudes;
  for (const float w : weights) magnitudes.push_back(std::abs(w));
  const double most = magnitudes.empty() ? 0.0 : *std::max_element(magnitudes.begin(), magnitudes.end());
  histogram.edges = numpy_edges(0.0, most, num_bins);
  histogram.counts = numpy_counts(magnitudes, histogram.edges);
  return histogram;
}

}  // namespace octet
