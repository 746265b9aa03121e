#pragma once
// What a TensorQuantizer becomes in an ONNX file: scale, zero point 0 and axis of QuantizeLinear and DequantizeLinear.
// Source: docs/toolkit_behaviour.md, Export to ONNX; D39 (amax 0), D40 (unsigned).
//
//   scale = f32(amax / 127), or / 255 when unsigned; 1 where that is no positive normal float (amax 0)
//
// The toolkit's two ways there, PyTorch's own fake quantization (2.1: use_fb_fake_quant) and its own symbols (2.2),
// write the same numbers. ONNX divides by the scale where the toolkit multiplies by 127 / amax: on ties the codes
// differ (docs/numerics.md).

#include "quant/quantizer.h"

namespace octet {

struct QdqForm {
  Tensor scale;                       // [] or [C], f32
  DType dtype = DType::s8;            // of the codes; the zero point is 0
  std::optional<int64_t> axis = {};   // none: per tensor
  std::optional<Tensor> pre_scale{};  // what the tensor is multiplied by first
};

/// rank: of the tensor. Errors: no amax ("Quantizer has not been calibrated"), not 8 bits, E4M3, integers (fake_quant
/// false), a signed narrow range (ONNX has the codes -128..127), amax along several axes or of another rank.
Result<QdqForm> qdq_form(const TensorQuantizer& quantizer, size_t rank);

}  // namespace octet
