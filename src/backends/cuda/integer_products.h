#pragma once
// Launches of the integer ops whose operands or zero points are known at run time only.

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// A zero point in the u8 domain: a number, or a code that an op before has made.
struct ZeroPoint {
  const uint8_t* at = nullptr;
  int32_t value = 0;
};

/// y = sums of (a - a_zero) * (b - b_zero) for matrices of codes anywhere in memory.
struct IntegerMatMulParams {
  MatMulParams shape;
  ZeroPoint a_zero, b_zero;
  bool raw = false;  // y holds the sums as s32
  float multiplier = 0;
  Epilogue epilogue;
};
/// batch: loop operand 0 = y, 1 = a, 2 = b; at most 65535.
cudaError_t launch_integer_matmul(const Strided& batch, const IntegerMatMulParams& p, void* y, const void* a,
                                  const void* b, cudaStream_t stream);

/// Sums of (x - zero) * w as s32; w: [kh][kw][channels of a group][oc] s16, without its zero points.
cudaError_t launch_conv_integer(const WindowParams& p, ZeroPoint x_zero, cudaStream_t stream);

/// DynamicQuantizeLinear of the loop's elements (operand 0 = y, 1 = x), two kernels. range: two words that are zero,
/// and zero again afterwards; arrived: one such word.
cudaError_t launch_dynamic_quantize(const Strided& s, uint8_t* y, float* scale, uint8_t* zero, const float* x,
                                    int32_t* range, int32_t* arrived, cudaStream_t stream);

/// How a number lies in memory; s8: a code, stored + 128.
enum class Number : int { f32, f16, s32, s64, u8, s8, boolean };
/// Cast of the loop's elements (operand 0 = y, 1 = x).
cudaError_t launch_cast(const Strided& s, Number to, Number from, void* y, const void* x, cudaStream_t stream);

}  // namespace octet::cuda
