#pragma once
// The functions of NVIDIA's pytorch-quantization toolkit, to its last bit: tensor_quant and its family.
//
//   s = f32(bound / amax)      bound = 2^(b-1+u) - 1, u = 1 when unsigned
//   q = clamp(rint(f32(x * s)), min_bound, bound)      rint: ties to even
//   tensor_quant gives q and s, fake_tensor_quant f32(q / s): a division, where ONNX multiplies by amax / bound
//
// min_bound is -bound (narrow), -bound - 1 (full) or 0 (unsigned). Where amax is 0, q is 0 and the scale given back 1.
// +-inf saturates, NaN stays NaN. amax is broadcast to x by NumPy's rule: per tensor [], per channel [1,..,C,..,1].
// x: f32, f16 or bf16, any strides. Half inputs are widened, computed in f32 and rounded once at the end.
//
// ref_compat keeps the toolkit's defects: any num_bits (D12); amax <= 2^-24 counts as 0 (D7); non-finite amax is taken
// (D5); half rounds the scale before dividing and bf16 its product too (D8). What D5 and the like are, here and in the
// other files: docs/toolkit_behaviour.md. docs/numerics.md puts ONNX's Q and DQ beside these functions.

#include <optional>

#include "base/result.h"
#include "tensor/tensor.h"

namespace octet {

/// A view of immutable elements, to be read only.
TensorView view_of(const Tensor& tensor);

struct QuantOptions {
  int num_bits = 8;          // signed 2..16, unsigned 1..16
  bool is_unsigned = false;  // x must not be negative
  bool narrow_range = true;  // signed only: without the level -bound - 1
  bool ref_compat = false;
};

struct QuantizedTensor {
  Tensor values;  // s8, u8, s16 or u16 by bits and sign, NaN as 0; with ref_compat floats of x's dtype
  Tensor scale;   // amax's dims, f32; with ref_compat of x's dtype
};

/// Errors: "Negative values encountered in unsigned quantization", "Negative values in amax", a non-finite amax, bits
/// out of range, a dtype, an amax that does not broadcast; with ref_compat a scale beyond half's 65504 for a half x.
Result<QuantizedTensor> tensor_quant(const TensorView& x, const Tensor& amax, const QuantOptions& options = {});
/// x's dims and dtype. Errors as above.
Result<Tensor> fake_tensor_quant(const TensorView& x, const Tensor& amax, const QuantOptions& options = {});
/// The same into y: x's dims, any strides, f32, f16 or bf16; y may be x itself.
Result<Done> fake_tensor_quant_into(const TensorView& x, const Tensor& amax, const QuantOptions& options,
                                    const TensorView& y);
/// The straight-through gradient of both: dx = |x| <= amax ? dy : 0. No scale enters it, and none reaches amax.
Result<Tensor> tensor_quant_backward(const TensorView& x, const Tensor& amax, const TensorView& dy,
                                     bool ref_compat = false);

struct AffineOptions {
  int num_bits = 8;           // 2..16
  bool include_zero = false;  // extend [min, max] to hold 0
  bool ref_compat = false;    // min >= max gives what the formula gives (D13) instead of an error
};
/// Codes -2^(b-1) .. 2^(b-1)-1 with a zero point, per tensor:
///   step = f32(f32(max - min) / f32(2^b - 1));  z = f32(rint(f32(min / step)) - lo)
///   y = f32(f32(clamp(f32(rint(f32(x / step)) - z), lo, hi) + z) * step)
Result<Tensor> fake_affine_tensor_quant(const TensorView& x, float min, float max, const AffineOptions& options = {});
/// dx = min <= x <= max ? dy : 0.
Result<Tensor> fake_affine_tensor_quant_backward(const TensorView& x, float min, float max, const TensorView& dy);

/// y = f32(e4m3(f32(x*s)) / s), s = 448 / amax; without amax e4m3(x). e4m3: nearest of the E4M3FN values (bias 7, no
/// infinity), ties to even, saturating at 448. |x| < 2^-24 gives +0, NaN stays NaN. A float8 of 4 and 3 bits only.
Result<Tensor> scaled_e4m3(const TensorView& x, const std::optional<Tensor>& amax = {}, int exponent_bits = 4,
                           int mantissa_bits = 3);
/// dx = |x| <= (amax or 448) ? dy : 0.
Result<Tensor> scaled_e4m3_backward(const TensorView& x, const std::optional<Tensor>& amax, const TensorView& dy);

/// PACT (arXiv:1805.06085): y = max(min(x, max), min), the bounds broadcast to x.
Result<Tensor> pact_clip(const TensorView& x, const Tensor& min, const Tensor& max);

struct ClipGradientOptions {
  bool learn_min = true, learn_max = true;  // a learned bound has one element
  bool ref_compat = false;                  // both must have one element, learned or not (D14)
};
struct ClipGradients {
  Tensor dx;                        // dy strictly inside (min, max), 0 at and beyond a bound
  std::optional<float> dmin, dmax;  // sums of dy over x <= min and x >= max; NaN belongs to both
};
Result<ClipGradients> pact_clip_backward(const TensorView& x, const Tensor& min, const Tensor& max,
                                         const TensorView& dy, const ClipGradientOptions& options = {});

}  // namespace octet
