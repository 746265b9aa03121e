// Training on a GPU: a step that is recorded and replayed is the step itself, and a step is the CPU's. Skipped where
// libtorch finds no GPU.

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "ir/text.h"
#include "octet/model.h"
#include "octet/ranges.h"
#include "octet/train/parameters.h"
#include "octet/train/trainer.h"
#include "train/fused.h"
#include "train/learner.h"
#include "train/torch_tests.h"

namespace octet::nn {
namespace {

using State = std::map<std::string, octet::Tensor>;

enum class Kind { fp32, int8, three_bits_lsq, distilled };

struct Case {
  const char* name;
  Kind kind;
  bool nesterov = false;
  double momentum = 0.9;
};

/// The demo's network, calibrated and quantized by octet on drawn pictures.
std::string quantized_demo() {
  const std::string path = testing::TempDir() + "octet_gpu_test_" + std::to_string(::getpid()) + ".onnx";
  const Result<Model> net = Model::load(OCTET_DEMO_MODEL);
  EXPECT_TRUE(net);
  CalibrateSpec spec;
  spec.data = {.path = "shapes-train:64", .preprocess = "rgb,norm=half"};
  spec.method = "max";
  const Result<Ranges> ranges = calibrate(*net, spec);
  EXPECT_TRUE(ranges) << (ranges ? "" : ranges.error().message);
  const Result<Quantized> made = quantize(*net, *ranges, QuantizeSpec());
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  EXPECT_TRUE(made->model.save(path));
  return path;
}

TrainOptions options_of(const Case& one, const std::string& device) {
  TrainOptions o;
  o.epochs = 2;
  o.batch = 16;
  o.rate = 0.01;
  o.momentum = one.momentum;
  o.nesterov = one.nesterov;
  o.held_out = 0.1;
  o.device = device;
  o.deterministic = true;
  o.threads = 2;
  o.distill = one.kind == Kind::distilled ? 0.5 : 0;
  return o;
}

struct Trained {
  State state;
  TrainReport report;
  std::vector<std::string> notes;
};

Trained trained(GraphModuleImpl& net, TrainOptions options, GraphModuleImpl* teacher, int64_t pictures = 160) {
  Trained made;
  options.on_note = [&](const std::string& note) { made.notes.push_back(note); };
  const auto data = open_dataset("shapes-train:" + std::to_string(pictures), {.preprocess = "rgb,norm=half"});
  EXPECT_TRUE(data);
  const Result<TrainReport> report = train(net, **data, {3, 32, 32}, options, teacher);
  EXPECT_TRUE(report) << (report ? "" : report.error().message);
  if (report) made.report = *report;
  for (const auto& [name, tensor] : state_dict(net)) made.state[name] = to_octet(tensor);
  return made;
}

Trained trained(const Case& one, const TrainOptions& options) {
  Result<GraphModule> teacher = read_graph_module(OCTET_DEMO_MODEL);
  EXPECT_TRUE(teacher);
  if (one.kind == Kind::fp32) return trained(**teacher, options, nullptr);
  const std::string path = quantized_demo();
  const Graph float_graph = (*teacher)->graph();
  Result<GraphModule> net = read_graph_module(path, true, {.float_graph = &float_graph});
  EXPECT_TRUE(net);
  if (one.kind == Kind::three_bits_lsq) {
    EXPECT_TRUE(set_weight_bits(**net, 3));
    for (const auto& slot : (*net)->weight_quantizers()) slot.quantizer->learn_scale();
  }
  Trained made = trained(**net, options, one.kind == Kind::distilled ? &**teacher : nullptr);
  std::filesystem::remove(path);
  return made;
}

class OnGpu : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "not applicable: this libtorch finds no GPU";
  }
};

