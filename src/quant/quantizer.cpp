#include "quant/quantizer.h"

#include <algorithm>
#include <cmath>

#include "quant/parameters.h"
#include "quant/reduce_amax.h"
#include "quant/walk.h"

namespace octet {
namespace {

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

Result<Calibrator> make_calibrator(const QuantDescriptor& d, const QuantizerOptions& o) {
  const std::string name = d.name.value_or("");
  if (d.calib_method == "max") {
    return Calibrator(
        MaxCalibrator({.axis = d.axis, .non_finite = o.non_finite, .name = name, .ref_compat = o.ref_compat}));
  }
  Result<HistogramCalibrator> made = HistogramCalibrator::make({.num_bits = d.num_bits,
                                                                .is_unsigned = d.is_unsigned,
                                                                .axis = d.axis,
                                                                .num_bins = o.num_bins,
                                                                .torch_hist = o.torch_hist,
                                                                .non_finite = o.non_finite,
                                                                .name = name,
                                                                .ref_compat = o.ref_compat});
  if (!made) return made.error();
  return Calibrator(*std::move(made));
}

float largest(const Tensor& amax) {
  const std::vector<double> all = to_doubles(amax);
  return static_cast<float>(*std::max_element(all.begin(), all.end()));
}

/// y = x * factor in x's dtype, the factor broadcast.
Result<Tensor> times(const TensorView& x, const Tensor& factor, const char* what) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  const Result<std::vector<float>> factors = floats_of(factor, what);
  if (!factors) return factors.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(x.dtype, x.dims, made->second);
  const Result<Done> done =
      walk({.x = x, .y = y, .parameter_dims = factor.dims(), .what = what}, **rows, [&](const Row& r) {
        for (size_t i = 0; i < r.n; ++i) r.y[i] = r.x[i] * (*factors)[r.at + (r.each ? i : 0)];
      });
  if (!done) return done.error();
  return std::move(made->first);
}

}  // namespace

TensorQuantizer::TensorQuantizer(QuantDescriptor descriptor, QuantizerOptions options, Calibrator calibrator)
    : descriptor_(std::move(descriptor)),
      options_(options),
      calibrator_(std::move(calibrator)),
      amax_(descriptor_.amax) {}

Result<TensorQuantizer> TensorQuantizer::make(const QuantDescriptor& descriptor, const QuantizerOptions& options) {
  if (Result<Done> fine = check(descriptor); !fine) return fine.error();
  Result<Calibrator> calibrator = make_calibrator(descriptor, options);
  if (!calibrator) return calibrator.error();
  TensorQuantizer quantizer(descriptor, options, *std::move(calibrator));
  if (descriptor.learn_amax) {
    if (descriptor.amax && descriptor.amax->size() != 1) {
      return bad("clip_value_min/clip_value_max must be scalar for initilizing learnable range: amax has " +
                 std::to_string(descriptor.amax->size()) + " elements");
    }
    const float start = descriptor.amax ? descriptor.amax->at<float>(0) : 1.0f;
    quantizer.clip_min_ = -start;
    quantizer.clip_max_ = start;
    quantizer.options_.if_clip = true;
  } else if (options.if_clip) {
    return bad("learn_amax is False. Cannot enable clip.");
  }
  return quantizer;
}

Result<Tensor> TensorQuantizer::scaled(const TensorView& x) const {
  if (pre_quant_scale_) return times(x, *pre_quant_scale_, "pre_quant_scale");
  return dense_copy(x);
}

Result<Tensor> TensorQuantizer::forward(const TensorView& x) {
  if (!pre_quant_scale_) return options_.disabled ? dense_copy(x) : stages(x);
  const Result<Tensor> y = scaled(x);  // disabled or not: the scale belongs to the model (D19)
  return !y || options_.disabled ? y : stages(view_of(*y));
}

Result<Tensor> TensorQuantizer::stages(const TensorView& x) {
  if (options_.if_calib) {
    if (Result<Done> collected = collect(x); !collected) return collected.error();
  }
  if (options_.if_quant) return quantized(x);
  if (options_.if_clip) return clipped(x);
  return dense_copy(x);
}

Result<Done> TensorQuantizer::collect(const TensorView& x) {
  const Result<Done> done = std::visit([&](auto& calibrator) { return calibrator.collect(x); }, calibrator_);
  if (done && follows_calibrator_) {
    const Result<std::optional<Tensor>> live = std::get<MaxCalibrator>(calibrator_).compute_amax();
    if (live && *live) amax_ = **live;
  }
  return done;
}

