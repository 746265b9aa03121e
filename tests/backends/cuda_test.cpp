// The GPU against the CPU and the reference: every tile of the integer convolution, and what happens without a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "backends/cpu/cpu_backend.h"
#include "backends/open.h"
#include "backends/running.h"
#include "base/isa.h"
#include "ir/text.h"
#include "plan/timing_cache.h"
#ifdef OCTET_TEST_CUDA
#include "backends/cuda/conv_choices.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/device.h"
#include "backends/cuda/program.h"
#include "backends/cuda/tile_limits.h"
#include "backends/cuda/tune.h"
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

TEST(Cuda, names_come_from_the_table_of_back_ends) {
  EXPECT_EQ(backend_names(), "cpu, ref, cuda or cuda:N");
  EXPECT_EQ(gpu_backend_name(), "cuda");
  EXPECT_EQ(gpu_backend_name("12"), "cuda:12");
  const Result<BackendName> third = parse_backend_name("cuda:2"), cpu = parse_backend_name("cpu");
  ASSERT_TRUE(third && cpu);
  EXPECT_TRUE(third->kind == "cuda" && third->is_gpu && third->ordinal == 2);
  EXPECT_TRUE(cpu->kind == "cpu" && !cpu->is_gpu && cpu->is_built_in);
  for (const char* wrong : {"", "gpu", "cudas", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999999999"})
    EXPECT_FALSE(parse_backend_name(wrong)) << wrong;
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

/// No GPU is needed where all times are known.
TEST(CudaTuner, decides_by_known_times_and_measures_nothing) {
  cuda::PreparedStep step;
  step.key = "3x3";
  for (const auto& [name, estimate] : {std::pair("a", 1.0), {"b", 2.0}, {"c", 3.0}, {"far off", 9.0}})
    step.choices.push_back({name, estimate, [](const cuda::Launch&) { return cudaSuccess; }});
  TimingCache times;
  times.insert("gpu", "cuda 3x3", "a", 7.0);
  times.insert("gpu", "cuda 3x3", "b", 5.0);
  times.insert("gpu", "cuda 3x3", "c", 99.0);
  times.insert("another gpu", "cuda 3x3", "c", 1.0);
  cuda::Tuner tuner(&times, "gpu", []() -> Result<cuda::Launch> { return Error{ErrorCode::device, "measured"}; });
  const Result<std::vector<size_t>> fastest = tuner.fastest(step);
  ASSERT_TRUE(fastest) << fastest.error().message;
  EXPECT_EQ(*fastest, (std::vector<size_t>{1, 0}));  // c is far behind, the last one's estimate too
  cuda::Tuner elsewhere(&times, "a third gpu", []() -> Result<cuda::Launch> {
    return Error{ErrorCode::device, "measured"};
  });
  const Result<std::vector<size_t>> unknown = elsewhere.fastest(step);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "measured");
}

/// A time may be known of a choice that another layer of the same key does not have.
TEST(CudaTuner, takes_no_choice_of_one_list_for_that_of_another) {
  const auto step_of = [](std::initializer_list<const char*> names) {
    cuda::PreparedStep step;
    step.key = "3x3";
    for (const char* name : names) step.choices.push_back({name, 1.0, [](const cuda::Launch&) { return cudaSuccess; }});
    return step;
  };
  TimingCache times;
  times.insert("gpu", "cuda 3x3", "a", 2.0);
  times.insert("gpu", "cuda 3x3", "b", 2.5);
  times.insert("gpu", "cuda 3x3", "c", 9.0);
  times.insert("gpu", "cuda 3x3", "d", 1.0);
  cuda::Tuner tuner(&times, "gpu", []() -> Result<cuda::Launch> { return Error{ErrorCode::device, "measured"}; });
  const Result<std::vector<size_t>> whole = tuner.fastest(step_of({"a", "b", "c", "d"})),
                                    fewer = tuner.fastest(step_of({"a", "b"})),
                                    others = tuner.fastest(step_of({"a", "d", "b"}));
  ASSERT_TRUE(whole && fewer && others);
  EXPECT_EQ(*whole, std::vector<size_t>{3});
  EXPECT_EQ(*fewer, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(*others, std::vector<size_t>{1});
}

TEST(CudaTactics, have_names_that_plans_can_hold) {
  std::set<std::string> names;
  for (const std::string& name : cuda::conv_u8s8_step.choices()) {
    EXPECT_TRUE(names.insert(name).second) << name << " is there twice";
    EXPECT_EQ(cuda::choice_of("conv_u8s8 " + name), name);
    EXPECT_EQ(cuda::family_of("conv_u8s8 " + name), "conv_u8s8");
  }
  EXPECT_TRUE(names.contains("16x32 k8 cluster 4 early"));
  EXPECT_EQ(cuda::choice_of("conv_u8s8"), "");
}

struct ConvCase {
  int n, c, h, w, oc, k, stride, pad;
  const char* attributes;
  bool residual;
  int dilation = 1, more_pad = 0;  // more_pad: rows below and columns to the right beyond pad
};

std::string text_of(const ConvCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  const int pads = 2 * c.pad + c.more_pad, reach = (c.k - 1) * c.dilation + 1;
  const int oh = (c.h + pads - reach) / c.stride + 1, ow = (c.w + pads - reach) / c.stride + 1;
  std::string text = "graph g (x: u8[" + s(c.n) + "," + s(c.c) + "," + s(c.h) + "," + s(c.w) + "], w: s8[" + s(c.oc) +
                     "," + s(c.c) + "," + s(c.k) + "," + s(c.k) + "], w_scale: f32[" + s(c.oc) + "], b: s32[" +
                     s(c.oc) + "]";
  if (c.residual) text += ", r: u8[" + s(c.n) + "," + s(c.oc) + "," + s(oh) + "," + s(ow) + "]";
  text += ") -> (y) {\n  y = QuantConv(x, w, w_scale, b" + std::string(c.residual ? ", r" : "") + ", strides=[" +
          s(c.stride) + "," + s(c.stride) + "], dilations=[" + s(c.dilation) + "," + s(c.dilation) + "], pads=[" +
          s(c.pad) + "," + s(c.pad) + "," + s(c.pad + c.more_pad) + "," + s(c.pad + c.more_pad) + "], " + c.attributes +
          ")\n}\n";
  return text;
}

constexpr char k_relu[] = R"(x_scale=0.02, x_zero_point=0, y_scale=0.9, y_zero_point=0, activation="Relu", to="u8")";
constexpr char k_asymmetric[] = R"(x_scale=0.02, x_zero_point=117, y_scale=1.7, y_zero_point=93, to="u8")";
constexpr char k_residual[] =
    R"(x_scale=0.02, x_zero_point=3, y_scale=0.8, y_zero_point=11, residual_scale=0.6, residual_zero_point=60, activation="Relu", to="u8")";
constexpr char k_relu_residual[] =
    R"(x_scale=0.02, x_zero_point=0, y_scale=0.8, y_zero_point=11, residual_scale=0.6, residual_zero_point=60, activation="Relu", to="u8")";
constexpr char k_residual_float[] =
    R"(x_scale=0.02, x_zero_point=3, residual_scale=0.6, residual_zero_point=60, activation="Relu", to="f32")";
constexpr char k_silu[] = R"(x_scale=0.02, x_zero_point=100, y_scale=0.05, y_zero_point=9, activation="Silu", to="s8")";
constexpr char k_float[] = R"(x_scale=0.02, x_zero_point=100, to="f32")";

constexpr ConvCase k_cases[] = {
    {2, 64, 17, 13, 64, 3, 1, 1, k_relu, false},
    {1, 256, 14, 14, 256, 3, 1, 1, k_residual, true},
    // K that every split shares out, also that of a window's rows.
    {1, 1152, 5, 5, 80, 3, 1, 1, k_relu, false},
    {1, 3, 24, 24, 64, 16, 1, 0, k_asymmetric, false},
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
    // Windows with gaps, borders of unlike width.
    {2, 64, 17, 15, 64, 3, 1, 2, k_relu, false, 2, 1},
    {3, 128, 14, 13, 128, 3, 2, 1, k_relu_residual, true, 1, 2},
    {1, 72, 19, 12, 48, 3, 2, 0, k_asymmetric, false, 3, 1},
    {2, 3, 23, 21, 64, 5, 1, 2, k_asymmetric, false, 2, 1},
    {1, 256, 9, 9, 128, 1, 1, 1, k_relu, false, 1, 1},
    // Floats whose rows are shorter than those of the residual's codes.
    {1, 32, 9, 9, 20, 3, 1, 1, k_residual_float, true},
    {2, 64, 7, 5, 72, 1, 1, 0, k_residual_float, true},
    {2, 4, 9, 9, 24, 3, 1, 1, k_residual_float, true},
    {2, 16, 6, 7, 3, 1, 1, 0, k_residual_float, true},
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

/// ran: the tiles that ran; one that does not fit a case is passed over there.
void expect_tiles_give_the_cpus_bytes(std::span<const ConvCase> cases, const std::vector<std::string>& tiles,
                                      const std::shared_ptr<Backend>& cpu, unsigned seed, std::set<std::string>& ran) {
  for (const ConvCase& c : cases) {
    const Graph graph = graph_with_constants(text_of(c), {"w", "w_scale", "b"}, ++seed);
    const std::vector<Tensor> inputs = random_inputs(graph, seed);
    const std::vector<Tensor> expected = run_graph(graph, cpu, inputs);
    ASSERT_EQ(expected.size(), 1u);
    for (const std::string& tile : tiles) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = false}, tile);
      ASSERT_TRUE(backend) << backend.error().message;
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      if ((*engine)->program().step_note(0) != tile) continue;
      ran.insert(tile);
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      const std::vector<Tensor> got = run_context(*context, inputs);
      ASSERT_EQ(got.size(), 1u);
      expect_close(got[0], expected[0], k_exact, tile + ", " + print(graph, {.elide_constants = true}));
    }
  }
}

/// Every tile that the device has was tested.
void expect_all_ran(const std::vector<std::string>& tiles, const std::set<std::string>& ran) {
  const bool is_hopper = cuda_backend()->device_key() == "cuda sm_90";
  for (const std::string& tile : tiles) {
    const bool is_hoppers =
        tile.find("cluster") != std::string::npos || tile.starts_with("tma") || tile.starts_with("joined");
    if (is_hoppers ? !is_hopper : !cuda::refuse_tile(tile, true, cuda::shared_limit()).empty()) continue;
    EXPECT_TRUE(ran.contains(tile)) << tile << " ran in no case";
  }
}

/// Tiles without those that differ from another only in when the next kernel may start.
std::vector<std::string> plain_tiles() {
  std::vector<std::string> tiles = cuda::tile_names();
  std::erase_if(tiles, [](const std::string& tile) { return tile.ends_with(" early") || tile.ends_with(" at once"); });
  return tiles;
}

TEST(Cuda, every_tile_gives_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 0, .isa = available_isas().back()});
  std::set<std::string> ran;
  expect_tiles_give_the_cpus_bytes(std::span(k_cases).first(4), cuda::tile_names(), cpu, 1, ran);
  expect_tiles_give_the_cpus_bytes(std::span(k_cases).subspan(4), plain_tiles(), cpu, 5, ran);
  expect_all_ran(cuda::tile_names(), ran);
}

