// libtorch compiles these when they are first used (its jiterator), so that no CUDA compiler is needed here. Division
// is IEEE's, and nothing can contract to a fused multiply-add: the codes are the CPU's.
#include <ATen/cuda/jiterator.h>

#include <atomic>

#include "train/fused.h"

namespace octet::nn {
namespace {

using torch::Tensor;

bool is_possible(const Tensor& x) { return x.is_cuda() && x.scalar_type() == torch::kFloat32; }

/// Undefined from the first time on that libtorch cannot compile: its NVRTC is a library of its own.
Tensor launch(const char* code, const char* name, std::initializer_list<Tensor> inputs,
              std::initializer_list<float> numbers = {}) {
  static std::atomic<bool> broken{false};
  if (broken) return {};
  c10::SmallVector<Tensor> tensors;
  for (const Tensor& t : inputs) tensors.push_back(t.detach());
  c10::SmallVector<c10::Scalar> extra;
  for (const float number : numbers) extra.push_back(number);
  try {
    return at::cuda::CompileAndLaunchKernel(code, name, 1, tensors, extra, false)[0];
  } catch (const c10::Error& e) {
    broken = true;
    TORCH_WARN("quantizers run as several kernels each, because libtorch cannot compile one: ",
               e.what_without_backtrace());
    return {};
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
                "octet_fake_quantize", {x, scale}, {limits.lo, limits.hi});
}

Tensor fused_straight_through(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits) {
  if (!is_possible(x)) return {};
  return launch(R"(template <typename T> T octet_straight_through(T dy, T x, T s, T lo, T hi) {
  T v = x / s;
  return v >= lo && v <= hi ? dy : T(0);
})",
                "octet_straight_through", {dy, x, scale}, {limits.lo, limits.hi});
}

Tensor fused_learned_step(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits) {
  if (!is_possible(x)) return {};
  return launch(R"(template <typename T> T octet_learned_step(T dy, T x, T s, T lo, T hi) {
  T v = x / s;
  return dy * (v <= lo ? lo : v >= hi ? hi : nearbyint(v) - v);
})",
                "octet_learned_step", {dy, x, scale}, {limits.lo, limits.hi});
}

Tensor fused_to_grid(const Tensor& x, const Tensor& scale) {
  if (!is_possible(x)) return {};
  return launch("template <typename T> T octet_to_grid(T x, T s) { return nearbyint(x / s) * s; }", "octet_to_grid",
                {x, scale});
}

}  // namespace octet::nn
