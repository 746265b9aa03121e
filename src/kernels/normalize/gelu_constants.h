#pragma once
// GELU(x) = max(x, 0) - z g(z) e^(-z^2 / 2), where z = |x| and g(z) = e^(z^2 / 2) erfc(z / sqrt 2) / 2, which falls
// from 1/2 to 0.4 / z: two smooth functions take the place of one that falls through the whole range of f32.
//   g: 16 intervals of z + 1, four to an octave, a polynomial of degree 6 in the distance from the interval's middle
//   each. e: 2^y, y = z^2 c, c = -1 / (2 ln 2); the nearest sixteenth k / 16 by a table, the rest f by 1 + f a(f), a of
//   degree 2.
// Relative errors of these are 5.2e-8 (g; most of it the rounding of its constants) and 2.4e-9 (2^f). Every step is one
// rounding, the same on every ISA:
//   z = min(|x|, k_gelu_most);  i = bits 21 .. 24 of z + 1;  m = z + 1 with bit 20 set and those below cleared
//   u = z - (m - 1);  g = k_gelu_g[0][i];  g = fma(g, u, k_gelu_g[j][i]) for j = 1 .. 6
//   s = z * z;  t = fma(s, c, k_gelu_magic);  k = the bits of t;  f = fma(s, c, -(t - k_gelu_magic))
//   e: the bits k_gelu_power[k mod 16] + (k << 19);  a = fma(fma(a0, f, a1), f, a2)
//   GELU(x) = fma(-(z * g), fma(a, f, 1) * e, max(x, 0))
// m - 1 and t - k_gelu_magic are exact. Relative error below 3e-7 + 3.7e-8 x^2 for -13 <= x (normal results), found on
// every third f32: s carries its rounding (2^-24) and that of c (1.3e-8) into the exponent s / 2, a table its own and
// two or three roundings into the factors. Below -k_gelu_most GELU(x) stays what it is there, -1.6e-38, by way of
// normal numbers only.
// The constants are tools/fit_gelu.py's.

#include <stdint.h>

namespace octet {
namespace {

// k_gelu_begin
alignas(64) constexpr float k_gelu_g[7][16] = {
    {0.000609878567f, 0.000231180893f, 9.50891626e-05f, 4.20489341e-05f, 1.40880584e-05f, 3.86230249e-06f,
     1.25550298e-06f, 4.6741809e-07f, 1.31681034e-07f, 3.12542419e-08f, 9.36424094e-09f, 3.32703665e-09f,
     0.00762358122f, 0.00414499594f, 0.00231729588f, 0.00133013364f},
    {-0.00199945946f, -0.000833451631f, -0.000375739124f, -0.000181451527f, -6.8938898e-05f, -2.2023949e-05f,
     -8.22467973e-06f, -3.47271316e-06f, -1.15772502e-06f, -3.32996706e-07f, -1.17576398e-07f, -4.81830575e-08f,
     -0.0199741591f, -0.011422378f, -0.00671385601f, -0.00404978124f},
    {0.00610255357f, 0.00282373931f, 0.00140672922f, 0.000747130311f, 0.000320124411f, 0.000120689081f, 5.22437476e-05f,
     2.51797464e-05f, 9.82725851e-06f, 3.46374395e-06f, 1.45091997e-06f, 6.88757666e-07f, 0.0480796173f, 0.0290647615f,
     0.0180492047f, 0.0114946198f},
    {-0.0175288841f, -0.00907530822f, -0.00503120106f, -0.00295672542f, -0.00145900086f, -0.000651770504f,
     -0.000328051916f, -0.000180896197f, -8.42765076e-05f, -3.62768769e-05f, -1.79924191e-05f, -9.88151805e-06f,
     -0.105509296f, -0.0678184703f, -0.0447472036f, -0.0302503407f},
    {0.0463227369f, 0.0271773245f, 0.01694737f, 0.0111196321f, 0.00638765283f, 0.00341591053f, 0.00201332313f,
     0.00127656804f, 0.000713630463f, 0.000376650132f, 0.000221720693f, 0.000141099139f, 0.205507979f, 0.141691476f,
     0.100164123f, 0.0724477097f},
    {-0.110491887f, -0.0747868717f, -0.0532254204f, -0.0394492634f, -0.0267342478f, -0.0173270162f, -0.0120574636f,
     -0.00884039048f, -0.00596191222f, -0.00387533964f, -0.00271462766f, -0.00200503296f, -0.342218131f, -0.256590635f,
     -0.196844682f, -0.154143035f},
    {0.230760321f, 0.185231671f, 0.153651938f, 0.130724728f, 0.106345154f, 0.084803395f, 0.0703426972f, 0.0600156747f,
     0.0491225459f, 0.0395066924f, 0.0330189727f, 0.0283526611f, 0.453793228f, 0.379604429f, 0.323356181f,
     0.279770583f}};
constexpr float k_gelu_a[] = {0.0555050857f, 0.240233555f, 0.693147182f};
constexpr float k_gelu_c = -0.721347511f;
// 2^(i / 16), less the i << 19 that k << 19 brings beside the exponent.
alignas(64) constexpr uint32_t k_gelu_power[16] = {
    0x3f800000u, 0x3f7daac3u, 0x3f7b95c2u, 0x3f79c3d3u, 0x3f7837f0u, 0x3f76f532u, 0x3f75fed7u, 0x3f75583fu,
    0x3f7504f3u, 0x3f7508a4u, 0x3f75672au, 0x3f76248cu, 0x3f7744fdu, 0x3f78ccdfu, 0x3f7ac0c7u, 0x3f7d257du};
// k_gelu_end
constexpr uint32_t k_gelu_interval = 0xffe00000u, k_gelu_middle = 0x00100000u;  // of the bits of z + 1
constexpr float k_gelu_most = 13.125f;
constexpr float k_gelu_magic = 786432.0f;  // 1.5 * 2^19: a float near it counts sixteenths

}  // namespace
}  // namespace octet
