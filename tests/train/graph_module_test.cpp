// Any graph as a trainable module: logits against ONNX Runtime's recorded ones, codes against the INT8 engine, weights
// back to the graph, and training that resumes to the same bits.

#include "octet/train/graph_module.h"

#include <filesystem>

#include "data/dataset.h"
#include "ir/text.h"
#include "octet/model.h"
#include "octet/session.h"
#include "octet/train/trainer.h"
#include "train/torch_tests.h"

namespace octet::nn {
namespace {

using torch::Tensor;

const char* data_root() { return std::getenv("OCTET_DATA"); }

GraphModule module_of(const char* text) {
  const Result<Graph> graph = parse_graph(text);
  EXPECT_TRUE(graph) << (graph ? "" : graph.error().message);
  const auto made = GraphModuleImpl::make(*graph);
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return GraphModule(*made);
}

Tensor images(const std::string& path, const std::string& preprocess, int64_t n, Dims dims = {3, 32, 32}) {
  const auto data = open_dataset(path, {.preprocess = preprocess, .limit = n});
  EXPECT_TRUE(data) << (data ? "" : data.error().message);
  std::vector<int64_t> sizes = dims;
  sizes.insert(sizes.begin(), n);
  Tensor x = torch::empty(sizes);
  const int64_t each = x.numel() / n;
  for (int64_t i = 0; i < n; ++i)
    EXPECT_TRUE((*data)->read(i, dims, std::span(x.data_ptr<float>() + i * each, static_cast<size_t>(each))));
  return x;
}

struct Reference {
  const char *model, *preprocess;
  int64_t batch = 50;  // 1: the file has no other
};

class FloatLogits : public testing::TestWithParam<Reference> {};

TEST_P(FloatLogits, are_onnx_runtimes_within_1e_4) {
  if (!data_root()) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string root = data_root(), name = GetParam().model;
  const Result<octet::Tensor> wanted = read_npy(root + "/refs/" + name + "_fp32_logits.npy");
  ASSERT_TRUE(wanted) << wanted.error().message;
  constexpr int64_t n = 16;
  const Tensor x = images(root + "/cifar10/test_batch.bin", GetParam().preprocess, n);
  torch::NoGradGuard no_grad;
  for (const bool clean : {false, true}) {  // with BatchNormalization and every movement op, and without
    Result<GraphModule> net = read_graph_module(root + "/models/" + name + ".onnx", clean);
    ASSERT_TRUE(net) << net.error().message;
    (*net)->eval();
    const Tensor logits = (*net)->forward(x), expected = to_torch(*wanted).narrow(0, 0, n);
    EXPECT_LE((logits - expected).abs().max().item<float>(), 1e-4f * expected.abs().max().item<float>()) << clean;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FloatLogits,
                         testing::Values(Reference{"resnet18_c10", "cifar10"},
                                         Reference{"mobilenet_v3_small_c10", "cifar10"},
                                         Reference{"efficientnet_b0_c10", "cifar10"},
                                         Reference{"vit_tiny_c10", "cifar10"},
                                         Reference{"resnet56_cifar10_bn_pad", "rgb,norm=cifar"}),
                         [](const auto& one) { return std::string(one.param.model); });

/// The network quantized by octet on training images, in a temporary file.
std::string quantized_file(const std::string& model, const std::string& preprocess) {
  const std::string root = data_root();
  const Result<Model> net = Model::load(root + "/models/" + model + ".onnx");
  EXPECT_TRUE(net);
  CalibrateSpec spec;
  spec.data = {.path = root + "/cifar10/train_exact_4000.bin", .preprocess = preprocess, .limit = 64};
  const Result<Ranges> ranges = calibrate(*net, spec);
  EXPECT_TRUE(ranges) << (ranges ? "" : ranges.error().message);
  const Result<Quantized> made = quantize(*net, *ranges, QuantizeSpec());
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  const std::string path = testing::TempDir() + model + "_train_test.onnx";
  EXPECT_TRUE(made->model.save(path));
  return path;
}

Tensor engine_logits(const std::string& path, const Tensor& x) {
  SessionSpec spec;
  spec.batch = 1;
  Result<Session> session = Session::open(path, spec);
  EXPECT_TRUE(session) << (session ? "" : session.error().message);
  Tensor y = torch::empty({x.size(0), 10});
  if (!session) return y;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const std::byte* in = reinterpret_cast<const std::byte*>(x.data_ptr<float>() + i * x[0].numel());
    std::byte* out = reinterpret_cast<std::byte*>(y.data_ptr<float>() + i * 10);
    EXPECT_TRUE(session->run(std::span(&in, 1), std::span(&out, 1)));
  }
  return y;
}

/// In batches, or one at a time where the network has no other; on one thread, beside what else runs here.
Tensor module_logits(GraphModuleImpl& net, const Tensor& x, int64_t batch = 50) {
  torch::NoGradGuard no_grad;
  torch::set_num_threads(1);
  net.eval();
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < x.size(0); i += batch)
    parts.push_back(net.forward(x.narrow(0, i, std::min(batch, x.size(0) - i))).reshape({-1, 10}));
  return torch::cat(parts);
}

void expect_agreement(GraphModuleImpl& net, const std::string& path, const Tensor& x, int64_t batch = 50) {
  torch::NoGradGuard no_grad;
  net.eval();
  const double same_answers = module_logits(net, x, batch)
                                  .argmax(1)
                                  .eq(engine_logits(path, x).argmax(1))
                                  .to(torch::kFloat64)
                                  .mean()
                                  .item<double>();
  EXPECT_GE(same_answers, 0.995);
  testing::Test::RecordProperty("same_answers", std::to_string(same_answers));
}

TEST(GraphModule, fake_quantization_and_the_int8_engine_give_the_same_answers) {
  if (!data_root()) GTEST_SKIP() << "OCTET_DATA is not set";
  const Tensor x = images(std::string(data_root()) + "/cifar10/test_exact_1017.bin", "rgb,norm=imagenet", 400);
  const std::string path = quantized_file("resnet20_cifar10", "rgb,norm=imagenet");
  Result<GraphModule> net = read_graph_module(path);
  ASSERT_TRUE(net) << net.error().message;
  expect_agreement(**net, path, x);

  // Three bits, weights from the float file, moved a little, back to a file: the engine runs it as it is.
  Result<GraphModule> own = read_graph_module(std::string(data_root()) + "/models/resnet20_cifar10.onnx");
  ASSERT_TRUE(own);
  const Graph float_graph = (*own)->graph();
  Result<GraphModule> low = read_graph_module(path, true, {.float_graph = &float_graph});
  ASSERT_TRUE(low) << low.error().message;
  const Result<int64_t> count = set_weight_bits(**low, 3, "mse");
  ASSERT_TRUE(count) << count.error().message;
  EXPECT_EQ(*count, 22);
  {
    torch::NoGradGuard no_grad;
    torch::manual_seed(1);
    for (auto& item : (*low)->named_parameters())
      if (!item.key().ends_with("_scale")) item.value().add_(torch::randn_like(item.value()) * 0.003);
  }
  const std::string three = testing::TempDir() + "resnet20_three_bits.onnx";
  ASSERT_TRUE((*low)->save(three));
  const Graph made = (*low)->graph();
  int layers = 0;
  for (const Value& value : made.values)
    if (value.constant && value.dtype == DType::s8 && value.constant->rank() == 4) {
      ++layers;
      for (const int8_t code : value.constant->as<int8_t>()) ASSERT_LE(std::abs(int{code}), 3) << value.name;
    }
  EXPECT_EQ(layers, 21);
  expect_agreement(**low, three, x);
  std::filesystem::remove(three);
  std::filesystem::remove(path);
}

/// A network of the shared data, and how its pictures are made. 400 pictures of CIFAR-10.
class SharedNetwork : public testing::TestWithParam<Reference> {
 protected:
  static Tensor pictures(int64_t n) {
    return images(std::string(data_root()) + "/cifar10/test_exact_1017.bin", GetParam().preprocess, n);
  }
  static std::string file() { return std::string(data_root()) + "/models/" + GetParam().model + ".onnx"; }
};

std::string name_of(const testing::TestParamInfo<Reference>& one) { return one.param.model; }

class FloatNetwork : public SharedNetwork {};

TEST_P(FloatNetwork, has_the_engines_fp32_logits_within_1e_4) {
  if (!data_root()) GTEST_SKIP() << "OCTET_DATA is not set";
  const Tensor x = pictures(64);
  Result<GraphModule> net = read_graph_module(file());
  ASSERT_TRUE(net) << net.error().message;
  const Tensor got = module_logits(**net, x, GetParam().batch), wanted = engine_logits(file(), x);
  EXPECT_LE((got - wanted).abs().max().item<float>(), 1e-4f * wanted.abs().max().item<float>());
}

TEST_P(FloatNetwork, quantized_gives_the_int8_engines_answers) {
  if (!data_root()) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string path = quantized_file(GetParam().model, GetParam().preprocess);
  Result<GraphModule> net = read_graph_module(path);
  ASSERT_TRUE(net) << net.error().message;
  expect_agreement(**net, path, pictures(400), GetParam().batch);
  std::filesystem::remove(path);
}

constexpr const char *k_cifar = "rgb,norm=cifar", *k_imagenet = "rgb,norm=imagenet", *k_half = "rgb,norm=half";

INSTANTIATE_TEST_SUITE_P(
    Models, FloatNetwork,
    testing::Values(Reference{"resnet18_c10", "cifar10"}, Reference{"mobilenet_v3_small_c10", "cifar10"},
                    Reference{"efficientnet_b0_c10", "cifar10"}, Reference{"vit_tiny_c10", "cifar10"},
                    Reference{"mobilenet_v2_cifar10", k_cifar}, Reference{"resnet18_cifar10", k_half, 1},
                    Reference{"resnet20_cifar10", k_imagenet}, Reference{"resnet56_cifar10_bn_pad", k_cifar}),
    name_of);

class QuantizedNetwork : public SharedNetwork {};

TEST_P(QuantizedNetwork, of_others_gives_the_int8_engines_answers) {
  if (!data_root()) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<GraphModule> net = read_graph_module(file());
  ASSERT_TRUE(net) << net.error().message;
  expect_agreement(**net, file(), pictures(400), GetParam().batch);
}

// Not resnet18_cifar10_eager_int8: the engine repairs that broken export while it reads it, a module takes files as
// they are (octet finetune gives it the repaired network).
INSTANTIATE_TEST_SUITE_P(Models, QuantizedNetwork,
                         testing::Values(Reference{"mobilenet_v2_cifar10_fakequant_qdq", k_cifar},
                                         Reference{"mobilenet_v2_cifar10_int8_qlinear", k_cifar, 1},
                                         Reference{"resnet20_cifar10_ort_qdq_s8", k_imagenet}),
                         name_of);

TEST(GraphModule, parameters_are_named_after_initializers_and_come_back) {
  GraphModule net = module_of(R"(graph g (x: f32[N,4]) -> (y) {
    const layer1.0.fc.weight: f32[2,4] = {1, 2, 3, 4, 5, 6, 7, 8}
    const layer1.0.fc.bias: f32[2] = {0.5, -0.5}
    const half: f32[] = {0.5}
    h = Gemm(x, layer1.0.fc.weight, layer1.0.fc.bias, transB=1) @fc
    y = Mul(h, half) @scale
  })");
  std::vector<std::string> names;
  for (const auto& item : net->named_parameters()) names.push_back(item.key());
  EXPECT_EQ(names, (std::vector<std::string>{"layer1.0.fc.weight", "layer1.0.fc.bias"}));
  EXPECT_TRUE(same(net->forward(floats({1, 0, 0, 1}).reshape({1, 4})).detach(), {2.75f, 6.25f}));
  {
    torch::NoGradGuard no_grad;
    net->named_parameters()["layer1.0.fc.bias"].fill_(2.0f);
  }
  const Graph graph = net->graph();
  EXPECT_EQ(graph.constant(*graph.find_value("layer1.0.fc.bias"))->at<float>(1), 2.0f);
  EXPECT_EQ(graph.constant(*graph.find_value("half"))->at<float>(0), 0.5f);
}

