#include "calibrate/collect_view.h"

#include <algorithm>
#include <cassert>

namespace octet {
namespace {

struct Axis {
  int64_t extent = 0, stride = 0;
};

/// Axes by falling stride without those of extent 1, dense neighbours merged; the last one is the row. Never empty.
std::vector<Axis> memory_order(std::vector<Axis> axes) {
  std::erase_if(axes, [](const Axis& a) { return a.extent == 1; });
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.stride > b.stride; });
  std::vector<Axis> merged;
  for (const Axis& axis : axes) {
    if (!merged.empty() && merged.back().stride == axis.stride * axis.extent) {
      merged.back() = {merged.back().extent * axis.extent, axis.stride};
    } else {
      merged.push_back(axis);
    }
  }
  if (merged.empty()) merged.push_back({1, 1});
  return merged;
}

void collect_row(Histogram& histogram, const float* row, const Axis& axis) {
  if (axis.stride == 1) {
    histogram.collect({row, static_cast<size_t>(axis.extent)});
    return;
  }
  constexpr int64_t k_block = 256;
  float block[k_block];
  for (int64_t at = 0; at < axis.extent; at += k_block) {
    const int64_t n = std::min(k_block, axis.extent - at);
    for (int64_t i = 0; i < n; ++i) block[i] = row[(at + i) * axis.stride];
    histogram.collect({block, static_cast<size_t>(n)});
  }
}

void walk(Histogram& histogram, const float* base, const std::vector<Axis>& axes, size_t depth) {
  const Axis& axis = axes[depth];
  if (depth + 1 == axes.size()) return collect_row(histogram, base, axis);
  for (int64_t i = 0; i < axis.extent; ++i) walk(histogram, base + i * axis.stride, axes, depth + 1);
}

}  // namespace

void collect_view(Histogram& histogram, const TensorView& view, int64_t begin, int64_t end) {
  assert(view.dtype == DType::f32 && "activations of a float graph are f32");
  std::vector<Axis> axes;
  for (size_t d = 0; d < view.dims.size(); ++d) axes.push_back({view.dims[d], view.strides[d]});
  const auto* base = reinterpret_cast<const float*>(view.data);
  if (!axes.empty()) {
    axes[0].extent = end - begin;
    base += begin * axes[0].stride;
  }
  const bool empty = std::any_of(axes.begin(), axes.end(), [](const Axis& a) { return a.extent <= 0; });
  if (!empty) walk(histogram, base, memory_order(std::move(axes)), 0);
}

}  // namespace octet