TEST_P(OnGpu, a_recorded_step_gives_the_bits_of_the_step) {
  if (!can_record_steps()) GTEST_SKIP() << "this libtorch records no steps";
  TrainOptions options = options_of(GetParam(), "cuda");
  const Trained recorded = trained(GetParam(), options);
  options.step_graph = false;
  const Trained plain = trained(GetParam(), options);
  EXPECT_THAT(recorded.notes, testing::IsEmpty());
  EXPECT_TRUE(recorded.report.step_recorded);
  EXPECT_FALSE(plain.report.step_recorded);
  EXPECT_TRUE(recorded.state == plain.state);
  ASSERT_EQ(recorded.report.epochs.size(), plain.report.epochs.size());
  for (size_t i = 0; i < plain.report.epochs.size(); ++i) {
    EXPECT_EQ(recorded.report.epochs[i].loss, plain.report.epochs[i].loss);
    EXPECT_EQ(recorded.report.epochs[i].train_accuracy, plain.report.epochs[i].train_accuracy);
    EXPECT_EQ(recorded.report.epochs[i].held_out_loss, plain.report.epochs[i].held_out_loss);
  }
}

// The optimizer's kernels on a GPU are others than the CPU's.
TEST_P(OnGpu, one_step_moves_the_weights_as_on_the_cpu) {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  const auto after = [&](const std::string& device, int64_t epochs) {
    TrainOptions options = options_of(GetParam(), device);
    options.epochs = epochs;
    options.batch = 160;
    options.held_out = 0;
    return trained(GetParam(), options).state;
  };
  const State start = after("cpu", 0), here = after("cpu", 1), there = after("cuda", 1);
  ASSERT_EQ(here.size(), there.size());
  // A sum in another order may move an activation to its neighbouring code.
  const double most = GetParam().kind == Kind::fp32 ? 1e-3 : 3e-2;
  for (const auto& [name, tensor] : start) {
    const torch::Tensor was = to_torch(tensor), moved = to_torch(here.at(name)) - was;
    const double off = (to_torch(there.at(name)) - was - moved).norm().item<double>(),
                 own = moved.norm().item<double>();
    EXPECT_LE(off, most * own + 1e-7 * was.norm().item<double>()) << name << ", which moved by " << own;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, OnGpu,
                         testing::Values(Case{"fp32", Kind::fp32}, Case{"int8", Kind::int8},
                                         Case{"three_bits_lsq", Kind::three_bits_lsq},
                                         Case{"distilled", Kind::distilled}, Case{"nesterov", Kind::int8, true},
                                         Case{"no_momentum", Kind::int8, false, 0.0}),
                         [](const auto& one) { return std::string(one.param.name); });

// Ceil runs by its reference kernel, on the CPU: what waits for the GPU cannot be recorded.
TEST(GpuTraining, a_step_that_cannot_be_recorded_runs_by_itself_and_is_noted) {
  if (!torch::cuda::is_available() || !can_record_steps()) GTEST_SKIP() << "not applicable: no GPU that records steps";
  const auto run = [](bool step_graph) {
    std::string weights, biases;
    for (int i = 0; i < 30; ++i) weights += (i ? ", " : "") + std::to_string(0.01 * (i * 7 % 13) - 0.05);
    for (int i = 0; i < 10; ++i) biases += i ? ", 0" : "0";
    const Result<Graph> graph =
        parse_graph("graph g (x: f32[N,3,32,32]) -> (y) {\n    const fc.weight: f32[10,3] = {" + weights +
                    "}\n    const fc.bias: f32[10] = {" + biases +
                    "}\n    c = Ceil(x) @ceil\n    p = GlobalAveragePool(c) @pool\n    f = Flatten(p) @flat\n"
                    "    y = Gemm(f, fc.weight, fc.bias, transB=1) @fc\n  }");
    EXPECT_TRUE(graph) << (graph ? "" : graph.error().message);
    GraphModule net(*GraphModuleImpl::make(*graph));
    TrainOptions options = options_of({"", Kind::fp32}, "cuda");
    options.step_graph = step_graph;
    return trained(*net, options, nullptr);
  };
  const Trained tried = run(true), plain = run(false);
  EXPECT_FALSE(tried.report.step_recorded);
  ASSERT_EQ(tried.notes.size(), 1u);
  EXPECT_THAT(tried.notes[0], testing::HasSubstr("the training step cannot be recorded for the GPU ("));
  EXPECT_TRUE(tried.state == plain.state);
  EXPECT_THAT(plain.notes, testing::IsEmpty());
}

// Such weights move by libtorch's plain functions, whose rate is a number of the host: recorded, it would never fall.
TEST(GpuTraining, a_step_whose_rate_would_be_frozen_is_not_recorded) {
  if (!torch::cuda::is_available() || !can_record_steps()) GTEST_SKIP() << "not applicable: no GPU that records steps";
  const Result<Graph> graph = parse_graph(
      "graph g (x: f32[N,2]) -> (y) {\n    const fc.weight: f32[2,2] = {0.5, -0.25, 0.125, 1}\n"
      "    const fc.bias: f32[2] = {0, 0}\n    y = Gemm(x, fc.weight, fc.bias, transB=1) @fc\n  }");
  ASSERT_TRUE(graph) << graph.error().message;
  std::vector<std::string> notes;
  const auto learned = [&](bool step_graph) {
    GraphModule net(*GraphModuleImpl::make(*graph));
    net->to(torch::kFloat64);
    net->to(torch::kCUDA);
    TrainOptions options = options_of({"", Kind::fp32}, "cuda");
    options.step_graph = step_graph;
    options.on_note = [&](const std::string& note) { notes.push_back(note); };
    const OwnStream stream{torch::Device("cuda")};
    Learner learner(*net, nullptr, options);
    const Batch batch{torch::tensor({{1.0, 2.0}, {-1.0, 0.5}}, torch::kFloat64), torch::tensor({0, 1}, torch::kInt64)};
    for (int i = 0; i < 8; ++i) learner.step(batch, 0.5 / (i + 1));
    EXPECT_FALSE(learner.step_recorded());
    return to_octet(net->named_parameters()["fc.weight"].detach());
  };
  const octet::Tensor tried = learned(true);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], testing::HasSubstr("that reads its rate"));
  EXPECT_TRUE(tried == learned(false));
}

