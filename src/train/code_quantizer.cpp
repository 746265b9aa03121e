#include "octet/train/code_quantizer.h"

namespace octet::nn {

using torch::Tensor;

CodeQuantizerImpl::CodeQuantizerImpl(const Tensor& scale, const Codes& codes) : codes_(codes) {
  // A parameter from the start, so that its name in the state stays the same when it is learned.
  scale_ = register_parameter("_scale", scale.detach().to(torch::kFloat32).clone(), /*requires_grad=*/false);
}

CodeLimits CodeQuantizerImpl::code_limits() const {
  return {static_cast<float>(codes_.lo - codes_.zero_point), static_cast<float>(codes_.hi - codes_.zero_point),
          rectifies_};
}

Tensor CodeQuantizerImpl::scale() const {
  if (!x_) return scale_;
  return x_->scale().detach() * w_->scale().detach();
}

Tensor CodeQuantizerImpl::forward(const Tensor& x) {
  if (rectifies_ && (!enabled_ || learns_)) return unrectified(torch::relu(x));
  return unrectified(x);
}

Tensor CodeQuantizerImpl::unrectified(const Tensor& x) {
  if (!enabled_) return x;
  const Tensor s = scale();
  if (learns_) return learned_quantize(x, s, code_limits(), codes_.axis);
  if (is_wide()) return round_to_grid(x, s, x.dim() == 1 ? 0 : codes_.axis);
  return fake_quantize(x, s, code_limits(), codes_.axis);
}

Tensor CodeQuantizerImpl::codes(const Tensor& x) const {
  Tensor s = scale().detach().cpu();
  if (s.numel() > 1) {
    std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
    sizes[static_cast<size_t>(codes_.axis < 0 ? codes_.axis + x.dim() : codes_.axis)] = s.numel();
    s = s.reshape(sizes);
  }
  const Tensor plain = x.detach().cpu();
  // A bias in double, as octet's own placement divides it.
  const Tensor v = is_wide() ? plain.to(torch::kFloat64) / s.to(torch::kFloat64) : plain / s;
  return (v.round() + codes_.zero_point).clamp(codes_.lo, codes_.hi).to(torch::kInt64);
}

void CodeQuantizerImpl::set_scale(const Tensor& scale) {
  torch::NoGradGuard no_grad;
  if (scale.sizes() != scale_.sizes()) throw std::invalid_argument("the new scale has another shape than the old one");
  scale_.copy_(scale);
  if (learns_) floor_.copy_(scale * 0x1p-10);
}

void CodeQuantizerImpl::learn_scale() {
  if (learns_) return;
  learns_ = true;
  floor_ = scale_.detach() * 0x1p-10;
  scale_.set_requires_grad(true);
}

void CodeQuantizerImpl::keep_positive() {
  if (!learns_) return;
  torch::NoGradGuard no_grad;
  // Once, after the module has moved: a copy in each step would make the host wait for the GPU.
  if (floor_.device() != scale_.device()) floor_ = floor_.to(scale_.device());
  scale_.clamp_min_(floor_);
}

void CodeQuantizerImpl::tie(const std::shared_ptr<CodeQuantizerImpl>& x, const std::shared_ptr<CodeQuantizerImpl>& w) {
  x_ = x;
  w_ = w;
}

void CodeQuantizerImpl::pretty_print(std::ostream& stream) const {
  stream << "CodeQuantizer(codes " << codes_.lo << ".." << codes_.hi << ", zero point " << codes_.zero_point << ", "
         << (scale_.numel() == 1 ? "per tensor" : "axis " + std::to_string(codes_.axis)) << (learns_ ? ", learned" : "")
         << ")";
}

}  // namespace octet::nn
