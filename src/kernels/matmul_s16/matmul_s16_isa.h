#pragma once
// The family's functions, one set per ISA. C headers only: ISA files include this.

#include <stdint.h>

namespace octet {

/// Codes without their zero points, in [-255, 255]. k counts pairs: an odd k is filled up with a zero.
struct MatMulS16Kernels {
  /// sums[j] = sum over p < pairs of a[2p] b[p][j][0] + a[2p+1] b[p][j][1] for the 16 columns of one panel of b.
  /// Exact: 2 * 255^2 * pairs < 2^31 is the caller's promise. rows of a lie 2 * pairs apart, rows of sums `pitch`
  /// apart.
  void (*panel)(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int32_t* sums, int64_t pitch);
  const char* name;
};

extern const MatMulS16Kernels matmul_s16_scalar;
extern const MatMulS16Kernels matmul_s16_avx2;
extern const MatMulS16Kernels matmul_s16_avx_vnni;
extern const MatMulS16Kernels matmul_s16_avx512_vnni;

}  // namespace octet
