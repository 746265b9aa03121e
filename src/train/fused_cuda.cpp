// libtorch compiles these when they are first used (its jiterator), so that no CUDA compiler is needed here. Division
// is IEEE's, and nothing can contract to a fused multiply-add: the codes are the CPU's.
#include <ATen/cuda/jiterator.h>

#include <atomic>
#include <limits>

#include "train/fused.h"

namespace octet::nn {
namespace {

using torch::Tensor;

bool is_possible(const Tensor& x) { return x.is_cuda() && x.scalar_type() == torch::kFloat32; }

/// Undefined from the first time on that libtorch cannot compile: its NVRTC is a library of its own.
std::vector<Tensor> launch(const char* code, const char* name, int outputs, std::initializer_list<Tensor> inputs,
                           std::initializer_list<float> numbers = {}) {
  static std::atomic<bool> broken{false};
  const std::vector<Tensor> none(static_cast<size_t>(outputs));
  if (broken) return none;
  c10::SmallVector<Tensor> tensors;
  for (const Tensor& t : inputs) tensors.push_back(t.detach());
  c10::SmallVector<c10::Scalar> extra;
  for (const float number : numbers) extra.push_back(number);
  try {
    const c10::SmallVector<Tensor> made =
        at::cuda::CompileAndLaunchKernel(code, name, outputs, tensors, extra, outputs > 1);
    return {made.begin(), made.end()};
  } catch (const c10::Error& e) {
    broken = true;
    TORCH_WARN("quantizers run as several kernels each, because libtorch cannot compile one: ",
               e.what_without_backtrace());
    return none;
  }
}

}  // namespace

Tensor fused_fake_quantize(const Tensor& x, const Tensor& scale, CodeLimits limits) {
  if (!is_possible(x)) return {};
  return launch(R"(template <typename T> T octet_fake_quantize(T x, T s, T lo, T hi) {
  T v = x / s;
  v = v > lo ? v : lo;
  v = v < hi ? v : hi;
  return nearbyint(v) * s;
})",
                "octet_fake_quantize", 1, {x, scale}, {limits.lo, limits.hi})[0];
}

Tensor fused_straight_through(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits) {
  if (!is_possible(x)) return {};
  return launch(R"(template <typename T> T octet_straight_through(T dy, T x, T s, T lo, T hi, T above) {
  T v = x / s;
  return v >= lo && v <= hi && x > above ? dy : T(0);
})",
                "octet_straight_through", 1, {dy, x, scale},
                {limits.lo, limits.hi, limits.rectified ? 0.0f : -std::numeric_limits<float>::infinity()})[0];
}

LearnedStepGradients fused_learned_step(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits,
                                        float factor) {
  if (!is_possible(x)) return {};
  const std::vector<Tensor> made = launch(R"(template <typename T>
void octet_learned_step(T dy, T x, T s, T lo, T hi, T factor, T& dx, T& ds) {
  T v = x / s;
  dx = v >= lo && v <= hi ? dy : T(0);
  ds = dy * (v <= lo ? lo : v >= hi ? hi : nearbyint(v) - v) * factor;
})",
                                          "octet_learned_step", 2, {dy, x, scale}, {limits.lo, limits.hi, factor});
  return {made[0], made[1]};
}

Tensor fused_to_grid(const Tensor& x, const Tensor& scale) {
  if (!is_possible(x)) return {};
  return launch("template <typename T> T octet_to_grid(T x, T s) { return nearbyint(x / s) * s; }", "octet_to_grid", 1,
                {x, scale})[0];
}

}  // namespace octet::nn