TEST(Cuda, first_layers_in_one_kernel_give_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 0, .isa = available_isas().back()});
  unsigned seed = 40;
  std::set<std::string> ran;
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
      const size_t last = (*c.quantize ? 1u : 0u) + (*c.pool ? 1u : 0u);
      ran.insert((*engine)->program().step_note(fused || !*c.quantize ? (fused ? last : 0) : 1));
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      expect_close(run_context(*context, inputs)[0], expected[0], k_exact,
                   tile + ", " + print(graph, {.elide_constants = true}));
    }
  }
  for (const char* tile : {"stem 8x14", "stem 8x8", "stem 4x8", "stem 4x4", "stem 16x16", "64x64 c4"})
    EXPECT_TRUE(ran.contains(tile)) << tile << " ran in no case";
}

/// Small enough for a race checker, which runs every access a thousand times slower: each kernel of the integer
/// convolution once, with borders, several tiles and uneven parts of K.
constexpr ConvCase k_small_cases[] = {
    {1, 64, 9, 9, 64, 3, 1, 1, k_relu, false},     {1, 128, 5, 5, 72, 3, 1, 1, k_relu_residual, true},
    {1, 320, 6, 6, 64, 1, 1, 0, k_residual, true}, {1, 3, 11, 10, 64, 5, 2, 2, k_asymmetric, false},
    {1, 256, 4, 4, 40, 3, 1, 1, k_relu, false},
};

