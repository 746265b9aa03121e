// The judge of the activation family: octet's own functions, one value at a time.

#include <span>

#include "kernels/activation/activation_isa.h"
#include "kernels/scalar_inline.h"
#include "tensor/activation.h"

namespace octet {
namespace {

static_assert(static_cast<int>(ActivationKind::tanh_) == static_cast<int>(Activation::tanh) &&
                  static_cast<int>(ActivationKind::clip) == static_cast<int>(Activation::clip) &&
                  static_cast<int>(ActivationKind::hard_sigmoid) == static_cast<int>(Activation::hard_sigmoid),
              "both lists name the functions in the same order");

void activate_row(float* v, size_t n, ActivationParams activation) {
  const float params[2] = {activation.p0, activation.p1};
  for (size_t i = 0; i < n; ++i) v[i] = activate(static_cast<Activation>(activation.kind), params, v[i]);
}

void quantize_row(const float* v, size_t n, float inverse_scale, int32_t zero_point, int32_t lo, int32_t hi,
                  uint8_t* q) {
  for (size_t i = 0; i < n; ++i) q[i] = code_from_f32(v[i] * inverse_scale, zero_point, lo, hi);
}

}  // namespace

const ActivationKernels activation_scalar = {activate_row, quantize_row, "scalar"};

}  // namespace octet
