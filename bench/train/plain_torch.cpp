// The peer of octet train: ResNet-18 (3x3 stem) written in libtorch's own modules, its SGD, one batch in memory,
// nothing of octet's. Prints images per second of the steps behind the first few.
//
// usage: octet_plain_training DEVICE BATCH STEPS [--fast]     --fast: cuDNN's search and channels-last, as octet sets
// them

#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace {

using torch::Tensor;
namespace nn = torch::nn;

nn::Conv2d conv(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

struct BlockImpl : nn::Module {
  BlockImpl(int64_t in, int64_t out, int64_t stride)
      : conv1(conv(in, out, 3, stride)), conv2(conv(out, out, 3, 1)), bn1(out), bn2(out) {
    register_module("conv1", conv1);
    register_module("bn1", bn1);
    register_module("conv2", conv2);
    register_module("bn2", bn2);
    if (in != out || stride != 1)
      shortcut = register_module("shortcut", nn::Sequential(conv(in, out, 1, stride), nn::BatchNorm2d(out)));
  }
  Tensor forward(const Tensor& x) {
    const Tensor y = bn2(conv2(torch::relu(bn1(conv1(x)))));
    return torch::relu(y + (shortcut ? shortcut->forward(x) : x));
  }
  nn::Conv2d conv1, conv2;
  nn::BatchNorm2d bn1, bn2;
  nn::Sequential shortcut{nullptr};
};
TORCH_MODULE(Block);

nn::Sequential resnet18() {
  nn::Sequential net(conv(3, 64, 3, 1), nn::BatchNorm2d(64), nn::ReLU());
  int64_t in = 64;
  for (const int64_t width : {64, 128, 256, 512})
    for (int i = 0; i < 2; ++i) {
      net->push_back(Block(in, width, i == 0 && width != 64 ? 2 : 1));
      in = width;
    }
  net->push_back(nn::AdaptiveAvgPool2d(nn::AdaptiveAvgPool2dOptions({1, 1})));
  net->push_back(nn::Flatten());
  net->push_back(nn::Linear(512, 10));
  return net;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: octet_plain_training DEVICE BATCH STEPS [--fast]\n"), 2;
  const torch::Device device(argv[1]);
  const int64_t batch = std::atoll(argv[2]), steps = std::atoll(argv[3]), before = 5;
  const bool fast = argc > 4 && std::string(argv[4]) == "--fast";
  nn::Sequential net = resnet18();
  net->to(device);
  Tensor x = torch::randn({batch, 3, 32, 32});
  const Tensor y = torch::randint(10, {batch}, torch::kInt64);
  if (device.is_cuda()) x = x.pin_memory();
  if (fast && device.is_cuda()) {
    at::globalContext().setBenchmarkCuDNN(true);
    torch::NoGradGuard no_grad;
    for (Tensor& p : net->parameters())
      if (p.dim() == 4) p.set_data(p.contiguous(torch::MemoryFormat::ChannelsLast));
  }
  torch::optim::SGD sgd(net->parameters(),
                        torch::optim::SGDOptions(0.01).momentum(0.9).weight_decay(5e-4).nesterov(true));
  auto start = std::chrono::steady_clock::now();
  for (int64_t step = -before; step < steps; ++step) {
    if (step == 0) {
      if (device.is_cuda()) torch::cuda::synchronize();
      start = std::chrono::steady_clock::now();
    }
    sgd.zero_grad();
    Tensor in = x.to(device, /*non_blocking=*/true);
    if (fast && device.is_cuda()) in = in.contiguous(torch::MemoryFormat::ChannelsLast);
    nn::functional::cross_entropy(net->forward(in), y.to(device)).backward();
    sgd.step();
  }
  if (device.is_cuda()) torch::cuda::synchronize();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%.1f\n", static_cast<double>(batch * steps) / seconds);
  return 0;
}
