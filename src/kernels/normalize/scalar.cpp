// Plain C++: the judge of the family.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/normalize/gelu_constants.h"
#include "kernels/normalize/normalize_isa.h"
#include "tensor/activation.h"

namespace octet {
namespace {

constexpr size_t k_lanes = 16;

double total(double* lanes) {
  for (size_t apart = k_lanes / 2; apart > 0; apart /= 2)
    for (size_t i = 0; i < apart; ++i) lanes[i] += lanes[i + apart];
  return lanes[0];
}
double total(const float* lanes) {
  double wide[k_lanes];
  for (size_t i = 0; i < k_lanes; ++i) wide[i] = static_cast<double>(lanes[i]);
  return total(wide);
}

void softmax_row(float* x, size_t n) {
  float max = x[0];
  for (size_t i = 1; i < n; ++i) max = x[i] > max ? x[i] : max;
  double lanes[k_lanes] = {};
  for (size_t i = 0; i < n;) {
    float part[k_lanes] = {};
    for (const size_t end = i + k_softmax_part * k_lanes; i < n && i < end; ++i) {
      const float d = x[i] - max;
      x[i] = d < -87.0f ? 0.0f : exp_f32(d);
      part[i % k_lanes] += x[i];
    }
    for (size_t lane = 0; lane < k_lanes; ++lane) lanes[lane] += static_cast<double>(part[lane]);
  }
  const auto inverse = static_cast<float>(1.0 / total(lanes));
  for (size_t i = 0; i < n; ++i) x[i] *= inverse;
}

void layer_row(float* x, size_t n, double epsilon, const float* scale, const float* bias) {
  const auto count = static_cast<double>(n);
  float sums[k_lanes] = {}, squares[k_lanes] = {};
  for (size_t i = 0; i < n; ++i) sums[i % k_lanes] += x[i];
  const auto middle = static_cast<float>(total(sums) / count);
  std::fill_n(sums, k_lanes, 0.0f);
  for (size_t i = 0; i < n; ++i) {
    const float d = x[i] - middle;
    sums[i % k_lanes] += d;
    squares[i % k_lanes] = std::fma(d, d, squares[i % k_lanes]);
  }
  const double all_squares = total(squares), off = total(sums) / count;
  if (!(all_squares >= k_least_squares && all_squares <= k_most_squares))
    return layer_row_in_double(x, n, epsilon, scale, bias);
  const double inverse = 1.0 / std::sqrt(std::max(all_squares / count - off * off, 0.0) + epsilon);
  const auto factor = static_cast<float>(inverse), shift = static_cast<float>(-off * inverse);
  for (size_t i = 0; i < n; ++i) x[i] = std::fma(std::fma(x[i] - middle, factor, shift), scale[i], bias[i]);
}

void softmax(float* x, size_t rows, size_t n, ptrdiff_t step) {
  for (size_t r = 0; r < rows; ++r, x += step) softmax_row(x, n);
}

void layer(float* x, size_t rows, size_t n, ptrdiff_t step, double epsilon, const float* scale, const float* bias) {
  for (size_t r = 0; r < rows; ++r, x += step) layer_row(x, n, epsilon, scale, bias);
}

float gelu_of(float x) {
  const float z = std::min(std::fabs(x), k_gelu_most);  // NaN stays
  const auto bits = std::bit_cast<uint32_t>(z + 1.0f);
  const size_t i = bits >> 21 & 15;
  const float u = z - (std::bit_cast<float>((bits & k_gelu_interval) | k_gelu_middle) - 1.0f);
  float g = k_gelu_g[0][i];
  for (size_t j = 1; j < std::size(k_gelu_g); ++j) g = std::fma(g, u, k_gelu_g[j][i]);
  const float s = z * z, t = std::fma(s, k_gelu_c, k_gelu_magic), f = std::fma(s, k_gelu_c, -(t - k_gelu_magic));
  const auto k = std::bit_cast<uint32_t>(t);
  const auto e = std::bit_cast<float>(k_gelu_power[k % 16] + (k << 19));
  const float a = std::fma(std::fma(k_gelu_a[0], f, k_gelu_a[1]), f, k_gelu_a[2]);
  return std::fma(-(z * g), std::fma(a, f, 1.0f) * e, std::max(x, 0.0f));
}

void gelu(float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] = gelu_of(x[i]);
}

}  // namespace

void layer_row_in_double(float* x, size_t n, double epsilon, const float* scale, const float* bias) {
  double sums[k_lanes] = {}, squares[k_lanes] = {};
  for (size_t i = 0; i < n; ++i) sums[i % k_lanes] += static_cast<double>(x[i]);
  const double mean = total(sums) / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    squares[i % k_lanes] = std::fma(d, d, squares[i % k_lanes]);
  }
  const double inverse = 1.0 / std::sqrt(total(squares) / static_cast<double>(n) + epsilon);
  for (size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>((static_cast<double>(x[i]) - mean) * inverse) * scale[i] + bias[i];
}

const NormalizeKernels normalize_scalar = {softmax, layer, gelu, "scalar"};

}  // namespace octet
