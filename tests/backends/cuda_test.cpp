// The GPU against the CPU and the reference: every tile of the integer convolution, and what happens without a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/open.h"
#include "backends/running.h"
#include "base/isa.h"
#include "ir/text.h"
#ifdef OCTET_TEST_CUDA
#include "backends/cuda/cuda_backend.h"
#endif

namespace octet {
namespace {

using testing::HasSubstr;

TEST(Cuda, opens_or_says_clearly_why_not) {
  const Result<std::shared_ptr<Backend>> backend = open_backend("cuda");
  if (backend) {
    EXPECT_EQ((*backend)->name(), "cuda");
    return;
  }
  EXPECT_EQ(backend.error().code, ErrorCode::device);
  EXPECT_THAT(backend.error().message, HasSubstr("back end 'cuda'"));
  EXPECT_THAT(backend.error().message, HasSubstr("--device cpu"));
}

TEST(Cuda, names_the_devices_there_are_when_asked_for_another) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Result<std::shared_ptr<Backend>> backend = open_backend("cuda", {.threads = 1, .device = {.ordinal = 99}});
  ASSERT_FALSE(backend);
  EXPECT_THAT(backend.error().message, HasSubstr("there is no device 99"));
}

#ifdef OCTET_TEST_CUDA

struct ConvCase {
  int n, c, h, w, oc, k, stride, pad;
  const char* attributes;
  bool residual;
};

std::string text_of(const ConvCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  const int oh = (c.h + 2 * c.pad - c.k) / c.stride + 1, ow = (c.w + 2 * c.pad - c.k) / c.stride + 1;
  std::string text = "graph g (x: u8[" + s(c.n) + "," + s(c.c) + "," + s(c.h) + "," + s(c.w) + "], w: s8[" + s(c.oc) +
                     "," + s(c.c) + "," + s(c.k) + "," + s(c.k) + "], w_scale: f32[" + s(c.oc) + "], b: s32[" +
                     s(c.oc) + "]";
  if (c.residual) text += ", r: u8[" + s(c.n) + "," + s(c.oc) + "," + s(oh) + "," + s(ow) + "]";
  text += ") -> (y) {\n  y = QuantConv(x, w, w_scale, b" + std::string(c.residual ? ", r" : "") + ", strides=[" +
          s(c.stride) + "," + s(c.stride) + "], pads=[" + s(c.pad) + "," + s(c.pad) + "," + s(c.pad) + "," + s(c.pad) +
          "], " + c.attributes + ")\n}\n";
  return text;
}

constexpr char k_relu[] = R"(x_scale=0.02, x_zero_point=0, y_scale=0.9, y_zero_point=0, activation="Relu", to="u8")";
constexpr char k_asymmetric[] = R"(x_scale=0.02, x_zero_point=117, y_scale=1.7, y_zero_point=93, to="u8")";
constexpr char k_residual[] =
    R"(x_scale=0.02, x_zero_point=3, y_scale=0.8, y_zero_point=11, residual_scale=0.6, residual_zero_point=60, activation="Relu", to="u8")";
constexpr char k_silu[] = R"(x_scale=0.02, x_zero_point=100, y_scale=0.05, y_zero_point=9, activation="Silu", to="s8")";
constexpr char k_float[] = R"(x_scale=0.02, x_zero_point=100, to="f32")";

constexpr ConvCase k_cases[] = {
    {2, 64, 17, 13, 64, 3, 1, 1, k_relu, false},        {1, 256, 14, 14, 256, 3, 1, 1, k_residual, true},
    {3, 128, 9, 9, 512, 1, 1, 0, k_asymmetric, false},  {1, 512, 7, 7, 512, 3, 1, 1, k_asymmetric, false},
    {2, 72, 15, 11, 200, 3, 2, 1, k_asymmetric, false}, {1, 24, 20, 20, 40, 5, 1, 2, k_silu, false},
    {2, 2048, 1, 1, 1000, 1, 1, 0, k_float, false},     {1, 16, 33, 31, 17, 1, 2, 0, k_residual, true},
    {2, 3, 45, 43, 64, 7, 2, 3, k_asymmetric, false},   {1, 4, 19, 18, 24, 3, 1, 1, k_residual, true},
    {1, 1, 28, 28, 6, 5, 1, 2, k_relu, false},          {40, 96, 8, 8, 3, 3, 1, 1, k_asymmetric, false},
};

TEST(Cuda, every_tile_gives_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 0, .isa = available_isas().back()});
  unsigned seed = 1;
  for (const ConvCase& c : k_cases) {
    const Graph graph = graph_with_constants(text_of(c), {"w", "w_scale", "b"}, ++seed);
    const std::vector<Tensor> inputs = random_inputs(graph, seed);
    const std::vector<Tensor> expected = run_graph(graph, cpu, inputs);
    ASSERT_EQ(expected.size(), 1u);
    for (const std::string& tile : cuda::tile_names()) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = false}, tile);
      ASSERT_TRUE(backend) << backend.error().message;
      const std::vector<Tensor> got = run_graph(graph, *backend, inputs);
      ASSERT_EQ(got.size(), 1u);
      expect_close(got[0], expected[0], k_exact, tile + ", " + print(graph, {.elide_constants = true}));
    }
  }
}

TEST(Cuda, tuned_tactics_give_the_same_bytes_run_after_run) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = graph_with_constants(text_of(k_cases[1]), {"w", "w_scale", "b"}, 5);
  Result<std::shared_ptr<Backend>> tuned = open_backend("cuda");
  ASSERT_TRUE(tuned);
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *tuned);
  ASSERT_TRUE(engine) << engine.error().message;
  Result<Context> context = Context::make(*engine);
  ASSERT_TRUE(context) << context.error().message;
  for (unsigned seed = 1; seed < 6; ++seed) {
    const std::vector<Tensor> inputs = random_inputs(graph, seed);
    const std::vector<Tensor> expected =
        run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
    expect_close(run_context(*context, inputs)[0], expected[0], k_exact, "run " + std::to_string(seed));
  }
}

TEST(Cuda, computes_float_layers_in_half_precision_within_its_rounding) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::string text =
      "graph g (x: f32[2,24,15,15], w: f32[40,24,3,3], b: f32[40], r: f32[2,40,15,15]) -> (y) {\n"
      "  y = FusedConv(x, w, b, r, pads=[1,1,1,1], activation=\"Relu\")\n}\n";
  const Graph graph = graph_with_constants(text, {"w", "b"}, 3);
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> expected =
      run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
  for (const auto& [options, tolerance] :
       {std::pair(DeviceOptions{.floats = DType::f16}, 2e-3), std::pair(DeviceOptions{.tf32 = true}, 2e-3),
        std::pair(DeviceOptions{}, 2e-6)}) {
    Result<std::shared_ptr<Backend>> backend = open_backend("cuda", {.threads = 1, .device = options});
    ASSERT_TRUE(backend) << backend.error().message;
    expect_close(run_graph(graph, *backend, inputs)[0], expected[0], {tolerance}, (*backend)->description());
  }
}

#endif

}  // namespace
}  // namespace octet
