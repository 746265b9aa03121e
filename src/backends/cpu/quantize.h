#pragma once
// The scale and zero point of a QuantizeLinear or DequantizeLinear per tensor.

#include "backends/cpu/step.h"

namespace octet::cpu {

struct Affine {
  float scale = 1.0f;
  int32_t zero_point = 0;  // u8 domain
};

/// codes: dtype on the quantized side. Only of nodes that quantize_step or dequantize_step do not refuse.
Affine affine_of(const StepQuery& query, DType codes);

}  // namespace octet::cpu
