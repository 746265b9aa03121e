#pragma once
// Finds the steps of a function from values to codes.

#include <optional>

#include "kernels/activation/activation_isa.h"

namespace octet {

/// An activation and the quantization behind it.
struct CodeRule {
  ActivationParams activation;
  float inverse_scale = 1.0f;
  int32_t zero_point = 0, lo = 0, hi = 255;  // u8 domain
};

/// q[i] = the code of v[i] by the rule, n values; v is overwritten.
void codes_of(const CodeRule& rule, const ActivationKernels& kernels, float* v, size_t n, uint8_t* q);

/// The rule's steps for |v| <= k_most_stepped, with the codes that `kernels` gives; none where they do not fit
/// CodeSteps: too many or too large for its cells, or falling behind rising ones.
inline constexpr float k_most_stepped = 0x1p90f;
std::optional<CodeSteps> find_code_steps(const CodeRule& rule, const ActivationKernels& kernels);

}  // namespace octet
