// The reference kernels on real networks: logits of two CIFAR-10 images against ONNX Runtime's (refs/ of the data set).
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "evaluate.h"
#include "onnx/onnx.h"

namespace octet::testing {
namespace {

constexpr size_t k_images = 2, k_pixels = 3 * 32 * 32, k_classes = 10;

struct Network {
  const char* name;
  std::vector<float> mean, std;  // of pixels 0..255, per channel
};

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

/// One image of a CIFAR-10 binary file (a label, then planes R, G, B), normalized.
Tensor image(const std::string& cifar, size_t index, const Network& network) {
  std::vector<float> x(k_pixels);
  for (size_t i = 0; i < k_pixels; ++i) {
    const auto pixel = static_cast<float>(static_cast<uint8_t>(cifar.at(index * (k_pixels + 1) + 1 + i)));
    x[i] = (pixel - network.mean[i / 1024]) / network.std[i / 1024];
  }
  return f32_tensor({1, 3, 32, 32}, x);
}

Result<std::vector<float>> logits(const Graph& graph, const Tensor& x) {
  std::vector<Tensor> values(graph.values.size());
  for (size_t v = 0; v < values.size(); ++v)
    if (graph.values[v].constant) values[v] = *graph.values[v].constant;
  values[static_cast<size_t>(graph.inputs[0])] = x;
  for (const Node& node : graph.nodes) {
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) inputs.push_back(v == k_absent ? Tensor() : values[static_cast<size_t>(v)]);
    Result<std::vector<Tensor>> made = node.op->reference({graph, node}, inputs);
    if (!made) return made.error();
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != k_absent) values[static_cast<size_t>(node.outputs[i])] = (*made)[i];
  }
  const std::span<const float> y = values[static_cast<size_t>(graph.outputs[0])].as<float>();
  return std::vector<float>(y.begin(), y.end());
}

TEST(RealNetworks, give_the_logits_of_onnx_runtime) {
  const char* data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string root = data, cifar = bytes_of(root + "/cifar10/test_exact_1017.bin");
  const std::vector<float> mean = {125.307f, 122.961f, 113.8575f}, std_c10 = {62.985f, 62.0925f, 66.708f};
  const std::vector<float> std_cifar = {51.5865f, 50.847f, 51.255f};
  const Network networks[] = {{"resnet18_c10", mean, std_c10},
                              {"mobilenet_v3_small_c10", mean, std_c10},
                              {"efficientnet_b0_c10", mean, std_c10},
                              {"vit_tiny_c10", mean, std_c10},
                              {"mobilenet_v2_cifar10", mean, std_cifar},
                              {"resnet56_cifar10_bn_pad", mean, std_cifar},
                              {"resnet20_cifar10", {123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}},
                              {"resnet18_cifar10", {127.5f, 127.5f, 127.5f}, {127.5f, 127.5f, 127.5f}}};
  for (const Network& network : networks) {
    SCOPED_TRACE(network.name);
    Result<OnnxModel> model = read_onnx(root + "/models/" + network.name + ".onnx");
    ASSERT_TRUE(model) << model.error().message;
    const std::string npy = bytes_of(root + "/refs/" + network.name + "_fp32_logits_exact256.npy");
    ASSERT_EQ(npy.size(), 128 + 256 * k_classes * sizeof(float));  // a header of 128 bytes, float32 [256,10]
    for (size_t n = 0; n < k_images; ++n) {
      Result<std::vector<float>> y = logits(model->graph, image(cifar, n, network));
      ASSERT_TRUE(y) << y.error().message;
      ASSERT_EQ(y->size(), k_classes);
      std::vector<float> want(k_classes);
      std::memcpy(want.data(), npy.data() + 128 + n * k_classes * sizeof(float), k_classes * sizeof(float));
      float largest = 0;
      for (const float v : want) largest = std::max(largest, std::fabs(v));
      // 2e-5: the tolerance of float networks (design, section 4); ONNX Runtime's own float sums are most of it.
      for (size_t c = 0; c < k_classes; ++c) EXPECT_NEAR((*y)[c], want[c], 2e-5f * largest) << "image " << n;
    }
  }
}

}  // namespace
}  // namespace octet::testing
