#include "checkpoint/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/op.h"

namespace octet {
namespace {

using testing::HasSubstr;

/// A checkpoint grown key by key: convolution, batch norm, linear layer, all of small constants.
struct Maker {
  Checkpoint checkpoint;

  void tensor(const std::string& key, Dims dims) {
    const std::vector<float> values(static_cast<size_t>(*element_count(dims)), 0.5f);
    checkpoint.tensors.insert_or_assign(key, f32_tensor(std::move(dims), values));
  }
  void batch_norm(const std::string& name, int64_t channels) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) tensor(name + part, {channels});
    checkpoint.tensors.insert_or_assign(name + ".num_batches_tracked", s64_tensor({}, std::vector<int64_t>{7}));
  }
};

/// ResNet-20 of the widths 4, 8, 16, shortcuts without parameters.
Checkpoint small_resnet20() {
  Maker m;
  m.tensor("conv1.weight", {4, 3, 3, 3});
  m.batch_norm("bn1", 4);
  int64_t channels = 4;
  for (int stage = 0; stage < 3; ++stage)
    for (int i = 0; i < 3; ++i) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int64_t width = 4 << stage;
      m.tensor(block + ".conv1.weight", {width, channels, 3, 3});
      m.batch_norm(block + ".bn1", width);
      m.tensor(block + ".conv2.weight", {width, width, 3, 3});
      m.batch_norm(block + ".bn2", width);
      channels = width;
    }
  m.tensor("linear.weight", {10, 16});
  m.tensor("linear.bias", {10});
  return m.checkpoint;
}

TEST(Network, widths_follow_from_the_weights_and_shapes_from_the_options) {
  const Result<Network> network = build_network(
      small_resnet20(), "resnet20", {.input_name = "image", .output_name = "scores", .batch = 2, .size = 16});
  ASSERT_TRUE(network) << network.error().message;
  const Graph& graph = network->graph;
  EXPECT_EQ(graph.value(graph.inputs[0]).name, "image");
  EXPECT_EQ(to_string(*graph.value(graph.inputs[0]).shape), "[2,3,16,16]");
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "scores");
  EXPECT_EQ(to_string(*graph.value(graph.outputs[0]).shape), "[2,10]");
}

TEST(Network, a_shortcut_without_parameters_centres_the_channels) {
  const Result<Network> network = build_network(small_resnet20(), "resnet20", {});
  ASSERT_TRUE(network) << network.error().message;
  const std::optional<ValueId> w = network->graph.find_value("layer2.0.shortcut.weight");
  ASSERT_TRUE(w);
  const Tensor& weight = *network->graph.constant(*w);
  EXPECT_EQ(weight.dims(), (Dims{8, 4, 1, 1}));
  for (int64_t oc = 0; oc < 8; ++oc)
    for (int64_t ic = 0; ic < 4; ++ic) EXPECT_EQ(weight.at<float>(oc * 4 + ic), oc == ic + 2 ? 1.0f : 0.0f);
}

TEST(Network, the_toolkits_range_belongs_to_the_value_that_the_layer_reads) {
  Checkpoint checkpoint = small_resnet20();
  checkpoint.tensors.insert_or_assign("layer1.0.conv2._input_quantizer._amax", scalar_f32(3.25f));
  checkpoint.tensors.insert_or_assign("linear._input_quantizer._amax", scalar_f32(1.5f));
  const Result<Network> network = build_network(checkpoint, "resnet20", {});
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_THAT(network->amax, testing::UnorderedElementsAre(testing::Pair("layer1.0.relu1.out", 3.25f),
                                                           testing::Pair("flatten.out", 1.5f)));
}

TEST(Network, another_weight_range_than_the_maximum_is_said) {
  Checkpoint checkpoint = small_resnet20();
  checkpoint.tensors.insert_or_assign("conv1._weight_quantizer._amax",
                                      f32_tensor({4, 1, 1, 1}, std::vector<float>{0.5f, 0.5f, 0.4f, 0.5f}));
  Result<Network> network = build_network(checkpoint, "resnet20", {});
  ASSERT_TRUE(network) << network.error().message;
  EXPECT_THAT(network->notes, testing::ElementsAre(HasSubstr("conv1._weight_quantizer._amax is not the largest")));
  checkpoint.tensors.insert_or_assign("conv1._weight_quantizer._amax",
                                      f32_tensor({4, 1, 1, 1}, std::vector<float>(4, 0.5f)));
  network = build_network(checkpoint, "resnet20", {});
  ASSERT_TRUE(network);
  EXPECT_TRUE(network->notes.empty());
}

TEST(Network, missing_and_left_over_keys_are_counted_and_named) {
  Checkpoint checkpoint = small_resnet20();
  checkpoint.tensors.erase("layer2.1.bn1.running_var");
  checkpoint.tensors.insert_or_assign("head.weight", scalar_f32(1));
  const Result<Network> network = build_network(checkpoint, "resnet20", {});
  ASSERT_FALSE(network);
  EXPECT_EQ(
      network.error().message,
      "the checkpoint is not a resnet20: 1 keys missing (layer2.1.bn1.running_var) 1 keys left over (head.weight); "
      "is --arch right?");
}

TEST(Network, a_weight_of_another_shape_is_named_with_both_sides) {
  Checkpoint checkpoint = small_resnet20();
  checkpoint.tensors.insert_or_assign("layer1.1.conv1.weight", f32_tensor({4, 3, 3, 3}, std::vector<float>(108, 0.0f)));
  const Result<Network> network = build_network(checkpoint, "resnet20", {});
  ASSERT_FALSE(network);
  EXPECT_THAT(network.error().message, HasSubstr("layer1.1.conv1.weight is [4,3,3,3], which does not take 4 channels"));
}

TEST(Network, an_unknown_architecture_lists_the_known_ones) {
  const Result<Network> network = build_network({}, "vgg16", {});
  ASSERT_FALSE(network);
  EXPECT_THAT(network.error().message, HasSubstr("architecture 'vgg16' is unknown; known are resnet18"));
}

}  // namespace
}  // namespace octet
