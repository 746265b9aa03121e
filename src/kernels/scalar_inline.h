#pragma once
// Requantization in plain C++, shared by the scalar kernels (the judges). Formula: src/ir/ops/README.md, forms 2 and 3.
// Not for ISA files: these are inline functions compiled without ISA flags.

#include <stdint.h>

#include <algorithm>
#include <cmath>

namespace octet {

/// Codes and their sums need 17 bits; +-2^30 plus a zero point is far from both that and int32's ends.
inline constexpr float k_rne_bound = 0x1p30f;

/// rne of v clamped to +-2^30: float to int32, ties to even. NaN gives 0, that is, the zero point.
inline int32_t rne_i32(float v) {
  if (std::isnan(v)) return 0;
  return static_cast<int32_t>(std::nearbyint(std::min(std::max(v, -k_rne_bound), k_rne_bound)));
}

/// clamp(rne(v) + zero_point, lo, hi), all in the u8 domain.
inline uint8_t code_from_f32(float v, int32_t zero_point, int32_t lo, int32_t hi) {
  return static_cast<uint8_t>(std::min(std::max(rne_i32(v) + zero_point, lo), hi));
}

}  // namespace octet