/// All that decides a code: ties, each with its neighbours, far beyond the bounds, infinities, NaN, the smallest
/// numbers.
torch::Tensor decisive(float step) {
  constexpr float k_infinity = std::numeric_limits<float>::infinity();
  std::vector<float> all = {0.0f,
                            -0.0f,
                            1e-42f,
                            -1e-42f,
                            1e-20f,
                            -1e-20f,
                            1e30f,
                            -1e30f,
                            k_infinity,
                            -k_infinity,
                            std::numeric_limits<float>::quiet_NaN()};
  for (int half = -520; half <= 520; ++half) {
    const float tie = 0.5f * static_cast<float>(half) * step;
    all.insert(all.end(), {tie, std::nextafter(tie, k_infinity), std::nextafter(tie, -k_infinity)});
  }
  while (all.size() % 8 != 0) all.push_back(0.3f * step);
  return floats(all);
}

struct Quantizing {
  torch::Tensor y, dx, dscale;
};

/// dy is the same on each device.
Quantizing quantizing(const char* device, const torch::Tensor& x, const torch::Tensor& scale, CodeLimits limits,
                      int64_t axis, bool learned) {
  torch::manual_seed(5);
  const torch::Tensor dy = torch::randn(x.sizes()).to(device);
  torch::Tensor in = x.to(device).detach().clone().requires_grad_();
  torch::Tensor s = scale.to(device).detach().clone().requires_grad_(learned);
  Quantizing made;
  made.y = learned ? learned_quantize(in, s, limits, axis) : fake_quantize(in, s, limits, axis);
  made.y.backward(dy);
  made.dx = in.grad().cpu();
  if (learned) made.dscale = s.grad().cpu();
  made.y = made.y.detach().cpu();
  return made;
}

struct CodesCase {
  const char* name;
  CodeLimits limits;
};

