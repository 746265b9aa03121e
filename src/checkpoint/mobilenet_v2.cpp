// MobileNetV2 under torchvision's names. Source: torchvision/models/mobilenetv2.py; Sandler et al. 2018, table 2.

#include "checkpoint/network_builder.h"

namespace octet {
namespace {

struct Stage {
  int repeats;
  int64_t stride;
};
constexpr Stage k_stages[] = {{1, 1}, {2, 2}, {3, 2}, {4, 2}, {3, 1}, {3, 2}, {1, 1}};

ValueId conv_bn_relu6(NetworkBuilder& b, ValueId x, const std::string& name, NetworkBuilder::Conv spec) {
  return b.relu6(b.batch_norm(b.conv(x, name + ".0", spec), name + ".1"), name + ".2");
}

ValueId inverted_residual(NetworkBuilder& b, ValueId x, const std::string& block, int64_t stride) {
  const bool expands = b.has(block + ".conv.3.weight");  // the first block goes straight to its depthwise convolution
  ValueId y = x;
  int part = 0;
  const auto next = [&] { return block + ".conv." + std::to_string(part++); };
  if (expands) y = conv_bn_relu6(b, y, next(), {1, 0});
  y = conv_bn_relu6(b, y, next(), {stride, 1});
  y = b.conv(y, next(), {1, 0});
  y = b.batch_norm(y, next());
  return stride == 1 && b.channels(x) == b.channels(y) ? b.add(x, y, block + ".add") : y;
}

}  // namespace

void build_mobilenet_v2(NetworkBuilder& b);

void build_mobilenet_v2(NetworkBuilder& b) {
  ValueId x = conv_bn_relu6(b, b.input(), "features.0", {2, 1});
  int index = 1;
  for (const Stage& stage : k_stages)
    for (int i = 0; i < stage.repeats; ++i)
      x = inverted_residual(b, x, "features." + std::to_string(index++), i == 0 ? stage.stride : 1);
  x = conv_bn_relu6(b, x, "features." + std::to_string(index), {1, 0});
  b.classify(x, "classifier.1");
}

}  // namespace octet
