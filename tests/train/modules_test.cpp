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

TEST_F(GoldenModules, circular_padding_of_the_toolkit_on_request) {  // D35
  QuantConv2d conv(torch::nn::Conv2dOptions(3, 4, 3).padding(1).padding_mode(torch::kCircular));
  conv->set_ref_compat();
  expect_recorded(conv, "mod_conv2d_circular");
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

TEST(Modules, convolutions_of_every_rank_equal_the_float_ones_bit_for_bit) {
  using namespace torch::nn;
  torch::manual_seed(6);
  const Tensor one = torch::randn({2, 4, 11}), two = torch::randn({2, 4, 7, 6}), three = torch::randn({2, 4, 5, 6, 5});
  QuantConv1d conv1(Conv1dOptions(4, 6, 3).stride(2).padding(2).dilation(2).groups(2));
  EXPECT_TRUE(torch::equal(
      conv1(one), F::conv1d(fake(one), fake(conv1->weight, {1, 2}),
                            F::Conv1dFuncOptions().bias(conv1->bias).stride(2).padding(2).dilation(2).groups(2))));
  QuantConv3d conv3(Conv3dOptions(4, 6, 3).padding(1));
  EXPECT_TRUE(torch::equal(conv3(three), F::conv3d(fake(three), fake(conv3->weight, {1, 2, 3, 4}),
                                                   F::Conv3dFuncOptions().bias(conv3->bias).padding(1))));
  QuantConvTranspose1d back1(ConvTranspose1dOptions(4, 3, 3).stride(2).bias(false));
  EXPECT_TRUE(torch::equal(back1(one), F::conv_transpose1d(fake(one), fake(back1->weight, {0, 2}),
                                                           F::ConvTranspose1dFuncOptions().stride(2))));
  QuantConvTranspose3d back3(ConvTranspose3dOptions(4, 3, 2).stride(2).padding(1));
  EXPECT_TRUE(torch::equal(
      back3(three), F::conv_transpose3d(fake(three), fake(back3->weight, {0, 2, 3, 4}),
                                        F::ConvTranspose3dFuncOptions().bias(back3->bias).stride(2).padding(1))));
  // The float module itself, with the quantized weight in its place, for what only a module has.
  for (const auto& mode :
       {Conv2dOptions::padding_mode_t(torch::kCircular), Conv2dOptions::padding_mode_t(torch::kReflect),
        Conv2dOptions::padding_mode_t(torch::kReplicate)}) {
    const Conv2dOptions options = Conv2dOptions(4, 5, 3).padding(1).padding_mode(mode);
    QuantConv2d quantized(options);
    Conv2d plain(options);
    plain->weight = fake(quantized->weight.detach(), {1, 2, 3});
    plain->bias = quantized->bias.detach();
    EXPECT_TRUE(torch::equal(quantized(two), plain(fake(two))));
  }
}

/// A module on x and its float twin on fake-quantized x.
template <class Quantized, class Float, class Options>
void expect_float_twin(const Options& options, const Tensor& x) {
  EXPECT_TRUE(torch::equal(Quantized(options)(x), Float(options)(fake(x)))) << c10::demangle(typeid(Quantized).name());
}

TEST(Modules, pools_equal_the_float_ones_bit_for_bit) {
  using namespace torch::nn;
  torch::manual_seed(7);
  const Tensor one = torch::randn({2, 3, 12}), two = torch::randn({2, 3, 9, 8}), three = torch::randn({2, 3, 6, 5, 7});
  expect_float_twin<QuantMaxPool1d, MaxPool1d>(MaxPool1dOptions(3).stride(2), one);
  expect_float_twin<QuantMaxPool3d, MaxPool3d>(MaxPool3dOptions(2), three);
  expect_float_twin<QuantAvgPool1d, AvgPool1d>(AvgPool1dOptions(3).stride(2).padding(1), one);
  expect_float_twin<QuantAvgPool2d, AvgPool2d>(AvgPool2dOptions(3).stride(2).padding(1).count_include_pad(false), two);
  expect_float_twin<QuantAvgPool3d, AvgPool3d>(AvgPool3dOptions(2).ceil_mode(true), three);
  expect_float_twin<QuantAdaptiveAvgPool1d, AdaptiveAvgPool1d>(AdaptiveAvgPool1dOptions(5), one);
  expect_float_twin<QuantAdaptiveAvgPool2d, AdaptiveAvgPool2d>(AdaptiveAvgPool2dOptions({4, 3}), two);
  expect_float_twin<QuantAdaptiveAvgPool3d, AdaptiveAvgPool3d>(AdaptiveAvgPool3dOptions({2, 2, 3}), three);
}

/// By torch's own function, with statistics of the sample and with kept ones.
void expect_float_instance_norm(const std::vector<int64_t>& sizes) {
  torch::manual_seed(8);
  const Tensor x = torch::randn(sizes) * 2 + 0.5;
  QuantInstanceNorm2d norm(torch::nn::InstanceNormOptions(3).affine(true).track_running_stats(true).eps(1e-3));
  {
    torch::NoGradGuard no_grad;
    norm->weight.uniform_(0.5, 2);
    norm->bias.uniform_(-1, 1);
  }
  Tensor mean = torch::zeros(3), var = torch::ones(3);
  const auto plain = [&](bool own_statistics) {
    return torch::instance_norm(fake(x), norm->weight, norm->bias, mean, var, own_statistics, 0.1, 1e-3, false);
  };
  EXPECT_TRUE(torch::equal(norm(x), plain(true)));
  EXPECT_TRUE(torch::equal(norm->running_mean, mean) && torch::equal(norm->running_var, var));
  norm->eval();
  EXPECT_TRUE(torch::equal(norm(x), plain(false)));
}

TEST(Modules, instance_norms_equal_the_float_ones_bit_for_bit) {
  expect_float_instance_norm({2, 3, 10});
  expect_float_instance_norm({2, 3, 6, 5});
  expect_float_instance_norm({2, 3, 4, 5, 3});
}

/// torch's own cell on [x, h] and [w_ih, w_hh], each fake-quantized whole.
LSTMState float_cell(torch::nn::Module& module, const std::string& suffix, const Tensor& x, const LSTMState& state) {
  const auto own = module.named_parameters(false);
  const auto& [h, c] = state;
  const int64_t n = x.size(1), m = h.size(1);
  const Tensor joined = fake(torch::cat({x, h}, 1));
  const Tensor weights = fake(torch::cat({own["weight_ih" + suffix], own["weight_hh" + suffix]}, 1), {1});
  return torch::lstm_cell(joined.narrow(1, 0, n), {joined.narrow(1, n, m), c}, weights.narrow(1, 0, n),
                          weights.narrow(1, n, m), own["bias_ih" + suffix], own["bias_hh" + suffix]);
}

TEST(Modules, lstm_cells_equal_the_float_ones_bit_for_bit) {
  torch::manual_seed(10);
  QuantLSTMCell cell(torch::nn::LSTMCellOptions(5, 4));
  LSTMState own = {torch::randn({3, 4}), torch::randn({3, 4})}, plain = own;
  for (int step = 0; step < 3; ++step) {
    const Tensor x = torch::randn({3, 5});
    own = cell(x, own);
    plain = float_cell(*cell, "", x, plain);
    EXPECT_TRUE(torch::equal(std::get<0>(own), std::get<0>(plain))) << "step " << step;
    EXPECT_TRUE(torch::equal(std::get<1>(own), std::get<1>(plain))) << "step " << step;
  }
}

TEST(Modules, lstms_equal_the_float_ones_bit_for_bit) {
  torch::manual_seed(11);
  const int64_t steps = 5, batch = 2, hidden = 4;
  QuantLSTM lstm(torch::nn::LSTMOptions(3, hidden).num_layers(2).bidirectional(true));
  const Tensor input = torch::randn({steps, batch, 3});
  const auto [y, last] = lstm(input);
  Tensor x = input;
  for (int layer = 0; layer < 2; ++layer) {
    std::vector<Tensor> directions;
    for (int d = 0; d < 2; ++d) {
      LSTMState state = {torch::zeros({batch, hidden}), torch::zeros({batch, hidden})};
      std::vector<Tensor> outputs(static_cast<size_t>(steps));
      for (int64_t i = 0; i < steps; ++i) {
        const int64_t t = d == 1 ? steps - 1 - i : i;
        state = float_cell(*lstm, "_l" + std::to_string(layer) + (d ? "_reverse" : ""), x[t], state);
        outputs[static_cast<size_t>(t)] = std::get<0>(state);
      }
      EXPECT_TRUE(torch::equal(std::get<0>(last)[2 * layer + d], std::get<0>(state)));
      EXPECT_TRUE(torch::equal(std::get<1>(last)[2 * layer + d], std::get<1>(state)));
      directions.push_back(torch::stack(outputs));
    }
    x = torch::cat(directions, 2);
  }
  EXPECT_TRUE(torch::equal(y, x));
}

TEST(Modules, circular_padding_is_the_float_modules) {  // D35
  QuantConv2d conv(torch::nn::Conv2dOptions(3, 4, 3).padding(1).padding_mode(torch::kCircular));
  const Tensor x = torch::randn({1, 3, 6, 6});
  EXPECT_EQ(conv(x).sizes(), (std::vector<int64_t>{1, 4, 6, 6}));
  conv->set_ref_compat();
  EXPECT_EQ(conv(x).sizes(), (std::vector<int64_t>{1, 4, 5, 5}));
  EXPECT_EQ(toolkit_circular_padding({3, 3, 2, 2}), (std::vector<int64_t>{2, 1, 1, 1}));
}

TEST(Modules, state_names_and_weight_amax_shapes) {
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

TEST(Modules, an_lstm_has_a_weight_range_for_each_gate_row_of_each_layer_and_direction) {
  const auto each_quantizer = [](torch::nn::Module& module, const auto& visit) {
    for (const auto& part : module.modules(false))
      if (auto* quantizer = dynamic_cast<TensorQuantizerImpl*>(part.get())) visit(*quantizer);
  };
  const auto calibrated = [&](auto module, const Tensor& x) {
    each_quantizer(*module, [](TensorQuantizerImpl& q) { q.enable_calib(), q.disable_quant(); });
    module(x);
    each_quantizer(*module, [](TensorQuantizerImpl& q) { q.load_calib_amax(); });
    return state_dict(*module);
  };
  const auto lstm =
      calibrated(QuantLSTM(torch::nn::LSTMOptions(3, 4).num_layers(2).bidirectional(true)), torch::randn({5, 2, 3}));
  for (int n = 0; n < 4; ++n) {
    EXPECT_EQ(lstm.at("_weight_quantizers." + std::to_string(n) + "._amax").sizes(), (std::vector<int64_t>{16, 1}))
        << n;
    EXPECT_EQ(lstm.at("_input_quantizers." + std::to_string(n) + "._amax").dim(), 0) << n;
  }
  EXPECT_EQ(lstm.count("_weight_quantizers.4._amax"), 0u);
  const auto cell = calibrated(QuantLSTMCell(torch::nn::LSTMCellOptions(3, 4)), torch::randn({2, 3}));
  EXPECT_EQ(cell.at("_weight_quantizer._amax").sizes(), (std::vector<int64_t>{16, 1}));
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

TEST(Replacement, keeps_parameters_and_leaves_max_pools_float) {
  torch::nn::Sequential net = small_net(), made = quantized(net), again = quantized(made);
  std::vector<std::string> names = default_quant_modules();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AvgPool1d",
                                             "AvgPool2d", "AvgPool3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
                                             "ConvTranspose2d", "ConvTranspose3d", "LSTM", "LSTMCell", "Linear"}));
  EXPECT_TRUE(std::dynamic_pointer_cast<QuantConv2dImpl>(made->ptr(0)));
  EXPECT_TRUE(std::dynamic_pointer_cast<QuantLinearImpl>(made->ptr(4)));
  EXPECT_FALSE(std::dynamic_pointer_cast<QuantMaxPool2dImpl>(made->ptr(2)));
  for (size_t i = 0; i < made->size(); ++i) EXPECT_EQ(again->ptr(i), made->ptr(i)) << i;  // twice changes nothing
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

TEST(Helpers, match_group_freeze_and_weights_in_place) {
  torch::nn::Sequential net = quantized(small_net());
  EXPECT_EQ(match_parameters(*net, {"weight"}).size(), 2u);
  EXPECT_EQ(match_parameters(*net, {"0.*wei$", "nothing"}).size(), 0u);
  EXPECT_EQ(match_parameters(*net, {"weight", "^0"}).size(), 3u);  // each once (D37)
  GroupRates rates;
  rates.lrs = {0.1, 0.2};
  EXPECT_EQ(group_parameters(*net, {{"weight"}, {"bias"}}, rates).size(), 2u);
  EXPECT_THROW(group_parameters(*net, {{"weight"}}, rates), std::invalid_argument);
  GroupRates momentums, decays;
  momentums.momentums = {0.9};
  decays.weight_decays = {0, 0, 0};
  EXPECT_THROW(group_parameters(*net, {{"weight"}, {"bias"}}, momentums), std::invalid_argument);
  EXPECT_THROW(group_parameters(*net, {{"weight"}, {"bias"}}, decays), std::invalid_argument);
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

TEST(Helpers, match_the_published_numbers_of_a_resnet18) {
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

TEST(Helpers, cosine_schedule) {
  EXPECT_NEAR(cosine_rate(0.1, 0, 9), 1e-3, 1e-12);
  EXPECT_NEAR(cosine_rate(0.1, 4.5, 9), 5.05e-4, 1e-12);
  EXPECT_NEAR(cosine_rate(0.1, 9, 9), 1e-5, 1e-12);
}

}  // namespace
}  // namespace octet::nn
