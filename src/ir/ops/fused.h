#pragma once
// What octet's own fused and integer ops share: their activation, their quantization attributes, the requantize
// expression.

#include <span>
#include <vector>

#include "ir/op.h"
#include "tensor/activation.h"
#include "tensor/quant_params.h"

namespace octet {

/// activation and activation_params of a node; none when the attribute is absent.
struct FusedActivation {
  Activation kind = Activation::none;
  std::vector<float> params;
  float operator()(float x) const { return activate(kind, params, x); }
};
/// Errors: an unknown word, too few params.
Result<FusedActivation> fused_activation(const NodeContext& context);

/// x_scale and x_zero_point for prefix "x", with the dtype of the tensor they describe.
/// Errors: a scale that is not positive and normal, a zero point outside the dtype's codes.
Result<QuantParams> quant_params(const NodeContext& context, const std::string& prefix, DType dtype);
/// The attribute `to`: u8, s8 or f32.
Result<DType> output_dtype(const NodeContext& context);
/// "input 0 is f32, expected codes (u8 or s8)".
Result<Done> require_codes(const NodeContext& context, size_t input);

/// From float products to codes, src/ir/ops/README.md forms 2 and 3.
struct Requantize {
  QuantParams y;  // dtype f32: no codes, values
  FusedActivation act;
  int32_t lo = 0, hi = 0;  // code bounds, tightened by Relu and Clip
  float inverse_scale = 0;

  /// Form 3: the activation is evaluated on real values, before the scale of y.
  bool on_values() const;
  /// The scale of y that a product's multiplier carries: y_scale in form 2, 1 in form 3.
  double y_scale() const { return on_values() ? 1.0 : static_cast<double>(y.scale); }
  /// rne(v) + zero_point within lo..hi for a product that carries 1/y_scale already (form 2).
  int32_t code(float v) const;
  /// act(v), then a code by inverse_scale (form 3).
  int32_t code_of_value(float v) const;
};
/// From `to`, y_scale, y_zero_point, activation.
Result<Requantize> requantize_of(const NodeContext& context);

/// The outputs of an integer layer in row-major order, from products that carry 1/y_scale() already.
class LayerOutputs {
 public:
  /// form outlives this.
  explicit LayerOutputs(const Requantize& form) : form_(form) {}
  void add(float v);
  Result<std::vector<Tensor>> tensor(const Dims& dims) const;

 private:
  const Requantize& form_;
  std::vector<int32_t> codes_;  // or
  std::vector<float> values_;   // with y of dtype f32
};

/// An exact sum as the int32 that the integer layers accumulate in; an Error where it does not fit.
Result<int32_t> accumulator(const NodeContext& context, int64_t acc);

/// A validate function for x (input 0), an s8 weight with its output channels first (1) and an s32 bias (3), the latter
/// two where they are constants: 255 * sum |w| + |bias| of every channel stays below 2^31, so that no input of 8 bits
/// makes an accumulator leave int32. Error: the first channel where it does not.
Result<Done> require_exact_accumulators(const NodeContext& context);

/// Codes of a u8 or s8 tensor as integers.
std::vector<int32_t> code_values(const Tensor& codes);
/// A tensor of y's dtype: codes in [-128, 255] are narrowed, or floats are kept.
Result<std::vector<Tensor>> codes_tensor(DType dtype, const Dims& dims, std::span<const int32_t> codes);

/// Input i as floats of exactly `count` values, or empty when absent; an Error when the count differs.
Result<std::vector<float>> channel_values(const NodeContext& context, std::span<const Tensor> inputs, size_t i,
                                          int64_t count);
/// The same for a tensor of exactly these dims.
Result<std::vector<float>> full_values(const NodeContext& context, std::span<const Tensor> inputs, size_t i,
                                       const Dims& dims);
/// floats as a tensor of this float dtype.
Result<std::vector<Tensor>> from_f32(const NodeContext& context, DType dtype, const Dims& dims,
                                     std::span<const float> values);

/// The same from doubles, rounded once.
Result<std::vector<Tensor>> from_doubles(const NodeContext& context, DType dtype, const Dims& dims,
                                         std::span<const double> values);

}  // namespace octet
