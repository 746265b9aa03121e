// Shapes small enough for a checker that runs every access a thousand times slower: the kernels that are not tiles of
// the integer convolution, against the CPU.
#ifdef OCTET_TEST_CUDA
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

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

/// A convolution of the network's input and the pool behind it (pool = 0: none).
struct FirstCase {
  int n, c, h, w, oc, kh, kw, stride_h, stride_w, pad_h, pad_w;
  const char* activation;
  float low, high;  // of the activation
  int pool, pool_stride, pool_pad;
  bool read_twice;  // the input is read by somebody else too
  int oh() const { return (h + 2 * pad_h - kh) / stride_h + 1; }
  int ow() const { return (w + 2 * pad_w - kw) / stride_w + 1; }
};

std::string text_of(const FirstCase& k) {
  const auto s = [](int v) { return std::to_string(v); };
  const auto two = [&](const char* name, int a, int b) { return std::string(name) + "=[" + s(a) + "," + s(b) + "]"; };
  std::string text = "graph g (x: f32[" + s(k.n) + "," + s(k.c) + "," + s(k.h) + "," + s(k.w) + "], w: f32[" + s(k.oc) +
                     "," + s(k.c) + "," + s(k.kh) + "," + s(k.kw) + "], b: f32[" + s(k.oc) + "]) -> (y" +
                     (k.read_twice ? ", z" : "") + ") {\n  c = FusedConv(x, w, b, " +
                     two("strides", k.stride_h, k.stride_w) + ", pads=[" + s(k.pad_h) + "," + s(k.pad_w) + "," +
                     s(k.pad_h) + "," + s(k.pad_w) + "]" + k.activation + ")\n";
  if (k.pool > 0)
    text += "  p = MaxPool(c, " + two("kernel_shape", k.pool, k.pool) + ", " +
            two("strides", k.pool_stride, k.pool_stride) + ", pads=[" + s(k.pool_pad) + "," + s(k.pool_pad) + "," +
            s(k.pool_pad) + "," + s(k.pool_pad) + "])\n";
  if (k.read_twice) text += "  z = Neg(x)\n";
  return text + "  y = Neg(" + (k.pool > 0 ? "p" : "c") + ")\n}\n";
}

/// The outputs, and how far from them halves may be: operands rounded by 2^-11 of themselves, sums in f32, the outcome
/// rounded once. A pool and an activation make no difference larger. What sees a pixel that is no half may be anything.
struct Bounded {
  std::vector<double> y, off;
};
Bounded in_double(const FirstCase& k, const std::vector<float>& w, const std::vector<float>& b, const float* x) {
  Bounded conv;
  for (int n = 0; n < k.n; ++n)
    for (int o = 0; o < k.oc; ++o)
      for (int oy = 0; oy < k.oh(); ++oy)
        for (int ox = 0; ox < k.ow(); ++ox) {
          double sum = b[static_cast<size_t>(o)], size = std::fabs(sum);
          for (int c = 0; c < k.c; ++c)
            for (int dy = 0; dy < k.kh; ++dy)
              for (int dx = 0; dx < k.kw; ++dx) {
                const int iy = oy * k.stride_h - k.pad_h + dy, ix = ox * k.stride_w - k.pad_w + dx;
                if (iy < 0 || ix < 0 || iy >= k.h || ix >= k.w) continue;
                const double product =
                    static_cast<double>(x[((n * k.c + c) * k.h + iy) * k.w + ix]) *
                    static_cast<double>(w[static_cast<size_t>(((o * k.c + c) * k.kh + dy) * k.kw + dx)]);
                sum += product, size += std::fabs(product);
                if (std::fabs(x[((n * k.c + c) * k.h + iy) * k.w + ix]) > 65504.0f) size = 1e300;
              }
          conv.y.push_back(std::clamp(sum, static_cast<double>(k.low), static_cast<double>(k.high)));
          conv.off.push_back(size * (0x1p-10 + 0x1p-18) + std::fabs(conv.y.back()) * 0x1p-11 + 0x1p-24);
        }
  if (k.pool == 0) return conv;
  Bounded pooled;
  const int ph = (k.oh() + 2 * k.pool_pad - k.pool) / k.pool_stride + 1,
            pw = (k.ow() + 2 * k.pool_pad - k.pool) / k.pool_stride + 1;
  for (int plane = 0; plane < k.n * k.oc; ++plane)
    for (int y = 0; y < ph; ++y)
      for (int at = 0; at < pw; ++at) {
        double most = -1e30, off = 0;
        for (int i = 0; i < k.pool * k.pool; ++i) {
          const int cy = y * k.pool_stride - k.pool_pad + i / k.pool, cx = at * k.pool_stride - k.pool_pad + i % k.pool;
          if (cy < 0 || cx < 0 || cy >= k.oh() || cx >= k.ow()) continue;
          const auto from = static_cast<size_t>((plane * k.oh() + cy) * k.ow() + cx);
          most = std::max(most, conv.y[from]), off = std::max(off, conv.off[from]);
        }
        pooled.y.push_back(most), pooled.off.push_back(off);
      }
  return pooled;
}