TEST(CudaSmall, every_tile_gives_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  std::set<std::string> ran;
  expect_tiles_give_the_cpus_bytes(k_small_cases, plain_tiles(),
                                   cpu::make_backend({.threads = 1, .isa = available_isas().back()}), 70, ran);
  std::vector<std::string> whole = plain_tiles();  // a split of 8 takes more of K than a checker has time for
  std::erase_if(whole, [](const std::string& tile) {
    return tile.find(" split ") != std::string::npos || tile.ends_with(" 4") || tile.ends_with(" 8");
  });
  expect_all_ran(whole, ran);
}

/// The average of all pixels and the layer behind it, which one kernel runs where both are small.
struct EndCase {
  int n, c, h, w, outputs;
  const char* pool;  // attributes of the pool's output
  const char* gemm;  // attributes of the layer's
};
std::string text_of(const EndCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  // The pool in front gives the codes the back end's layout.
  return "graph g (i: u8[" + s(c.n) + "," + s(c.c) + "," + s(c.h) + "," + s(c.w) + "], w: s8[" + s(c.outputs) + "," +
         s(c.c) + "], w_scale: f32[" + s(c.outputs) + "], b: s32[" + s(c.outputs) +
         "]) -> (y) {\n  x = MaxPool(i, kernel_shape=[1,1])\n  p = QuantGlobalAveragePool(x, x_scale=0.02, "
         "x_zero_point=3, " +
         c.pool + ")\n  f = Flatten(p)\n  y = QuantGemm(f, w, w_scale, b, x_scale=0.01, x_zero_point=5, " + c.gemm +
         ")\n}\n";
}
constexpr EndCase k_ends[] = {
    {2, 2048, 1, 1, 19, R"(y_scale=0.01, y_zero_point=5, to="u8")", R"(to="f32")"},
    {1, 512, 4, 4, 10, R"(y_scale=0.01, y_zero_point=5, to="u8")", R"(to="f32")"},
    {1, 256, 7, 7, 40, R"(y_scale=0.011, y_zero_point=5, to="u8")", R"(y_scale=0.4, y_zero_point=100, to="u8")"},
    {3, 48, 5, 3, 7, R"(y_scale=0.02, y_zero_point=-9, to="s8")", R"(y_scale=0.3, y_zero_point=4, to="s8")"},
    {1, 64, 16, 16, 33, R"(y_scale=0.01, y_zero_point=5, to="u8")", R"(activation="Relu", to="f32")"},
};