Result<Tensor> TensorQuantizer::clipped(const TensorView& x) const {
  if (!clip_min_) return bad("the clip needs learn_amax");
  return pact_clip(x, scalar_f32(*clip_min_), scalar_f32(*clip_max_));
}

Result<Tensor> TensorQuantizer::current_amax(const TensorView& x) const {
  if (descriptor_.learn_amax) return scalar_f32(std::max(-*clip_min_, *clip_max_));
  std::optional<Tensor> amax = amax_;
  if (!amax) {
    std::optional<std::vector<int64_t>> axes = descriptor_.axis;
    if (axes && options_.ref_compat) {  // compared with 0 .. rank-1 as they are: others match nothing (D9)
      std::erase_if(*axes, [&](int64_t a) { return a < 0 || a >= static_cast<int64_t>(x.dims.size()); });
    }
    const Result<Tensor> dynamic = kept_amax(x, axes, options_.ref_compat);
    if (!dynamic) return dynamic;
    amax = *dynamic;
  } else if (!options_.ref_compat && amax->rank() == 1 && amax->size() > 1 && descriptor_.axis &&
             descriptor_.axis->size() == 1) {  // D10
    const Result<std::vector<int64_t>> axis = normalized_axes(*descriptor_.axis, x.dims.size());
    if (!axis) return axis.error();
    Dims dims(x.dims.size(), 1);
    dims[static_cast<size_t>(axis->front())] = amax->size();
    if (amax->size() != x.dims[static_cast<size_t>(axis->front())]) {
      return bad("amax has " + std::to_string(amax->size()) + " elements, axis " + std::to_string(axis->front()) +
                 " of the input " + to_string(std::span<const int64_t>(x.dims)) + " has " +
                 std::to_string(x.dims[static_cast<size_t>(axis->front())]));
    }
    amax = amax->reshaped(dims);
  }
  if (!descriptor_.scale_amax) return *amax;
  return times(view_of(*amax), scalar_f32(static_cast<float>(*descriptor_.scale_amax)), "scale_amax");
}

Result<Tensor> TensorQuantizer::quantized(const TensorView& x) {
  Tensor kept;
  TensorView input = x;
  if (descriptor_.learn_amax) {
    Result<Tensor> y = clipped(x);
    if (!y) return y;
    kept = *std::move(y);
    input = view_of(kept);
  }
  const Result<Tensor> amax = current_amax(input);
  if (!amax) return within(descriptor_.name.value_or("a quantizer"), amax.error());
  if (descriptor_.num_bits.is_e4m3) return scaled_e4m3(input, *amax);
  QuantOptions o{.num_bits = descriptor_.num_bits.integer,
                 .is_unsigned = descriptor_.is_unsigned,
                 .narrow_range = descriptor_.narrow_range,
                 .ref_compat = options_.ref_compat};
  if (descriptor_.fake_quant) return fake_tensor_quant(input, *amax, o);
  if (options_.ref_compat) o.narrow_range = true;  // D11
  Result<QuantizedTensor> q = tensor_quant(input, *amax, o);
  if (!q) return q.error();
  scale_ = q->scale;
  return std::move(q->values);
}

Result<QuantizerGradients> TensorQuantizer::backward(const TensorView& x, const TensorView& dy) const {
  const Result<Tensor> input = scaled(x);
  if (!input) return input.error();
  const bool quantizes = options_.if_quant && !options_.disabled, clips = options_.if_clip && !options_.disabled;
  QuantizerGradients gradients;
  if ((quantizes && descriptor_.learn_amax) || (!quantizes && clips)) {
    // Clipped values lie within amax, so the quantizer passes all of dy to the clip.
    Result<ClipGradients> g = pact_clip_backward(view_of(*input), scalar_f32(*clip_min_), scalar_f32(*clip_max_), dy);
    if (!g) return g.error();
    gradients = {std::move(g->dx), g->dmin, g->dmax};
  } else if (quantizes) {
    const Result<Tensor> amax = current_amax(view_of(*input));
    if (!amax) return amax.error();
    Result<Tensor> dx = descriptor_.num_bits.is_e4m3
                            ? scaled_e4m3_backward(view_of(*input), *amax, dy)
                            : tensor_quant_backward(view_of(*input), *amax, dy, options_.ref_compat);
    if (!dx) return dx.error();
    gradients.dx = *std::move(dx);
  } else {
    Result<Tensor> dx = dense_copy(dy);
    if (!dx) return dx.error();
    gradients.dx = *std::move(dx);
  }
  if (!pre_quant_scale_) return gradients;
  Result<Tensor> dx = times(view_of(gradients.dx), *pre_quant_scale_, "pre_quant_scale");
  if (!dx) return dx.error();
  gradients.dx = *std::move(dx);
  return gradients;
}

