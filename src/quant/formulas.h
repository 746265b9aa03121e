#pragma once
// The two other formulas that networks meet beside the toolkit's (functions.h): PyTorch's own fake quantization and
// ONNX's QuantizeLinear / DequantizeLinear. On ties the three give different integers (docs/toolkit_behaviour.md, D43).
//
//   toolkit     rint(f32(x * f32(bound / amax)))
//   PyTorch     rint(f32(x * f32(1 / s)))            y = f32((q - zp) * s)
//   ONNX        rint(f32(x / s))                     y = f32((q - zp) * s)
//
// scale is broadcast to x by NumPy's rule. octet's engine follows ONNX.

#include "base/result.h"
#include "tensor/tensor.h"

namespace octet {

struct IntegerCodes {
  int zero_point = 0;
  int min = -128, max = 127;
};

/// fake_quantize_per_tensor_affine and _per_channel_affine. A scale that is not a positive normal float is an error;
/// ref_compat takes it (amax 0 gives scale 0 there, D39).
Result<Tensor> torch_fake_quantize(const TensorView& x, const Tensor& scale, const IntegerCodes& codes = {},
                                   bool ref_compat = false);

/// Codes as s8 or u8, by the range: NaN gives the zero point (ONNX is silent).
Result<Tensor> onnx_quantize(const TensorView& x, const Tensor& scale, const IntegerCodes& codes = {});
/// f32 values of s8 or u8 codes.
Result<Tensor> onnx_dequantize(const Tensor& codes, const Tensor& scale, int zero_point = 0);

}  // namespace octet
