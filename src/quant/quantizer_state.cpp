// What a TensorQuantizer shows of itself, and its state under the toolkit's names (docs/toolkit_behaviour.md, Quantizer
// and its state).
#include <cmath>

#include "quant/parameters.h"
#include "quant/python_text.h"
#include "quant/quantizer.h"

namespace octet {

std::optional<Tensor> TensorQuantizer::scale() const {
  if (descriptor_.fake_quant) return scalar_f32(1.0f);
  return scale_;
}

float TensorQuantizer::maxbound() const {
  if (descriptor_.num_bits.is_e4m3) return 448.0f;
  return static_cast<float>(static_cast<double>(descriptor_.num_bits.levels(descriptor_.is_unsigned)) - 1.0);
}

std::optional<Tensor> TensorQuantizer::step_size() const {
  if (!amax_) return std::nullopt;
  std::vector<float> steps;
  for (const float a : amax_->as<float>()) steps.push_back(a / maxbound());
  return f32_tensor(amax_->dims(), steps);
}

std::string TensorQuantizer::text() const {
  // A disabled quantizer still scales (D19), so the default says it; the toolkit does not.
  if (options_.disabled) return pre_quant_scale_ && !options_.ref_compat ? "disabled pre_quant_scale" : "disabled";
  std::string out = descriptor_.is_unsigned ? "unsigned " : "";
  out += (descriptor_.num_bits.is_e4m3 ? "(4, 3)" : std::to_string(descriptor_.num_bits.integer)) + "bit";
  if (descriptor_.narrow_range) out += " narrow";
  if (descriptor_.fake_quant) out += " fake";
  out += descriptor_.axis ? " axis=" + python_axes(*descriptor_.axis) : " per-tensor";
  out += " amax=" + (amax_ ? python_amax(*amax_) : "dynamic");
  if (descriptor_.scale_amax) out += " *" + python_float(*descriptor_.scale_amax);
  if (pre_quant_scale_) out += " pre_quant_scale";
  if (descriptor_.learn_amax) out += " learned";
  out += std::string(" calibrator=") +
         (std::holds_alternative<MaxCalibrator>(calibrator_) ? "MaxCalibrator" : "HistogramCalibrator");
  if (const std::optional<Tensor> s = scale()) {
    out += " scale=" + (s->size() == 1 ? python_float(to_doubles(*s)[0]) : python_amax(*s));
  }
  if (options_.if_quant) out += " quant";
  if (options_.if_clip) out += " clip";
  if (options_.if_calib) out += " calib";
  return out;
}

void TensorQuantizer::add_state(const std::string& prefix, StateDict& state) const {
  if (amax_) state.insert_or_assign(prefix + "_amax", *amax_);
  if (pre_quant_scale_) state.insert_or_assign(prefix + "_pre_quant_scale", *pre_quant_scale_);
  if (clip_min_) state.insert_or_assign(prefix + "clip.clip_value_min", scalar_f32(*clip_min_));
  if (clip_max_) state.insert_or_assign(prefix + "clip.clip_value_max", scalar_f32(*clip_max_));
}

Result<Done> TensorQuantizer::load_state(const std::string& prefix, const StateDict& state, bool strict) {
  StateDict own;
  add_state(prefix, own);
  std::string missing;
  for (const auto& [key, tensor] : own) {
    if (!state.contains(key)) missing += (missing.empty() ? "" : ", ") + key;
  }
  if (strict && !missing.empty()) {
    return Error{ErrorCode::bad_argument, "the state lacks " + missing + ", which this quantizer has"};
  }
  const auto find = [&](const char* word) {
    const auto at = state.find(prefix + word);
    return at == state.end() ? nullptr : &at->second;
  };
  if (const Tensor* amax = find("_amax")) {
    if (Result<Done> set = set_amax(*amax); !set) return within(prefix + "_amax", set.error());
  }
  if (const Tensor* factor = find("_pre_quant_scale")) {
    const Result<std::vector<float>> values = floats_of(*factor, "pre_quant_scale");
    if (!values) return within(prefix, values.error());
    pre_quant_scale_ = f32_tensor(factor->dims(), *values);
  }
  const Tensor *low = find("clip.clip_value_min"), *high = find("clip.clip_value_max");
  if (!low && !high) return Done{};
  float bounds[2] = {clip_min_.value_or(0), clip_max_.value_or(0)};
  for (const auto& [tensor, bound] : {std::pair(low, &bounds[0]), std::pair(high, &bounds[1])}) {
    if (!tensor) continue;
    const Result<std::vector<float>> value = floats_of(*tensor, "a bound of the clip");
    if (!value) return within(prefix + "clip", value.error());
    if (value->size() != 1) {
      return Error{ErrorCode::bad_argument,
                   prefix + "clip: a bound has " + std::to_string(value->size()) + " elements, 1 is expected"};
    }
    *bound = value->front();
  }
  if (Result<Done> set = set_clip(bounds[0], bounds[1]); !set) return within(prefix + "clip", set.error());
  return Done{};
}

}  // namespace octet
