#pragma once
// The lines of a tensor along one axis, for reference kernels.

#include <span>

#include "ir/ops/common.h"

namespace octet {

/// Calls body(first, step) for every line along axis: its n = dims[axis] elements lie at first + i * step. No line
/// where a tensor is empty.
template <class F>
void for_each_line(const Dims& dims, size_t axis, F body) {
  const int64_t n = dims[axis], step = row_major_strides(dims)[axis];
  const int64_t lines = n > 0 ? *element_count(dims) / n : 0;
  for (int64_t line = 0; line < lines; ++line) body(line / step * n * step + line % step, step);
}

}  // namespace octet
