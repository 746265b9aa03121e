// --precision best on real networks: what it says, and that its answers are those of one of the forms it chose from.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "base/bf16.h"
#include "base/isa.h"
#include "ir/text.h"
#include "kernels/peak/peak.h"
#include "octet/engine_file.h"
#include "octet/measure.h"
#include "octet/session.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

using testing::HasSubstr;

SessionSpec in(const char* precision) {
  SessionSpec spec;
  spec.precision = precision;
  return spec;
}

std::vector<float> answer(Session& session) {
  Result<TensorBuffers> buffers = TensorBuffers::make(session);
  if (!buffers || !session.run(buffers->run_inputs(), buffers->run_outputs())) return {};
  std::vector<float> y(buffers->output(0).size() / sizeof(float));
  std::memcpy(y.data(), buffers->output(0).data(), buffers->output(0).size());
  return y;
}

TEST(BestPrecision, says_its_counts_and_both_times_and_answers_as_int8_where_all_layers_stay) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<Model> model = Model::load(std::string(root) + "/models/resnet20_cifar10_ort_qdq_s8.onnx");
  ASSERT_TRUE(model) << model.error().message;
  Result<Session> best = Session::build(*model, in("best"));
  ASSERT_TRUE(best) << best.error().message;
  ASSERT_FALSE(best->notes().empty());
  EXPECT_THAT(best->notes()[0], HasSubstr("precision best: INT8 "));
  EXPECT_THAT(best->notes()[0], HasSubstr("reformat "));
  EXPECT_THAT(best->notes()[0], HasSubstr("% of time)"));
  EXPECT_THAT(best->notes()[0], HasSubstr("in FP32 "));
  EXPECT_THAT(best->notes()[0], HasSubstr("noise +-"));
  if (best->precision() != "int8") return;  // the machine decides
  Result<Session> int8 = Session::build(*model, in("int8"));
  ASSERT_TRUE(int8);
  EXPECT_EQ(answer(*best), answer(*int8));
}

TEST(BestPrecision, a_plan_holds_the_choice_and_says_it) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<Model> model = Model::load(std::string(root) + "/models/resnet20_cifar10_ort_qdq_s8.onnx");
  ASSERT_TRUE(model);
  BuildSpec spec;
  spec.session = in("best");
  const Result<EngineFile> plan = build_engine(*model, spec);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->notes(), testing::Contains(HasSubstr("precision best: INT8 ")));
  Result<Session> session = Session::load(*plan, {});
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(session->precision(), plan->precision());
  std::string options;
  for (const auto& [key, value] : plan->provenance())
    if (key == "options") options = value;
  EXPECT_THAT(options, HasSubstr("precision=best"));
  int float_convolutions = 0;
  for (const LayerInfo& layer : session->layers()) float_convolutions += layer.op == "Conv" || layer.op == "FusedConv";
  if (plan->precision() == "int8") {
    EXPECT_EQ(float_convolutions, 0);
  }
  if (plan->precision() == "int8 and fp32") {
    EXPECT_GT(float_convolutions, 0);
    EXPECT_THAT(options, HasSubstr(" float="));
  }
  if (plan->precision() == "fp32") {
    EXPECT_GT(float_convolutions, 19);
  }
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Replaces the times of the table's lines that hold `mark`.
void set_times(const std::string& table, const std::string& mark, const char* us) {
  std::istringstream lines(bytes_of(table));
  std::string edited;
  for (std::string line; std::getline(lines, line);) {
    if (line.find(mark) != std::string::npos) line = line.substr(0, line.rfind('\t') + 1) + us;
    edited += line + "\n";
  }
  std::ofstream(table, std::ios::binary) << edited;
}

/// The demo's network, with `table` as its timing cache.
BuildSpec best_of_demo(const std::string& table) {
  BuildSpec spec;
  spec.session = in("best");
  spec.session.calibration.data.path = "shapes-train:32";
  spec.session.timing_cache = table;
  return spec;
}

