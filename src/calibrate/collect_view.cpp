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

/// Rows in memory order, handed on as long dense pieces.
class Rows {
 public:
  Rows(Histogram& histogram, IndexRow kernel) : histogram_(histogram), kernel_(kernel) {}
  ~Rows() { flush(); }

  void walk(const float* base, const std::vector<Axis>& axes, size_t depth) {
    const Axis& axis = axes[depth];
    if (depth + 1 == axes.size()) return row(base, axis);
    for (int64_t i = 0; i < axis.extent; ++i) walk(base + i * axis.stride, axes, depth + 1);
  }

 private:
  void row(const float* base, const Axis& axis) {
    if (axis.stride == 1 && axis.extent >= k_block) return collect({base, static_cast<size_t>(axis.extent)});
    for (int64_t at = 0; at < axis.extent;) {
      const int64_t n = std::min(k_block - held_, axis.extent - at);
      const float* from = base + at * axis.stride;
      if (axis.stride == 1) {
        std::copy_n(from, n, block_ + held_);
      } else {
        for (int64_t i = 0; i < n; ++i) block_[held_ + i] = from[i * axis.stride];
      }
      at += n;
      held_ += n;
      if (held_ == k_block) flush();
    }
  }
  void flush() {
    if (held_) collect({block_, static_cast<size_t>(held_)});
    held_ = 0;
  }
  void collect(std::span<const float> values) {
    if (kernel_) {
      histogram_.collect(values, kernel_);
    } else {
      histogram_.collect(values);
    }
  }

  static constexpr int64_t k_block = 1024;
  Histogram& histogram_;
  IndexRow kernel_;
  int64_t held_ = 0;
  float block_[k_block];
};

/// The axes of [begin, end) along dimension 0, and where the first element lies.
std::vector<Axis> axes_of(const TensorView& view, int64_t begin, int64_t end, const float*& base) {
  std::vector<Axis> axes;
  for (size_t d = 0; d < view.dims.size(); ++d) axes.push_back({view.dims[d], view.strides[d]});
  base = reinterpret_cast<const float*>(view.data);
  if (!axes.empty()) {
    axes[0].extent = end - begin;
    base += begin * axes[0].stride;
  }
  return axes;
}

bool is_empty(const std::vector<Axis>& axes) {
  return std::any_of(axes.begin(), axes.end(), [](const Axis& a) { return a.extent <= 0; });
}

/// Calls row(first element) for every position of the axes but the last one of them.
template <class F>
void each_row(const float* base, const std::vector<Axis>& axes, size_t depth, F& row) {
  if (depth + 1 >= axes.size()) return row(base);
  for (int64_t i = 0; i < axes[depth].extent; ++i) each_row(base + i * axes[depth].stride, axes, depth + 1, row);
}

}  // namespace

void collect_view(Histogram& histogram, const TensorView& view, int64_t begin, int64_t end, IndexRow kernel) {
  assert(view.dtype == DType::f32 && "activations of a float graph are f32");
  const float* base = nullptr;
  std::vector<Axis> axes = axes_of(view, begin, end, base);
  if (!is_empty(axes)) Rows(histogram, kernel).walk(base, memory_order(std::move(axes)), 0);
}

void join_channel_ends(const TensorView& view, int64_t begin, int64_t end, float* low, float* high) {
  assert(view.dtype == DType::f32 && view.dims.size() >= 2);
  const float* base = nullptr;
  std::vector<Axis> axes = axes_of(view, begin, end, base);
  if (is_empty(axes)) return;
  const Axis channel = axes[1];
  axes.erase(axes.begin() + 1);
  if (channel.stride == 1) {  // NHWC: a row holds one element of every channel
    axes.push_back(channel);
    auto row = [&](const float* x) {
      for (int64_t c = 0; c < channel.extent; ++c) {
        low[c] = x[c] < low[c] ? x[c] : low[c];
        high[c] = x[c] > high[c] ? x[c] : high[c];
      }
    };
    return each_row(base, axes, 0, row);
  }
  axes = memory_order(std::move(axes));
  for (int64_t c = 0; c < channel.extent; ++c) {
    auto row = [&](const float* x) {
      for (int64_t i = 0; i < axes.back().extent; ++i) {
        const float v = x[i * axes.back().stride];
        low[c] = v < low[c] ? v : low[c];
        high[c] = v > high[c] ? v : high[c];
      }
    };
    each_row(base + c * channel.stride, axes, 0, row);
  }
}

bool channel_lives(const TensorView& view, int64_t begin, int64_t end, int64_t c) {
  assert(view.dtype == DType::f32 && view.dims.size() >= 2);
  const float* base = nullptr;
  std::vector<Axis> axes = axes_of(view, begin, end, base);
  if (is_empty(axes)) return false;
  base += c * axes[1].stride;
  axes.erase(axes.begin() + 1);
  axes = memory_order(std::move(axes));
  bool lives = false;
  auto row = [&](const float* x) {
    for (int64_t i = 0; i < axes.back().extent && !lives; ++i) lives = x[i * axes.back().stride] != 0.0f;
  };
  each_row(base, axes, 0, row);
  return lives;
}

}  // namespace octet
