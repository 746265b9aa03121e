#pragma once
// The family's functions, one set per ISA. C headers only: ISA files include this.

#include <stdint.h>

namespace octet {

/// Sums to codes: clamp(rne((float)sum * multiplier) + zero_point, lo, hi), all in the u8 domain.
struct SumsToCodes {
  float multiplier;
  int32_t zero_point, lo, hi;
};

/// A product of codes as they are, four at a time: sums[m][j] = sum over k of (a - a_zero_point) (b - b_zero_point) for
/// `rows` rows of a, a_step apart, and 16 * panels columns of b, rows of sums `pitch` apart. All modulo 2^32; k counts
/// fours, which pack_quads brought into order.
struct QuadProduct {
  const uint8_t* a;
  int64_t a_step, rows, quads;
  const int8_t* b;  // [panel][quad][16 columns][4], codes - 128
  int64_t panels;
  int32_t a_zero_point, b_zero_point;
  int32_t* sums;
  int64_t pitch;
};

/// Codes without their zero points, in [-255, 255]. k counts pairs: an odd k is filled up with a zero.
struct MatMulS16Kernels {
  /// sums[j] = sum over p < pairs of a[2p] b[p][j][0] + a[2p+1] b[p][j][1] for the 16 columns of each of `count` panels
  /// of b, one behind the other. Exact: 2 * 255^2 * pairs < 2^31 is the caller's promise. rows of a lie 2 * pairs
  /// apart, rows of sums `pitch` apart.
  void (*panels)(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int64_t count, int32_t* sums,
                 int64_t pitch);
  /// to[i] = codes[i] - zero_point.
  void (*centre_row)(const uint8_t* codes, int64_t n, int32_t zero_point, int16_t* to);
  /// One pair of rows of a panel: to[2 j] = even[j] - zero_point, to[2 j + 1] = odd[j] - zero_point, j < 16.
  void (*centre_pair)(const uint8_t* even, const uint8_t* odd, int32_t zero_point, int16_t* to);
  /// v[j] = (float)sums[j] * multiplier.
  void (*scale_row)(const int32_t* sums, int64_t n, float multiplier, float* v);
  /// n codes of each of `rows` rows, y_step apart. Rows of sums lie `pitch` apart, a multiple of 16 that is n at least.
  void (*quantize_rows)(const int32_t* sums, int64_t rows, int64_t n, int64_t pitch, const SumsToCodes& to, uint8_t* y,
                        int64_t y_step);
  /// Null where products of codes as they are have no kernel. One panel of b: to[quad][j][i] = from[4 quad + i][j] -
  /// 128.
  void (*pack_quads)(const uint8_t* from, int64_t row_step, int64_t quads, int8_t* to);
  /// The same of a transposed b, whose columns lie column_step apart: to[quad][j][i] = from[j][4 quad + i] - 128.
  void (*pack_quad_columns)(const uint8_t* from, int64_t column_step, int64_t quads, int8_t* to);
  void (*multiply_quads)(const QuadProduct& product);
  const char* name;
};

extern const MatMulS16Kernels matmul_s16_scalar;
extern const MatMulS16Kernels matmul_s16_avx2;
extern const MatMulS16Kernels matmul_s16_avx_vnni;
extern const MatMulS16Kernels matmul_s16_avx512_vnni;

}  // namespace octet
