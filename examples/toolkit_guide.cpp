// NVIDIA's pytorch-quantization user guide, section by section, in C++. Each section checks what the guide prints; the
// program ends with 1 when a number differs.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "octet/export.h"
#include "octet/model.h"
#include "octet/quant.h"

using namespace octet;  // an example, not a library

namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "toolkit_guide: %s does not hold\n", what);
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "toolkit_guide: %s\n", result.error().message.c_str());
    std::exit(1);
  }
  return *std::move(result);
}

/// torch.manual_seed(seed); torch.rand(dims): 24 bits of each draw of the Mersenne Twister.
Tensor torch_rand(Dims dims, std::mt19937& generator) {
  std::vector<float> values(static_cast<size_t>(*element_count(dims)));
  for (float& v : values) v = static_cast<float>(generator() & 0xffffff) * 0x1p-24f;
  return f32_tensor(std::move(dims), values);
}

void print(const char* name, const Tensor& tensor) {
  std::printf("%s = [", name);
  for (const double v : to_doubles(tensor)) std::printf(" %.4f", v);
  std::printf(" ]\n");
}

/// True when every element is the one that the guide prints, to its four decimals.
bool prints_as(const Tensor& tensor, const std::vector<double>& guide) {
  const std::vector<double> values = to_doubles(tensor);
  for (size_t i = 0; i < guide.size(); ++i) {
    if (std::abs(values[i] - guide[i]) > 0.50001e-4) return false;
  }
  return values.size() == guide.size();
}

// ---- "Basic Functionalities: Quantization function"

void quantization_function() {
  // Generate random input. With fixed seed 12345, x should be
  // [0.9817, 0.8796, 0.9921, 0.4611, 0.0832, 0.1784, 0.3674, 0.5676, 0.3376, 0.2119]
  std::mt19937 generator(12345);
  const Tensor x = torch_rand({10}, generator);
  print("x", x);
  check(prints_as(x, {0.9817, 0.8796, 0.9921, 0.4611, 0.0832, 0.1784, 0.3674, 0.5676, 0.3376, 0.2119}),
        "x of seed 12345");

  const Tensor amax = must(kept_amax(view_of(x), {}));  // x.abs().max()

  // fake quantize tensor x
  const Tensor fake_quant_x = must(fake_tensor_quant(view_of(x), amax));
  print("fake_quant_x", fake_quant_x);
  check(prints_as(fake_quant_x, {0.9843, 0.8828, 0.9921, 0.4609, 0.0859, 0.1797, 0.3672, 0.5703, 0.3359, 0.2109}),
        "fake_quant_x");

  // quantize tensor x: integers, and their scale
  const QuantizedTensor quant_x = must(tensor_quant(view_of(x), amax));
  print("quant_x", quant_x.values);
  print("scale", quant_x.scale);
  check(prints_as(quant_x.values, {126, 113, 127, 59, 11, 23, 47, 73, 43, 27}), "quant_x");
  check(prints_as(quant_x.scale, {128.0057}), "scale");

  // Backward is the straight-through estimator: what lies within amax passes.
  const Tensor dy = f32_tensor({10}, std::vector<float>(10, 1.0f));
  check(must(tensor_quant_backward(view_of(x), amax, view_of(dy))) == dy, "the gradient inside amax");
}

// ---- "Descriptor and quantizer"

void descriptor_and_quantizer() {
  const QuantDescriptor quant_desc{.num_bits = 4, .fake_quant = false, .axis = {{0}}, .is_unsigned = true};
  TensorQuantizer quantizer = must(TensorQuantizer::make(quant_desc));

  std::mt19937 generator(12345);
  const Tensor x = torch_rand({10, 9, 8, 7}, generator);
  const Tensor quant_x = must(quantizer.forward(view_of(x)));
  std::printf("%s: %s gives codes of type %s\n", to_text(quant_desc).c_str(), quantizer.text().c_str(),
              std::string(name(quant_x.dtype())).c_str());
  // axis 0 remains: one amax and one scale for each of the ten
  check(quantizer.scale()->dims() == Dims{10, 1, 1, 1}, "a scale for each index of axis 0");
  for (const uint8_t code : quant_x.as<uint8_t>()) check(code <= 15, "4 bit codes");
  check(must(descriptor_from_yaml(to_yaml(quant_desc))) == quant_desc, "the descriptor in YAML");
}

