// Times the choice of ranges from histograms, and the collector, on one thread; writes the histograms for toolkit.py.
//   octet_search_bench [FILE.json]
// Per method the median of 5 runs over all tensors, in ms a tensor; per kernel the elements a second.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "base/isa.h"
#include "kernels/histogram/histogram.h"
#include "quant/choose.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int k_repeats = 5;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

template <class F>
double median_seconds(F run) {
  std::vector<double> seconds;
  for (int i = 0; i < k_repeats; ++i) {
    const auto start = Clock::now();
    run();
    seconds.push_back(seconds_since(start));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[k_repeats / 2];
}

/// What activations look like: half of a normal distribution (ReLU), a whole one, and one with long tails.
std::vector<float> activations(int kind, size_t n) {
  std::mt19937 random(static_cast<uint32_t>(kind));
  std::normal_distribution<float> normal(0.0f, 1.0f + static_cast<float>(kind) / 7);
  std::student_t_distribution<float> tails(3.0f);
  std::vector<float> x(n);
  for (float& v : x) {
    v = kind % 3 == 2 ? tails(random) : normal(random);
    if (kind % 3 == 0) v = std::max(v, 0.0f);
  }
  return x;
}

void write_histograms(const std::string& path, const std::vector<Histogram>& histograms) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (!file) return;
  std::fprintf(file, "[");
  for (size_t i = 0; i < histograms.size(); ++i) {
    const Bins bins = histograms[i].view(Side::magnitude, 4096);
    std::fprintf(file, "%s{\"width\": %.17g, \"counts\": [", i ? ",\n" : "", bins.width);
    for (size_t k = 0; k < bins.counts.size(); ++k)
      std::fprintf(file, "%s%llu", k ? "," : "", static_cast<unsigned long long>(bins.counts[k]));
    std::fprintf(file, "]}");
  }
  std::fprintf(file, "]\n");
  std::fclose(file);
}

int run(const std::string& path) {
  constexpr int k_tensors = 12;
  constexpr size_t k_elements = size_t{1} << 21;
  std::vector<Histogram> histograms(k_tensors);
  std::vector<std::vector<float>> rows;
  for (int t = 0; t < k_tensors; ++t) {
    rows.push_back(activations(t, k_elements));
    histograms[static_cast<size_t>(t)].collect(rows.back());
  }
  for (const CalibrationMethod method : k_calibration_methods) {
    const double seconds = median_seconds([&] {
      for (const Histogram& h : histograms) {
        volatile float amax = choose(method, h).amax;
        (void)amax;
      }
    });
    std::printf("choose %-10s %8.3f ms a tensor (signed and unsigned range)\n", std::string(name(method)).c_str(),
                1e3 * seconds / k_tensors);
  }
  const double plain = median_seconds([&] {
    Histogram h;
    for (const auto& row : rows) h.collect(row);
  });
  std::printf("collect %-11s %8.3f ns an element\n", "plain", 1e9 * plain / k_tensors / k_elements);
  std::string before;
  for (const Isa isa : available_isas()) {
    const HistogramKernels kernels = histogram_kernels(isa);
    if (before == kernels.name) continue;  // AVX-VNNI adds nothing to AVX2 here
    before = kernels.name;
    const double seconds = median_seconds([&] {
      Histogram h;
      for (const auto& row : rows) h.collect(row, kernels.index_f32);
    });
    std::printf("collect %-11s %8.3f ns an element\n", kernels.name, 1e9 * seconds / k_tensors / k_elements);
  }
  if (!path.empty()) write_histograms(path, histograms);
  return 0;
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) { return octet::run(argc > 1 ? argv[1] : ""); }
