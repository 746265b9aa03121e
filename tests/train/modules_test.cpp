// Quantized modules: against the toolkit's recorded runs (modules.npz), and bit for bit against the float op on
// separately fake-quantized tensors.

#include <unistd.h>

#include "octet/train/architectures.h"
#include "octet/train/graph_module.h"
#include "octet/train/parameters.h"
#include "octet/train/recurrent.h"
#include "train/torch_tests.h"

namespace octet::nn {
namespace {

using Json = nlohmann::json;
using torch::Tensor;
namespace F = torch::nn::functional;

class GoldenModules : public Golden {
 protected:
  /// The record's p_ arrays become the module's parameters.
  void load_parameters(torch::nn::Module& module, const Json& record) {
    torch::NoGradGuard no_grad;
    auto own = module.named_parameters();
    for (const auto& [key, value] : record["inputs"].items())
      if (key.starts_with("p_")) {
        ASSERT_TRUE(own.contains(key.substr(2))) << key;
        own[key.substr(2)].copy_(to_torch(input(record, key.c_str())));
      }
  }
  const Json& record_of(const std::string& id) {
    for (const Json& record : all_)
      if (record["id"] == id) return record;
    static const Json none;
    ADD_FAILURE() << id << " is not recorded";
    return none;
  }
  void SetUp() override {
    Golden::SetUp();
    if (!IsSkipped()) all_ = records("module");
  }
  template <class Module>
  void expect_recorded(Module module, const std::string& id) {
    SCOPED_TRACE(id);
    const Json& record = record_of(id);
    load_parameters(*module, record);
    const Tensor y = module->forward(to_torch(input(record, "x"))), wanted = to_torch(output(record, "y"));
    ASSERT_EQ(y.sizes(), wanted.sizes());
    EXPECT_LE((y - wanted).abs().max().template item<float>(), 1e-5f);
  }
  std::vector<Json> all_;
};

TEST_F(GoldenModules, convolutions_and_linear) {
  using namespace torch::nn;
  ASSERT_EQ(all_.size(), 14u);
  expect_recorded(QuantConv1d(Conv1dOptions(3, 4, 3).padding(1)), "mod_conv1d");
  expect_recorded(QuantConv2d(Conv2dOptions(3, 4, 3).stride(2).padding(1)), "mod_conv2d");
  expect_recorded(QuantConv2d(Conv2dOptions(4, 4, 3).groups(2)), "mod_conv2d_groups");
  expect_recorded(QuantConv3d(Conv3dOptions(2, 3, 2)), "mod_conv3d");
  expect_recorded(QuantConvTranspose1d(ConvTranspose1dOptions(3, 4, 3).stride(2)), "mod_convt1d");
  expect_recorded(QuantConvTranspose2d(ConvTranspose2dOptions(3, 4, 3).stride(2).padding(1).output_padding(1)),
                  "mod_convt2d");
  expect_recorded(QuantLinear(LinearOptions(7, 5)), "mod_linear");
}

TEST_F(GoldenModules, pools_and_instance_norm) {
  using namespace torch::nn;
  expect_recorded(QuantMaxPool2d(MaxPool2dOptions(2)), "mod_maxpool2d");
  expect_recorded(QuantAvgPool2d(AvgPool2dOptions(3).stride(2).padding(1)), "mod_avgpool2d");
  expect_recorded(QuantAdaptiveAvgPool2d(AdaptiveAvgPool2dOptions({1, 1})), "mod_adaptiveavg2d");
  expect_recorded(QuantInstanceNorm2d(InstanceNorm2dOptions(3).affine(true)), "mod_instnorm2d");
}

TEST_F(GoldenModules, recurrent) {
  const Json& lstm = record_of("mod_lstm");
  QuantLSTM module(torch::nn::LSTMOptions(3, 4).num_layers(2).bidirectional(true));
  load_parameters(*module, lstm);
  const auto [y, state] = module->forward(to_torch(input(lstm, "x")));
  // A sum that falls on the other side of a tie moves one code: one step of the largest scale.
  EXPECT_LE((y - to_torch(output(lstm, "y"))).abs().max().item<float>(), 1e-5f);
  EXPECT_LE((std::get<0>(state) - to_torch(output(lstm, "h"))).abs().max().item<float>(), 1e-5f);
  EXPECT_LE((std::get<1>(state) - to_torch(output(lstm, "c"))).abs().max().item<float>(), 1e-5f);
  const Json& cell = record_of("mod_lstmcell");
  QuantLSTMCell one(torch::nn::LSTMCellOptions(3, 4));
  load_parameters(*one, cell);
  const auto [h, c] = one->forward(to_torch(input(cell, "x")));
  EXPECT_LE((h - to_torch(output(cell, "h"))).abs().max().item<float>(), 1e-5f);
  EXPECT_LE((c - to_torch(output(cell, "c"))).abs().max().item<float>(), 1e-5f);
}

Tensor fake(const Tensor& x, const std::vector<int64_t>& others = {}) {
  return fake_tensor_quant(x, others.empty() ? x.abs().max() : x.abs().amax(others, true), {.narrow_range = false});
}

TEST(Modules, equal_the_float_op_on_fake_quantized_tensors_bit_for_bit) {
  torch::manual_seed(5);
  const Tensor x = torch::randn({2, 4, 9, 9});
  QuantConv2d conv(torch::nn::Conv2dOptions(4, 6, 3).stride(2).padding(1).groups(2));
  EXPECT_TRUE(torch::equal(conv(x), F::conv2d(fake(x), fake(conv->weight, {1, 2, 3}),
                                              F::Conv2dFuncOptions().bias(conv->bias).stride(2).padding(1).groups(2))));
  QuantConvTranspose2d back(torch::nn::ConvTranspose2dOptions(4, 3, 3).stride(2));
  EXPECT_TRUE(torch::equal(back(x), F::conv_transpose2d(fake(x), fake(back->weight, {0, 2, 3}),
                                                        F::ConvTranspose2dFuncOptions().bias(back->bias).stride(2))));
  const std::vector<int64_t> larger = {20, 20};
  EXPECT_EQ(back->forward_with(x, at::IntArrayRef(larger)).size(2), 20);
  EXPECT_EQ(back(x).size(2), 19);
  QuantLinear fc(torch::nn::LinearOptions(9, 5));
  EXPECT_TRUE(torch::equal(fc(x), F::linear(fake(x), fake(fc->weight, {1}), fc->bias)));
  QuantMaxPool2d pool(torch::nn::MaxPool2dOptions(2));
  EXPECT_TRUE(torch::equal(pool(x), torch::max_pool2d(fake(x), 2)));
  EXPECT_TRUE(conv->weight.is_leaf());  // the parameter is back in its place
}

TEST(Modules, circular_padding_is_the_float_modules) {  // D35
  QuantConv2d conv(torch::nn::Conv2dOptions(3, 4, 3).padding(1).padding_mode(torch::kCircular));
  EXPECT_EQ(conv(torch::randn({1, 3, 6, 6})).sizes(), (std::vector<int64_t>{1, 4, 6, 6}));
}

TEST(Modules, state_names_and_weight_amax_shapes) {  // 12.5
  const auto shape_after_calibration = [](auto module, const Tensor& x) {
    module->weight_quantizer->enable_calib();
    module->weight_quantizer->disable_quant();
    module(x);
    module->weight_quantizer->load_calib_amax();
    return state_dict(*module).at("_weight_quantizer._amax").sizes().vec();
  };
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(shape_after_calibration(QuantConv2d(torch::nn::Conv2dOptions(3, 4, 3)), torch::randn({1, 3, 5, 5})),
            (Sizes{4, 1, 1, 1}));
  EXPECT_EQ(shape_after_calibration(QuantConvTranspose2d(torch::nn::ConvTranspose2dOptions(3, 4, 3)),
                                    torch::randn({1, 3, 5, 5})),
            (Sizes{1, 4, 1, 1}));
  EXPECT_EQ(shape_after_calibration(QuantLinear(torch::nn::LinearOptions(7, 5)), torch::randn({2, 7})), (Sizes{5, 1}));
}

TEST(Modules, a_real_descriptor_is_refused) {
  EXPECT_THROW(QuantLinear(torch::nn::LinearOptions(2, 2), QuantDescriptor{.fake_quant = false}),
               std::invalid_argument);
}

TEST(Modules, gradients_reach_the_parameter_through_its_quantizer) {
  QuantLinear fc(torch::nn::LinearOptions(4, 3));
  fc(torch::randn({2, 4})).sum().backward();
  ASSERT_TRUE(fc->weight.grad().defined());
  EXPECT_GT(fc->weight.grad().abs().sum().item<float>(), 0.0f);
}

torch::nn::Sequential small_net() {
  return torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3)), torch::nn::ReLU(),
                               torch::nn::MaxPool2d(2), torch::nn::Flatten(), torch::nn::Linear(4 * 3 * 3, 5));
}

