#pragma once
// TensorQuantizer: a descriptor at work on one tensor of a network. Source: docs/toolkit_behaviour.md,
// Quantizer and its state.
//
// forward(x), in this order: x times pre_quant_scale; that is all when disabled; calibration sees x; then either the
// clip alone, or quantization with the learned, stored or dynamic amax, or nothing. A default one is dynamic: amax =
// max|x|.
//
//   Result<TensorQuantizer> q = TensorQuantizer::make();
//   q->enable_calib(); q->disable_quant();
//   for (const Tensor& batch : batches) q->forward(view_of(batch));
//   q->load_calib_amax(); q->disable_calib(); q->enable_quant();

#include <map>
#include <optional>
#include <string>

#include "quant/calibrator.h"
#include "quant/descriptor.h"
#include "quant/functions.h"

namespace octet {

struct QuantizerOptions {
  bool disabled = false, if_quant = true, if_clip = false, if_calib = false;
  NonFinite non_finite = NonFinite::error;
  int num_bins = 0;  // of a histogram; 0 = HistogramCalibratorOptions' own
  bool torch_hist = true;
  bool ref_compat = false;
};

/// Tensors under the toolkit's names: "conv1._input_quantizer._amax".
using StateDict = std::map<std::string, Tensor>;

struct QuantizerGradients {
  Tensor dx;
  std::optional<float> dmin, dmax;  // of the learned bounds
};

class TensorQuantizer {
 public:
  /// Errors: check()'s, a learned amax of several numbers, if_clip without learn_amax.
  static Result<TensorQuantizer> make(const QuantDescriptor& descriptor = {}, const QuantizerOptions& options = {});

  /// x's dims; x's dtype when fake, codes as tensor_quant gives them when real. Not for several threads at a time.
  Result<Tensor> forward(const TensorView& x);
  /// The gradient at x of what forward(x) does, by the straight-through estimator; PACT's for learned bounds.
  Result<QuantizerGradients> backward(const TensorView& x, const TensorView& dy) const;

  void enable() { options_.disabled = false; }
  void disable() { options_.disabled = true; }
  void enable_quant() { options_.if_quant = true; }
  void disable_quant() { options_.if_quant = false; }
  void enable_calib() { options_.if_calib = true; }
  void disable_calib() { options_.if_calib = false; }
  /// "learn_amax is False. Cannot enable clip." without learn_amax.
  Result<Done> enable_clip();
  void disable_clip() { options_.if_clip = false; }
  const QuantizerOptions& options() const { return options_; }
  const QuantDescriptor& descriptor() const { return descriptor_; }  // amax is that given at construction

  /// Also tells the calibrator (D18).
  Result<Done> set_num_bits(NumBits num_bits);
  Result<Done> set_unsigned(bool is_unsigned);
  void set_narrow_range(bool narrow_range) { descriptor_.narrow_range = narrow_range; }
  void set_pre_quant_scale(const Tensor& scale) { pre_quant_scale_ = scale; }
  const std::optional<Tensor>& pre_quant_scale() const { return pre_quant_scale_; }

  /// The stored one; none = dynamic, or learned.
  const std::optional<Tensor>& amax() const { return amax_; }
  /// The first takes any shape; later ones must have the same ("Changing shape when setting amax is not allowed."), but
  /// one number may be [] or [1, .., 1] (D22). Negative and non-finite numbers are refused (D5).
  Result<Done> set_amax(const Tensor& amax);
  /// What the calibrator found becomes amax. Nothing found: an error, or without strict no change (ref_compat: NaN,
  /// D5).
  Result<Done> load_calib_amax(const AmaxOptions& options = {}, bool strict = true);
  /// The learned bounds start over at -+ the largest amax. Errors: no learn_amax, no amax.
  Result<Done> init_learn_amax();
  std::optional<float> clip_min() const { return clip_min_; }
  std::optional<float> clip_max() const { return clip_max_; }
  Result<Done> set_clip(float min, float max);
  Calibrator& calibrator() { return calibrator_; }
  void reset_calibrator();

  /// 1 when fake; the scale of the last real quantization, none before it.
  std::optional<Tensor> scale() const;
  /// amax / (2^(b-1+u) - 1); none without amax.
  std::optional<Tensor> step_size() const;
  /// 2^(b-1+u) - 1, or 448 for (4, 3).
  float maxbound() const;

  /// Adds `<prefix>_amax`, `<prefix>_pre_quant_scale`, `<prefix>clip.clip_value_min` and `..max`, those that exist.
  void add_state(const std::string& prefix, StateDict& state) const;
  /// What the source has is taken (created where it was absent); what only the target has is an error when strict.
  Result<Done> load_state(const std::string& prefix, const StateDict& state, bool strict = true);

  /// The toolkit's extra_repr: "8bit fake per-tensor amax=dynamic calibrator=MaxCalibrator scale=1.0 quant".
  std::string text() const;

 private:
  TensorQuantizer(QuantDescriptor descriptor, QuantizerOptions options, Calibrator calibrator);
  Result<Tensor> scaled(const TensorView& x) const;
  Result<Tensor> stages(const TensorView& x);
  Result<Tensor> clipped(const TensorView& x) const;
  Result<Tensor> current_amax(const TensorView& x) const;
  Result<Tensor> quantized(const TensorView& x);
  Result<Done> collect(const TensorView& x);
  Result<Done> store_amax(const Tensor& amax, bool copy_rules);

  QuantDescriptor descriptor_;
  QuantizerOptions options_;
  Calibrator calibrator_;
  std::optional<Tensor> amax_, pre_quant_scale_, scale_;
  std::optional<float> clip_min_, clip_max_;
  bool follows_calibrator_ = false;  // ref_compat: amax is the max calibrator's own tensor (D21)
};

}  // namespace octet