TEST(CudaSmall, the_end_of_a_network_in_one_kernel_gives_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 1, .isa = available_isas().back()});
  unsigned seed = 130;
  for (const EndCase& c : k_ends) {
    const Graph graph = graph_with_constants(text_of(c), {"w", "w_scale", "b"}, ++seed);
    const std::vector<Tensor> inputs = random_inputs(graph, seed);
    const std::vector<Tensor> expected = run_graph(graph, cpu, inputs);
    ASSERT_EQ(expected.size(), 1u);
    Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, cuda_backend());
    ASSERT_TRUE(engine) << engine.error().message;
    EXPECT_EQ((*engine)->program().step_note(1), "in the step after it") << text_of(c);
    Result<Context> context = Context::make(*engine);
    ASSERT_TRUE(context) << context.error().message;
    expect_close(run_context(*context, inputs)[0], expected[0], k_exact, print(graph, {.elide_constants = true}));
  }
}

/// Two convolutions whose outputs meet, as at the end of a residual block with a convolution on either branch.
struct JoinedCase {
  int n, c1, oc, h, w, k1, c2, stride2;  // the first is k1 x k1, stride 1; the second 1x1 over a larger image
};
std::string text_of(const JoinedCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  const std::string oc = s(c.oc), pad = s(c.k1 / 2);
  return "graph g (a: u8[" + s(c.n) + "," + s(c.c1) + "," + s(c.h) + "," + s(c.w) + "], x: u8[" + s(c.n) + "," +
         s(c.c2) + "," + s((c.h - 1) * c.stride2 + 1) + "," + s((c.w - 1) * c.stride2 + 1) + "], v: s8[" + oc + "," +
         s(c.c1) + "," + s(c.k1) + "," + s(c.k1) + "], v_scale: f32[" + oc + "], vb: s32[" + oc + "], w: s8[" + oc +
         "," + s(c.c2) + ",1,1], w_scale: f32[" + oc + "], wb: s32[" + oc +
         "]) -> (y) {\n  p = QuantConv(a, v, v_scale, vb, pads=[" + pad + "," + pad + "," + pad + "," + pad +
         "], x_scale=0.02, x_zero_point=0, y_scale=0.7, y_zero_point=-9, to=\"s8\")\n  q = QuantConv(x, w, w_scale, "
         "wb, p, strides=[" +
         s(c.stride2) + "," + s(c.stride2) +
         "], x_scale=0.03, x_zero_point=0, residual_scale=0.7, residual_zero_point=-9, y_scale=0.9, y_zero_point=0, "
         "activation=\"Relu\", to=\"u8\")\n"
         "  y = QuantGlobalAveragePool(q, x_scale=0.9, x_zero_point=0, y_scale=0.01, y_zero_point=0, to=\"u8\")\n}\n";
}
constexpr JoinedCase k_joined[] = {
    {1, 128, 128, 16, 16, 3, 64, 2}, {1, 512, 512, 4, 4, 3, 256, 2},   {2, 64, 256, 14, 13, 1, 64, 1},
    {3, 256, 72, 7, 5, 3, 128, 2},   {20, 64, 256, 28, 28, 1, 128, 1}, {1, 96, 40, 9, 9, 3, 32, 2},
    {1, 1152, 64, 5, 5, 3, 128, 2},
};

