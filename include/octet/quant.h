#pragma once
// Quantization as NVIDIA's pytorch-quantization toolkit computes it: functions on tensors, to the last bit.
//
//   Tensor x = ...;                                             // f32
//   Result<Tensor> amax = octet::kept_amax(view_of(x), {});     // max|x|
//   Result<Tensor> y = octet::fake_tensor_quant(view_of(x), *amax);
//
// docs/numerics.md puts the formulas beside ONNX's Q and DQ. `ref_compat` in the options gives the toolkit's behaviour
// where octet's default is another; docs/toolkit_behaviour.md lists where, by the D numbers that comments cite.

#include "octet/result.h"
#include "quant/calibrator.h"
#include "quant/descriptor.h"
#include "quant/formulas.h"
#include "quant/functions.h"
#include "quant/quantizer.h"
#include "quant/quantizer_export.h"
#include "quant/reduce_amax.h"
#include "quant/weights.h"
