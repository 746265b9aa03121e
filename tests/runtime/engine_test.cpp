#include "runtime/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "backends/open.h"
#include "ir/text.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char k_graph[] =
    "graph g (x: f32[2,3]) -> (y, z) {\n  const one: f32[] = {1}\n  a = Add(x, one)\n  y = Relu(a)\n  z = Neg(a)\n}\n";

std::shared_ptr<const Engine> engine_of(const std::string& text, std::string_view backend, int threads = 1) {
  Result<Graph> graph = parse_graph(text);
  Result<std::shared_ptr<Backend>> opened = open_backend(backend, {.threads = threads});
  if (!graph || !opened) {
    ADD_FAILURE() << (graph ? opened.error().message : graph.error().message);
    return nullptr;
  }
  Result<std::shared_ptr<const Engine>> engine = Engine::build(*std::move(graph), *opened);
  if (!engine) ADD_FAILURE() << engine.error().message;
  return engine ? *engine : nullptr;
}

TensorView view_of(std::vector<float>& values, Dims dims) {
  return TensorView::dense(DType::f32, std::move(dims), reinterpret_cast<std::byte*>(values.data()));
}

class EngineOn : public testing::TestWithParam<const char*> {};

TEST_P(EngineOn, runs_from_the_callers_buffers_into_the_callers_buffers) {
  Result<Context> context = Context::make(engine_of(k_graph, GetParam()));
  ASSERT_TRUE(context);
  std::vector<float> x = {-3, -2, -1, 0, 1, 2}, y(6, 99), z(6, 99);
  const Bindings io{{view_of(x, {2, 3})}, {view_of(y, {2, 3}), view_of(z, {2, 3})}};
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(context->run(io));
    EXPECT_THAT(y, ElementsAre(0, 0, 0, 1, 2, 3));
    EXPECT_THAT(z, ElementsAre(2, 1, 0, -1, -2, -3));
    y.assign(6, 99);
  }
}

TEST_P(EngineOn, names_its_inputs_and_outputs) {
  const auto engine = engine_of(k_graph, GetParam());
  EXPECT_EQ(engine->input(0).name, "x");
  EXPECT_EQ(engine->output(1).name, "z");
  EXPECT_EQ(engine->backend().name(), GetParam());
}

TEST_P(EngineOn, shows_each_float_value_to_the_tap_in_logical_order) {
  const auto engine = engine_of(
      "graph g (x: f32[1,2,1,3]) -> (y) {\n  a = Neg(x)\n  t = Transpose(a, perm=[0,2,3,1])\n  y = Flatten(t)\n}\n",
      GetParam());
  Result<Context> context = Context::make(engine);
  ASSERT_TRUE(context);
  std::vector<float> x = {1, 2, 3, 4, 5, 6}, y(6);
  std::vector<std::string> names;
  std::vector<std::vector<double>> values;
  RunHooks hooks;
  hooks.tap = [&](std::string_view name, const TensorView& view) {
    names.emplace_back(name);
    values.push_back(to_doubles(*dense_copy(view)));
  };
  ASSERT_TRUE(context->run({{view_of(x, {1, 2, 1, 3})}, {view_of(y, {1, 6})}}, hooks));
  EXPECT_THAT(names, ElementsAre("a", "t", "y"));
  EXPECT_THAT(values[0], ElementsAre(-1, -2, -3, -4, -5, -6));
  EXPECT_THAT(values[1], ElementsAre(-1, -4, -2, -5, -3, -6));
  EXPECT_THAT(values[2], ElementsAre(-1, -4, -2, -5, -3, -6));
}

TEST_P(EngineOn, adds_up_seconds_for_every_step) {
  const auto engine = engine_of(k_graph, GetParam());
  Result<Context> context = Context::make(engine);
  ASSERT_TRUE(context);
  std::vector<float> x(6), y(6), z(6);
  std::vector<double> seconds;
  RunHooks hooks;
  hooks.step_seconds = &seconds;
  ASSERT_TRUE(context->run({{view_of(x, {2, 3})}, {view_of(y, {2, 3}), view_of(z, {2, 3})}}, hooks));
  ASSERT_EQ(seconds.size(), engine->plan().steps.size());
  const std::vector<double> once = seconds;
  ASSERT_TRUE(context->run({{view_of(x, {2, 3})}, {view_of(y, {2, 3}), view_of(z, {2, 3})}}, hooks));
  for (size_t i = 0; i < seconds.size(); ++i) EXPECT_GE(seconds[i], once[i]);
}