const std::set<std::string> k_joined_constants = {"v", "v_scale", "vb", "w", "w_scale", "wb"};

TEST(Cuda, two_convolutions_in_one_kernel_give_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 0, .isa = available_isas().back()});
  unsigned seed = 90;
  std::set<std::string> ran;
  for (const JoinedCase& c : k_joined) {
    const Graph graph = graph_with_constants(text_of(c), k_joined_constants, ++seed);
    const std::vector<Tensor> inputs = random_inputs(graph, seed);
    const std::vector<Tensor> expected = run_graph(graph, cpu, inputs);
    ASSERT_EQ(expected.size(), 1u);
    std::vector<std::string> tiles = cuda::joined_tile_names();
    tiles.emplace_back("");
    for (const std::string& tile : tiles) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = false}, tile);
      ASSERT_TRUE(backend) << backend.error().message;
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      EXPECT_EQ((*engine)->program().step_note(0), "in the step after it") << tile;
      const std::string note = (*engine)->program().step_note(1);
      if (!tile.empty() && note != tile) continue;  // does not fit the case
      ran.insert(note);
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      expect_close(run_context(*context, inputs)[0], expected[0], k_exact,
                   tile + ", " + print(graph, {.elide_constants = true}));
    }
  }
  expect_all_ran(cuda::joined_tile_names(), ran);
}

/// Ops without a kernel of the GPU run on the host, in the middle of a network and in half precision too.
TEST(CudaSmall, ops_without_a_kernel_run_on_the_host_inside_the_graph) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::string text =
      "graph g (x: f32[2,5,6,7], k: s64[1]) -> (y, t) {\n  a = Relu(x)\n  c = CumSum(a, k)\n  d = Sigmoid(c)\n"
      "  const n: s64[1] = {3}\n  v, t = TopK(d, n, axis=3)\n  y = Neg(v)\n}\n";
  Graph graph = graph_with_constants(text, {}, 3);
  const std::vector<Tensor> inputs = {random_tensor(DType::f32, {2, 5, 6, 7}, 5),
                                      Tensor::from<int64_t>(DType::s64, {1}, std::vector<int64_t>{2})};
  const std::vector<Tensor> expected =
      run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
  ASSERT_EQ(expected.size(), 2u);
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, cuda_backend());
  ASSERT_TRUE(engine) << engine.error().message;
  Result<Context> context = Context::make(*engine);
  ASSERT_TRUE(context) << context.error().message;
  for (int run = 0; run < 3; ++run) {
    const std::vector<Tensor> got = run_context(*context, inputs);
    ASSERT_EQ(got.size(), 2u);
    expect_close(got[0], expected[0], {2e-5}, "y");
    expect_close(got[1], expected[1], k_exact, "t");
  }
  // An axis that does not exist is told at run time, and the next run is well again.
  std::vector<Tensor> wrong = inputs;
  wrong[1] = Tensor::from<int64_t>(DType::s64, {1}, std::vector<int64_t>{9});
  Bindings io;
  std::vector<Tensor> outputs = {Tensor::allocate(DType::f32, {2, 5, 6, 3})->first,
                                 Tensor::allocate(DType::s64, {2, 5, 6, 3})->first};
  for (const Tensor& t : wrong)
    io.inputs.push_back(TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data())));
  for (const Tensor& t : outputs)
    io.outputs.push_back(TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data())));
  const Result<Done> failed = context->run(io);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("CumSum"));
  expect_close(run_context(*context, inputs)[0], expected[0], {2e-5}, "after an error");
  Result<std::shared_ptr<Backend>> half =
      open_backend("cuda", {.threads = 1, .device = {.floats = DType::f16, .tune = false}});
  ASSERT_TRUE(half);
  expect_close(run_graph(graph, *half, inputs)[0], expected[0], {2e-3}, "half");
}