// What is in the tuning table decides, and nothing is measured again: equal bytes, an untouched table, and another
// choice as soon as the table says so.
TEST(BestPrecision, repeats_its_choice_from_the_timing_cache) {
  Result<Model> model = Model::load(OCTET_DEMO_MODEL);
  ASSERT_TRUE(model) << model.error().message;
  const std::string table = testing::TempDir() + "octet_best_" + std::to_string(::getpid()) + ".txt";
  const std::string path = table + ".plan";
  const BuildSpec spec = best_of_demo(table);
  const auto build = [&] {
    Result<EngineFile> plan = build_engine(*model, spec);
    EXPECT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(plan->save(path));
    return *std::move(plan);
  };
  const EngineFile first = build();
  EXPECT_THAT(first.tuning_log(), HasSubstr(" us, FP32 "));
  EXPECT_THAT(first.tuning_log(), HasSubstr("precision whole network, FP32: "));
  const std::string bytes = bytes_of(path), times = bytes_of(table);
  EXPECT_THAT(build().tuning_log(), HasSubstr("precision: 0 timings taken"));
  EXPECT_EQ(bytes_of(path), bytes);
  EXPECT_EQ(bytes_of(table), times);

  set_times(table, "precision best, ",
            "50.000");  // all layers alike: none is slower, two whole networks to choose from
  (void)build();        // measures these two where a mix was measured before
  set_times(table, " as a whole, standard error", "1.000");
  set_times(table, "INT8 as a whole\t", "1000.000");
  set_times(table, "FP32 as a whole\t", "2000.000");
  EXPECT_EQ(build().precision(), "int8");
  set_times(table, "INT8 as a whole\t", "3000.000");
  EXPECT_EQ(build().precision(), "fp32");
  EXPECT_THAT(build().notes()[0], HasSubstr("whole network 2.000 ms, in FP32 2.000 ms"));
  set_times(table, "FP32 as a whole, standard error", "600.000");
  EXPECT_EQ(build().precision(), "int8") << "a difference within the noise";
  std::filesystem::remove(table);
  std::filesystem::remove(path);
}

// One kind of layer is far slower in INT8 by the table, and the mix of both is the fastest network by it.
TEST(BestPrecision, a_layer_that_is_slower_in_int8_becomes_float_in_the_graph_and_says_why) {
  Result<Model> model = Model::load(OCTET_DEMO_MODEL);
  ASSERT_TRUE(model) << model.error().message;
  const std::string table = testing::TempDir() + "octet_mixed_" + std::to_string(::getpid()) + ".txt";
  const BuildSpec spec = best_of_demo(table);
  const auto build = [&] {
    Result<EngineFile> plan = build_engine(*model, spec);
    EXPECT_TRUE(plan) << plan.error().message;
    return *std::move(plan);
  };
  (void)build();
  const auto decide_layers = [&] {
    set_times(table, "precision best, ", "50.000");
    set_times(table, "QuantConv[activation=Relu dilations=1x1 group=1 kernel_shape=1x1", "400.000");
  };
  decide_layers();
  (void)build();  // measures the mix
  decide_layers();
  set_times(table, "INT8 as a whole\t", "2000.000");
  set_times(table, "FP32 as a whole\t", "3000.000");
  set_times(table, "mixed as a whole\t", "1500.000");
  set_times(table, " as a whole, standard error", "1.000");
  const EngineFile plan = build();
  EXPECT_THAT(plan.tuning_log(), HasSubstr("precision: 0 timings taken"));
  EXPECT_EQ(plan.precision(), "int8 and fp32");
  EXPECT_THAT(plan.notes()[0], HasSubstr("whole network 1.500 ms, in FP32 3.000 ms"));
  EXPECT_THAT(plan.notes(), testing::Contains(HasSubstr(" is float: 50.00 us in FP32, 400.00 us in INT8")));
  EXPECT_THAT(plan.notes(), testing::Contains(HasSubstr("octet quantize ... --keep-float")));
  Result<Session> session = Session::load(plan, {});
  ASSERT_TRUE(session) << session.error().message;
  int integers = 0, floats = 0;
  for (const LayerInfo& layer : session->layers()) {
    integers += layer.op == "QuantConv";
    floats += layer.op == "FusedConv";
  }
  EXPECT_EQ(floats, 2);  // the demo network's 1x1 convolutions
  EXPECT_GT(integers, 2);
  set_times(table, "mixed as a whole\t", "1999.000");
  EXPECT_EQ(build().precision(), "int8") << "the mix is faster by less than the noise";
  std::filesystem::remove(table);
}

TEST(BestPrecision, a_float_model_without_ranges_is_refused_by_the_flags_name) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<Model> model = Model::load(std::string(root) + "/models/resnet20_cifar10.onnx");
  ASSERT_TRUE(model);
  const Result<Session> session = Session::build(*model, in("best"));
  ASSERT_FALSE(session);
  EXPECT_THAT(session.error().message, HasSubstr("--precision best on the float model"));
  EXPECT_THAT(session.error().message, HasSubstr("--calib-data"));
}

/// While it lives, engines are built for this ISA.
class OnIsa {
 public:
  explicit OnIsa(const char* isa) {
    if (const char* own = std::getenv("OCTET_ISA")) before_ = own;
    setenv("OCTET_ISA", isa, 1);
  }
  ~OnIsa() { before_.empty() ? unsetenv("OCTET_ISA") : setenv("OCTET_ISA", before_.c_str(), 1); }
  OnIsa(const OnIsa&) = delete;
  OnIsa& operator=(const OnIsa&) = delete;

 private:
  std::string before_;
};

