// TensorQuantizers placed by hand in a network that is not made of modules: a function that multiplies matrices. As the
// guide says of residual additions, the identity branch has a quantizer of its own, so that both inputs of the addition
// lie on a grid.
//
//   h = relu(W1 x);  y = relu(W2 h + h)

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "octet/quant.h"

using namespace octet;  // an example, not a library

namespace {

constexpr int64_t k_width = 32;

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "place_quantizer: %s\n", result.error().message.c_str());
    std::exit(1);
  }
  return *std::move(result);
}

/// The quantizers by the place where they stand; a std::map, so that all loops go in one order.
using Quantizers = std::map<std::string, TensorQuantizer>;

Quantizers place() {
  QuantDescriptor activation = k_quant_desc_8bit_per_tensor;
  activation.calib_method = "histogram";
  QuantDescriptor after_relu = activation;
  after_relu.is_unsigned = true;  // never negative: all 256 levels
  Quantizers at;
  at.emplace("layer1.input", must(TensorQuantizer::make(activation)));
  at.emplace("layer1.weight", must(TensorQuantizer::make(k_quant_desc_8bit_linear_weight_per_row)));
  at.emplace("layer2.input", must(TensorQuantizer::make(after_relu)));
  at.emplace("layer2.weight", must(TensorQuantizer::make(k_quant_desc_8bit_linear_weight_per_row)));
  at.emplace("residual", must(TensorQuantizer::make(after_relu)));
  return at;
}

std::vector<float> multiply(const Tensor& weight, const Tensor& x) {
  std::vector<float> y(k_width, 0.0f);
  for (int64_t o = 0; o < k_width; ++o) {
    for (int64_t i = 0; i < k_width; ++i)
      y[static_cast<size_t>(o)] += weight.at<float>(o * k_width + i) * x.at<float>(i);
  }
  return y;
}

Tensor relu(std::vector<float> x) {
  for (float& v : x) v = std::max(v, 0.0f);
  return f32_tensor({k_width}, x);
}

struct Network {
  Tensor w1, w2;

  /// Every quantizer stands where its tensor is used.
  Tensor run(const Tensor& x, Quantizers& at) const {
    const auto q = [&](const char* place, const Tensor& t) { return must(at.at(place).forward(view_of(t))); };
    const Tensor h = relu(multiply(q("layer1.weight", w1), q("layer1.input", x)));
    std::vector<float> sum = multiply(q("layer2.weight", w2), q("layer2.input", h));
    const Tensor identity = q("residual", h);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += identity.as<float>()[i];
    return relu(sum);
  }
};

Tensor random_tensor(Dims dims, float deviation, std::mt19937& generator) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(static_cast<size_t>(*element_count(dims)));
  for (float& v : values) v = normal(generator);
  return f32_tensor(std::move(dims), values);
}

/// Signal to quantization noise in dB over some inputs: quantized against float.
double sqnr(const Network& network, Quantizers& quantized, Quantizers& silent, std::mt19937 generator) {
  double signal = 0, noise = 0;
  for (int n = 0; n < 100; ++n) {
    const Tensor x = random_tensor({k_width}, 1, generator);
    const Tensor exact = network.run(x, silent), y = network.run(x, quantized);
    for (int64_t i = 0; i < k_width; ++i) {
      signal += std::pow(exact.at<float>(i), 2);
      noise += std::pow(exact.at<float>(i) - y.at<float>(i), 2);
    }
  }
  return 10 * std::log10(signal / noise);
}

}  // namespace

int main() {
  std::mt19937 generator(7);
  const float deviation = 1.0f / std::sqrt(static_cast<float>(k_width));
  const Network network{random_tensor({k_width, k_width}, deviation, generator),
                        random_tensor({k_width, k_width}, deviation, generator)};

  // 1. Calibrate: quantizers look on while the network runs in float.
  Quantizers at = place();
  for (auto& [name, quantizer] : at) {
    quantizer.enable_calib();
    quantizer.disable_quant();
  }
  for (int n = 0; n < 500; ++n) network.run(random_tensor({k_width}, 1, generator), at);
  for (auto& [name, quantizer] : at) {
    const bool weight = name.ends_with("weight");
    must(quantizer.load_calib_amax(weight ? AmaxOptions{} : AmaxOptions{.method = "mse"}));
    quantizer.disable_calib();
    quantizer.enable_quant();
    std::printf("%-14s %s\n", name.c_str(), quantizer.text().c_str());
  }

  // 2. Run quantized, against the same network with every quantizer disabled.
  Quantizers silent = place();
  for (auto& [name, quantizer] : silent) quantizer.disable();
  const double quality = sqnr(network, at, silent, std::mt19937(8));
  std::printf("quantized against float: SQNR %.1f dB\n", quality);

  // 3. Save and load under the toolkit's names: the same numbers again.
  StateDict state;
  for (const auto& [name, quantizer] : at) quantizer.add_state(name + ".", state);
  Quantizers loaded = place();
  for (auto& [name, quantizer] : loaded) must(quantizer.load_state(name + ".", state, /*strict=*/false));
  const double again = sqnr(network, loaded, silent, std::mt19937(8));
  std::printf("%zu tensors of state, such as %s; loaded again: %.1f dB\n", state.size(), state.begin()->first.c_str(),
              again);
  return quality > 35 && again == quality ? 0 : 1;
}
