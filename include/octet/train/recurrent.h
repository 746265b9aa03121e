#pragma once
// Quantized LSTM: each step quantizes [x_t, h_(t-1)] together and [w_ih, w_hh] together, per gate row. Parameters carry
// torch's names (weight_ih_l0, weight_hh_l0_reverse, ...), quantizers the toolkit's: `_input_quantizers.N` and
// `_weight_quantizers.N`, N = layer * directions + direction.

#include <torch/torch.h>

#include <optional>
#include <tuple>

#include "octet/train/modules.h"

namespace octet::nn {

using LSTMState = std::tuple<torch::Tensor, torch::Tensor>;  // h, c

class QuantLSTMImpl : public torch::nn::Module {
 public:
  /// proj_size > 0 is refused.
  explicit QuantLSTMImpl(const torch::nn::LSTMOptions& options, const QuantDescriptor& input = {},
                         const QuantDescriptor& weight = per_axis_descriptor(0));
  /// x: [T,N,I], or [N,T,I] with batch_first. Returns y and the last (h, c), each [layers * directions, N, H]; the
  /// state starts at zero unless given.
  std::tuple<torch::Tensor, LSTMState> forward(const torch::Tensor& x, const std::optional<LSTMState>& state = {});

 protected:
  FORWARD_HAS_DEFAULT_ARGS({1, torch::nn::AnyValue(std::optional<LSTMState>())})

 private:
  torch::Tensor direction(const torch::Tensor& x, int64_t index, bool reverse, torch::Tensor& h, torch::Tensor& c);
  torch::nn::LSTMOptions options_;
  torch::nn::ModuleList input_quantizers_, weight_quantizers_;
};
TORCH_MODULE(QuantLSTM);

class QuantLSTMCellImpl : public torch::nn::Module {
 public:
  explicit QuantLSTMCellImpl(const torch::nn::LSTMCellOptions& options, const QuantDescriptor& input = {},
                             const QuantDescriptor& weight = per_axis_descriptor(0));
  LSTMState forward(const torch::Tensor& x, const std::optional<LSTMState>& state = {});
  torch::Tensor weight_ih, weight_hh, bias_ih, bias_hh;

 protected:
  FORWARD_HAS_DEFAULT_ARGS({1, torch::nn::AnyValue(std::optional<LSTMState>())})

 private:
  int64_t hidden_;
  TensorQuantizer input_quantizer_{nullptr}, weight_quantizer_{nullptr};
};
TORCH_MODULE(QuantLSTMCell);

}  // namespace octet::nn
