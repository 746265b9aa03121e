#pragma once
// The calibration collector's inner loop, one function per ISA. C headers only: ISA files include this.

#include <stddef.h>
#include <stdint.h>

namespace octet {

/// From magnitudes to bins that are open below and closed above, 0 apart:
///   index of x = max(ceil(|x| * bins_per_unit) - 1, 0) + (sign bit of x ? negative_offset : 0)
/// written for the elements that are not +-0, in their order. bins_per_unit is a power of two, so the product is exact
/// (or so small that it lies in bin 0). Where |x| * bins_per_unit <= 2^30 for all x the indices are as above on every
/// ISA; else they may be anything, and the caller sees it from the ends.
/// ends[0], ends[1]: smallest and largest element as order keys: the bit pattern as a signed number, its 31 low bits
/// flipped where it is negative. Keys order as floats do, -0 below +0, NaNs beyond the infinities of their sign.
/// n >= 1. index has room for n + 16. Returns how many indices were written.
using HistogramIndexF32 = size_t (*)(const float* x, size_t n, float bins_per_unit, uint32_t negative_offset,
                                     uint32_t* index, int32_t* ends);

struct HistogramKernels {
  HistogramIndexF32 index_f32;
  const char* name;
};

extern const HistogramKernels histogram_scalar;
extern const HistogramKernels histogram_avx2;
extern const HistogramKernels histogram_avx512_vnni;

}  // namespace octet