// ---- "Quantized module": octet has no modules; a layer is its function with a quantizer on input and weight

struct QuantLinear {
  std::vector<float> weight;  // [out, in]
  int64_t in = 0, out = 0;
  TensorQuantizer input_quantizer = must(TensorQuantizer::make(k_quant_desc_8bit_per_tensor));
  TensorQuantizer weight_quantizer = must(TensorQuantizer::make(k_quant_desc_8bit_linear_weight_per_row));

  TensorView weight_view() {
    return TensorView::dense(DType::f32, {out, in}, reinterpret_cast<std::byte*>(weight.data()));
  }

  Tensor forward(const Tensor& x) {
    const Tensor quant_x = must(input_quantizer.forward(view_of(x)));
    const Tensor quant_weight = must(weight_quantizer.forward(weight_view()));
    const int64_t n = x.dims()[0];
    std::vector<float> y(static_cast<size_t>(n * out));
    for (int64_t b = 0; b < n; ++b) {
      for (int64_t o = 0; o < out; ++o) {
        float sum = 0;
        for (int64_t i = 0; i < in; ++i) sum += quant_x.at<float>(b * in + i) * quant_weight.at<float>(o * in + i);
        y[static_cast<size_t>(b * out + o)] = sum;
      }
    }
    return f32_tensor({n, out}, y);
  }
};

QuantLinear make_layer(std::mt19937& generator) {
  QuantLinear fc;
  fc.in = 16;
  fc.out = 4;
  std::normal_distribution<float> normal(0, 0.3f);
  for (int64_t i = 0; i < fc.in * fc.out; ++i) fc.weight.push_back(normal(generator));
  return fc;
}

double error_of(const Tensor& y, const Tensor& reference) {
  double error = 0, signal = 0;
  for (int64_t i = 0; i < y.size(); ++i) {
    error += std::pow(y.at<float>(i) - reference.at<float>(i), 2);
    signal += std::pow(reference.at<float>(i), 2);
  }
  return std::sqrt(error / signal);
}

// ---- "Post training quantization: Calibration"

void calibration(QuantLinear& fc, std::mt19937& generator) {
  // Find the TensorQuantizer and enable calibration; use full precision data to calibrate
  QuantDescriptor histogram = k_quant_desc_8bit_per_tensor;
  histogram.calib_method = "histogram";
  fc.input_quantizer = must(TensorQuantizer::make(histogram));
  fc.input_quantizer.enable_calib();
  fc.input_quantizer.disable_quant();
  fc.weight_quantizer.disable();

  // Feeding data samples
  Tensor y;
  Tensor x;
  for (int batch = 0; batch < 10; ++batch) {
    x = torch_rand({8, fc.in}, generator);
    y = fc.forward(x);  // float
  }

  // Finalize calibration. The older guide forgets to disable it: with a max calibrator amax would go on moving.
  must(fc.input_quantizer.load_calib_amax({.method = "mse"}));
  fc.input_quantizer.disable_calib();
  fc.input_quantizer.enable_quant();
  const WeightSlot slot{"fc._weight_quantizer", fc.weight_view(), &fc.weight_quantizer};
  must(calibrate_weights({&slot, 1}, {.method = "max"}));
  fc.weight_quantizer.enable();

  // Keep running the quantized model
  const double error = error_of(fc.forward(x), y);
  std::printf("fc input: %s\nfc weight: %s\nrelative error of the quantized layer %.4f\n",
              fc.input_quantizer.text().c_str(), fc.weight_quantizer.text().c_str(), error);
  check(error > 0 && error < 0.02, "a quantized layer near the float one");
}

// ---- "Quantized Fine Tuning": a tenth of the schedule, from 1 % of the learning rate, cosine down to 1 % of that