TEST_P(EngineOn, serves_contexts_on_several_threads_at_once) {
  const auto engine = engine_of(
      "graph g (x: f32[4,40,9,9]) -> (y) {\n  a = Sigmoid(x)\n  b = Add(a, x)\n  c = MaxPool(b, kernel_shape=[3,3])\n  "
      "y = Softmax(c, axis=1)\n}\n",
      GetParam(), 3);
  const size_t in = 4 * 40 * 81, out = 4 * 40 * 49;
  const auto run = [&](float seed, int rounds, std::vector<float>& y) {
    Result<Context> context = Context::make(engine);
    std::vector<float> x(in);
    for (size_t i = 0; i < in; ++i) x[i] = std::sin(seed + static_cast<float>(i));
    for (int round = 0; round < rounds; ++round) {
      y.assign(out, 0);
      EXPECT_TRUE(context->run({{view_of(x, {4, 40, 9, 9})}, {view_of(y, {4, 40, 7, 7})}}));
    }
  };
  std::vector<std::vector<float>> alone(3), together(3);
  for (size_t i = 0; i < 3; ++i) run(static_cast<float>(i), 1, alone[i]);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 3; ++i) threads.emplace_back([&, i] { run(static_cast<float>(i), 5, together[i]); });
  for (std::thread& t : threads) t.join();
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(alone[i], together[i]) << "context " << i;
}

INSTANTIATE_TEST_SUITE_P(Backends, EngineOn, testing::Values("ref", "cpu"), [](const auto& p) { return p.param; });

class BindingErrors : public testing::Test {
 protected:
  /// The message of a run with these views; empty when it succeeds.
  std::string message(const Bindings& io) {
    Result<Context> context = Context::make(engine_of(k_graph, "ref"));
    const Result<Done> done = context->run(io);
    return done ? "" : done.error().message;
  }
  std::vector<float> x_ = std::vector<float>(6), y_ = std::vector<float>(6), z_ = std::vector<float>(6);
};

TEST_F(BindingErrors, count_inputs_and_outputs) {
  EXPECT_EQ(message({{}, {view_of(y_, {2, 3}), view_of(z_, {2, 3})}}), "0 inputs are bound, the network has 1: 'x'");
  EXPECT_EQ(message({{view_of(x_, {2, 3})}, {view_of(y_, {2, 3})}}),
            "1 outputs are bound, the network has 2: 'y', 'z'");
}

TEST_F(BindingErrors, name_the_value_of_the_wrong_shape) {
  EXPECT_EQ(
      message({{view_of(x_, {3, 2})}, {view_of(y_, {2, 3}), view_of(z_, {2, 3})}}),
      "input 'x' is bound to a buffer of shape [3,2], the engine was built for [2,3]: bind that shape, or build an "
      "engine for yours");
  EXPECT_THAT(message({{view_of(x_, {2, 3})}, {view_of(y_, {2, 3}), view_of(z_, {6})}}), HasSubstr("output 'z'"));
}

TEST_F(BindingErrors, name_the_value_of_the_wrong_dtype) {
  TensorView x = view_of(x_, {2, 3});
  x.dtype = DType::s32;
  EXPECT_EQ(message({{x}, {view_of(y_, {2, 3}), view_of(z_, {2, 3})}}),
            "input 'x' is bound to a s32 buffer, the network has f32");
}

TEST_F(BindingErrors, refuse_strided_and_missing_buffers) {
  TensorView x = view_of(x_, {2, 3});
  x.strides = {1, 2};
  EXPECT_THAT(message({{x}, {view_of(y_, {2, 3}), view_of(z_, {2, 3})}}), HasSubstr("strided"));
  x = view_of(x_, {2, 3});
  x.data = nullptr;
  EXPECT_EQ(message({{x}, {view_of(y_, {2, 3}), view_of(z_, {2, 3})}}), "input 'x' is bound to no buffer (null)");
}

TEST(OpenBackend, names_the_back_ends_it_has) {
  const auto opened = open_backend("tpu");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "there is no back end 'tpu', only 'cpu', 'ref', 'cuda'");
}

TEST(OpenBackend, points_to_the_cpu_where_cuda_is_not_built_or_finds_no_device) {
  const auto opened = open_backend("cuda");
  if (opened) GTEST_SKIP() << "not applicable: there is a GPU";
  EXPECT_EQ(opened.error().code, ErrorCode::device);
  EXPECT_THAT(opened.error().message, HasSubstr("--device cpu"));
}

TEST(OpenBackend, says_isa_and_threads) {
  const auto opened = open_backend("cpu", {.threads = 2});
  ASSERT_TRUE(opened);
  EXPECT_THAT((*opened)->description(), testing::MatchesRegex("cpu [a-z0-9_]+, 2 threads"));
}

TEST(OpenBackend, lets_octet_isa_force_the_kernels_that_run) {
  setenv("OCTET_ISA", "scalar", 1);
  const auto engine = engine_of(k_graph, "cpu");
  unsetenv("OCTET_ISA");
  for (const Step& step : engine->plan().steps) EXPECT_THAT(step.tactic, testing::EndsWith(" scalar"));
}

TEST(OpenBackend, refuses_a_negative_number_of_threads) { EXPECT_FALSE(open_backend("cpu", {.threads = -1})); }

}  // namespace
}  // namespace octet
