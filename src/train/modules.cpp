#include "octet/train/modules.h"

#include "octet/train/recurrent.h"
#include "train/convert.h"

namespace octet::nn {

using torch::Tensor;

TensorQuantizer make_module_quantizer(const QuantDescriptor& descriptor) {
  if (!descriptor.fake_quant) throw std::invalid_argument("Only fake quantization is supported!");
  return TensorQuantizer(descriptor);
}

QuantDescriptor per_axis_descriptor(int64_t axis) {
  QuantDescriptor descriptor;
  descriptor.axis = {{axis}};
  return descriptor;
}

std::vector<int64_t> toolkit_circular_padding(const std::vector<int64_t>& before_and_behind) {
  std::vector<int64_t> halved = before_and_behind;
  for (size_t i = 0; i + 1 < halved.size(); i += 2) {
    const int64_t p = before_and_behind[i];
    halved[i] = (p + 1) / 2;
    halved[i + 1] = p / 2;
  }
  return halved;
}

QuantInstanceNormImpl::QuantInstanceNormImpl(const torch::nn::InstanceNormOptions& of_float,
                                             const QuantDescriptor& input)
    : options(of_float) {
  const int64_t channels = options.num_features();
  if (options.affine()) {
    weight = register_parameter("weight", torch::ones(channels));
    bias = register_parameter("bias", torch::zeros(channels));
  }
  if (options.track_running_stats()) {
    running_mean = register_buffer("running_mean", torch::zeros(channels));
    running_var = register_buffer("running_var", torch::ones(channels));
  }
  input_quantizer = register_module("_input_quantizer", make_module_quantizer(input));
}

Tensor QuantInstanceNormImpl::forward(const Tensor& x) {
  return torch::instance_norm(input_quantizer(x), weight, bias, running_mean, running_var,
                              is_training() || !options.track_running_stats(), options.momentum(), options.eps(),
                              false);
}

namespace {

/// i, f, g, o = the four parts of gates; returns h'.
Tensor lstm_step(const Tensor& gates, Tensor& c) {
  const std::vector<Tensor> parts = gates.chunk(4, -1);
  c = torch::sigmoid(parts[1]) * c + torch::sigmoid(parts[0]) * torch::tanh(parts[2]);
  return torch::sigmoid(parts[3]) * torch::tanh(c);
}

struct Gates {
  Tensor weight_ih, weight_hh, bias_ih, bias_hh;
  /// The product of [x, h] and [w_ih, w_hh], both quantized whole and taken apart again.
  Tensor forward(const Tensor& x, const Tensor& h, TensorQuantizer& input, TensorQuantizer& weight) const {
    const Tensor joined = input(torch::cat({x, h}, 1));
    const Tensor weights = weight(torch::cat({weight_ih, weight_hh}, 1));
    const int64_t inputs = x.size(1), hidden = h.size(1);
    return torch::linear(joined.narrow(1, 0, inputs), weights.narrow(1, 0, inputs), bias_ih) +
           torch::linear(joined.narrow(1, inputs, hidden), weights.narrow(1, inputs, hidden), bias_hh);
  }
};

}  // namespace

QuantLSTMImpl::QuantLSTMImpl(const torch::nn::LSTMOptions& options, const QuantDescriptor& input,
                             const QuantDescriptor& weight)
    : options_(options) {
  if (options.proj_size() > 0) throw std::invalid_argument("proj_size > 0 is not supported by QuantLSTM");
  const int64_t directions = options.bidirectional() ? 2 : 1, hidden = options.hidden_size();
  const double bound = 1.0 / std::sqrt(static_cast<double>(hidden));
  const auto parameter = [&](const std::string& name, std::vector<int64_t> sizes) {
    register_parameter(name, torch::empty(sizes).uniform_(-bound, bound));
  };
  for (int64_t layer = 0; layer < options.num_layers(); ++layer) {
    const int64_t inputs = layer == 0 ? options.input_size() : hidden * directions;
    for (int64_t d = 0; d < directions; ++d) {
      const std::string suffix = "_l" + std::to_string(layer) + (d ? "_reverse" : "");
      parameter("weight_ih" + suffix, {4 * hidden, inputs});
      parameter("weight_hh" + suffix, {4 * hidden, hidden});
      if (options.bias()) {
        parameter("bias_ih" + suffix, {4 * hidden});
        parameter("bias_hh" + suffix, {4 * hidden});
      }
      input_quantizers_->push_back(make_module_quantizer(input));
      weight_quantizers_->push_back(make_module_quantizer(weight));
    }
  }
  register_module("_input_quantizers", input_quantizers_);
  register_module("_weight_quantizers", weight_quantizers_);
}

Tensor QuantLSTMImpl::direction(const Tensor& x, int64_t index, bool reverse, Tensor& h, Tensor& c) {
  const int64_t directions = options_.bidirectional() ? 2 : 1;
  const std::string suffix = "_l" + std::to_string(index / directions) + (reverse ? "_reverse" : "");
  const auto own = named_parameters(false);
  Gates gates{own["weight_ih" + suffix], own["weight_hh" + suffix], {}, {}};
  if (options_.bias()) {
    gates.bias_ih = own["bias_ih" + suffix];
    gates.bias_hh = own["bias_hh" + suffix];
  }
  TensorQuantizer input(input_quantizers_->ptr<TensorQuantizerImpl>(static_cast<size_t>(index)));
  TensorQuantizer weight(weight_quantizers_->ptr<TensorQuantizerImpl>(static_cast<size_t>(index)));
  std::vector<Tensor> steps(static_cast<size_t>(x.size(0)));
  for (int64_t i = 0; i < x.size(0); ++i) {
    const int64_t t = reverse ? x.size(0) - 1 - i : i;
    h = lstm_step(gates.forward(x[t], h, input, weight), c);
    steps[static_cast<size_t>(t)] = h;
  }
  return torch::stack(steps);
}

std::tuple<Tensor, LSTMState> QuantLSTMImpl::forward(const Tensor& input, const std::optional<LSTMState>& state) {
  Tensor x = options_.batch_first() ? input.transpose(0, 1) : input;
  const int64_t directions = options_.bidirectional() ? 2 : 1;
  std::vector<Tensor> last_h, last_c;
  for (int64_t layer = 0; layer < options_.num_layers(); ++layer) {
    std::vector<Tensor> outputs;
    for (int64_t d = 0; d < directions; ++d) {
      const int64_t index = layer * directions + d;
      Tensor h = state ? std::get<0>(*state)[index] : torch::zeros({x.size(1), options_.hidden_size()}, x.options());
      Tensor c = state ? std::get<1>(*state)[index] : torch::zeros_like(h);
      outputs.push_back(direction(x, index, d == 1, h, c));
      last_h.push_back(h);
      last_c.push_back(c);
    }
    x = outputs.size() == 1 ? outputs[0] : torch::cat(outputs, 2);
    if (layer + 1 < options_.num_layers() && options_.dropout() > 0)
      x = torch::dropout(x, options_.dropout(), is_training());
  }
  return {options_.batch_first() ? x.transpose(0, 1) : x, {torch::stack(last_h), torch::stack(last_c)}};
}

QuantLSTMCellImpl::QuantLSTMCellImpl(const torch::nn::LSTMCellOptions& options, const QuantDescriptor& input,
                                     const QuantDescriptor& weight)
    : hidden_(options.hidden_size()) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(hidden_));
  const auto parameter = [&](const char* name, std::vector<int64_t> sizes) {
    return register_parameter(name, torch::empty(sizes).uniform_(-bound, bound));
  };
  weight_ih = parameter("weight_ih", {4 * hidden_, options.input_size()});
  weight_hh = parameter("weight_hh", {4 * hidden_, hidden_});
  if (options.bias()) {
    bias_ih = parameter("bias_ih", {4 * hidden_});
    bias_hh = parameter("bias_hh", {4 * hidden_});
  }
  input_quantizer_ = register_module("_input_quantizer", make_module_quantizer(input));
  weight_quantizer_ = register_module("_weight_quantizer", make_module_quantizer(weight));
}

LSTMState QuantLSTMCellImpl::forward(const Tensor& x, const std::optional<LSTMState>& state) {
  const Tensor h = state ? std::get<0>(*state) : torch::zeros({x.size(0), hidden_}, x.options());
  Tensor c = state ? std::get<1>(*state) : torch::zeros_like(h);
  const Gates gates{weight_ih, weight_hh, bias_ih, bias_hh};
  const Tensor next = lstm_step(gates.forward(x, h, input_quantizer_, weight_quantizer_), c);
  return {next, c};
}

}  // namespace octet::nn
