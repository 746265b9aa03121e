#pragma once
// Largest absolute values, whole or per channel: dynamic amax, the max calibrator, the toolkit's reduce_amax.

#include <optional>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace octet {

/// Axes counted from 0, ascending; negative ones count from the end. An axis outside [-rank, rank) or named twice is an
/// error.
Result<std::vector<int64_t>> normalized_axes(const std::vector<int64_t>& axes, size_t rank);

/// max|x| for each index of the kept axes, the others of size 1; without axes one number of rank 0. NaN wins. f32.
/// An empty tensor is an error. ref_compat: one number has rank 0 whatever the axes (D22), and where x holds a NaN the
/// others keep their sign, as the toolkit takes |x| only where min(x) < 0.
Result<Tensor> kept_amax(const TensorView& x, const std::optional<std::vector<int64_t>>& axes, bool ref_compat = false);

/// The toolkit's helper: axes are those that are reduced; none = all. Without keepdims the reduced ones go, with
/// ref_compat every unit dimension (D26).
Result<Tensor> reduce_amax(const TensorView& x, const std::optional<std::vector<int64_t>>& reduced,
                           bool keepdims = true, bool ref_compat = false);

}  // namespace octet
