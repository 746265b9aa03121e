// Writes a network with seeded He-random weights as ONNX: the models of the speed comparisons, where only shapes count.
// usage: octet_make_model NAME FILE.onnx [seed]; without arguments it lists the names
//
// BatchNorm is folded already. The last convolution of a residual branch is scaled down, so that sixteen additions keep
// the activations within a range where most of the 256 codes are in use (bench/peers checks that at least 64 are).

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

/// splitmix64 and Box-Muller: the same numbers on every machine with the same libm to within rounding.
class Normal {
 public:
  explicit Normal(uint64_t seed) : state_(seed) {}
  float next(float deviation) {
    const double u1 = uniform(), u2 = uniform();
    return static_cast<float>(deviation * std::sqrt(-2 * std::log(u1)) * std::cos(6.283185307179586 * u2));
  }

 private:
  double uniform() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (static_cast<double>((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
  }
  uint64_t state_;
};

struct ConvSpec {
  int64_t ic, oc, k, stride = 1, groups = 1;
  float gain = 1.0f;
};

class Builder {
 public:
  Builder(std::string name, int64_t size, uint64_t seed) : normal_(seed) {
    graph_.name = std::move(name);
    x_ = graph_.add_value("input", DType::f32, Shape{Dim("N"), Dim(3), Dim(size), Dim(size)});
    graph_.inputs = {x_};
  }
  ValueId input() const { return x_; }

  ValueId conv(ValueId x, const ConvSpec& c) {
    const std::string base = "conv" + std::to_string(++convs_);
    const Dims wd = {c.oc, c.ic / c.groups, c.k, c.k};
    const double fan_in = static_cast<double>(wd[1] * c.k * c.k);
    const ValueId w = random(base + ".weight", wd, static_cast<float>(c.gain * std::sqrt(2.0 / fan_in)));
    const ValueId b = random(base + ".bias", {c.oc}, 0.1f * c.gain);
    const int64_t pad = (c.k - 1) / 2;
    return node("Conv", base, {x, w, b},
                {{"kernel_shape", std::vector<int64_t>{c.k, c.k}},
                 {"strides", std::vector<int64_t>{c.stride, c.stride}},
                 {"pads", std::vector<int64_t>(4, pad)},
                 {"dilations", std::vector<int64_t>{1, 1}},
                 {"group", c.groups}});
  }
  ValueId relu(ValueId x) { return node("Relu", "", {x}, {}); }
  ValueId relu6(ValueId x) {
    return node("Clip", "", {x, graph_.add_constant("low", scalar_f32(0)), graph_.add_constant("high", scalar_f32(6))},
                {});
  }
  ValueId add(ValueId a, ValueId b) { return node("Add", "", {a, b}, {}); }
  /// With the statistics of a network in use: gains about 1, means about 0.
  ValueId batch_norm(ValueId x, int64_t channels) {
    const std::string base = "bn" + std::to_string(++norms_);
    std::vector<float> gain(static_cast<size_t>(channels)), variance(gain.size());
    for (float& g : gain) g = 1 + normal_.next(0.1f);
    for (float& v : variance) v = 1 + std::abs(normal_.next(0.2f));
    const ValueId scale = graph_.add_constant(base + ".weight", f32_tensor({channels}, gain));
    const ValueId shift = random(base + ".bias", {channels}, 0.1f), mean = random(base + ".mean", {channels}, 0.1f);
    const ValueId spread = graph_.add_constant(base + ".var", f32_tensor({channels}, variance));
    return node("BatchNormalization", base, {x, scale, shift, mean, spread}, {{"epsilon", 1e-5f}});
  }
  ValueId concat(std::vector<ValueId> parts) { return node("Concat", "", std::move(parts), {{"axis", int64_t{1}}}); }
  ValueId average_pool(ValueId x) {
    return node("AveragePool", "", {x},
                {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
  }
  ValueId channels_of(ValueId x, int64_t begin, int64_t end) {
    return node("Slice", "", {x, ints({begin}), ints({end}), ints({1})}, {});
  }
  /// Interleaves two halves of the channels. Source: arXiv:1707.01083, 3.1.
  ValueId shuffle(ValueId x, int64_t channels, int64_t size) {
    const ValueId split = node("Reshape", "", {x, ints({0, 2, channels / 2, size, size})}, {});
    const ValueId turned = node("Transpose", "", {split}, {{"perm", std::vector<int64_t>{0, 2, 1, 3, 4}}});
    return node("Reshape", "", {turned, ints({0, channels, size, size})}, {});
  }
  ValueId max_pool(ValueId x) {
    return node("MaxPool", "", {x},
                {{"kernel_shape", std::vector<int64_t>{3, 3}},
                 {"strides", std::vector<int64_t>{2, 2}},
                 {"pads", std::vector<int64_t>(4, 1)}});
  }
  Graph classifier(ValueId x, int64_t channels, int64_t classes) {
    const ValueId pooled = node("GlobalAveragePool", "pool", {x}, {});
    const ValueId flat = node("Flatten", "flatten", {pooled}, {{"axis", int64_t{1}}});
    const ValueId w =
        random("fc.weight", {classes, channels}, static_cast<float>(std::sqrt(1.0 / static_cast<double>(channels))));
    const ValueId b = random("fc.bias", {classes}, 0.01f);
    const ValueId y = node("Gemm", "fc", {flat, w, b}, {{"transB", int64_t{1}}});
    graph_.value(y).name = "logits";
    graph_.outputs = {y};
    return std::move(graph_);
  }

 private:
  ValueId random(const std::string& name, Dims dims, float deviation) {
    std::vector<float> values(static_cast<size_t>(*element_count(dims)));
    for (float& v : values) v = normal_.next(deviation);
    return graph_.add_constant(name, f32_tensor(std::move(dims), values));
  }
  ValueId ints(const std::vector<int64_t>& values) {
    return graph_.add_constant("ints", s64_tensor({static_cast<int64_t>(values.size())}, values));
  }
  ValueId node(const char* op, const std::string& name, std::vector<ValueId> inputs, Attributes attributes) {
    const ValueId y = graph_.add_value(graph_.unique_value_name("t" + std::to_string(graph_.nodes.size())));
    graph_.nodes.push_back({find_op(op), name, std::move(inputs), {y}, std::move(attributes)});
    return y;
  }

  Graph graph_;
  Normal normal_;
  ValueId x_ = k_absent;
  int convs_ = 0, norms_ = 0;
};

/// ResNet-50 v1.5 (stride in the 3x3), 224x224. Source: torchvision's layout.
Graph resnet50(uint64_t seed) {
  Builder b("resnet50", 224, seed);
  ValueId x = b.max_pool(b.relu(b.conv(b.input(), {3, 64, 7, 2})));
  int64_t channels = 64;
  const int64_t blocks[] = {3, 4, 6, 3};
  for (int64_t stage = 0; stage < 4; ++stage) {
    const int64_t width = 64 << stage;
    for (int64_t i = 0; i < blocks[stage]; ++i) {
      const int64_t stride = i == 0 && stage > 0 ? 2 : 1;
      ValueId y = b.relu(b.conv(x, {channels, width, 1}));
      y = b.relu(b.conv(y, {width, width, 3, stride}));
      y = b.conv(y, {width, width * 4, 1, 1, 1, 0.5f});
      const ValueId skip = i == 0 ? b.conv(x, {channels, width * 4, 1, stride, 1, 0.7f}) : x;
      x = b.relu(b.add(y, skip));
      channels = width * 4;
    }
  }
  return b.classifier(x, channels, 1000);
}

/// Basic blocks on 32x32 images: 3x3 stem without pooling, `width` channels in the first stage.
Graph basic_blocks_32(const char* name, int64_t first_width, int64_t stages, int64_t blocks, uint64_t seed) {
  Builder b(name, 32, seed);
  ValueId x = b.relu(b.conv(b.input(), {3, first_width, 3}));
  int64_t channels = first_width;
  for (int64_t stage = 0; stage < stages; ++stage) {
    const int64_t width = first_width << stage;
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t stride = i == 0 && stage > 0 ? 2 : 1;
      ValueId y = b.relu(b.conv(x, {channels, width, 3, stride}));
      y = b.conv(y, {width, width, 3, 1, 1, 0.5f});
      const ValueId skip = stride != 1 || channels != width ? b.conv(x, {channels, width, 1, stride, 1, 0.7f}) : x;
      x = b.relu(b.add(y, skip));
      channels = width;
    }
  }
  return b.classifier(x, channels, 10);
}

/// ResNet-18 of torchvision's width with the CIFAR stem.
Graph resnet18_32(uint64_t seed) { return basic_blocks_32("resnet18_32", 64, 4, 2, seed); }
/// Source: arXiv:1512.03385, 4.2 with n = 3, projections where the width changes.
Graph resnet20_32(uint64_t seed) { return basic_blocks_32("resnet20_32", 16, 3, 3, seed); }

/// DenseNet-121, 224x224. Source: arXiv:1608.06993, table 1. The norms behind a concatenation cannot be folded.
Graph densenet121(uint64_t seed) {
  constexpr int64_t k_growth = 32;
  Builder b("densenet121", 224, seed);
  ValueId x = b.max_pool(b.relu(b.conv(b.input(), {3, 64, 7, 2})));
  int64_t channels = 64;
  const int64_t blocks[] = {6, 12, 24, 16};
  for (int64_t stage = 0; stage < 4; ++stage) {
    for (int64_t i = 0; i < blocks[stage]; ++i) {
      ValueId y = b.relu(b.batch_norm(x, channels));
      y = b.relu(b.conv(y, {channels, 4 * k_growth, 1}));
      x = b.concat({x, b.conv(y, {4 * k_growth, k_growth, 3, 1, 1, 0.7f})});
      channels += k_growth;
    }
    x = b.relu(b.batch_norm(x, channels));
    if (stage == 3) break;
    x = b.average_pool(b.conv(x, {channels, channels / 2, 1}));
    channels /= 2;
  }
  return b.classifier(x, channels, 1000);
}

/// ShuffleNetV2 1.0, 224x224. Source: arXiv:1807.11164, table 5.
Graph shufflenet_v2(uint64_t seed) {
  Builder b("shufflenet_v2", 224, seed);
  ValueId x = b.max_pool(b.relu(b.conv(b.input(), {3, 24, 3, 2})));
  int64_t channels = 24, size = 56;
  const int64_t repeats[] = {4, 8, 4};
  for (int64_t stage = 0; stage < 3; ++stage) {
    const int64_t width = 116 << stage, half = width / 2;
    size /= 2;
    for (int64_t i = 0; i < repeats[stage]; ++i) {
      const bool down = i == 0;
      const int64_t in = down ? channels : half;
      ValueId left = x, right = x;
      if (down) {
        left = b.conv(x, {channels, channels, 3, 2, channels});
        left = b.relu(b.conv(left, {channels, half, 1}));
      } else {
        left = b.channels_of(x, 0, half);
        right = b.channels_of(x, half, width);
      }
      right = b.relu(b.conv(right, {in, half, 1}));
      right = b.conv(right, {half, half, 3, down ? 2 : 1, half});
      right = b.relu(b.conv(right, {half, half, 1}));
      x = b.shuffle(b.concat({left, right}), width, size);
      channels = width;
    }
  }
  x = b.relu(b.conv(x, {channels, 1024, 1}));
  return b.classifier(x, 1024, 1000);
}

/// RegNetX-400MF, 224x224: bottlenecks of ratio 1 with groups of 16 channels. Source: arXiv:2003.13678, table 2;
/// widths and depths as torchvision's regnet_x_400mf.
Graph regnet_x_400mf(uint64_t seed) {
  Builder b("regnet_x_400mf", 224, seed);
  ValueId x = b.relu(b.conv(b.input(), {3, 32, 3, 2}));
  int64_t channels = 32;
  const int64_t widths[] = {32, 64, 160, 400}, depths[] = {1, 2, 7, 12};
  for (int64_t stage = 0; stage < 4; ++stage) {
    const int64_t width = widths[stage];
    for (int64_t i = 0; i < depths[stage]; ++i) {
      const int64_t stride = i == 0 ? 2 : 1;
      ValueId y = b.relu(b.conv(x, {channels, width, 1}));
      y = b.relu(b.conv(y, {width, width, 3, stride, width / 16}));
      y = b.conv(y, {width, width, 1, 1, 1, 0.5f});
      const ValueId skip = i == 0 ? b.conv(x, {channels, width, 1, stride, 1, 0.7f}) : x;
      x = b.relu(b.add(y, skip));
      channels = width;
    }
  }
  return b.classifier(x, channels, 1000);
}

/// MobileNetV2 1.0, 224x224. Source: arXiv:1801.04381, table 2.
Graph mobilenet_v2(uint64_t seed) {
  struct Row {
    int64_t expand, channels, repeat, stride;
  };
  const Row rows[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                      {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  Builder b("mobilenet_v2", 224, seed);
  ValueId x = b.relu6(b.conv(b.input(), {3, 32, 3, 2}));
  int64_t channels = 32;
  for (const Row& row : rows) {
    for (int64_t i = 0; i < row.repeat; ++i) {
      const int64_t stride = i == 0 ? row.stride : 1;
      const int64_t hidden = channels * row.expand;
      ValueId y = row.expand > 1 ? b.relu6(b.conv(x, {channels, hidden, 1})) : x;
      y = b.relu6(b.conv(y, {hidden, hidden, 3, stride, hidden}));
      y = b.conv(y, {hidden, row.channels, 1, 1, 1, 0.7f});
      x = stride == 1 && channels == row.channels ? b.add(x, y) : y;
      channels = row.channels;
    }
  }
  x = b.relu6(b.conv(x, {channels, 1280, 1}));
  return b.classifier(x, 1280, 1000);
}

int make(int argc, char** argv) {
  struct Network {
    std::string_view name;
    Graph (*make)(uint64_t seed);
  };
  const Network networks[] = {{"resnet50", resnet50},
                              {"mobilenet_v2", mobilenet_v2},
                              {"resnet18_32", resnet18_32},
                              {"resnet20_32", resnet20_32},
                              {"densenet121", densenet121},
                              {"shufflenet_v2", shufflenet_v2},
                              {"regnet_x_400mf", regnet_x_400mf}};
  const std::string_view wish = argc > 2 ? argv[1] : "";
  const Network* chosen =
      std::find_if(std::begin(networks), std::end(networks), [&](const Network& n) { return n.name == wish; });
  if (chosen == std::end(networks)) {
    std::fprintf(stderr, "usage: octet_make_model NAME FILE.onnx [seed], NAME one of");
    for (const Network& n : networks) std::fprintf(stderr, " %s", std::string(n.name).c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  const uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  Graph graph = chosen->make(seed);
  Result<Done> done = infer_shapes(graph);
  if (done) done = verify(graph);
  if (done) done = write_onnx_file(argv[2], graph);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) { return octet::make(argc, argv); }
