#pragma once
// Between octet's tensors and libtorch's.

#include <torch/torch.h>

#include "base/result.h"
#include "tensor/tensor.h"

namespace octet::nn {

/// The value, or its Error thrown as std::invalid_argument: the way libtorch's modules report.
template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::invalid_argument(result.error().message);
  return *std::move(result);
}

/// undefined for a dtype that libtorch 1.13 lacks (u16, u32, u64).
c10::ScalarType scalar_type(DType dtype);
DType dtype_of(c10::ScalarType type);
/// A copy on the CPU.
torch::Tensor to_torch(const octet::Tensor& tensor);
octet::Tensor to_octet(const torch::Tensor& tensor);
/// Borrows a tensor on the CPU, any strides.
TensorView view_of(const torch::Tensor& tensor);

}  // namespace octet::nn