Result<Done> TensorQuantizer::enable_clip() {
  if (!descriptor_.learn_amax) return bad("learn_amax is False. Cannot enable clip.");
  options_.if_clip = true;
  return Done{};
}

Result<Done> TensorQuantizer::set_num_bits(NumBits num_bits) {
  QuantDescriptor changed = descriptor_;
  changed.num_bits = num_bits;
  if (Result<Done> fine = check(changed); !fine) return fine;
  descriptor_ = std::move(changed);
  auto* histogram = std::get_if<HistogramCalibrator>(&calibrator_);
  if (histogram && !options_.ref_compat) histogram->set_codes(descriptor_.num_bits, descriptor_.is_unsigned);
  return Done{};
}

Result<Done> TensorQuantizer::set_unsigned(bool is_unsigned) {
  const bool before = std::exchange(descriptor_.is_unsigned, is_unsigned);
  const Result<Done> done = set_num_bits(descriptor_.num_bits);
  if (!done) descriptor_.is_unsigned = before;
  return done;
}

Result<Done> TensorQuantizer::store_amax(const Tensor& amax, bool copy_rules) {
  const Result<std::vector<float>> values = floats_of(amax, "amax");
  if (!values) return values.error();
  for (const float a : *values) {
    if (options_.ref_compat) break;
    if (!std::isfinite(a) || a < 0) {
      return bad("amax holds " + std::to_string(a) + "; finite numbers >= 0 are expected");
    }
  }
  const Tensor fresh = f32_tensor(amax.dims(), *values);
  if (!amax_ || amax_->dims() == fresh.dims()) {
    amax_ = fresh;
    return Done{};
  }
  const bool one_number = amax_->size() == 1 && fresh.size() == 1;
  if (one_number && (copy_rules || !options_.ref_compat)) {  // D22
    amax_ = fresh.reshaped(amax_->dims());
    return Done{};
  }
  return bad("Changing shape when setting amax is not allowed. It was " +
             to_string(std::span<const int64_t>(amax_->dims())) + ", now " +
             to_string(std::span<const int64_t>(fresh.dims())));
}

Result<Done> TensorQuantizer::set_amax(const Tensor& amax) {
  follows_calibrator_ = false;
  return store_amax(amax, false);
}

Result<Done> TensorQuantizer::load_calib_amax(const AmaxOptions& options, bool strict) {
  auto* max = std::get_if<MaxCalibrator>(&calibrator_);
  const Result<std::optional<Tensor>> found =
      max ? max->compute_amax(options) : std::get<HistogramCalibrator>(calibrator_).compute_amax(options);
  if (!found) return within(descriptor_.name.value_or("a quantizer"), found.error());
  if (!*found) {
    if (strict) {
      return bad(descriptor_.name.value_or("a quantizer") +
                 ": Calibrator returned None. This usually happens when calibrator hasn't seen any tensor.");
    }
    if (options_.ref_compat) return store_amax(scalar_f32(std::nanf("")), true);
    return Done{};
  }
  if (options_.ref_compat && max && !amax_) follows_calibrator_ = true;
  return store_amax(**found, true);
}

void TensorQuantizer::reset_calibrator() {
  follows_calibrator_ = false;
  std::visit([](auto& calibrator) { calibrator.reset(); }, calibrator_);
}

Result<Done> TensorQuantizer::init_learn_amax() {
  if (!descriptor_.learn_amax) return bad("Called init_learn_amax with learn_amax=False.");
  if (!amax_) return bad("init_learn_amax needs an amax; load or set one first");
  const float most = largest(*amax_);
  return set_clip(-most, most);
}

Result<Done> TensorQuantizer::set_clip(float min, float max) {
  if (!descriptor_.learn_amax) return bad("learn_amax is False. There is no clip.");
  if (!(min <= max))
    return bad("the clip's bounds are " + std::to_string(min) + " and " + std::to_string(max) +
               "; min <= max is expected");
  clip_min_ = min;
  clip_max_ = max;
  return Done{};
}

}  // namespace octet
