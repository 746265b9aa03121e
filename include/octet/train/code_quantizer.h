#pragma once
// The quantizer that a Q/DQ pair of a graph becomes: scale and zero point are the file's, to the last bit, so that the
// codes are the engine's. (TensorQuantizer keeps amax, from which a scale comes back rounded, and has no zero point.)

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "octet/train/functions.h"

namespace octet::nn {

struct Codes {
  int64_t lo = -128, hi = 127;  // of the dtype, or fewer bits
  int64_t zero_point = 0;
  int64_t axis = 0;  // of a scale with several elements
};

class CodeQuantizerImpl : public torch::nn::Module {
 public:
  /// scale: one element or one per channel, each a positive normal float.
  CodeQuantizerImpl(const torch::Tensor& scale, const Codes& codes);
  /// f32((clamp(rint(x / scale) + zp) - zp) * scale), straight through; x itself when disabled. For s32 (biases)
  /// nothing is clamped.
  torch::Tensor forward(const torch::Tensor& x);
  /// The integers behind it, as s64 with the zero point.
  torch::Tensor codes(const torch::Tensor& x) const;

  torch::Tensor scale() const;
  const Codes& limits() const { return codes_; }
  void set_scale(const torch::Tensor& scale);
  /// Other codes for a new scale: 3-bit weights are {-3, 3}.
  void set_codes(const Codes& codes) { codes_ = codes; }
  /// From now on the optimizer moves the scale (LSQ), kept above 2^-10 of where it starts.
  void learn_scale();
  bool learns_scale() const { return learns_; }
  /// After an optimizer step: a learned scale back above its floor. All of a network at once.
  static void keep_positive(const std::vector<std::shared_ptr<CodeQuantizerImpl>>& quantizers);
  /// The scale of a bias is always x's times w's.
  void tie(const std::shared_ptr<CodeQuantizerImpl>& x, const std::shared_ptr<CodeQuantizerImpl>& w);
  /// The ReLU in front of it is left to this quantizer, whose smallest code stands for 0: the values are the same, and
  /// two walks through memory are saved in either direction.
  void rectify() { rectifies_ = true; }
  void enable() { enabled_ = true; }
  void disable() { enabled_ = false; }
  void pretty_print(std::ostream& stream) const override;

 private:
  CodeLimits code_limits();
  float known_step();
  torch::Tensor unrectified(const torch::Tensor& x);
  bool is_wide() const { return codes_.hi > (int64_t{1} << 22); }
  Codes codes_;
  /// The product of two frozen scales, kept until one of them is set anew.
  torch::Tensor tied_scale();
  torch::Tensor scale_, floor_;
  /// What was worked out of frozen scales, with the versions of those: a GPU is asked once, not in each step.
  struct Frozen {
    std::vector<int64_t> versions;
    torch::Tensor product;
    float step = 0;
  } frozen_;
  std::shared_ptr<CodeQuantizerImpl> x_, w_;
  bool learns_ = false, enabled_ = true, rectifies_ = false;
};
TORCH_MODULE(CodeQuantizer);

}  // namespace octet::nn
