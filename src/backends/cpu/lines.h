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

/// Calls work(line, n) on a contiguous copy of each line (in y itself where lines lie without gaps), in place; the
/// result goes to y.
template <class F>
void for_lines(const RunContext& run, const Lines& lines, F&& work) {
  const float* x = run.at<float>(lines.x);
  float* y = run.at<float>(lines.y);
  const int64_t per_row = lines.starts.row_length();
  run.parallel(lines.starts.rows() * per_row, lines.length * 8, [&](int64_t first, int64_t last, int worker) {
    float* const line = run.scratch<float>(worker);
    for (int64_t unit = first; unit < last; ++unit) {
      const StridedLoop::Offsets row = lines.starts.row_offsets(unit / per_row);
      const float* from = x + row[1] + unit % per_row * lines.starts.row_stride(1);
      float* to = y + row[0] + unit % per_row * lines.starts.row_stride(0);
      if (lines.x_stride == 1 && lines.y_stride == 1) {
        if (to != from) std::copy_n(from, lines.length, to);
        work(to, lines.length);
        continue;
      }
      for (int64_t i = 0; i < lines.length; ++i) line[i] = from[i * lines.x_stride];
      work(line, lines.length);
      for (int64_t i = 0; i < lines.length; ++i) to[i * lines.y_stride] = line[i];
    }
  });
}

}  // namespace octet::cpu
