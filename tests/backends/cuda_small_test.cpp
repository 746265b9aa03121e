// Shapes small enough for a checker that runs every access a thousand times slower: the kernels that are not tiles of
// the integer convolution, against the CPU.
#ifdef OCTET_TEST_CUDA
#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/step.h"
#include "backends/running.h"
#include "base/isa.h"

namespace octet {
namespace {

std::vector<Tensor> cpus_outputs(const Graph& graph, const std::vector<Tensor>& inputs) {
  return run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
}

/// Runs the graph with the only choice `tile` of step `step`; false: the step does not have it.
bool expect_by_tile(const Graph& graph, const DeviceOptions& options, const std::string& tile, size_t step,
                    Tolerance tolerance) {
  const std::vector<Tensor> inputs = random_inputs(graph, 5), expected = cpus_outputs(graph, inputs);
  const Result<std::shared_ptr<Backend>> backend = cuda::make_backend(options, tile);
  if (!backend) {
    ADD_FAILURE() << backend.error().message;
    return false;
  }
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
  if (!engine) {
    ADD_FAILURE() << engine.error().message;
    return false;
  }
  if ((*engine)->program().step_note(step) != tile) return false;
  Result<Context> context = Context::make(*engine);
  if (!context) {
    ADD_FAILURE() << context.error().message;
    return false;
  }
  expect_close(run_context(*context, inputs)[0], expected[0], tolerance, tile);
  return true;
}

TEST(CudaSmall, first_layers_in_one_kernel_give_the_cpus_bytes) {
  const Graph graph = graph_with_constants(
      "graph g (x: f32[1,3,21,18], q_scale: f32[], q_zero: u8[], w: s8[64,3,7,7], w_scale: f32[64], b: s32[64]) -> (y) "
      "{\n  q = QuantizeLinear(x, q_scale, q_zero)\n  v = QuantConv(q, w, w_scale, b, strides=[2,2], pads=[3,3,3,3], "
      "x_scale=0.02, x_zero_point=7, y_scale=0.4, y_zero_point=20, to=\"u8\")\n  p = MaxPool(v, kernel_shape=[3,3], "
      "strides=[2,2], pads=[1,1,1,1])\n  y = QuantGlobalAveragePool(p, x_scale=0.4, x_zero_point=20, y_scale=0.01, "
      "y_zero_point=0, to=\"u8\")\n}\n",
      {"q_scale", "q_zero", "w", "w_scale", "b"}, 21);
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  for (const char* tile : {"stem 8x14", "stem 8x8", "stem 4x8", "stem 4x4"})
    EXPECT_TRUE(expect_by_tile(graph, {.tune = false}, tile, 2, k_exact)) << tile;
}

/// Windows of one and of two steps, with and without a pool, all activations; inputs that somebody else reads too.
TEST(CudaSmall, first_layers_in_half_precision_agree_with_the_cpu) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::pair<const char*, size_t> networks[] = {
      {"graph g (x: f32[2,3,21,18], w: f32[64,3,7,7], b: f32[64]) -> (y) {\n  c = FusedConv(x, w, b, strides=[2,2], "
       "pads=[3,3,3,3], activation=\"Relu\")\n  p = MaxPool(c, kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1])\n  y "
       "= "
       "Neg(p)\n}\n",
       1},
      {"graph g (x: f32[3,1,9,11], w: f32[128,1,3,4], b: f32[128]) -> (y) {\n  c = FusedConv(x, w, b, "
       "pads=[1,2,1,1], activation=\"Clip\", activation_params=[-0.5,2.0])\n  y = Neg(c)\n}\n",
       0},
      {"graph g (x: f32[1,4,13,8], w: f32[64,4,5,8]) -> (y) {\n  c = FusedConv(x, w, strides=[1,3])\n  p = MaxPool(c, "
       "kernel_shape=[2,1], strides=[1,1])\n  n = Neg(x)\n  m = GlobalAveragePool(n)\n  z = Conv(m, v)\n  y = Add(p, "
       "z)\n}\n",
       1},
  };
  for (const auto& [text, step] : networks) {
    std::string whole = text;
    if (whole.find("Conv(m, v)") != std::string::npos) whole.insert(whole.find(") -> "), ", v: f32[64,4,1,1]");
    const Graph graph = graph_with_constants(whole, {"w", "b", "v"}, 22);
    size_t ran = 0;
    for (const char* tile :
         {"half stem 8x8", "half stem 4x14", "half stem 4x8", "half stem 4x4", "half stem 8x14", "half stem 16x16"})
      ran += expect_by_tile(graph, {.floats = DType::f16, .tune = false}, tile, step, {2e-3}) ? 1 : 0;
    EXPECT_GE(ran, 3u) << text;
  }
}

TEST(CudaSmall, float_tiles_agree_with_the_cpu) {
  const std::pair<const char*, const char*> layers[] = {
      {"x: f32[1,64,6,5], w: f32[72,64,3,3], b: f32[72], r: f32[1,72,6,5]", "pads=[1,1,1,1], "},
      {"x: f32[1,128,5,5], w: f32[64,128,1,1], b: f32[64], r: f32[1,64,5,5]", ""}};
  std::set<std::string> ran;
  for (const auto& [inputs, pads] : layers) {
    const Graph graph =
        graph_with_constants("graph g (" + std::string(inputs) + ") -> (z) {\n  y = FusedConv(x, w, b, r, " + pads +
                                 "activation=\"Relu\")\n  z = Neg(y)\n}\n",
                             {"w", "b"}, 22);
    if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
    for (const std::string& tile : cuda::conv_float_step.choices()) {
      if (tile.ends_with(" early") || tile.ends_with(" at once") || tile.starts_with("cublaslt") || tile == "cudnn" ||
          tile.starts_with("half stem"))
        continue;
      const std::pair<DeviceOptions, double> ways[] = {{{.floats = DType::f16, .tune = false}, 2e-3},
                                                       {{.tf32 = true, .tune = false}, 2e-3},
                                                       {{.tune = false}, 2e-5}};
      for (const auto& [options, tolerance] : ways)
        if (expect_by_tile(graph, options, tile, 0, {tolerance}))
          ran.insert((options.floats == DType::f16 ? "f16 " : options.tf32 ? "tf32 " : "f32 ") + tile);
    }
  }
  for (const char* tile : {"f16 128x64", "f16 64x64 k4", "f32 64x64", "f32 32x32 k4", "tf32 128x64"})
    EXPECT_TRUE(ran.contains(tile)) << tile << " ran in no case";
}

TEST(CudaSmall, depthwise_windows_give_the_cpus_bytes) {
  const std::pair<const char*, const char*> windows[] = {{"3,3", "pads=[1,1,1,1]"},
                                                         {"3,3", "strides=[2,2], pads=[0,1,1,0]"},
                                                         {"5,5", "pads=[2,2,2,2]"},
                                                         {"3,3", "dilations=[2,2], pads=[2,1,2,1], strides=[1,2]"}};
  for (const auto& [kernel, window] : windows) {
    for (const char* to : {"y_scale=0.3, y_zero_point=9, to=\"u8\"", "to=\"f32\""}) {
      const Graph graph = graph_with_constants(
          "graph g (x: u8[2,20,7,9], w: s8[20,1," + std::string(kernel) +
              "], w_scale: f32[20], b: s32[20]) -> (y) {\n  y = QuantConv(x, w, w_scale, b, group=20, " + window +
              ", x_scale=0.02, x_zero_point=60, " + to + ")\n}\n",
          {"w", "w_scale", "b"}, 23);
      const std::vector<Tensor> inputs = random_inputs(graph, 7), expected = cpus_outputs(graph, inputs);
      if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
      expect_close(run_graph(graph, cuda_backend(), inputs)[0], expected[0], k_exact, window + std::string(to));
    }
  }
}

}  // namespace
}  // namespace octet
#endif