/// With taps every value is shown, those inside joined kernels too, and is the CPU's.
TEST(Cuda, taps_show_every_value_of_joined_steps) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  for (const std::string& text : {text_of(k_joined[0]), text_of(k_stems[0])}) {
    const Graph graph =
        graph_with_constants(text, {"v", "v_scale", "vb", "w", "w_scale", "wb", "b", "q_scale", "q_zero"}, 11);
    const std::vector<Tensor> inputs = random_inputs(graph, 11);
    const auto values_of = [&](const std::shared_ptr<Backend>& backend) {
      std::map<std::string, std::vector<int>> values;
      RunHooks hooks;
      hooks.value_tap = [&](std::string_view name, const TensorView& view, int offset) {
        const Result<Tensor> copy = dense_copy(view);
        ASSERT_TRUE(copy);
        for (const std::byte b : copy->bytes()) values[std::string(name)].push_back(static_cast<int>(b) - offset);
      };
      run_graph(graph, backend, inputs, hooks);
      return values;
    };
    const auto got = values_of(cuda_backend()),
               expected = values_of(cpu::make_backend({.threads = 1, .isa = available_isas().back()}));
    for (const auto& [name, values] : expected) {
      ASSERT_TRUE(got.contains(name)) << name;
      EXPECT_TRUE(got.at(name) == values) << name;
    }
  }
}

/// What was tuned once is found again: in a plan's choice and in a timing cache, without a measurement.
TEST(Cuda, known_times_and_named_choices_decide_the_same_without_measuring) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = graph_with_constants(text_of(k_joined[1]), k_joined_constants, 5);
  const auto times = std::make_shared<TimingCache>();
  const auto build = [&](const TacticChoice& choice, const std::shared_ptr<TimingCache>& known) {
    Result<std::shared_ptr<Backend>> backend = open_backend("cuda");
    (*backend)->use_times(known);
    Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend, choice);
    EXPECT_TRUE(engine) << engine.error().message;
    return (*engine)->program().choice();
  };
  const TacticChoice first = build({}, times);
  EXPECT_GT(times->size(), 5u);
  const size_t measured = times->size();
  EXPECT_EQ(build({}, times), first);
  EXPECT_EQ(times->size(), measured);
  const auto none = std::make_shared<TimingCache>();
  EXPECT_EQ(build(first, none), first);
  EXPECT_EQ(none->size(), 0u);
  EXPECT_THAT(first[1], HasSubstr("conv_u8s8 joined "));
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

/// Layers of one geometry whose lists of tiles differ: by what padding holds, and by a residual of one pixel.
TEST(Cuda, tunes_layers_of_one_geometry_and_unlike_lists) {
  std::string text = "graph g (x: u8[1,128,14,14], r: u8[1,128,14,14], o: u8[1,128,1,1]";
  for (const char* w : {"a", "b", "c", "d", "e"})
    text += ", w" + std::string(w) + ": s8[128,128,3,3], " + w + "_scale: f32[128], b" + w + ": s32[128]";
  const auto layer = [](const char* y, const char* x, const char* w, const char* residual, const char* zero) {
    const std::string name(w);
    return "  " + std::string(y) + " = QuantConv(" + x + ", w" + name + ", " + name + "_scale, b" + name + residual +
           ", pads=[1,1,1,1], x_scale=0.02, x_zero_point=" + zero +
           ", y_scale=1.5, y_zero_point=0, residual_scale=0.6, residual_zero_point=60, to=\"u8\")\n";
  };
  text += ") -> (y) {\n" + layer("p", "x", "a", "", "0") + layer("q", "p", "b", "", "3") +
          layer("s", "q", "c", ", r", "0") + layer("t", "s", "d", ", o", "0") + layer("u", "t", "e", ", o", "5") +
          "  y = QuantGlobalAveragePool(u, x_scale=1.5, x_zero_point=0, y_scale=0.01, y_zero_point=0, to=\"u8\")\n}\n";
  std::set<std::string> constants = {"o"};
  for (const std::string w : {"a", "b", "c", "d", "e"}) constants.insert({"w" + w, w + "_scale", "b" + w});
  const Graph graph = graph_with_constants(text, constants, 8);
  const std::vector<Tensor> inputs = random_inputs(graph, 8);
  const std::vector<Tensor> expected =
      run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
  ASSERT_EQ(expected.size(), 1u);
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  Result<std::shared_ptr<Backend>> tuned = open_backend("cuda");
  ASSERT_TRUE(tuned);
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *tuned);
  ASSERT_TRUE(engine) << engine.error().message;
  const std::vector<std::string> tiles = cuda::tile_names();
  for (size_t i = 0; i < 5; ++i) {
    const std::string note = (*engine)->program().step_note(i);
    EXPECT_EQ(std::count(tiles.begin(), tiles.end(), note), 1) << "step " << i << ": " << note;
  }
  Result<Context> context = Context::make(*engine);
  ASSERT_TRUE(context) << context.error().message;
  expect_close(run_context(*context, inputs)[0], expected[0], k_exact, "tuned");
}