class FusedOnGpu : public testing::TestWithParam<CodesCase> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "not applicable: this libtorch finds no GPU";
    const torch::Tensor one = torch::ones({2}, torch::kCUDA);
    ASSERT_TRUE(fused_fake_quantize(one, one, {}).defined()) << "libtorch compiles no kernel here";
  }
  static void expect_the_same(const torch::Tensor& x, const torch::Tensor& scale, CodeLimits limits, int64_t axis) {
    for (const bool learned : {false, true}) {
      if (learned && limits.rectified) continue;  // of activations alone
      const Quantizing here = quantizing("cpu", x, scale, limits, axis, learned);
      const Quantizing there = quantizing("cuda", x, scale, limits, axis, learned);
      EXPECT_TRUE(same(there.y, to_vector(here.y))) << "learned " << learned;
      EXPECT_TRUE(same(there.dx, to_vector(here.dx))) << "learned " << learned;
      if (!learned) continue;
      if (scale.numel() == x.numel()) {  // nothing is summed
        EXPECT_TRUE(same(there.dscale, to_vector(here.dscale)));
      } else {
        EXPECT_TRUE(torch::allclose(there.dscale, here.dscale, 1e-4, 1e-3)) << there.dscale << here.dscale;
      }
    }
  }
  static std::vector<float> to_vector(const torch::Tensor& t) {
    const torch::Tensor dense = t.contiguous();
    return {dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel()};
  }
};

TEST_P(FusedOnGpu, one_scale_gives_the_cpus_numbers) {
  for (const float step : {0.0625f, 0.1f, 7.3e-5f, 3e20f}) {
    const torch::Tensor x = decisive(step);
    SCOPED_TRACE(step);
    CodeLimits limits = GetParam().limits;
    expect_the_same(x, torch::tensor(step), limits, 0);
    expect_the_same(x, torch::tensor({step}), limits, 0);
    limits.step = step;  // of a scale that is no parameter
    const Quantizing here = quantizing("cpu", x, torch::tensor(step), limits, 0, false),
                     there = quantizing("cuda", x, torch::tensor(step), limits, 0, false);
    EXPECT_TRUE(same(there.y, to_vector(here.y)));
    EXPECT_TRUE(same(there.dx, to_vector(here.dx)));
  }
}

TEST_P(FusedOnGpu, scales_along_an_axis_give_the_cpus_numbers) {
  const torch::Tensor row = decisive(0.1f), steps = torch::tensor({0.1f, 0.0625f, 0.03f, 1.7f});
  const torch::Tensor rows = torch::stack({row, row, row, row});
  expect_the_same(rows, steps, GetParam().limits, 0);
  expect_the_same(rows.t().contiguous(), steps, GetParam().limits, 1);
  const torch::Tensor pictures = row.reshape({2, -1, 2, 2}).narrow(1, 0, 4);
  expect_the_same(pictures.contiguous(), steps, GetParam().limits, 1);
  expect_the_same(pictures.contiguous(torch::MemoryFormat::ChannelsLast), steps, GetParam().limits, 1);
}

TEST_P(FusedOnGpu, each_elements_part_of_a_steps_gradient_is_the_cpus) {
  const torch::Tensor x = decisive(0.0625f);
  torch::manual_seed(6);
  expect_the_same(x, torch::full_like(x, 0.0625f), GetParam().limits, 0);
  expect_the_same(x, torch::rand_like(x) + 0.01f, GetParam().limits, 0);
}

TEST_P(FusedOnGpu, biases_fall_on_the_cpus_grid) {
  for (const float step : {0.0625f, 0.1f}) {
    const torch::Tensor x = decisive(step), scale = torch::tensor({step});
    EXPECT_TRUE(
        same(round_to_grid(x.to(torch::kCUDA), scale.to(torch::kCUDA)).cpu(), to_vector(round_to_grid(x, scale))));
  }
}

INSTANTIATE_TEST_SUITE_P(Codes, FusedOnGpu,
                         testing::Values(CodesCase{"s8", {-128, 127}}, CodesCase{"narrow", {-127, 127}},
                                         CodesCase{"three_bits", {-3, 3}}, CodesCase{"u8", {0, 255}},
                                         CodesCase{"rectified", {0, 255, true}}, CodesCase{"zero_point", {-100, 155}}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace octet::nn
