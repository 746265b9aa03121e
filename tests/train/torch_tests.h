#pragma once
// What the tests of the training room share.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "quant/golden.h"
#include "train/convert.h"

namespace octet::nn {

inline torch::Tensor floats(std::vector<float> values) {
  return torch::from_blob(values.data(), {static_cast<int64_t>(values.size())}).clone();
}

/// Same dims and numbers; NaN equals NaN, -0 equals +0.
inline testing::AssertionResult same(const torch::Tensor& got, const torch::Tensor& wanted) {
  return same_numbers(to_octet(got), to_octet(wanted), ZeroSigns::do_not);
}
inline testing::AssertionResult same(const torch::Tensor& got, std::vector<float> wanted) {
  return same(got.reshape({-1}), floats(std::move(wanted)));
}
/// As same(), but the signs of zeros count too.
inline testing::AssertionResult same_bits(const torch::Tensor& got, const octet::Tensor& wanted) {
  if (to_octet(got) == wanted) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "bits differ, the largest difference is "
                                     << (got - to_torch(wanted)).abs().max().item<double>();
}

}  // namespace octet::nn
