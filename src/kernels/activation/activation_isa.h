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

/// How many steps a cell of CodeSteps may hold.
inline constexpr int k_most_cell_steps = 4;

/// An activation and the quantization behind it as what they are together: a function from f32 to codes that is
/// constant but for some hundreds of steps. w = rne(fma(v, scale, offset)), clamped to 0 .. 65535, is in cell w >> 8 at
/// place w & 255. The code is the cell's base and one more (below first_rising one less) for each step of the cell
/// whose place is less. At the very place of a step it may be either, and v has to be asked. Place 255 says that there
/// is no step.
struct CodeSteps {
  alignas(64) uint8_t base[256];
  uint8_t place[k_most_cell_steps][256];
  float scale, offset;
  int32_t slots;         // most steps of a cell, 1 .. k_most_cell_steps
  int32_t first_rising;  // 0 .. 255
};

/// q[i] = the code of v[i] for 64 * groups values that are no NaN; bit i of unsure[g] tells that value 64 g + i lies at
/// a step's place.
using CodesOfStepsFn = void (*)(const CodeSteps& steps, const float* v, size_t groups, uint8_t* q, uint64_t* unsure);
void codes_of_steps_vbmi(const CodeSteps& steps, const float* v, size_t groups, uint8_t* q, uint64_t* unsure);

extern const ActivationKernels activation_scalar;
extern const ActivationKernels activation_avx2;
extern const ActivationKernels activation_avx512_vnni;

}  // namespace octet
