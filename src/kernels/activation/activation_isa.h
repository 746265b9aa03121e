#pragma once
// The activation family's functions, one set per ISA. C headers only: ISA files include this.

#include <stddef.h>
#include <stdint.h>

#include "kernels/conventions.h"

namespace octet {

struct ActivationKernels {
  /// v[i] = act(v[i]), n values, in place.
  void (*activate)(float* v, size_t n, ActivationParams activation);
  /// q[i] = clamp(rne(clamp(v[i] * inverse_scale, +-2^30)) + zero_point, lo, hi), NaN -> zero_point; u8 domain.
  void (*quantize)(const float* v, size_t n, float inverse_scale, int32_t zero_point, int32_t lo, int32_t hi,
                   uint8_t* q);
  const char* name;
};

extern const ActivationKernels activation_scalar;
extern const ActivationKernels activation_avx2;
extern const ActivationKernels activation_avx512_vnni;

}  // namespace octet
