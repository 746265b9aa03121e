#pragma once
// The 8- and 4-bit floats of ONNX: sign, exponent, fraction. Source: ONNX documentation, "Float stored in 8 bits" and
// "Float stored in 4 bits"; OCP microscaling formats 1.0.
//   f8e4m3fn     bias 7,  largest 448,   no infinity, NaN 0x7f and 0xff
//   f8e4m3fnuz   bias 8,  largest 240,   no infinity, no negative zero, NaN 0x80
//   f8e5m2       bias 15, largest 57344, infinities, NaN above them
//   f8e5m2fnuz   bias 16, largest 57344, no infinity, no negative zero, NaN 0x80
//   f4e2m1       bias 1,  largest 6,     neither infinity nor NaN

#include <cstdint>

#include "base/dtype.h"

namespace octet {

/// The value of a code; dtype is one of the short floats.
float short_float_value(DType dtype, uint8_t code);
/// The nearest code, ties to even. Beyond the largest value: the largest with saturate (infinity too), else infinity
/// or, where the type has none, NaN. f4e2m1 always saturates, and NaN becomes 6.
uint8_t short_float_code(DType dtype, float value, bool saturate);

}  // namespace octet
