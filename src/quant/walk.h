#pragma once
// An element-wise function over strided tensors, row by row: what the toolkit's functions share.
//
// The operands' dims are merged where their strides allow, so a dense tensor with one parameter is a single run. A run
// is cut into blocks of floats that stay in L1; other dtypes and strides pass through such a block, dense f32 does not.

#include <functional>

#include "quant/rows/rows.h"
#include "tensor/tensor.h"

namespace octet {

/// n elements: x (and dy) as f32, y to be written; their parameters start at `at` and are one per element when `each`.
struct Row {
  const float* x = nullptr;
  const float* dy = nullptr;  // null where the walk has none
  float* y = nullptr;         // null where the walk has none
  size_t n = 0;
  size_t at = 0;
  bool each = false;
};

struct Walk {
  TensorView x = {};
  TensorView dy = {};         // optional: dtype undefined when absent; same dims as x
  TensorView y = {};          // optional: same dims as x; f32, f16, bf16 or an integer dtype up to 16 bits
  Dims parameter_dims = {};   // broadcast to x by NumPy's rule (trailing dimensions aligned); dense
  const char* what = "amax";  // names the parameter in errors
};

/// Calls row for every row in memory order. Errors: a dtype that is not f32, f16 or bf16, dims that do not fit.
Result<Done> walk(const Walk& operands, const QuantRows& rows, const std::function<void(const Row&)>& row);

}  // namespace octet