void fine_tuning(QuantLinear& fc, std::mt19937& generator) {
  const double learning_rate = 10;
  const double first = 0.01 * learning_rate, last = 0.01 * first;
  const int steps = 200;
  const Tensor x = torch_rand({256, fc.in}, generator);
  // What the layer should give: float, with weights that have moved a little since it was calibrated.
  QuantLinear teacher = fc;
  std::normal_distribution<float> moved(0, 0.1f);
  for (float& w : teacher.weight) w += moved(generator);
  teacher.input_quantizer.disable();
  teacher.weight_quantizer.disable();
  const Tensor target = teacher.forward(x);
  const double before = error_of(fc.forward(x), target);
  for (int t = 0; t < steps; ++t) {
    const double rate = last + (first - last) * (1 + std::cos(std::numbers::pi * t / steps)) / 2;
    const Tensor y = fc.forward(x);
    std::vector<float> gradient(fc.weight.size(), 0.0f);  // of the mean squared error at the quantized weight
    for (int64_t b = 0; b < 256; ++b) {
      for (int64_t o = 0; o < fc.out; ++o) {
        const float slope = 2 * (y.at<float>(b * fc.out + o) - target.at<float>(b * fc.out + o)) / 256;
        for (int64_t i = 0; i < fc.in; ++i)
          gradient[static_cast<size_t>(o * fc.in + i)] += slope * x.at<float>(b * fc.in + i);
      }
    }
    const Tensor dy = f32_tensor({fc.out, fc.in}, gradient);
    const Tensor dw = must(fc.weight_quantizer.backward(fc.weight_view(), view_of(dy))).dx;
    for (size_t i = 0; i < fc.weight.size(); ++i) fc.weight[i] -= static_cast<float>(rate) * dw.as<float>()[i];
  }
  const double after = error_of(fc.forward(x), target);
  std::printf("moved target: relative error %.4f, after fine-tuning %.4f\n", before, after);
  check(after < 0.5 * before, "fine-tuning helps");
}

// ---- "Export to ONNX": the graph is quantized, written as QuantizeLinear / DequantizeLinear

void export_to_onnx(const char* model_file) {
  const Model model = must(Model::load(model_file));
  CalibrateSpec data;
  data.data = {.path = "shapes-train:64", .preprocess = "rgb,norm=half"};
  data.method = "mse";
  const Ranges ranges = must(calibrate(model, data));
  QuantizeSpec target;
  target.target = "tensorrt";
  const Quantized quantized = must(quantize(model, ranges, target));
  const std::string file =
      std::filesystem::temp_directory_path() / ("octet_guide_" + std::to_string(std::random_device{}()) + ".onnx");
  must(quantized.model.save(file, 13));
  check(must(Model::load(file)).is_quantized(), "the file that was written holds Q and DQ");
  std::filesystem::remove(file);
  // Quantizers of one's own go into the file by the names of their tensors, as with
  //   quant_nn.TensorQuantizer.use_fb_fake_quant = True; torch.onnx.export(model, dummy_input, "quant.onnx")
  const TensorQuantizer input_quantizer = must(TensorQuantizer::make({.amax = scalar_f32(1)}));
  const std::string input = model.inputs()[0].name;
  const Model exported = must(export_quantizers(model, {{input, &input_quantizer}}, {.use_fb_fake_quant = true}));
  check(exported.is_quantized() && exported.text(true).find(input + "_scale") != std::string::npos,
        "the exported pair");
  std::printf("%lld of %lld layers written as Q/DQ, opset 13\n", static_cast<long long>(quantized.quantized),
              static_cast<long long>(quantized.total));
}

}  // namespace

int main(int argc, char** argv) {
  quantization_function();
  descriptor_and_quantizer();
  std::mt19937 generator(12345);
  QuantLinear fc = make_layer(generator);
  calibration(fc, generator);
  fine_tuning(fc, generator);
  export_to_onnx(argc > 1 ? argv[1] : OCTET_DEMO_MODEL);
  std::printf("all that the guide prints is so\n");
}
