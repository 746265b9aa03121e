#include "train/initial_weights.h"

#include <array>
#include <cmath>
#include <functional>
#include <numbers>

#include "checkpoint/network.h"
#include "data/random.h"
#include "octet/train/architectures.h"
#include "onnx/onnx.h"

namespace octet::nn {
namespace {

class Weights {
 public:
  explicit Weights(uint64_t seed) : random_(seed) {}

  void conv(const std::string& name, int64_t out, int64_t in, int64_t kernel, int64_t groups = 1) {
    const int64_t fan_out = out * kernel * kernel / groups;
    const double deviation = std::sqrt(2.0 / static_cast<double>(fan_out));
    std::vector<float> values(static_cast<size_t>(out * (in / groups) * kernel * kernel));
    for (float& v : values) v = static_cast<float>(normal() * deviation);
    put(name + ".weight", {out, in / groups, kernel, kernel}, values);
  }
  void batch_norm(const std::string& name, int64_t channels) {
    fill(name + ".weight", channels, 1.0f);
    fill(name + ".bias", channels, 0.0f);
    fill(name + ".running_mean", channels, 0.0f);
    fill(name + ".running_var", channels, 1.0f);
  }
  void linear(const std::string& name, int64_t out, int64_t in) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    std::vector<float> weight(static_cast<size_t>(out * in)), bias(static_cast<size_t>(out));
    for (float& v : weight) v = static_cast<float>((2 * uniform() - 1) * bound);
    for (float& v : bias) v = static_cast<float>((2 * uniform() - 1) * bound);
    put(name + ".weight", {out, in}, weight);
    put(name + ".bias", {out}, bias);
  }
  Checkpoint take() { return std::move(made_); }

 private:
  double uniform() { return (static_cast<double>(random_.next() >> 11) + 0.5) * 0x1p-53; }
  /// Box and Muller.
  double normal() { return std::sqrt(-2.0 * std::log(uniform())) * std::cos(2.0 * std::numbers::pi * uniform()); }
  void fill(const std::string& name, int64_t n, float value) {
    put(name, {n}, std::vector<float>(static_cast<size_t>(n), value));
  }
  void put(const std::string& name, const Dims& dims, const std::vector<float>& values) {
    made_.tensors.emplace(name, f32_tensor(dims, values));
  }
  Random random_;
  Checkpoint made_;
};

void conv_bn(Weights& w, const std::string& block, const char* index, int64_t out, int64_t in, int64_t kernel) {
  w.conv(block + ".conv" + index, out, in, kernel);
  w.batch_norm(block + ".bn" + index, out);
}

void resnet(Weights& w, const InitialOptions& o, std::array<int, 4> blocks, bool bottleneck) {
  w.conv("conv1", 64, 3, o.small_pictures ? 3 : 7);
  w.batch_norm("bn1", 64);
  int64_t in = 64;
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = int64_t{64} << stage, out = bottleneck ? 4 * width : width;
    for (int i = 0; i < blocks[static_cast<size_t>(stage)]; ++i) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      conv_bn(w, block, "1", width, in, bottleneck ? 1 : 3);
      conv_bn(w, block, "2", width, width, 3);
      if (bottleneck) conv_bn(w, block, "3", out, width, 1);
      if (i == 0 && (stage > 0 || in != out)) {
        w.conv(block + ".downsample.0", out, in, 1);
        w.batch_norm(block + ".downsample.1", out);
      }
      in = out;
    }
  }
  w.linear("fc", o.classes, in);
}

void resnet20(Weights& w, const InitialOptions& o) {
  w.conv("conv1", 16, 3, 3);
  w.batch_norm("bn1", 16);
  int64_t in = 16;
  for (int stage = 0; stage < 3; ++stage)
    for (int i = 0; i < 3; ++i) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int64_t width = int64_t{16} << stage;
      conv_bn(w, block, "1", width, in, 3);
      conv_bn(w, block, "2", width, width, 3);
      in = width;
    }
  w.linear("linear", o.classes, 64);
}

