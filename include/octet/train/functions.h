#pragma once
// The quantization functions as differentiable functions of libtorch's tensors: the numbers of octet/quant.h to the
// last bit, and the straight-through gradients (docs/toolkit_behaviour.md, Functions).
//
//   torch::Tensor y = octet::nn::fake_tensor_quant(x, x.abs().amax());
//   y.sum().backward();                                                  // dx = |x| <= amax ? dy : 0
//
// What libtorch's own modules do on a wrong argument, these do too: they throw (std::invalid_argument).
// On the CPU f32, f16 and bf16, elsewhere f32.

#include <torch/torch.h>

#include <optional>
#include <utility>

#include "quant/functions.h"

namespace octet::nn {

/// q as floats of x's dtype (f32 for half), and the scale; dx = |x| <= amax ? dy : 0, without the scale.
std::pair<torch::Tensor, torch::Tensor> tensor_quant(const torch::Tensor& x, const torch::Tensor& amax,
                                                     const QuantOptions& options = {});
torch::Tensor fake_tensor_quant(const torch::Tensor& x, const torch::Tensor& amax, const QuantOptions& options = {});
/// dx = min <= x <= max ? dy : 0.
torch::Tensor fake_affine_tensor_quant(const torch::Tensor& x, float min, float max, const AffineOptions& options = {});
/// dx = |x| <= (amax or 448) ? dy : 0.
torch::Tensor scaled_e4m3(const torch::Tensor& x, const std::optional<torch::Tensor>& amax = {});
/// PACT (arXiv:1805.06085): max(min(x, max), min). Inside the bounds dx = dy; at and beyond a bound that bound gets dy.
/// A bound that requires a gradient must have one element.
torch::Tensor pact_clip(const torch::Tensor& x, const torch::Tensor& min, const torch::Tensor& max);

/// Codes of ONNX's Q and DQ with the zero point taken out: lo and hi are the smallest and the largest code less it.
struct CodeLimits {
  float lo = -128, hi = 127;
  bool rectified = false;  // x comes from in front of a ReLU, and lo is 0: the same y, and dx is 0 for x <= 0 too
  float step = 0;          // of a scale with one element, where the caller knows it: a GPU then reads none; 0 = unknown
};
/// y = f32(clamp(rint(f32(x / scale)), lo, hi) * scale): what QuantizeLinear and DequantizeLinear do together. scale
/// has one element, or x.size(axis). dx = lo <= x / scale <= hi ? dy : 0; scale gets no gradient.
torch::Tensor fake_quantize(const torch::Tensor& x, const torch::Tensor& scale, CodeLimits limits, int64_t axis = 0);
/// The same with a learned step (LSQ, arXiv:1902.08153, formulas 3 and 5): v = x / scale,
///   dscale = g * sum dy * (v <= lo ? lo : v >= hi ? hi : rint(v) - v),   g = 1 / sqrt(elements per scale * hi)
torch::Tensor learned_quantize(const torch::Tensor& x, const torch::Tensor& scale, CodeLimits limits, int64_t axis = 0);

/// y = f32(rint(f32(x / scale)) * scale), of codes that never end: biases. dx = dy.
torch::Tensor round_to_grid(const torch::Tensor& x, const torch::Tensor& scale, int64_t axis = 0);

}  // namespace octet::nn