/// The sum of a residual's codes and a layer as floats, whose rows differ in length.
TEST(CudaSmall, residuals_of_codes_meet_float_outputs) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 1, .isa = available_isas().back()});
  Result<std::shared_ptr<Backend>> half =
      open_backend("cuda", {.threads = 1, .device = {.floats = DType::f16, .tune = false}});
  ASSERT_TRUE(half);
  unsigned seed = 60;
  for (const int c : {3, 5, 20, 24, 40, 56}) {
    for (const int groups : {1, c, c % 4 == 0 ? 4 : 1}) {
      const std::string n = std::to_string(c);
      const std::string text =
          "graph g (x: u8[2," + n + ",5,6], w: s8[" + n + "," + std::to_string(c / groups) + ",3,3], w_scale: f32[" +
          n + "], b: s32[" + n + "], r: u8[2," + n +
          ",5,6]) -> (z) {\n  y = QuantConv(x, w, w_scale, b, r, pads=[1,1,1,1], group=" + std::to_string(groups) +
          ", " + k_residual_float + ")\n  z = Neg(y)\n}\n";
      const Graph graph = graph_with_constants(text, {"w", "w_scale", "b"}, ++seed);
      const std::vector<Tensor> inputs = random_inputs(graph, seed);
      const std::vector<Tensor> expected = run_graph(graph, cpu, inputs);
      ASSERT_EQ(expected.size(), 1u);
      expect_close(run_graph(graph, cuda_backend(), inputs)[0], expected[0], k_exact, text);
      expect_close(run_graph(graph, *half, inputs)[0], expected[0], {2e-3}, "half, " + text);
    }
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

/// Products by cuBLASLt, where the machine has it, against the CPU; where it has none the tactics say so.
TEST(Cuda, cublaslt_runs_float_products_where_it_is_found) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::string conv =
      "graph g (x: f32[2,64,15,11], w: f32[80,64,1,1], b: f32[80], r: f32[2,80,15,11]) -> (y) {\n"
      "  v = Abs(x)\n  c = FusedConv(v, w, b, r, activation=\"Relu\")\n  y = Neg(c)\n}\n";
  const std::string gemm = "graph g (x: f32[33,96], w: f32[40,96], b: f32[40]) -> (y) {\n  y = FusedGemm(x, w, b)\n}\n";
  for (const std::string& text : {conv, gemm}) {
    const Graph graph = graph_with_constants(text, {"w", "b"}, 3);
    const std::vector<Tensor> inputs = random_inputs(graph, 3);
    const std::vector<Tensor> expected =
        run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
    for (const auto& [options, tolerance] :
         {std::pair(DeviceOptions{.floats = DType::f16, .tune = false}, 2e-3),
          std::pair(DeviceOptions{.tf32 = true, .tune = false}, 2e-3), std::pair(DeviceOptions{.tune = false}, 2e-6)}) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend(options, "cublaslt 1");
      ASSERT_TRUE(backend) << backend.error().message;
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      const size_t step = text == conv ? 1 : 0;
      const bool found = (*engine)->program().step_note(step) == "cublaslt 1";
      bool is_listed = false;
      for (const Tactic& tactic : (*backend)->tactics(graph, static_cast<NodeId>(step))) {
        if (!tactic.name.ends_with(" cublaslt 1")) continue;
        is_listed = true;
        EXPECT_EQ(tactic.refused.empty(), found) << tactic.refused;
        EXPECT_THAT(tactic.refused, HasSubstr(found ? "" : "cuBLASLt was not found"));
      }
      EXPECT_TRUE(is_listed);
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      expect_close(run_context(*context, inputs)[0], expected[0], {tolerance}, (*backend)->description());
    }
  }
}

/// Every way to run a program: as a graph or kernel by kernel, waiting in any way, with its values anywhere.
TEST(CudaRun, all_ways_give_the_same_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = graph_with_constants(text_of(k_cases[1]), {"w", "w_scale", "b"}, 5);
  const std::vector<Tensor> inputs = random_inputs(graph, 9);
  const std::vector<Tensor> expected =
      run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
  for (const DeviceOptions& options :
       {DeviceOptions{.tune = false}, DeviceOptions{.tune = false, .graph = false},
        DeviceOptions{.tune = false, .wait = DeviceWait::spin}, DeviceOptions{.tune = false, .wait = DeviceWait::block},
        DeviceOptions{.tune = false, .managed = true}}) {
    Result<std::shared_ptr<Backend>> backend = open_backend("cuda", {.threads = 1, .device = options});
    ASSERT_TRUE(backend) << backend.error().message;
    Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
    ASSERT_TRUE(engine) << engine.error().message;
    (*backend)->reserve(size_t{1} << 26);
    Result<Context> context = Context::make(*engine);
    ASSERT_TRUE(context) << context.error().message;
    for (int run = 0; run < 3; ++run) expect_close(run_context(*context, inputs)[0], expected[0], k_exact, "run");
    const auto& workspace = static_cast<const cuda::CudaWorkspace&>(context->workspace());
    EXPECT_EQ(workspace.graph != nullptr, options.graph);
    cudaPointerAttributes where = {};
    ASSERT_EQ(cudaPointerGetAttributes(&where, workspace.inputs[0].get()), cudaSuccess);
    EXPECT_EQ(where.type == cudaMemoryTypeManaged, options.managed);
    EXPECT_EQ(workspace.staged_inputs.empty(), options.managed);
  }
}