TEST(GraphModule, a_relu_in_front_of_unsigned_codes_costs_nothing_and_changes_nothing) {
  // The first has a second reader of the ReLU, which therefore stays; the sums of both are the same function of x.
  const auto net = [](const char* twice) {
    return module_of((std::string(R"(graph g (x: f32[2,4]) -> (y) {
    const w: f32[4,4] = {0.5, -1, 2, 0, 1, 1, -0.5, 0.25, -0.75, 0.1, 0.2, 0.3, 1, -2, 3, -4}
    const s: f32[] = {0.05}
    const z: u8[] = {0}
    a = MatMul(x, w) @product
    r = Relu(a) @relu
    q = QuantizeLinear(r, s, z) @quantize
    d = DequantizeLinear(q, s, z) @dequantize
    n = Sub()") + twice +
                      ", " + twice + ") @nothing\n    y = Add(d, n) @sum\n  }")
                         .c_str());
  };
  GraphModule kept = net("r"), left = net("d");
  torch::manual_seed(2);
  const Tensor x = torch::randn({2, 4}) * 4;
  const Tensor a = kept->forward(x), b = left->forward(x);
  EXPECT_TRUE(same(a.detach(), b.detach()));
  a.square().sum().backward();
  b.square().sum().backward();
  EXPECT_TRUE(same(kept->named_parameters()["w"].grad(), left->named_parameters()["w"].grad()));
  EXPECT_GT(left->named_parameters()["w"].grad().abs().sum().item<float>(), 0);
  for (const GraphModule& one : {kept, left})
    for (const auto& quantizer : one->quantizers()) quantizer->disable();
  EXPECT_TRUE(same(kept->forward(x).detach(), left->forward(x).detach()));
  EXPECT_TRUE(same(left->forward(x).detach(), torch::relu(torch::matmul(x, left->named_parameters()["w"])).detach()));
}

TEST(GraphModule, batch_norm_is_frozen_unless_asked) {
  const char* text = R"(graph g (x: f32[N,2,2,2]) -> (y) {
    const bn.weight: f32[2] = {1, 1}
    const bn.bias: f32[2] = {0, 0}
    const bn.running_mean: f32[2] = {0, 0}
    const bn.running_var: f32[2] = {1, 1}
    y = BatchNormalization(x, bn.weight, bn.bias, bn.running_mean, bn.running_var, momentum=0.9) @bn
  })";
  GraphModule net = module_of(text);
  net->train();
  const Tensor x = torch::ones({4, 2, 2, 2}) * 3;
  EXPECT_NEAR(net->forward(x).mean().item<float>(), 3.0f, 1e-3);
  net->train_batch_norm(true);
  EXPECT_NEAR(net->forward(x).mean().item<float>(), 0.0f, 1e-3);
  const Graph graph = net->graph();
  EXPECT_NEAR(graph.constant(*graph.find_value("bn.running_mean"))->at<float>(0), 0.3f, 1e-6);
}

