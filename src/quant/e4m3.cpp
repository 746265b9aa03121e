// scaled_e4m3: a float of 4 exponent and 3 fraction bits, simulated. Not INT8: octet offers it as a function only.
#include <string>

#include "quant/functions.h"
#include "quant/parameters.h"
#include "quant/walk.h"

namespace octet {
namespace {

constexpr float k_e4m3_max = 448.0f;

}  // namespace

Result<Tensor> scaled_e4m3(const TensorView& x, const std::optional<Tensor>& amax, int exponent_bits,
                           int mantissa_bits) {
  if (exponent_bits != 4 || mantissa_bits != 3) {
    return Error{ErrorCode::unsupported, "Only support E=4 & M=3 for now, not E=" + std::to_string(exponent_bits) +
                                             " & M=" + std::to_string(mantissa_bits)};
  }
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  std::vector<float> scales;
  if (amax) {
    Result<std::vector<float>> values = floats_of(*amax, "amax");
    if (!values) return values.error();
    scales = *std::move(values);
    for (float& a : scales) a = k_e4m3_max / a;  // amax 0: infinity, which the function turns into zeros
  }
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(x.dtype, x.dims, made->second);
  const Dims dims = amax ? amax->dims() : Dims{};
  const Result<Done> done = walk({.x = x, .y = y, .parameter_dims = dims}, **rows, [&](const Row& r) {
    (*rows)->e4m3(r.x, r.n, amax ? scales.data() + r.at : nullptr, r.each, r.y);
  });
  if (!done) return done.error();
  return std::move(made->first);
}

Result<Tensor> scaled_e4m3_backward(const TensorView& x, const std::optional<Tensor>& amax, const TensorView& dy) {
  std::vector<float> hi = {k_e4m3_max};
  if (amax) {
    Result<std::vector<float>> values = floats_of(*amax, "amax");
    if (!values) return values.error();
    hi = *std::move(values);
  }
  return pass_within(x, dy, negated(hi), hi, amax ? amax->dims() : Dims{}, "amax");
}

}  // namespace octet
