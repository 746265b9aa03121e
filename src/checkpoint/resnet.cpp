// ResNet-18 to -152 under torchvision's names; v1.5: the stride of a bottleneck is in its 3x3 convolution. A 3x3 stem
// (the common form for 32x32 pictures) has stride 1 and no max-pool behind it. Source: torchvision/models/resnet.py.

#include <array>

#include "checkpoint/network_builder.h"

namespace octet {
namespace {

ValueId shortcut(NetworkBuilder& b, ValueId x, const std::string& block, int64_t stride) {
  if (!b.has(block + ".downsample.0.weight")) return x;
  return b.batch_norm(b.conv(x, block + ".downsample.0", {stride, 0}), block + ".downsample.1");
}

ValueId conv_bn(NetworkBuilder& b, ValueId x, const std::string& block, const char* index, int64_t stride,
                int64_t pad) {
  return b.batch_norm(b.conv(x, block + ".conv" + index, {stride, pad}), block + ".bn" + index);
}

ValueId basic_block(NetworkBuilder& b, ValueId x, const std::string& block, int64_t stride) {
  ValueId y = b.relu(conv_bn(b, x, block, "1", stride, 1), block + ".relu1");
  y = conv_bn(b, y, block, "2", 1, 1);
  return b.relu(b.add(y, shortcut(b, x, block, stride), block + ".add"), block + ".relu");
}

ValueId bottleneck(NetworkBuilder& b, ValueId x, const std::string& block, int64_t stride) {
  ValueId y = b.relu(conv_bn(b, x, block, "1", 1, 0), block + ".relu1");
  y = b.relu(conv_bn(b, y, block, "2", stride, 1), block + ".relu2");
  y = conv_bn(b, y, block, "3", 1, 0);
  return b.relu(b.add(y, shortcut(b, x, block, stride), block + ".add"), block + ".relu");
}

using Block = ValueId (*)(NetworkBuilder&, ValueId, const std::string&, int64_t);

void build_resnet(NetworkBuilder& b, const std::array<int, 4>& blocks, Block block) {
  const Dims stem = b.dims("conv1.weight");
  const bool small = stem.size() == 4 && stem[2] == 3;
  ValueId x = b.conv(b.input(), "conv1", {small ? 1 : 2, small ? 1 : 3});
  x = b.relu(b.batch_norm(x, "bn1"), "relu");
  if (small) {
    b.note("conv1 is 3x3: stride 1 and no max-pool, the form for 32x32 pictures");
  } else {
    x = b.max_pool(x, "maxpool");
  }
  for (int stage = 0; stage < 4; ++stage)
    for (int i = 0; i < blocks[static_cast<size_t>(stage)]; ++i)
      x = block(b, x, "layer" + std::to_string(stage + 1) + "." + std::to_string(i), i == 0 && stage > 0 ? 2 : 1);
  b.classify(x, "fc");
}

}  // namespace

void build_resnet18(NetworkBuilder& b);
void build_resnet34(NetworkBuilder& b);
void build_resnet50(NetworkBuilder& b);
void build_resnet101(NetworkBuilder& b);
void build_resnet152(NetworkBuilder& b);

void build_resnet18(NetworkBuilder& b) { build_resnet(b, {2, 2, 2, 2}, basic_block); }
void build_resnet34(NetworkBuilder& b) { build_resnet(b, {3, 4, 6, 3}, basic_block); }
void build_resnet50(NetworkBuilder& b) { build_resnet(b, {3, 4, 6, 3}, bottleneck); }
void build_resnet101(NetworkBuilder& b) { build_resnet(b, {3, 4, 23, 3}, bottleneck); }
void build_resnet152(NetworkBuilder& b) { build_resnet(b, {3, 8, 36, 3}, bottleneck); }

}  // namespace octet