TEST(GraphModule, an_op_without_a_gradient_is_refused_by_name_only_when_one_is_needed) {
  GraphModule net = module_of(R"(graph g (x: f32[4]) -> (y) {
    const w: f32[4] = {1, 2, 3, 4}
    const axis: s64[] = {0}
    a = Mul(x, w) @scale
    y = CumSum(a, axis) @running
  })");
  {
    torch::NoGradGuard no_grad;
    EXPECT_TRUE(same(net->forward(floats({1, 1, 1, 1})), {1, 3, 6, 10}));
  }
  try {
    net->forward(floats({1, 1, 1, 1}));
    ADD_FAILURE() << "no error";
  } catch (const std::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("node 'running' (CumSum)"), std::string::npos) << e.what();
  }
}

/// Two classes of noise around +-1 in the first element.
class Separable : public Dataset {
 public:
  int64_t size() const override { return 320; }
  std::vector<int64_t> labels(int64_t i) const override { return {i % 2}; }
  std::string sample_name(int64_t i) const override { return std::to_string(i); }
  Result<Done> read(int64_t i, const Dims&, std::span<float> out) const override {
    for (size_t e = 0; e < out.size(); ++e)
      out[e] = static_cast<float>((i * 31 + static_cast<int64_t>(e) * 17) % 13) / 13.0f;
    out[0] += i % 2 ? 1.0f : -1.0f;
    return Done{};
  }
  std::string hash() const override { return ""; }
  bool are_pictures() const override { return false; }
};