TEST(Replacement, keeps_parameters_and_leaves_max_pools_float) {  // 12.6
  torch::nn::Sequential net = small_net(), made = quantized(net), again = quantized(made);
  EXPECT_EQ(default_quant_modules().size(), 15u);
  EXPECT_TRUE(std::dynamic_pointer_cast<QuantConv2dImpl>(made->ptr(0)));
  EXPECT_TRUE(std::dynamic_pointer_cast<QuantLinearImpl>(made->ptr(4)));
  EXPECT_FALSE(std::dynamic_pointer_cast<QuantMaxPool2dImpl>(made->ptr(2)));
  EXPECT_EQ(again->ptr(0), made->ptr(0));  // running twice changes nothing
  EXPECT_TRUE(torch::equal(made->named_parameters()["0.weight"], net->named_parameters()["0.weight"]));
  EXPECT_EQ(made->forward(torch::randn({1, 3, 8, 8})).sizes(), (std::vector<int64_t>{1, 5}));
}

TEST(Replacement, exclusion_leaves_a_class_and_a_custom_entry_beats_it) {
  EXPECT_FALSE(std::dynamic_pointer_cast<QuantLinearImpl>(quantized(small_net(), {.exclude = {"Linear"}})->ptr(4)));
  QuantModules policy{.exclude = {"Linear"}};
  policy.custom["Linear"] = [](const torch::nn::AnyModule&) {
    return torch::nn::AnyModule(QuantLinear(torch::nn::LinearOptions(36, 2)));
  };
  EXPECT_EQ(quantized(small_net(), policy)->forward(torch::randn({1, 3, 8, 8})).size(1), 2);
}

