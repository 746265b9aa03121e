// Fine-tunes a Q/DQ network in a loop of one's own: fine_tune QDQ.onnx TRAIN_DATA PREPROCESS OUT.onnx
// (octet finetune does all of this with checkpoints, a held-out part and more.) The second half builds a network of
// quantized modules by hand, as the toolkit's user guide does.

#include <cstdio>

#include "octet/train/graph_module.h"
#include "octet/train/parameters.h"
#include "octet/train/trainer.h"

namespace {

using namespace octet;

/// A network by hand, calibrated on random data: quantizers see float data, then keep their amax.
void quantized_modules() {
  torch::nn::Sequential net = nn::quantized(
      torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)), torch::nn::ReLU(),
                            torch::nn::AdaptiveAvgPool2d(torch::nn::AdaptiveAvgPool2dOptions({1, 1})),
                            torch::nn::Flatten(), torch::nn::Linear(8, 10)));

  // Find the TensorQuantizer and enable calibration
  const auto each_quantizer = [&](auto&& visit) {
    for (const auto& module : net->modules(false))
      if (auto* quantizer = dynamic_cast<nn::TensorQuantizerImpl*>(module.get())) visit(*quantizer);
  };
  each_quantizer([](nn::TensorQuantizerImpl& q) {
    q.enable_calib();
    q.disable_quant();  // Use full precision data to calibrate
  });

  // Feeding data samples
  net->forward(torch::randn({4, 3, 16, 16}));

  // Finalize calibration
  each_quantizer([](nn::TensorQuantizerImpl& q) {
    q.load_calib_amax();
    q.disable_calib();
    q.enable_quant();
  });

  // Keep running the quantized model
  net->forward(torch::randn({4, 3, 16, 16}));
  for (const auto& [name, tensor] : nn::state_dict(*net))
    if (name.ends_with("_amax")) std::printf("%s: %lld values\n", name.c_str(), static_cast<long long>(tensor.numel()));
}

Result<Done> fine_tune(const char* qdq, const char* train_data, const char* preprocess, const char* output) {
  Result<nn::GraphModule> net = nn::read_graph_module(qdq);
  if (!net) return net.error();
  const Result<std::unique_ptr<Dataset>> data = open_dataset(train_data, {.preprocess = preprocess});
  if (!data) return data.error();

  nn::TrainOptions options;
  options.epochs = 2;
  options.rate = 0.01 * 0.1;                // 1 % of the original rate
  options.last_rate = 0.01 * options.rate;  // cosine down to 1 % of that
  options.on_epoch = [](const nn::EpochReport& e) {
    std::printf("epoch %lld: held-out accuracy %.2f %%\n", static_cast<long long>(e.epoch), 100 * e.held_out_accuracy);
  };
  const Result<nn::TrainReport> report = nn::train(**net, **data, {3, 32, 32}, options);
  if (!report) return report.error();
  return (*net)->save(output);
}

}  // namespace

int main(int argc, char** argv) {
  quantized_modules();
  if (argc == 1) return 0;
  if (argc != 5) {
    std::fprintf(stderr, "usage: fine_tune QDQ.onnx TRAIN_DATA PREPROCESS OUT.onnx\n");
    return 2;
  }
  const Result<Done> done = fine_tune(argv[1], argv[2], argv[3], argv[4]);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}
