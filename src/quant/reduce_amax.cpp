#include "quant/reduce_amax.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "quant/walk.h"

namespace octet {
namespace {

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

Result<bool> any_nan(const TensorView& x, const QuantRows& rows) {
  uint32_t most = 0;
  const Result<Done> done =
      walk({.x = x, .parameter_dims = {}}, rows, [&](const Row& r) { most = std::max(most, rows.abs_max(r.x, r.n)); });
  if (!done) return done.error();
  return most > 0x7f800000u;
}

/// max(x), not |x|; NaN wins.
Result<Tensor> signed_max(const TensorView& x, const Dims& dims, const QuantRows& rows) {
  std::vector<float> most(static_cast<size_t>(*element_count(dims)), -std::numeric_limits<float>::infinity());
  const Result<Done> done = walk({.x = x, .parameter_dims = dims}, rows, [&](const Row& r) {
    for (size_t i = 0; i < r.n; ++i) {
      float& m = most[r.at + (r.each ? i : 0)];
      m = std::isnan(r.x[i]) ? r.x[i] : r.x[i] > m ? r.x[i] : m;
    }
  });
  if (!done) return done.error();
  return f32_tensor(dims, most);
}

Result<Tensor> absolute_max(const TensorView& x, const Dims& dims, const QuantRows& rows) {
  std::vector<uint32_t> most(static_cast<size_t>(*element_count(dims)), 0);
  const Result<Done> done = walk({.x = x, .parameter_dims = dims}, rows, [&](const Row& r) {
    if (!r.each) {
      most[r.at] = std::max(most[r.at], rows.abs_max(r.x, r.n));
      return;
    }
    for (size_t i = 0; i < r.n; ++i) {
      most[r.at + i] = std::max(most[r.at + i], std::bit_cast<uint32_t>(r.x[i]) & 0x7fffffffu);
    }
  });
  if (!done) return done.error();
  std::vector<float> values;
  for (const uint32_t bits : most) values.push_back(std::bit_cast<float>(bits));
  return f32_tensor(dims, values);
}

Dims kept_dims(const Dims& dims, const std::vector<int64_t>& kept) {
  Dims out(dims.size(), 1);
  for (const int64_t axis : kept) out[static_cast<size_t>(axis)] = dims[static_cast<size_t>(axis)];
  return out;
}

}  // namespace

Result<std::vector<int64_t>> normalized_axes(const std::vector<int64_t>& axes, size_t rank) {
  std::vector<int64_t> out;
  const auto limit = static_cast<int64_t>(rank);
  for (const int64_t axis : axes) {
    if (axis < -limit || axis >= limit) {
      return bad("axis " + std::to_string(axis) + " does not exist in a tensor of rank " + std::to_string(rank) +
                 "; expected " + std::to_string(-limit) + " to " + std::to_string(limit - 1));
    }
    out.push_back(axis < 0 ? axis + limit : axis);
  }
  std::sort(out.begin(), out.end());
  const auto twice = std::adjacent_find(out.begin(), out.end());
  if (twice != out.end()) return bad("axis " + std::to_string(*twice) + " is named twice");
  return out;
}

Result<Tensor> kept_amax(const TensorView& x, const std::optional<std::vector<int64_t>>& axes, bool ref_compat) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (std::any_of(x.dims.begin(), x.dims.end(), [](int64_t d) { return d == 0; })) {
    return bad("an empty tensor " + to_string(std::span<const int64_t>(x.dims)) + " has no maximum");
  }
  Dims dims;
  if (axes) {
    const Result<std::vector<int64_t>> kept = normalized_axes(*axes, x.dims.size());
    if (!kept) return kept.error();
    dims = kept_dims(x.dims, *kept);
  }
  bool keeps_sign = false;
  if (ref_compat) {
    const Result<bool> nan = any_nan(x, **rows);
    if (!nan) return nan.error();
    keeps_sign = *nan;
    if (*element_count(dims) == 1) dims = {};
  }
  return keeps_sign ? signed_max(x, dims, **rows) : absolute_max(x, dims, **rows);
}

Result<Tensor> reduce_amax(const TensorView& x, const std::optional<std::vector<int64_t>>& reduced, bool keepdims,
                           bool ref_compat) {
  if (!reduced) return kept_amax(x, {}, ref_compat);
  if (reduced->size() > x.dims.size()) return bad("Cannot reduce more axes than tensor's dim.");
  const Result<std::vector<int64_t>> gone = normalized_axes(*reduced, x.dims.size());
  if (!gone) return gone.error();
  const auto is_gone = [&](size_t d) {
    return std::binary_search(gone->begin(), gone->end(), static_cast<int64_t>(d));
  };
  std::vector<int64_t> kept;
  for (size_t d = 0; d < x.dims.size(); ++d) {
    if (!is_gone(d)) kept.push_back(static_cast<int64_t>(d));
  }
  Result<Tensor> amax = kept_amax(x, kept, ref_compat);
  if (!amax) return amax;
  const bool squeezes_all = ref_compat && (!keepdims || amax->size() == 1);
  Dims dims;
  for (size_t d = 0; d < x.dims.size(); ++d) {
    const int64_t extent = is_gone(d) ? 1 : x.dims[d];
    const bool leaves = squeezes_all ? extent == 1 : !keepdims && is_gone(d);
    if (!leaves) dims.push_back(extent);
  }
  return amax->reshaped(dims);
}

}  // namespace octet
