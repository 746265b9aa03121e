#include "octet/train/code_quantizer.h"

#include "train/fused.h"

namespace octet::nn {

using torch::Tensor;

CodeQuantizerImpl::CodeQuantizerImpl(const Tensor& scale, const Codes& codes) : codes_(codes) {
  // A parameter from the start, so that its name in the state stays the same when it is learned.
  scale_ = register_parameter("_scale", scale.detach().to(torch::kFloat32).clone(), /*requires_grad=*/false);
}

CodeLimits CodeQuantizerImpl::code_limits() {
  return {static_cast<float>(codes_.lo - codes_.zero_point), static_cast<float>(codes_.hi - codes_.zero_point),
          rectifies_, known_step()};
}

/// A frozen scale of one element on a GPU, as a number of this process.
float CodeQuantizerImpl::known_step() {
  if (learns_ || x_ || scale_.numel() != 1 || !scale_.is_cuda()) return 0;
  const std::vector<int64_t> now = {static_cast<int64_t>(scale_._version())};
  if (frozen_.versions != now) frozen_ = {now, {}, scale_.item<float>()};
  return frozen_.step;
}

Tensor CodeQuantizerImpl::tied_scale() {
  if (x_->learns_ || w_->learns_) return scale();
  const std::vector<int64_t> now = {static_cast<int64_t>(x_->scale_._version()),
                                    static_cast<int64_t>(w_->scale_._version())};
  if (frozen_.versions != now || frozen_.product.device() != w_->scale_.device()) frozen_ = {now, scale(), 0};
  return frozen_.product;
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
  const Tensor s = x_ ? tied_scale() : scale_;
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

void CodeQuantizerImpl::keep_positive(const std::vector<std::shared_ptr<CodeQuantizerImpl>>& quantizers) {
  torch::NoGradGuard no_grad;
  std::vector<Tensor> scales, floors;
  for (const auto& q : quantizers) {
    if (!q->learns_) continue;
    // Once, after the module has moved: a copy in each step would make the host wait for the GPU.
    if (q->floor_.device() != q->scale_.device()) q->floor_ = q->floor_.to(q->scale_.device());
    scales.push_back(q->scale_);
    floors.push_back(q->floor_);
  }
  if (scales.empty() || fused_floor(scales, floors)) return;
  for (size_t i = 0; i < scales.size(); ++i) scales[i].clamp_min_(floors[i]);
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
