#include "octet/train/tensor_quantizer.h"

#include "quant/reduce_amax.h"
#include "train/convert.h"

namespace octet::nn {

using torch::Tensor;

ClipImpl::ClipImpl(float min, float max, bool learn_min, bool learn_max) {
  const auto bound = [&](const char* name, float value, bool learn) {
    return learn ? register_parameter(name, torch::tensor(value)) : register_buffer(name, torch::tensor(value));
  };
  clip_value_min = bound("clip_value_min", min, learn_min);
  clip_value_max = bound("clip_value_max", max, learn_max);
}

TensorQuantizerImpl::TensorQuantizerImpl(const QuantDescriptor& descriptor, const QuantizerOptions& options)
    : core_(value_or_throw(octet::TensorQuantizer::make(descriptor, options))) {
  if (core_.amax() && !descriptor.learn_amax) amax_ = register_buffer("_amax", to_torch(*core_.amax()));
  if (descriptor.learn_amax) clip_ = register_module("clip", Clip(*core_.clip_min(), *core_.clip_max(), true, true));
}

Tensor TensorQuantizerImpl::forward(Tensor x) {
  if (pre_quant_scale_.defined()) x = x * pre_quant_scale_;  // disabled or not: the scale belongs to the model (D19)
  const QuantizerOptions& options = core_.options();
  if (options.disabled) return x;
  if (options.if_calib) {
    const Tensor seen = x.detach().cpu();
    octet::Calibrator& calibrator = core_.calibrator();
    value_or_throw(std::visit([&](auto& c) { return c.collect(nn::view_of(seen)); }, calibrator));
  }
  if (options.if_quant) return quantized(x);
  if (options.if_clip) return clip_->forward(x);
  return x;
}

Tensor TensorQuantizerImpl::current_amax(const Tensor& x) const {
  const QuantDescriptor& d = core_.descriptor();
  Tensor amax = amax_;
  if (!amax.defined()) {
    const Tensor seen = x.detach().cpu();
    std::optional<std::vector<int64_t>> axes = d.axis;
    amax = to_torch(value_or_throw(kept_amax(nn::view_of(seen), axes, core_.options().ref_compat))).to(x.device());
  } else if (amax.dim() == 1 && amax.numel() > 1 && d.axis && d.axis->size() == 1) {  // D10
    std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
    sizes[static_cast<size_t>(value_or_throw(normalized_axes(*d.axis, sizes.size())).front())] = amax.numel();
    amax = amax.reshape(sizes);
  }
  amax = amax.to(torch::kFloat32);
  if (d.scale_amax) amax = amax * static_cast<float>(*d.scale_amax);
  return amax;
}

Tensor TensorQuantizerImpl::quantized(const Tensor& input) {
  const QuantDescriptor& d = core_.descriptor();
  Tensor x = input, amax;
  if (d.learn_amax) {
    x = clip_->forward(x);
    amax = torch::max(-clip_->clip_value_min.detach(), clip_->clip_value_max.detach());
  } else {
    amax = current_amax(x);
  }
  if (d.num_bits.is_e4m3) return scaled_e4m3(x, amax);
  const QuantOptions options{.num_bits = d.num_bits.integer,
                             .is_unsigned = d.is_unsigned,
                             .narrow_range = d.fake_quant || !core_.options().ref_compat ? d.narrow_range : true,
                             .ref_compat = core_.options().ref_compat};
  if (d.fake_quant) return fake_tensor_quant(x, amax, options);
  auto [q, scale] = tensor_quant(x, amax, options);
  scale_ = scale;
  return q;
}

void TensorQuantizerImpl::enable_clip() { value_or_throw(core_.enable_clip()); }

void TensorQuantizerImpl::take_amax() {
  if (!core_.amax()) return;
  const Tensor made = to_torch(*core_.amax());
  if (!amax_.defined()) {
    amax_ = register_buffer("_amax", made);
  } else {
    torch::NoGradGuard no_grad;
    amax_.copy_(made.reshape(amax_.sizes()));
  }
}

void TensorQuantizerImpl::load_calib_amax(const AmaxOptions& options, bool strict) {
  value_or_throw(core_.load_calib_amax(options, strict));
  take_amax();
}

void TensorQuantizerImpl::init_learn_amax() {
  if (amax_.defined()) value_or_throw(core_.set_amax(to_octet(amax_)));
  value_or_throw(core_.init_learn_amax());
  torch::NoGradGuard no_grad;
  clip_->clip_value_min.fill_(*core_.clip_min());
  clip_->clip_value_max.fill_(*core_.clip_max());
}

void TensorQuantizerImpl::set_amax(const Tensor& amax) {
  value_or_throw(core_.set_amax(to_octet(amax.to(torch::kFloat32))));
  take_amax();
}

void TensorQuantizerImpl::set_pre_quant_scale(const Tensor& scale) {
  core_.set_pre_quant_scale(to_octet(scale));
  if (!pre_quant_scale_.defined()) {
    pre_quant_scale_ = register_buffer("_pre_quant_scale", scale.detach().clone());
  } else {
    pre_quant_scale_.copy_(scale.detach());
  }
}

void TensorQuantizerImpl::set_num_bits(NumBits num_bits) { value_or_throw(core_.set_num_bits(num_bits)); }
void TensorQuantizerImpl::set_unsigned(bool is_unsigned) { value_or_throw(core_.set_unsigned(is_unsigned)); }

octet::TensorQuantizer TensorQuantizerImpl::plain() const {
  octet::TensorQuantizer made = core_;
  if (amax_.defined()) value_or_throw(made.set_amax(to_octet(amax_)));
  if (pre_quant_scale_.defined()) made.set_pre_quant_scale(to_octet(pre_quant_scale_));
  if (clip_) value_or_throw(made.set_clip(clip_->clip_value_min.item<float>(), clip_->clip_value_max.item<float>()));
  return made;
}

std::string TensorQuantizerImpl::text() const { return plain().text(); }

std::optional<Tensor> TensorQuantizerImpl::scale() const {
  if (core_.descriptor().fake_quant) return torch::tensor(1.0f);
  return scale_;
}

std::optional<Tensor> TensorQuantizerImpl::step_size() const {
  if (!amax_.defined()) return std::nullopt;
  return amax_ / core_.maxbound();
}

std::map<std::string, Tensor> state_dict(const torch::nn::Module& module) {
  std::map<std::string, Tensor> state;
  for (const auto& item : module.named_parameters()) state[item.key()] = item.value();
  for (const auto& item : module.named_buffers()) state[item.key()] = item.value();
  return state;
}

namespace {

/// Gives a quantizer the buffer that the state has and it lacks; false when the name is no quantizer's.
bool create(torch::nn::Module& module, const std::string& name, const Tensor& value) {
  const size_t dot = name.rfind('.');
  const std::string owner = dot == std::string::npos ? "" : name.substr(0, dot), last = name.substr(dot + 1);
  torch::nn::Module* found = owner.empty() ? &module : nullptr;
  for (const auto& item : module.named_modules("", false))
    if (item.key() == owner) found = item.value().get();
  auto* quantizer = dynamic_cast<TensorQuantizerImpl*>(found);
  if (!quantizer) return false;
  if (last == "_amax") quantizer->set_amax(value);
  if (last == "_pre_quant_scale") quantizer->set_pre_quant_scale(value);
  return last == "_amax" || last == "_pre_quant_scale";
}

}  // namespace

void load_state_dict(torch::nn::Module& module, const std::map<std::string, Tensor>& state, bool strict) {
  torch::NoGradGuard no_grad;
  std::map<std::string, Tensor> own = state_dict(module);
  std::string missing, unknown;
  for (const auto& [name, value] : state) {
    const auto found = own.find(name);
    if (found == own.end()) {
      if (!create(module, name, value)) unknown += " '" + name + "'";
      continue;
    }
    if (found->second.sizes() != value.sizes() && !(found->second.numel() == 1 && value.numel() == 1))
      throw std::invalid_argument("state '" + name + "' has another shape than the module's");
    found->second.copy_(value.reshape(found->second.sizes()));
  }
  for (const auto& [name, value] : own)
    if (!state.contains(name)) missing += " '" + name + "'";
  if (strict && !(missing.empty() && unknown.empty()))
    throw std::invalid_argument("the state does not fit: missing" + (missing.empty() ? " none" : missing) +
                                "; left over" + (unknown.empty() ? " none" : unknown));
}

}  // namespace octet::nn
