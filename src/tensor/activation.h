#pragma once
// octet's activation functions, defined operation by operation so that every back end gives the same bits.
// Every float operation below is one IEEE rounding to nearest even; fma is a fused multiply-add, rint rounds ties to
// even.
//
//   exp(x):  x = min(max(x, -87), 88);  n = rint(x * 0x1.715476p+0);  r = fma(n, -0x1.62e400p-1, x);  r = fma(n,
//   -0x1.7f7d1cp-20, r)
//            p = 0x1.a0d2cep-13;  p = fma(p, r, c) for c = 0x1.6e879cp-10, 0x1.111210p-7, 0x1.555382p-5, 0x1.555554p-3,
//            0x1.000000p-1 y = fma(p, r * r, r) + 1;   result: y with n added to its exponent (an integer add of n <<
//            23 to the bits)
//   sigmoid(x) = 1 / (1 + exp(-x))      silu(x) = x / (1 + exp(-x))      tanh(x) = 1 - 2 / (exp(x + x) + 1)
//   hard_sigmoid(x) = min(max(fma(x, alpha, beta), 0), 1)                hard_swish(x) = x * hard_sigmoid(x; 1/6, 1/2)
//   relu(x) = max(x, 0)   clip(x) = min(max(x, p0), p1)   leaky_relu(x) = x < 0 ? x * alpha : x
// NaN gives NaN (max and min keep the NaN of x). Polynomial: S. Moshier, Cephes expf; measured error below 1 ulp on
// [-87, 88]. silu divides -|x| by at most 1 + exp(88) = 1.7e38, so it leaves the true value (0) only for x below about
// -1e30.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

enum class Activation { none, relu, clip, leaky_relu, sigmoid, hard_sigmoid, hard_swish, silu, tanh };

/// From the graph's spelling: "", "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Silu", "Tanh".
Result<Activation> activation_from_name(std::string_view word);
std::string_view name(Activation activation);
/// How many activation_params it takes.
size_t activation_param_count(Activation activation);

float exp_f32(float x);
/// act(x); params as src/ir/ops/README.md lists them (Clip: min, max; LeakyRelu: alpha; HardSigmoid: alpha, beta).
float activate(Activation activation, std::span<const float> params, float x);

}  // namespace octet