constexpr const char* k_small = R"(graph g (x: f32[N,1,2,2]) -> (y) {
    const fc.weight: f32[2,4] = {0.1, -0.2, 0.3, 0.05, -0.1, 0.2, -0.3, 0.02}
    const fc.bias: f32[2] = {0, 0}
    h = Flatten(x) @flat
    y = Gemm(h, fc.weight, fc.bias, transB=1) @fc
  })";

TrainOptions small_options(const std::string& checkpoint) {
  TrainOptions o;
  o.epochs = 4;
  o.rate = 0.1;
  o.batch = 32;
  o.threads = 1;
  o.augmentation = {0, false, 0};  // a flip would hide the class
  o.held_out = 0.2;
  o.checkpoint = checkpoint;
  return o;
}

TEST(Training, learns_and_a_resumed_run_ends_in_the_same_bits) {
  const std::string a = testing::TempDir() + "whole.checkpoint", b = testing::TempDir() + "parts.checkpoint";
  const Separable data;
  GraphModule whole = module_of(k_small);
  const Result<TrainReport> report = train(*whole, data, {1, 2, 2}, small_options(a));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->epochs.size(), 5u);
  EXPECT_GT(report->best_accuracy, 0.9);
  EXPECT_LT(report->epochs.back().loss, report->epochs[1].loss);

  // Stopped in its third epoch: what counts is the checkpoint of the second.
  GraphModule part = module_of(k_small);
  std::atomic<bool> stop{false};
  TrainOptions options = small_options(b);
  options.stop = &stop;
  options.on_epoch = [&](const EpochReport& e) { stop = e.epoch == 2; };
  const Result<TrainReport> stopped = train(*part, data, {1, 2, 2}, options);
  ASSERT_TRUE(stopped) << stopped.error().message;
  EXPECT_TRUE(stopped->stopped);
  GraphModule resumed = module_of(k_small);
  options = small_options(b);
  options.resume = true;
  const Result<TrainReport> rest = train(*resumed, data, {1, 2, 2}, options);
  ASSERT_TRUE(rest) << rest.error().message;
  EXPECT_EQ(rest->epochs.size(), 5u);
  EXPECT_TRUE(torch::equal(whole->named_parameters()["fc.weight"], resumed->named_parameters()["fc.weight"]));
  EXPECT_TRUE(torch::equal(whole->named_parameters()["fc.bias"], resumed->named_parameters()["fc.bias"]));

  options.rate = 0.2;
  const Result<TrainReport> other = train(*resumed, data, {1, 2, 2}, options);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("other options"), std::string::npos);
  std::filesystem::remove(a);
  std::filesystem::remove(b);
}

TEST(Training, a_device_that_is_not_there_is_said) {
  GraphModule net = module_of(k_small);
  TrainOptions options = small_options("");
  options.device = "cuda:99";
  const Result<TrainReport> report = train(*net, Separable(), {1, 2, 2}, options);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("device 'cuda:99'"), std::string::npos);
}

}  // namespace
}  // namespace octet::nn