TEST(Replacement, factories_give_what_initialize_asks_for) {
  const auto conv = [] { return make_module<torch::nn::Conv2d>(torch::nn::Conv2dOptions(3, 4, 3)); };
  const auto lstm = [] { return make_module<torch::nn::LSTM>(torch::nn::LSTMOptions(3, 5).bidirectional(true)); };
  const auto is_quantized = [](const torch::nn::AnyModule& m) {
    return bool(std::dynamic_pointer_cast<QuantConv2dImpl>(m.ptr()));
  };
  EXPECT_FALSE(is_quantized(conv()));
  torch::nn::AnyModule float_lstm = lstm();
  initialize_quant_modules();
  EXPECT_TRUE(is_quantized(conv()));
  // The same weights: with its quantizers off the quantized LSTM is the float one.
  torch::nn::AnyModule quantized_lstm = as_initialized(float_lstm);
  ASSERT_TRUE(std::dynamic_pointer_cast<QuantLSTMImpl>(quantized_lstm.ptr()));
  for (const auto& module : quantized_lstm.ptr()->modules(false))
    if (auto* quantizer = dynamic_cast<TensorQuantizerImpl*>(module.get())) quantizer->disable();
  const Tensor x = torch::randn({2, 4, 3});
  using Answer = std::tuple<Tensor, LSTMState>;
  EXPECT_TRUE(torch::allclose(std::get<0>(quantized_lstm.forward<Answer>(x)),
                              std::get<0>(float_lstm.forward<Answer>(x)), 1e-5, 1e-6));
  initialize_quant_modules({.exclude = {"Conv2d"}});  // replaces the first policy (D36)
  EXPECT_FALSE(is_quantized(conv()));
  deactivate_quant_modules();
  EXPECT_FALSE(std::dynamic_pointer_cast<QuantLSTMImpl>(lstm().ptr()));
}

