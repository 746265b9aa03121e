// New networks: the parameter counts that torchvision and the ResNet-20 repository publish, and graphs that run.

#include <gtest/gtest.h>

#include "checkpoint/network.h"
#include "train/initial_weights.h"

namespace octet::nn {
namespace {

struct Published {
  const char* name;
  int64_t classes, parameters;
};

class NewNetworks : public testing::TestWithParam<Published> {};

TEST_P(NewNetworks, have_the_published_number_of_parameters_and_a_graph) {
  const Published& p = GetParam();
  const Result<Checkpoint> weights =
      initial_weights(p.name, {.classes = p.classes, .small_pictures = false, .seed = 1});
  ASSERT_TRUE(weights) << weights.error().message;
  int64_t parameters = 0;
  for (const auto& [name, tensor] : weights->tensors)
    if (!name.ends_with("running_mean") && !name.ends_with("running_var")) parameters += tensor.size();
  EXPECT_EQ(parameters, p.parameters);
  const Result<Network> network = build_network(*weights, p.name, {});
  ASSERT_TRUE(network) << network.error().message;  // every key is there and none is left over
}

INSTANTIATE_TEST_SUITE_P(All, NewNetworks,
                         testing::Values(Published{"resnet18", 1000, 11689512}, Published{"resnet34", 1000, 21797672},
                                         Published{"resnet50", 1000, 25557032},
                                         Published{"mobilenet_v2", 1000, 3504872}, Published{"resnet20", 10, 269722}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(NewNetwork, depends_on_the_seed_alone_and_has_the_variance_of_he) {
  const Result<Checkpoint> a = initial_weights("resnet20", {.seed = 3}), b = initial_weights("resnet20", {.seed = 3}),
                           c = initial_weights("resnet20", {.seed = 4});
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(a->tensors, b->tensors);
  const Tensor& w = a->tensors.at("layer3.2.conv2.weight");
  EXPECT_FALSE(w == c->tensors.at("layer3.2.conv2.weight"));
  double squares = 0;
  for (const float v : w.as<float>()) squares += double{v} * double{v};
  EXPECT_NEAR(squares / static_cast<double>(w.size()), 2.0 / (64 * 9), 0.05 * 2.0 / (64 * 9));
}

TEST(NewNetwork, an_unknown_architecture_lists_the_known_ones) {
  const Result<Checkpoint> made = initial_weights("vgg", {});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("resnet18, resnet34, resnet50, resnet20, mobilenet_v2"), std::string::npos);
}

}  // namespace
}  // namespace octet::nn
