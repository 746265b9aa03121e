// libtorch compiles these when they are first used (its jiterator), so that no CUDA compiler is needed here. Division
// is IEEE's, and nothing can contract to a fused multiply-add: the codes are the CPU's.
#include <ATen/cuda/jiterator.h>

#include <torch/version.h>
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
  // One tensor and numbers run in vectors of four elements; a scale that is read broadcasts, one element at a time.
  if (limits.step > 0)
    return launch(R"(template <typename T> T octet_fake_quantize_step(T x, T s, T lo, T hi) {
  T v = x / s;
  v = v > lo ? v : lo;
  v = v < hi ? v : hi;
  return nearbyint(v) * s;
})",
                  "octet_fake_quantize_step", 1, {x}, {limits.step, limits.lo, limits.hi})[0];
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
  const float above = limits.rectified ? 0.0f : -std::numeric_limits<float>::infinity();
  return launch(R"(template <typename T> T octet_straight_through(T dy, T x, T s, T lo, T hi, T above) {
  T v = x / s;
  return v >= lo && v <= hi && x > above ? dy : T(0);
})",
                "octet_straight_through", 1, {dy, x, scale}, {limits.lo, limits.hi, above})[0];
}

LearnedStepGradients fused_learned_step(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits,
                                        float factor) {
  if (!is_possible(x)) return {};
  const std::vector<Tensor> made = launch(R"(template <typename T>
void octet_learned_step(T dy, T x, T s, T lo, T hi, T factor, T& dx, T& ds) {
  T v = x / s;
  dx = v >= lo && v <= hi ? dy : T(0);
  ds = dy * (v > lo ? v < hi ? nearbyint(v) - v : hi : lo) * factor;
})",
                                          "octet_learned_step", 2, {dy, x, scale}, {limits.lo, limits.hi, factor});
  return {made[0], made[1]};
}

Tensor fused_to_grid(const Tensor& x, const Tensor& scale) {
  if (!is_possible(x)) return {};
  return launch("template <typename T> T octet_to_grid(T x, T s) { return nearbyint(x / s) * s; }", "octet_to_grid", 1,
                {x, scale})[0];
}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)

namespace {

/// The gradient with the parameter's strides, which the kernels ask for to the letter: those of an axis of one element
/// differ where a convolution made it.
Tensor with_strides_of(const Tensor& gradient, const Tensor& parameter) {
  if (gradient.strides() == parameter.strides()) return gradient;
  for (int64_t d = 0; d < parameter.dim(); ++d)
    if (parameter.size(d) != 1 && gradient.stride(d) != parameter.stride(d))
      return torch::empty_like(parameter).copy_(gradient);
  return gradient.as_strided(parameter.sizes(), parameter.strides());
}

}  // namespace

bool fused_step(const Moving& tensors, const Sgd& sgd, const Tensor& rate) {
  for (const Tensor& p : tensors.p)
    if (!is_possible(p)) return false;
  std::vector<Tensor> gradients;
  for (size_t i = 0; i < tensors.p.size(); ++i) gradients.push_back(with_strides_of(tensors.g[i], tensors.p[i]));
  at::_fused_sgd_(tensors.p, gradients, sgd.momentum > 0 ? tensors.m : std::vector<Tensor>(), sgd.decay, sgd.momentum,
                  rate, /*dampening=*/0.0, sgd.nesterov && sgd.momentum > 0, /*maximize=*/false,
                  /*is_first_step=*/false);
  return true;
}

bool fused_floor(const std::vector<Tensor>& tensors, const std::vector<Tensor>& floors) {
  for (const Tensor& t : tensors)
    if (!is_possible(t)) return false;
  at::_foreach_clamp_min_(tensors, floors);
  return true;
}

#else

bool fused_step(const Moving&, const Sgd&, const Tensor&) { return false; }
bool fused_floor(const std::vector<Tensor>&, const std::vector<Tensor>&) { return false; }

#endif

}  // namespace octet::nn
