#pragma once
// TensorQuantizers of a network written into it as QuantizeLinear and DequantizeLinear: the toolkit's export to ONNX.
//
//   Result<Model> qdq = octet::export_quantizers(model, {{"input", &input_quantizer}, {"fc.weight",
//   &weight_quantizer}}); qdq->save("qdq.onnx");
//
// For ranges found by octet itself quantize() in octet/model.h is the way: it also chooses where codes pay.

#include <map>
#include <string>

#include "octet/model.h"
#include "octet/quant.h"

namespace octet {

struct ExportSpec {
  bool fold_weights = false;  // s8 codes behind DequantizeLinear instead of f32 behind both
  /// Accepted for code of the toolkit's release 2.1 (TensorQuantizer.use_fb_fake_quant); the numbers are the same.
  bool use_fb_fake_quant = false;
};

/// By the name of a value of the model (an input, an activation, a weight; `octet inspect --text` lists them): all its
/// readers get it quantized, what the network gives out stays as it is. A disabled quantizer is left out (D24). New
/// values are `<name>_scale`, `<name>_zero_point`, `<name>_quantized`, `<name>_dequantized`; biases stay float.
/// Errors: a quantized model, an unknown name, a value that is no f32, what qdq_form() refuses, channels that do not
/// fit.
Result<Model> export_quantizers(const Model& model, const std::map<std::string, const TensorQuantizer*>& quantizers,
                                const ExportSpec& spec = {});

}  // namespace octet