/// Windows of one and of two steps, with and without a pool, all activations, an input that somebody else reads too:
/// within what rounding to halves allows, by plain loops in double.
TEST(CudaSmall, first_layers_in_half_precision_are_as_near_as_halves_are) {
  constexpr float k_far = 1e30f;
  const FirstCase cases[] = {
      {2, 3, 21, 18, 64, 7, 7, 2, 2, 3, 3, ", activation=\"Relu\"", 0, k_far, 3, 2, 1, false},
      {3, 1, 9, 11, 128, 3, 4, 1, 1, 1, 2, ", activation=\"Clip\", activation_params=[-0.5,2.0]", -0.5f, 2, 0, 0, 0,
       false},
      {1, 4, 13, 8, 64, 5, 8, 1, 3, 0, 2, "", -k_far, k_far, 2, 1, 0, true},
      {1, 2, 10, 17, 64, 5, 3, 1, 2, 2, 1, ", activation=\"Relu\"", 0, k_far, 3, 3, 0, false},
      {70, 3, 14, 12, 64, 3, 5, 2, 1, 1, 2, "", -k_far, k_far, 2, 2, 1, false},
  };
  for (const FirstCase& k : cases) {
    const Graph graph = graph_with_constants(text_of(k), {"w", "b"}, 22);
    std::vector<Tensor> inputs = random_inputs(graph, 5);
    if (k.activation[0] == 0 || k.c == 2) {
      std::vector<float> x(inputs[0].as<float>().begin(), inputs[0].as<float>().end());
      x[x.size() / 2] = 1e6f;  // which is no half
      inputs[0] = Tensor::from<float>(DType::f32, inputs[0].dims(), x);
    }
    const Bounded want =
        in_double(k, cuda::constant_floats(graph, graph.nodes[0].inputs[1]),
                  cuda::constant_floats(graph, graph.nodes[0].inputs[2]), inputs[0].as<float>().data());
    const std::vector<Tensor> on_cpu = cpus_outputs(graph, inputs);  // the loops themselves are right
    ASSERT_EQ(on_cpu[0].as<float>().size(), want.y.size());
    for (size_t i = 0; i < want.y.size(); ++i)
      ASSERT_NEAR(static_cast<double>(on_cpu[0].as<float>()[i]), -want.y[i], want.off[i] / 100) << i;
    if (!cuda_backend()) continue;
    size_t ran = 0;
    for (const char* tile :
         {"half stem 8x8", "half stem 4x14", "half stem 4x8", "half stem 4x4", "half stem 8x14", "half stem 16x16"}) {
      const Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.floats = DType::f16, .tune = false}, tile);
      ASSERT_TRUE(backend) << backend.error().message;
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      if ((*engine)->program().step_note(k.pool > 0 ? 1 : 0) != tile) continue;
      ++ran;
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      const std::vector<Tensor> got = run_context(*context, inputs);
      ASSERT_EQ(got.size(), k.read_twice ? 2u : 1u);
      const std::span<const float> y = got[0].as<float>();
      ASSERT_EQ(y.size(), want.y.size());
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_TRUE(want.off[i] > 1e100 || std::fabs(static_cast<double>(y[i]) + want.y[i]) <= want.off[i])
            << tile << ", element " << i << ": " << y[i] << ", wanted " << -want.y[i] << " +- " << want.off[i];
      for (size_t i = 0; k.read_twice && i < inputs[0].as<float>().size(); ++i) {
        const float x = inputs[0].as<float>()[i];
        if (x > 65504.0f) continue;
        ASSERT_LE(std::fabs(got[1].as<float>()[i] + x), std::fabs(x) * 0x1p-11f + 0x1p-25f)
            << tile << ", element " << i;
      }
    }
    EXPECT_GE(ran, k.pool_stride == 3 ? 2u : 3u) << text_of(k);  // shared memory holds small tiles only there
  }
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
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
