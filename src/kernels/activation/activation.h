#pragma once
// Vector forms of octet's activation functions and of form 3's quantization; bit-equal to src/tensor/activation.h.

#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "kernels/conventions.h"

namespace octet {

struct ActivationKernels {
  /// v[i] = act(v[i]), n values, in place.
  void (*activate)(float* v, size_t n, ActivationParams activation);
  /// q[i] = clamp(rne(clamp(v[i] * inverse_scale, +-2^30)) + zero_point, lo, hi), NaN -> zero_point; u8 domain.
  void (*quantize)(const float* v, size_t n, float inverse_scale, int32_t zero_point, int32_t lo, int32_t hi, uint8_t* q);
  const char* name;
};
ActivationKernels activation_kernels(Isa isa);

}  // namespace octet