struct Stage {
  int64_t expand, out;
  int repeats;
};
constexpr Stage k_mobilenet_v2[] = {{1, 16, 1}, {6, 24, 2},  {6, 32, 3}, {6, 64, 4},
                                    {6, 96, 3}, {6, 160, 3}, {6, 320, 1}};

void mobilenet_v2(Weights& w, const InitialOptions& o) {
  const auto layer = [&](const std::string& conv, const std::string& norm, int64_t out, int64_t in, int64_t kernel,
                         int64_t groups) {
    w.conv(conv, out, in, kernel, groups);
    w.batch_norm(norm, out);
  };
  layer("features.0.0", "features.0.1", 32, 3, 3, 1);
  int64_t in = 32;
  int index = 1;
  for (const Stage& stage : k_mobilenet_v2)
    for (int i = 0; i < stage.repeats; ++i) {
      const std::string block = "features." + std::to_string(index++) + ".conv.";
      const int64_t wide = in * stage.expand;
      int part = 0;
      const auto triple = [&](int64_t out, int64_t from, int64_t kernel, int64_t groups) {
        const std::string at = block + std::to_string(part++);
        layer(at + ".0", at + ".1", out, from, kernel, groups);
      };
      if (stage.expand > 1) triple(wide, in, 1, 1);
      triple(wide, wide, 3, wide);
      layer(block + std::to_string(part), block + std::to_string(part + 1), stage.out, wide, 1, 1);
      in = stage.out;
    }
  const std::string last = "features." + std::to_string(index);
  layer(last + ".0", last + ".1", 1280, in, 1, 1);
  w.linear("classifier.1", o.classes, 1280);
}

using Build = std::function<void(Weights&, const InitialOptions&)>;
const std::vector<std::pair<std::string, Build>>& builders() {
  static const std::vector<std::pair<std::string, Build>> list = {{"resnet18",
                                                                   [](Weights& w, const InitialOptions& o) {
                                                                     resnet(w, o, {2, 2, 2, 2}, false);
                                                                   }},
                                                                  {"resnet34",
                                                                   [](Weights& w, const InitialOptions& o) {
                                                                     resnet(w, o, {3, 4, 6, 3}, false);
                                                                   }},
                                                                  {"resnet50",
                                                                   [](Weights& w, const InitialOptions& o) {
                                                                     resnet(w, o, {3, 4, 6, 3}, true);
                                                                   }},
                                                                  {"resnet20", resnet20},
                                                                  {"mobilenet_v2", mobilenet_v2}};
  return list;
}

}  // namespace

std::vector<std::string> trainable_architectures() {
  std::vector<std::string> names;
  for (const auto& [name, build] : builders()) names.push_back(name);
  return names;
}

Result<Checkpoint> initial_weights(const std::string& architecture, const InitialOptions& options) {
  std::string known;
  for (const auto& [name, build] : builders()) {
    known += (known.empty() ? "" : ", ") + name;
    if (name != architecture) continue;
    Weights weights(options.seed);
    build(weights, options);
    return weights.take();
  }
  return Error{ErrorCode::bad_argument,
               "architecture '" + architecture + "' cannot be trained from nothing; known: " + known};
}

std::vector<std::string> new_network_architectures() { return trainable_architectures(); }

Result<Done> write_new_network(const std::string& path, const NewNetwork& spec) {
  constexpr int64_t k_largest_small = 64;
  const Result<Checkpoint> weights = initial_weights(
      spec.architecture, {.classes = spec.classes, .small_pictures = spec.size <= k_largest_small, .seed = spec.seed});
  if (!weights) return weights.error();
  const Result<Network> network = build_network(*weights, spec.architecture, {.size = spec.size});
  if (!network) return network.error();
  return write_onnx_file(path, network->graph);
}

}  // namespace octet::nn
