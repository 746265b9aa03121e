// fake_affine_tensor_quant: the toolkit's experimental function. Two roundings, of min/step and of x/step, so zero is
// always a level and the usable range is the grid nearest [min, max].
#include <algorithm>
#include <cmath>
#include <string>

#include "quant/functions.h"
#include "quant/parameters.h"
#include "quant/walk.h"

namespace octet {

Result<Tensor> fake_affine_tensor_quant(const TensorView& x, float min, float max, const AffineOptions& options) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (options.include_zero) {
    min = std::min(min, 0.0f);
    max = std::max(max, 0.0f);
  }
  if (!options.ref_compat) {
    if (!std::isfinite(min) || !std::isfinite(max) || !(min < max)) {
      return Error{ErrorCode::bad_argument, "range [" + std::to_string(min) + ", " + std::to_string(max) +
                                                "] is empty or not finite; min < max is expected"};
    }
    if (options.num_bits < 2 || options.num_bits > 16) {
      return Error{ErrorCode::bad_argument, "num_bits is " + std::to_string(options.num_bits) + "; expected 2 to 16"};
    }
  }
  const float step = (max - min) / static_cast<float>(std::ldexp(1.0, options.num_bits) - 1.0);
  const auto lo = static_cast<float>(-std::ldexp(1.0, options.num_bits - 1));
  const auto hi = static_cast<float>(std::ldexp(1.0, options.num_bits - 1) - 1.0);
  if (!options.ref_compat && (step == 0.0f || !std::isfinite(step))) {
    return Error{ErrorCode::bad_argument,
                 "range [" + std::to_string(min) + ", " + std::to_string(max) + "] has no finite positive step in f32"};
  }
  const float zero = std::nearbyint(min / step) - lo;
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(x.dtype, x.dims, made->second);
  const Result<Done> done = walk({.x = x, .y = y, .parameter_dims = {}}, **rows,
                                 [&](const Row& r) { (*rows)->affine(r.x, r.n, step, zero, lo, hi, r.y); });
  if (!done) return done.error();
  return std::move(made->first);
}

Result<Tensor> fake_affine_tensor_quant_backward(const TensorView& x, float min, float max, const TensorView& dy) {
  return pass_within(x, dy, {&min, 1}, {&max, 1}, {}, "range");
}

}  // namespace octet
