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
#include "backends/cuda/device.h"
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

TEST(Cuda, says_what_is_wrong_with_driver_and_device) {
  using cuda::no_device_reason;
  EXPECT_EQ(no_device_reason({.driver = 13000, .runtime = 13000, .counted = cudaSuccess, .count = 2}, 1), "");
  EXPECT_EQ(no_device_reason({.driver = 0, .runtime = 13000, .counted = cudaErrorInsufficientDriver, .count = 0}, 0),
            "no NVIDIA driver was found on this machine");
  EXPECT_EQ(
      no_device_reason({.driver = 12040, .runtime = 13000, .counted = cudaErrorInsufficientDriver, .count = 0}, 0),
      "the NVIDIA driver is for CUDA 12.4, this octet needs 13.0: update the driver");
  EXPECT_EQ(no_device_reason({.driver = 13000, .runtime = 13000, .counted = cudaErrorNoDevice, .count = 0}, 0),
            "this machine has no CUDA device");
  EXPECT_EQ(no_device_reason({.driver = 13000, .runtime = 13000, .counted = cudaSuccess, .count = 2}, 2),
            "there is no device 2, this machine has 2");
  EXPECT_THAT(no_device_reason({.driver = 13000, .runtime = 13000, .counted = cudaErrorSystemNotReady, .count = 0}, 0),
              HasSubstr("the driver answers '"));
  const cuda::Device turing{.ordinal = 0, .name = "T4", .major = 7, .minor = 5, .sms = 40, .l2_bytes = 0};
  EXPECT_EQ(cuda::no_kernel_reason(turing),
            "octet was not built for T4 (compute capability 7.5): rebuild with -DOCTET_CUDA_ARCHITECTURES=75");
}

/// Some 300 GB of values that all live at once.
TEST(Cuda, says_how_much_memory_there_is_when_it_is_too_little) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  constexpr int k_values = 40;
  std::string text = "graph g (x: f32[30000,65536]) -> (y) {\n";
  for (int i = 0; i < k_values; ++i) text += "  v" + std::to_string(i) + " = Sigmoid(x)\n";
  text += "  s0 = Add(v0, v0)\n";
  for (int i = 1; i < k_values; ++i)
    text += "  s" + std::to_string(i) + " = Add(s" + std::to_string(i - 1) + ", v" + std::to_string(i) + ")\n";
  text += "  y = ReduceMean(s" + std::to_string(k_values - 1) + ")\n}\n";
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(graph_with_constants(text, {}, 1), cuda_backend());
  ASSERT_TRUE(engine) << engine.error().message;
  const Result<Context> context = Context::make(*engine);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, ErrorCode::out_of_memory);
  EXPECT_THAT(context.error().message, HasSubstr("are free: use a smaller batch"));
}

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
constexpr char k_relu_residual[] =
    R"(x_scale=0.02, x_zero_point=0, y_scale=0.8, y_zero_point=11, residual_scale=0.6, residual_zero_point=60, activation="Relu", to="u8")";
constexpr char k_silu[] = R"(x_scale=0.02, x_zero_point=100, y_scale=0.05, y_zero_point=9, activation="Silu", to="s8")";
constexpr char k_float[] = R"(x_scale=0.02, x_zero_point=100, to="f32")";

constexpr ConvCase k_cases[] = {
    {2, 64, 17, 13, 64, 3, 1, 1, k_relu, false},
    {1, 256, 14, 14, 256, 3, 1, 1, k_residual, true},
    {3, 128, 9, 9, 512, 1, 1, 0, k_asymmetric, false},
    {1, 512, 7, 7, 512, 3, 1, 1, k_asymmetric, false},
    {2, 72, 15, 11, 200, 3, 2, 1, k_asymmetric, false},
    {1, 24, 20, 20, 40, 5, 1, 2, k_silu, false},
    {2, 2048, 1, 1, 1000, 1, 1, 0, k_float, false},
    {1, 16, 33, 31, 17, 1, 2, 0, k_residual, true},
    {2, 3, 45, 43, 64, 7, 2, 3, k_asymmetric, false},
    {1, 4, 19, 18, 24, 3, 1, 1, k_residual, true},
    {1, 1, 28, 28, 6, 5, 1, 2, k_relu, false},
    {40, 96, 8, 8, 3, 3, 1, 1, k_asymmetric, false},
    // Several tiles a multiprocessor, windows that cross rows and images, every way of the copy engine.
    {24, 64, 40, 41, 64, 3, 1, 1, k_relu, false},
    {9, 128, 31, 30, 320, 3, 2, 1, k_relu, false},
    {16, 64, 56, 56, 256, 1, 1, 0, k_residual, true},
    {7, 256, 29, 15, 128, 1, 2, 0, k_asymmetric, false},
    {20, 192, 17, 19, 128, 1, 1, 0, k_residual, true},
    {11, 128, 14, 14, 512, 3, 1, 1, k_relu_residual, true},
    {3, 256, 23, 9, 80, 3, 1, 1, k_relu, false},
};

