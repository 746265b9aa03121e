#pragma once
// TensorQuantizer as a libtorch module, with the toolkit's flow and state names (octet/quant.h has the same without
// libtorch): x times pre_quant_scale, calibration, then clip or quantization.
//
//   octet::nn::TensorQuantizer q(octet::k_quant_desc_8bit_per_tensor);
//   torch::Tensor y = q(x);
//
// State: buffers `_amax` and `_pre_quant_scale` where they exist, parameters `clip.clip_value_min` and `_max` with
// learn_amax. amax is a buffer: no gradient reaches it.

#include <torch/torch.h>

#include <optional>
#include <string>

#include "octet/train/functions.h"
#include "quant/quantizer.h"

namespace octet::nn {

/// Clip with bounds that may be learned (PACT).
class ClipImpl : public torch::nn::Module {
 public:
  ClipImpl(float min, float max, bool learn_min = false, bool learn_max = false);
  torch::Tensor forward(const torch::Tensor& x) { return pact_clip(x, clip_value_min, clip_value_max); }
  torch::Tensor clip_value_min, clip_value_max;
};
TORCH_MODULE(Clip);

class TensorQuantizerImpl : public torch::nn::Module {
 public:
  explicit TensorQuantizerImpl(const QuantDescriptor& descriptor = {}, const QuantizerOptions& options = {});
  torch::Tensor forward(torch::Tensor x);

  void enable() { core_.enable(); }
  void disable() { core_.disable(); }
  void enable_quant() { core_.enable_quant(); }
  void disable_quant() { core_.disable_quant(); }
  void enable_calib() { core_.enable_calib(); }
  void disable_calib() { core_.disable_calib(); }
  void enable_clip();
  void disable_clip() { core_.disable_clip(); }
  void load_calib_amax(const AmaxOptions& options = {}, bool strict = true);
  void init_learn_amax();
  void set_amax(const torch::Tensor& amax);
  /// undefined = dynamic, or learned.
  torch::Tensor amax() const { return amax_; }
  void set_pre_quant_scale(const torch::Tensor& scale);
  void set_num_bits(NumBits num_bits);
  void set_unsigned(bool is_unsigned);
  void set_narrow_range(bool narrow_range) { core_.set_narrow_range(narrow_range); }
  const QuantDescriptor& descriptor() const { return core_.descriptor(); }
  Calibrator& calibrator() { return core_.calibrator(); }
  /// Of the last real quantization; 1 when fake.
  std::optional<torch::Tensor> scale() const;
  std::optional<torch::Tensor> step_size() const;
  float maxbound() const { return core_.maxbound(); }
  /// The same quantizer of octet/quant.h with the state of now: what export_quantizers() of octet/export.h takes.
  octet::TensorQuantizer plain() const;
  /// The toolkit's extra_repr.
  std::string text() const;
  void pretty_print(std::ostream& stream) const override { stream << "TensorQuantizer(" << text() << ")"; }

 private:
  torch::Tensor current_amax(const torch::Tensor& x) const;
  torch::Tensor quantized(const torch::Tensor& x);
  void take_amax();  // from the core
  octet::TensorQuantizer core_;
  torch::Tensor amax_, pre_quant_scale_;
  std::optional<torch::Tensor> scale_;
  Clip clip_{nullptr};
};
TORCH_MODULE(TensorQuantizer);

/// Every parameter and buffer under its full name, as the toolkit's state_dict() names them.
std::map<std::string, torch::Tensor> state_dict(const torch::nn::Module& module);
/// Copies what the state has; an `_amax` or `_pre_quant_scale` that the module lacks is created. With strict, names
/// that are missing or left over are an error that lists them.
void load_state_dict(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& state, bool strict = true);

}  // namespace octet::nn