/// Two runs in flight: the second's inputs arrive while the first computes, its compute begins after that.
TEST(CudaRun, transfers_of_the_next_run_overlap_the_compute_before) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = graph_with_constants(text_of(k_cases[14]), {"w", "w_scale", "b"}, 5);
  const std::shared_ptr<Backend> backend = cuda_backend();
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, backend);
  ASSERT_TRUE(engine) << engine.error().message;
  Result<Context> first = Context::make(*engine), second = Context::make(*engine);
  ASSERT_TRUE(first && second);
  const std::vector<Tensor> a = random_inputs(graph, 1), b = random_inputs(graph, 2);
  const std::vector<Tensor> of_a = run_context(*first, a), of_b = run_context(*second, b);
  ASSERT_TRUE(backend->start_clock());
  const auto bound = [&](const std::vector<Tensor>& inputs, std::pair<Tensor, std::byte*>& to) {
    Bindings io;
    for (const Tensor& t : inputs)
      io.inputs.push_back(TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data())));
    io.outputs.push_back(TensorView::dense(to.first.dtype(), to.first.dims(), to.second));
    return io;
  };
  auto y = Tensor::allocate(of_a[0].dtype(), of_a[0].dims()), z = Tensor::allocate(of_b[0].dtype(), of_b[0].dims());
  ASSERT_TRUE(y && z);
  const Bindings io_a = bound(a, *y), io_b = bound(b, *z);
  DeviceTimes of_first, of_second;
  of_first.repeats = 2000;  // some long compute
  RunHooks hooks_a, hooks_b;
  hooks_a.device_times = &of_first;
  hooks_b.device_times = &of_second;
  hooks_b.after = &first->workspace();
  ASSERT_TRUE(first->submit(io_a, hooks_a));
  ASSERT_TRUE(second->submit(io_b, hooks_b));
  ASSERT_TRUE(first->finish(io_a, hooks_a));
  ASSERT_TRUE(second->finish(io_b, hooks_b));
  const double computed = of_first.compute_start + of_first.repeats * of_first.compute;
  EXPECT_LT(of_second.h2d_start, computed);
  EXPECT_GE(of_second.compute_start, computed - 1e-5);
  EXPECT_GT(of_second.enqueue, 0);
  EXPECT_GT(of_second.h2d, 0);
  expect_close(y->first, of_a[0], k_exact, "first");
  expect_close(z->first, of_b[0], k_exact, "second");
}

TEST(CudaRun, without_transfers_the_inputs_are_those_of_the_run_before) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = graph_with_constants(text_of(k_cases[0]), {"w", "w_scale", "b"}, 5);
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, cuda_backend());
  ASSERT_TRUE(engine) << engine.error().message;
  Result<Context> context = Context::make(*engine);
  ASSERT_TRUE(context) << context.error().message;
  const std::vector<Tensor> first = random_inputs(graph, 1), other = random_inputs(graph, 2);
  const std::vector<Tensor> expected = run_context(*context, first);
  RunHooks without;
  without.transfers = false;
  const std::vector<Tensor> untouched = run_context(*context, other, without);
  EXPECT_TRUE(std::all_of(untouched[0].bytes().begin(), untouched[0].bytes().end(),
                          [](std::byte b) { return b == std::byte{0xcd}; }));
  expect_close(run_context(*context, first)[0], expected[0], k_exact, "with transfers again");
}

TEST(CudaRun, the_second_device_gives_the_same_bytes) {
  const Result<std::shared_ptr<Backend>> second = open_backend("cuda:1");
  if (!second) GTEST_SKIP() << "not applicable: no second GPU";
  const Graph graph = graph_with_constants(text_of(k_cases[1]), {"w", "w_scale", "b"}, 5);
  const std::vector<Tensor> inputs = random_inputs(graph, 9);
  const std::vector<Tensor> expected = run_graph(graph, cuda_backend(), inputs);
  expect_close(run_graph(graph, *second, inputs)[0], expected[0], k_exact, "cuda:1");
}

#endif

}  // namespace
}  // namespace octet