/// The first layers of networks of images, which one kernel may run.
struct StemCase {
  int n, c, h, w, oc, k, stride, pad;
  const char* quantize;  // attributes' dtype of the codes
  const char* pool;      // attributes of the pool; empty: none
};

std::string text_of(const StemCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  const bool quantized = *c.quantize != 0;
  const std::string codes = quantized ? c.quantize : "u8";
  std::string text = "graph g (x: " + std::string(quantized ? "f32" : codes) + "[" + s(c.n) + "," + s(c.c) + "," +
                     s(c.h) + "," + s(c.w) + "], w: s8[" + s(c.oc) + "," + s(c.c) + "," + s(c.k) + "," + s(c.k) +
                     "], w_scale: f32[" + s(c.oc) + "], b: s32[" + s(c.oc) + "]";
  if (quantized) text += ", q_scale: f32[], q_zero: " + codes + "[]";
  text += ") -> (" + std::string(quantized ? "y" : "y, z") + ") {\n";
  if (quantized) text += "  q = QuantizeLinear(x, q_scale, q_zero)\n";
  text += "  v = QuantConv(" + std::string(quantized ? "q" : "x") + ", w, w_scale, b, strides=[" + s(c.stride) + "," +
          s(c.stride) + "], pads=[" + s(c.pad) + "," + s(c.pad) + "," + s(c.pad) + "," + s(c.pad) +
          "], x_scale=0.02, x_zero_point=7, y_scale=0.4, y_zero_point=20, to=\"" + codes + "\")\n";
  const std::string last = *c.pool ? "p" : "v";
  if (*c.pool) text += "  p = MaxPool(v, " + std::string(c.pool) + ")\n";
  // A graph output leaves in the caller's layout: one more op behind what is tested.
  text += "  y = QuantGlobalAveragePool(" + last +
          ", x_scale=0.4, x_zero_point=20, y_scale=0.01, y_zero_point=0, to=\"u8\")\n";
  // Codes that are read again later: what is made of them cannot take their place in memory, so one kernel may make it.
  if (!quantized)
    text += "  z = QuantGlobalAveragePool(x, x_scale=0.4, x_zero_point=20, y_scale=0.01, y_zero_point=0, to=\"u8\")\n";
  text += "}\n";
  return text;
}

constexpr char k_pool_3[] = "kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]";
constexpr StemCase k_stems[] = {
    {2, 3, 61, 47, 64, 7, 2, 3, "u8", k_pool_3},
    {1, 3, 224, 224, 64, 7, 2, 3, "u8", k_pool_3},
    {3, 1, 29, 31, 128, 5, 1, 2, "s8", ""},
    {2, 4, 33, 20, 64, 3, 1, 1, "u8", ""},
    {1, 3, 40, 40, 64, 3, 2, 0, "", k_pool_3},
    {2, 2, 30, 18, 192, 8, 3, 1, "s8", "kernel_shape=[2,2], strides=[2,2]"},
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

TEST(Cuda, first_layers_in_one_kernel_give_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 0, .isa = available_isas().back()});
  unsigned seed = 40;
  for (const StemCase& c : k_stems) {
    const Graph graph = graph_with_constants(text_of(c), {"w", "w_scale", "b", "q_scale", "q_zero"}, ++seed);
    const std::vector<Tensor> inputs = random_inputs(graph, seed);
    const std::vector<Tensor> expected = run_graph(graph, cpu, inputs);
    ASSERT_GE(expected.size(), 1u);
    for (const std::string tile : {"", "stem 8x14", "stem 8x8", "stem 4x8", "stem 4x4", "stem 16x16", "64x64 c4"}) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = false}, tile);
      ASSERT_TRUE(backend) << backend.error().message;
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      const bool fused = (*engine)->program().step_note(0) == "in the step after it";
      EXPECT_EQ(fused, tile != "64x64 c4" && (*c.quantize || *c.pool)) << text_of(c);
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      expect_close(run_context(*context, inputs)[0], expected[0], k_exact,
                   tile + ", " + print(graph, {.elide_constants = true}));
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
