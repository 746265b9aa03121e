#pragma once
// Quantized modules: libtorch's own with a TensorQuantizer on the input and, where there is one, on the weight. Each
// equals its float module on separately fake-quantized tensors bit for bit, because it calls that module's forward:
// every padding mode, group and output_size works as there (D35).
//
//   octet::nn::QuantConv2d conv(torch::nn::Conv2dOptions(3, 16, 3).padding(1));
//   octet::nn::QuantLinear fc(torch::nn::LinearOptions(512, 10), octet::k_quant_desc_8bit_per_tensor);
//
// Quantizers are the submodules `_input_quantizer` and `_weight_quantizer`; descriptors must be fake. Defaults: 8 bit
// per tensor for inputs, per output channel for weights; set_default_... replaces a class's own before construction.

#include <torch/torch.h>

#include "octet/train/tensor_quantizer.h"

namespace octet::nn {

/// Throws "Only fake quantization is supported!" for a real descriptor.
TensorQuantizer make_module_quantizer(const QuantDescriptor& descriptor);
QuantDescriptor per_axis_descriptor(int64_t axis);

template <class Base>
class InputQuantized : public Base {
 public:
  template <class Options>
  explicit InputQuantized(const Options& of_float, const QuantDescriptor& input = default_input()) : Base(of_float) {
    input_quantizer = this->register_module("_input_quantizer", make_module_quantizer(input));
  }
  torch::Tensor forward(const torch::Tensor& x) { return Base::forward(input_quantizer(x)); }
  static void set_default_quant_desc_input(const QuantDescriptor& descriptor) { default_input() = descriptor; }
  TensorQuantizer input_quantizer{nullptr};

 private:
  static QuantDescriptor& default_input() {
    static QuantDescriptor descriptor;
    return descriptor;
  }
};

/// [p, p, ...], the float module's padding before and behind each axis, as the toolkit has it: p in all (D35).
std::vector<int64_t> toolkit_circular_padding(const std::vector<int64_t>& before_and_behind);

template <class Base, int64_t Axis>
class WeightQuantized : public Base {
 public:
  template <class Options>
  explicit WeightQuantized(const Options& of_float, const QuantDescriptor& input = default_input(),
                           const QuantDescriptor& weight_descriptor = default_weight())
      : Base(of_float) {
    input_quantizer = this->register_module("_input_quantizer", make_module_quantizer(input));
    weight_quantizer = this->register_module("_weight_quantizer", make_module_quantizer(weight_descriptor));
  }
  torch::Tensor forward(const torch::Tensor& x) { return forward_with(x); }
  /// With the float forward's further arguments: output_size of a transposed convolution.
  template <class... More>
  torch::Tensor forward_with(const torch::Tensor& x, const More&... more) {
    const torch::Tensor quantized_x = input_quantizer(x);
    const torch::Tensor quantized_weight = weight_quantizer(this->weight);
    // The float module's forward reads its member; the parameter comes back however that ends.
    struct Swap {
      torch::Tensor& member;
      torch::Tensor kept;
      ~Swap() { member = kept; }
    } swap{this->weight, this->weight};
    this->weight = quantized_weight;
    return Base::forward(quantized_x, more...);
  }
  /// Of a convolution: pads as the toolkit does (D35). Circular padding is p in all instead of p on each side, so the
  /// output is smaller than the float module's; reflect and replicate become zeros.
  void set_ref_compat() requires(Axis == 0 && requires(Base & base) { base.options.padding_mode(); }) {
    if (torch::enumtype::get_enum_name(this->options.padding_mode()) == "kCircular") {
      this->_reversed_padding_repeated_twice = toolkit_circular_padding(this->_reversed_padding_repeated_twice);
    } else {
      this->options.padding_mode(torch::kZeros);
    }
  }
  static constexpr int64_t k_weight_axis = Axis;
  static void set_default_quant_desc_input(const QuantDescriptor& descriptor) { default_input() = descriptor; }
  static void set_default_quant_desc_weight(const QuantDescriptor& descriptor) { default_weight() = descriptor; }
  TensorQuantizer input_quantizer{nullptr}, weight_quantizer{nullptr};

 private:
  static QuantDescriptor& default_input() {
    static QuantDescriptor descriptor;
    return descriptor;
  }
  static QuantDescriptor& default_weight() {
    static QuantDescriptor descriptor = per_axis_descriptor(Axis);
    return descriptor;
  }
};

#define OCTET_WEIGHT_MODULE(name, axis)                                   \
  using Quant##name##Impl = WeightQuantized<torch::nn::name##Impl, axis>; \
  TORCH_MODULE(Quant##name)
OCTET_WEIGHT_MODULE(Conv1d, 0);
OCTET_WEIGHT_MODULE(Conv2d, 0);
OCTET_WEIGHT_MODULE(Conv3d, 0);
OCTET_WEIGHT_MODULE(ConvTranspose1d, 1);
OCTET_WEIGHT_MODULE(ConvTranspose2d, 1);
OCTET_WEIGHT_MODULE(ConvTranspose3d, 1);
OCTET_WEIGHT_MODULE(Linear, 0);
#undef OCTET_WEIGHT_MODULE

#define OCTET_INPUT_MODULE(name)                                   \
  using Quant##name##Impl = InputQuantized<torch::nn::name##Impl>; \
  TORCH_MODULE(Quant##name)
OCTET_INPUT_MODULE(MaxPool1d);
OCTET_INPUT_MODULE(MaxPool2d);
OCTET_INPUT_MODULE(MaxPool3d);
OCTET_INPUT_MODULE(AvgPool1d);
OCTET_INPUT_MODULE(AvgPool2d);
OCTET_INPUT_MODULE(AvgPool3d);
OCTET_INPUT_MODULE(AdaptiveAvgPool1d);
OCTET_INPUT_MODULE(AdaptiveAvgPool2d);
OCTET_INPUT_MODULE(AdaptiveAvgPool3d);
#undef OCTET_INPUT_MODULE

/// Of its own, because libtorch does not export what a class derived from its InstanceNorm needs.
class QuantInstanceNormImpl : public torch::nn::Module {
 public:
  explicit QuantInstanceNormImpl(const torch::nn::InstanceNormOptions& of_float, const QuantDescriptor& input = {});
  torch::Tensor forward(const torch::Tensor& x);
  torch::nn::InstanceNormOptions options;
  torch::Tensor weight, bias, running_mean, running_var;  // where the options ask for them
  TensorQuantizer input_quantizer{nullptr};
};
using QuantInstanceNorm1dImpl = QuantInstanceNormImpl;
using QuantInstanceNorm2dImpl = QuantInstanceNormImpl;
using QuantInstanceNorm3dImpl = QuantInstanceNormImpl;
TORCH_MODULE(QuantInstanceNorm1d);
TORCH_MODULE(QuantInstanceNorm2d);
TORCH_MODULE(QuantInstanceNorm3d);

}  // namespace octet::nn
