#pragma once
// Parameters of the element-wise functions (amax, bounds) as plain floats, and the straight-through gradient.

#include <span>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace octet {

/// f32, f16 or bf16 widened to f32; another dtype is an error that names `what`.
Result<std::vector<float>> floats_of(const Tensor& tensor, const char* what);
/// The floats rounded to f32, f16 or bf16.
Result<Tensor> tensor_of(DType dtype, const Dims& dims, std::span<const float> values);
std::vector<float> negated(std::vector<float> values);
/// dx = lo <= x <= hi ? dy : 0; lo and hi in the dense order of dims, broadcast to x. dx has x's dtype.
Result<Tensor> pass_within(const TensorView& x, const TensorView& dy, std::span<const float> lo,
                           std::span<const float> hi, const Dims& dims, const char* what);

}  // namespace octet
