#pragma once
// Work along one axis of an f32 value: each line of n elements is brought into scratch, worked on, and written back.

#include <algorithm>

#include "backends/cpu/step.h"
#include "backends/cpu/strided.h"

namespace octet::cpu {

/// x and y of equal dims, `axis` the one that lines run along.
struct Lines {
  StridedLoop starts;  // (y, x): first elements of all lines, in the order of y's memory
  int64_t length = 0, y_stride = 1, x_stride = 1;
  Place y, x;

  Lines(const Operand& y_operand, const Operand& x_operand, size_t axis)
      : length(x_operand.layout.dims[axis]),
        y_stride(y_operand.layout.strides[axis]),
        x_stride(x_operand.layout.strides[axis]),
        y(y_operand.place),
        x(x_operand.place) {
    Dims dims = y_operand.layout.dims;
    dims[axis] = std::min<int64_t>(dims[axis], 1);
    starts = StridedLoop(dims, {y_operand.layout.strides, x_operand.layout.strides});
  }
  size_t scratch_bytes() const { return static_cast<size_t>(length) * sizeof(float); }
};

/// Calls work(x, rows, n, step) on lines without gaps, `step` floats apart, in place: in y itself, some at a time,
/// where they lie so, else on a copy of each; the result goes to y.
template <class F>
void for_lines(const RunContext& run, const Lines& lines, F&& work) {
  const float* x = run.at<float>(lines.x);
  float* y = run.at<float>(lines.y);
  const int64_t per_row = lines.starts.row_length();
  run.parallel(lines.starts.rows() * per_row, lines.length * 8, [&](int64_t first, int64_t last, int worker) {
    float* const line = run.scratch<float>(worker);
    constexpr int64_t k_near_floats = 4096;  // lines that are copied and worked on stay in L1
    const int64_t most = std::max<int64_t>(4, k_near_floats / std::max<int64_t>(lines.length, 1));
    for (int64_t unit = first; unit < last;) {
      const StridedLoop::Offsets row = lines.starts.row_offsets(unit / per_row);
      const float* from = x + row[1] + unit % per_row * lines.starts.row_stride(1);
      float* to = y + row[0] + unit % per_row * lines.starts.row_stride(0);
      if (lines.x_stride == 1 && lines.y_stride == 1) {
        const int64_t count = std::min({most, last - unit, per_row - unit % per_row});
        const int64_t x_step = lines.starts.row_stride(1), y_step = lines.starts.row_stride(0);
        for (int64_t i = 0; to != from && i < count; ++i) std::copy_n(from + i * x_step, lines.length, to + i * y_step);
        work(to, count, lines.length, y_step);
        unit += count;
        continue;
      }
      for (int64_t i = 0; i < lines.length; ++i) line[i] = from[i * lines.x_stride];
      work(line, int64_t{1}, lines.length, int64_t{0});
      for (int64_t i = 0; i < lines.length; ++i) to[i * lines.y_stride] = line[i];
      ++unit;
    }
  });
}

}  // namespace octet::cpu