TEST(BestPrecision, bf16_on_a_cpu_without_it_runs_as_fp32_and_says_so) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<Model> model = Model::load(std::string(root) + "/models/resnet20_cifar10.onnx");
  ASSERT_TRUE(model);
  const OnIsa scalar("scalar");
  const Result<Session> session = Session::build(*model, in("bf16"));
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(session->precision(), "fp32");
  EXPECT_THAT(session->notes(), testing::Contains(HasSubstr("BF16 runs as FP32")));
}

/// Largest difference of the sessions' answers, over the largest answer of the first.
double distance(Session& a, Session& b) {
  const std::vector<float> want = answer(a), got = answer(b);
  EXPECT_EQ(want.size(), got.size());
  double most = 0, difference = 0;
  for (size_t i = 0; i < std::min(want.size(), got.size()); ++i) {
    most = std::max(most, std::abs(static_cast<double>(want[i])));
    difference = std::max(difference, std::abs(static_cast<double>(want[i]) - got[i]));
  }
  return difference / most;
}

TEST(BestPrecision, a_network_without_layers_for_bf16_is_not_called_so) {
  const std::string path = testing::TempDir() + "octet_depthwise_" + std::to_string(::getpid()) + ".onnx";
  const Result<Graph> graph = parse_graph(
      "graph g (x: f32[1,2,4,4]) -> (y) {\n  const w: f32[2,1,1,1] = {0.5, 2}\n  y = Conv(x, w, group=2) "
      "@depthwise\n}\n");
  ASSERT_TRUE(graph && write_onnx_file(path, *graph));
  const Result<Model> model = Model::load(path);
  ASSERT_TRUE(model) << model.error().message;
  BuildSpec spec;
  spec.session = in("bf16");
  spec.session.device = "ref";
  const Result<Session> session = Session::build(*model, spec.session);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(session->precision(), "fp32");
  EXPECT_THAT(session->notes(), testing::Contains(HasSubstr("no layer of the network is one that multiplies in BF16")));
  const Result<EngineFile> plan = build_engine(*model, spec);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->precision(), "fp32");
  std::filesystem::remove(path);
}

TEST(BestPrecision, a_bf16_plan_runs_as_fp32_where_there_is_no_bf16_and_says_so) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<Model> model = Model::load(std::string(root) + "/models/resnet20_cifar10.onnx");
  ASSERT_TRUE(model);
  BuildSpec spec;
  spec.session = in("bf16");
  spec.session.device = "ref";  // which has BF16 anywhere
  const Result<EngineFile> plan = build_engine(*model, spec);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->precision(), "bf16");
  EXPECT_THAT(plan->layer_counts(), HasSubstr("0 INT8, 22 BF16, "));
  Result<Session> judge = Session::load(*plan, spec.session);
  ASSERT_TRUE(judge) << judge.error().message;
  EXPECT_EQ(judge->precision(), "bf16");
  const std::vector<Isa> isas = available_isas();
  if (std::find(isas.begin(), isas.end(), Isa::avx2) == isas.end()) GTEST_SKIP() << "not applicable: no AVX2";
  const OnIsa avx2("avx2");
  Result<Session> widened = Session::load(*plan, in("fp32"));
  ASSERT_TRUE(widened) << widened.error().message;
  EXPECT_EQ(widened->precision(), "fp32");
  EXPECT_THAT(widened->notes(), testing::Contains(HasSubstr("22 BF16 layers run as FP32")));
  for (const LayerInfo& layer : widened->layers()) EXPECT_NE(layer.tactic, "reference") << layer.name;
  const double away = distance(*judge, *widened);
  EXPECT_GT(away, 1e-6);
  EXPECT_LT(away, 2e-2);
}

TEST(BestPrecision, bf16_on_a_cpu_that_has_it_is_near_the_judge_and_no_fp32) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  const Result<Isa> isa = chosen_isa();
  if (!isa || !has_bf16_products(*isa) || (*isa != Isa::amx && !bf16_dots_pay()))
    GTEST_SKIP() << "not applicable: no products of BF16 that pay";
  Result<Model> model = Model::load(std::string(root) + "/models/resnet20_cifar10.onnx");
  ASSERT_TRUE(model);
  Result<Session> brain = Session::build(*model, in("bf16")), full = Session::build(*model, in("fp32"));
  SessionSpec of_judge = in("bf16");
  of_judge.device = "ref";
  Result<Session> judge = Session::build(*model, of_judge);
  ASSERT_TRUE(brain && full && judge);
  EXPECT_EQ(brain->precision(), "bf16");
  EXPECT_THAT(brain->notes(), testing::Contains(HasSubstr("BF16: the products of 22 layers")));
  EXPECT_LT(distance(*judge, *brain), 1e-2);
  const double to_full = distance(*full, *brain);
  EXPECT_GT(to_full, 1e-5) << "FP32 ran";
  EXPECT_LT(to_full, 2e-2);
}

}  // namespace
}  // namespace octet