TEST(Helpers, match_group_freeze_and_weights_in_place) {  // 12.7
  torch::nn::Sequential net = quantized(small_net());
  EXPECT_EQ(match_parameters(*net, {"weight"}).size(), 2u);
  EXPECT_EQ(match_parameters(*net, {"0.*wei$", "nothing"}).size(), 0u);
  EXPECT_EQ(match_parameters(*net, {"weight", "^0"}).size(), 3u);  // each once (D37)
  GroupRates rates;
  rates.lrs = {0.1, 0.2};
  EXPECT_EQ(group_parameters(*net, {{"weight"}, {"bias"}}, rates).size(), 2u);
  EXPECT_THROW(group_parameters(*net, {{"weight"}}, rates), std::invalid_argument);
  EXPECT_EQ(freeze_parameters(*net, {"^0"}), 2u);
  EXPECT_FALSE(net->named_parameters()["0.weight"].requires_grad());
  const Tensor before = net->named_parameters()["4.weight"].detach().clone();
  auto fc = std::dynamic_pointer_cast<QuantLinearImpl>(net->ptr(4));
  fc->weight_quantizer->set_amax(before.abs().amax({1}, true));
  EXPECT_EQ(quant_weight_inplace(*net), 2u);
  const Tensor once = net->named_parameters()["4.weight"].detach().clone();
  EXPECT_TRUE(torch::equal(once, fake(before, {1})));
  quant_weight_inplace(*net);
  EXPECT_TRUE(torch::equal(once, net->named_parameters()["4.weight"]));
}

TEST(Helpers, match_the_published_numbers_of_a_resnet18) {  // 12.7
  const std::string path = testing::TempDir() + "octet_helpers_" + std::to_string(::getpid()) + ".onnx";
  ASSERT_TRUE(write_new_network(path, {.architecture = "resnet18"}));
  Result<GraphModule> net = read_graph_module(path, /*clean=*/false, {.train_batch_norm = true});
  ::unlink(path.c_str());
  ASSERT_TRUE(net) << net.error().message;
  EXPECT_EQ(match_parameters(**net, {"downsample.0.weight"}).size(), 3u);
  EXPECT_EQ(match_parameters(**net, {"conv1", "downsample"}).size(), 18u);
  const auto groups = group_parameters(**net, {{"conv1"}, {"downsample"}});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].params().size(), 9u);
  EXPECT_EQ(groups[1].params().size(), 9u);
  EXPECT_EQ(match_parameters(**net, {"downsample.*.weight$"}).size(), 6u);
  EXPECT_EQ(match_parameters(**net, {"downsample.*.wei$"}).size(), 0u);
}

TEST(Helpers, cosine_schedule) {  // 12.8
  EXPECT_NEAR(cosine_rate(0.1, 0, 9), 1e-3, 1e-12);
  EXPECT_NEAR(cosine_rate(0.1, 4.5, 9), 5.05e-4, 1e-12);
  EXPECT_NEAR(cosine_rate(0.1, 9, 9), 1e-5, 1e-12);
}

}  // namespace
}  // namespace octet::nn
