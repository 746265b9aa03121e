// ResNet-20 to -110 for 32x32 pictures (He et al. 2015, 4.2) under the names of akamaster/pytorch_resnet_cifar10. Where
// a block changes its width and has no shortcut parameters, the shortcut takes every second pixel and puts zero
// channels on both sides (option A); written as a 1x1 convolution with a 0/1 weight, which is the same function.

#include "checkpoint/network_builder.h"

namespace octet {
namespace {

ValueId option_a(NetworkBuilder& b, ValueId x, const std::string& block, int64_t width, int64_t stride) {
  const int64_t ic = b.channels(x), before = (width - ic) / 2;
  std::vector<float> weight(static_cast<size_t>(width * ic), 0.0f);
  for (int64_t c = 0; c < ic; ++c) weight[static_cast<size_t>((c + before) * ic + c)] = 1.0f;
  return b.fixed_conv(x, block + ".shortcut", f32_tensor({width, ic, 1, 1}, weight), {stride, 0});
}

ValueId shortcut(NetworkBuilder& b, ValueId x, const std::string& block, int64_t width, int64_t stride) {
  if (b.has(block + ".shortcut.0.weight"))
    return b.batch_norm(b.conv(x, block + ".shortcut.0", {stride, 0}), block + ".shortcut.1");
  if (b.channels(x) < width) return option_a(b, x, block, width, stride);
  return x;
}

void build_resnet_cifar(NetworkBuilder& b, int blocks) {
  ValueId x = b.relu(b.batch_norm(b.conv(b.input(), "conv1", {1, 1}), "bn1"), "relu");
  for (int stage = 0; stage < 3; ++stage)
    for (int i = 0; i < blocks; ++i) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int64_t stride = i == 0 && stage > 0 ? 2 : 1;
      ValueId y = b.relu(b.batch_norm(b.conv(x, block + ".conv1", {stride, 1}), block + ".bn1"), block + ".relu1");
      y = b.batch_norm(b.conv(y, block + ".conv2", {1, 1}), block + ".bn2");
      x = b.relu(b.add(y, shortcut(b, x, block, b.channels(y), stride), block + ".add"), block + ".relu");
    }
  b.classify(x, "linear");
}

}  // namespace

void build_resnet20(NetworkBuilder& b);
void build_resnet32(NetworkBuilder& b);
void build_resnet44(NetworkBuilder& b);
void build_resnet56(NetworkBuilder& b);
void build_resnet110(NetworkBuilder& b);

void build_resnet20(NetworkBuilder& b) { build_resnet_cifar(b, 3); }
void build_resnet32(NetworkBuilder& b) { build_resnet_cifar(b, 5); }
void build_resnet44(NetworkBuilder& b) { build_resnet_cifar(b, 7); }
void build_resnet56(NetworkBuilder& b) { build_resnet_cifar(b, 9); }
void build_resnet110(NetworkBuilder& b) { build_resnet_cifar(b, 18); }

}  // namespace octet
