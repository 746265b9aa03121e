#pragma once
// GELU by the complementary error function. For z = |x| / sqrt 2, t = 1 / (1 + z / 2):
//   erfc(z) = t exp(-z^2 + p(t)), p of degree 9; relative error below 1.2e-7 for all z.
// Source: W. Press et al., Numerical Recipes, 2nd edition, section 6.2 (a Chebyshev fit). Every step below is one
// rounding, the same on every ISA: z^2 = (x * x) * 0.5, the exponent by fma down the powers of t.

namespace octet {
namespace {

constexpr float k_gelu_p[] = {0.17087277f,  -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
                              -0.18628806f, 0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
constexpr float k_half_inverse_sqrt_2 = 0.35355339059327373f;  // z / 2 = |x| times this

}  // namespace
}  // namespace octet
