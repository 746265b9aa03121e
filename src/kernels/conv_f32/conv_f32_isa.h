#pragma once
// The inner function of the FP32 convolution: one tile of output pixels x one panel of output channels, over one block
// of the reduction. C headers only: ISA files include this.
//
//   acc[r][c] = start[p][c], p = pixels[r], then one fma per position of the listed segments in increasing order:
//   acc = fma(rows[p][s.segment][first_position + k], weights[s.depth + k][c], acc)
//   y[p][c] = min(max(acc (+ residual[p][c]), lo), hi)          NaN stays NaN
//
// The reduction of a large layer is cut into blocks whose weights stay in L2; y holds the sums between them, and that
// changes no bit. Every ISA does the same operations in the same order, so all give the same bits.

#include <stdint.h>

#include "kernels/implicit_gemm/listed_run_isa.h"

namespace octet {

/// Packed weights: [segment][position][vector][lane], zero where a channel does not exist.
struct ConvF32Run : ListedRun<float, float> {};

struct ConvF32Kernel {
  void (*run)(const ConvF32Run& run);
  int rows;           // most pixels of one tile
  int lanes;          // channels of one vector
  int vectors;        // vectors of a full panel
  double dot_cycles;  // of one vector of fma, for the static cost
  const char* name;
  double half_width_dot_cycles = 0;  // where a 512-bit instruction runs as two halves; 0 = dot_cycles
};

extern const ConvF32Kernel conv_f32_avx2;
extern const ConvF32Kernel conv_f32_avx512_vnni_6x64;
extern const ConvF32Kernel conv_f32_avx512_vnni_8x48;
extern const ConvF32Kernel conv_f32_avx512_vnni_12x32;

}  // namespace octet
