// PACT: a clip whose bounds may be learned. At exactly a bound the gradient belongs to the bound, not to x: the
// opposite of the quantizer's inclusive rule.
#include <algorithm>
#include <cmath>
#include <string>

#include "quant/functions.h"
#include "quant/parameters.h"
#include "quant/walk.h"

namespace octet {
namespace {

struct Bounds {
  std::vector<float> lo, hi;
  Dims dims;
};

/// Both bounds over common dims: equal dims, or one of them a single number.
Result<Bounds> bounds_of(const Tensor& min, const Tensor& max) {
  Result<std::vector<float>> lo = floats_of(min, "the lower bound");
  if (!lo) return lo.error();
  Result<std::vector<float>> hi = floats_of(max, "the upper bound");
  if (!hi) return hi.error();
  for (const std::vector<float>* side : {&*lo, &*hi}) {
    if (std::any_of(side->begin(), side->end(), [](float b) { return std::isnan(b); })) {
      return Error{ErrorCode::bad_argument, "a bound of the clip is NaN; numbers are expected"};
    }
  }
  if (lo->size() == 1) lo->resize(std::max<size_t>(hi->size(), 1), lo->front());
  if (hi->size() == 1) hi->resize(lo->size(), hi->front());
  const Dims dims = min.size() == 1 ? max.dims() : min.dims();
  if (lo->size() != hi->size() || (min.size() != 1 && max.size() != 1 && min.dims() != max.dims())) {
    return Error{ErrorCode::bad_argument, "the bounds are " + to_string(std::span<const int64_t>(min.dims())) +
                                              " and " + to_string(std::span<const int64_t>(max.dims())) +
                                              "; expected equal dims, or one number"};
  }
  return Bounds{*std::move(lo), *std::move(hi), dims};
}

Result<Done> check_learnable(const Tensor& min, const Tensor& max, const ClipGradientOptions& o) {
  for (const auto& [bound, learned] : {std::pair(&min, o.learn_min), std::pair(&max, o.learn_max)}) {
    if ((learned || o.ref_compat) && bound->size() != 1) {
      return Error{ErrorCode::bad_argument, "Learnable min/max can only be scalar, got size " +
                                                to_string(std::span<const int64_t>(bound->dims()))};
    }
  }
  return Done{};
}

}  // namespace

Result<Tensor> pact_clip(const TensorView& x, const Tensor& min, const Tensor& max) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  const Result<Bounds> bounds = bounds_of(min, max);
  if (!bounds) return bounds.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(x.dtype, x.dims, made->second);
  const Walk operands{.x = x, .y = y, .parameter_dims = bounds->dims, .what = "a bound"};
  const Result<Done> done = walk(operands, **rows, [&](const Row& r) {
    (*rows)->clip(r.x, r.n, bounds->lo.data() + r.at, bounds->hi.data() + r.at, r.each, r.y);
  });
  if (!done) return done.error();
  return std::move(made->first);
}

Result<ClipGradients> pact_clip_backward(const TensorView& x, const Tensor& min, const Tensor& max,
                                         const TensorView& dy, const ClipGradientOptions& options) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (Result<Done> fits = check_learnable(min, max, options); !fits) return fits.error();
  const Result<Bounds> bounds = bounds_of(min, max);
  if (!bounds) return bounds.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView dx = TensorView::dense(x.dtype, x.dims, made->second);
  double below = 0, above = 0;
  const Walk operands{.x = x, .dy = dy, .y = dx, .parameter_dims = bounds->dims, .what = "a bound"};
  const Result<Done> done = walk(operands, **rows, [&](const Row& r) {
    for (size_t i = 0; i < r.n; ++i) {
      const size_t p = r.at + (r.each ? i : 0);
      const bool over = r.x[i] > bounds->lo[p], under = r.x[i] < bounds->hi[p];
      const float g = r.dy[i];
      if (!over) below += static_cast<double>(g);
      if (!under) above += static_cast<double>(g);
      r.y[i] = g * (over ? 1.0f : 0.0f) * (under ? 1.0f : 0.0f);
    }
  });
  if (!done) return done.error();
  ClipGradients gradients{std::move(made->first), {}, {}};
  if (options.learn_min) gradients.dmin = static_cast<float>(below);
  if (options.learn_max) gradients.dmax = static_cast<float>(above);
  return gradients;
}

}  // namespace octet
