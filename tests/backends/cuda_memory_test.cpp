// What is on the GPU goes with what it was for, after errors too. These count the device's free memory, so nothing else
// may use the GPU meanwhile.
#ifdef OCTET_TEST_CUDA
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <array>

#include "backends/cuda/cuda_backend.h"
#include "backends/running.h"

namespace octet {
namespace {

size_t free_bytes() {
  size_t free = 0, all = 0;
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(cudaMemGetInfo(&free, &all), cudaSuccess);
  return free;
}

Graph wide_convolution() {
  return graph_with_constants(
      "graph g (x: u8[1,2048,6,6], w: s8[2048,2048,3,3], w_scale: f32[2048], b: s32[2048]) -> (y) {\n  v = "
      "QuantConv(x, w, w_scale, b, pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=90.0, y_zero_point=0, "
      "activation=\"Relu\", to=\"u8\")\n  y = QuantGlobalAveragePool(v, x_scale=90.0, "
      "x_zero_point=0, y_scale=90.0, y_zero_point=0, to=\"u8\")\n}\n",
      {"w", "w_scale", "b"}, 1);
}

/// One life of a back end: tuned, run twice, its errors met.
void live(const Graph& graph, const Graph& indices, const std::vector<Tensor>& inputs) {
  const Result<std::shared_ptr<Backend>> backend = cuda::make_backend({});
  ASSERT_TRUE(backend) << backend.error().message;
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
  ASSERT_TRUE(engine) << engine.error().message;
  for (int i = 0; i < 2; ++i) {
    Result<Context> context = Context::make(*engine);
    ASSERT_TRUE(context) << context.error().message;
    EXPECT_EQ(run_context(*context, inputs).size(), 1u);
    EXPECT_EQ(run_context(*context, inputs).size(), 1u);
  }
  // A plan that names what does not exist, and a run that ends with an error of the host's.
  EXPECT_FALSE(Engine::build(graph, *backend, TacticChoice(graph.nodes.size(), "conv_u8s8 no such tile")));
  Result<std::shared_ptr<const Engine>> failing = Engine::build(indices, *backend);
  ASSERT_TRUE(failing) << failing.error().message;
  Result<Context> context = Context::make(*failing);
  ASSERT_TRUE(context) << context.error().message;
  std::array<float, 12> x{};
  std::array<int64_t, 1> beyond{99};
  std::array<float, 3> y{};
  const auto bytes = [](auto& values) { return reinterpret_cast<std::byte*>(values.data()); };
  Bindings io;
  io.inputs = {TensorView::dense(DType::f32, {4, 3}, bytes(x)), TensorView::dense(DType::s64, {1}, bytes(beyond))};
  io.outputs = {TensorView::dense(DType::f32, {1, 3}, bytes(y))};
  EXPECT_FALSE(context->run(io));
}

TEST(CudaMemory, is_given_back_with_what_it_was_for) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = wide_convolution();
  const Graph indices =
      graph_with_constants("graph g (x: f32[4,3], i: s64[1]) -> (y) {\n  y = Gather(x, i, axis=0)\n}\n", {}, 1);
  const std::vector<Tensor> inputs = random_inputs(graph, 1);
  for (int i = 0; i < 2; ++i) live(graph, indices, inputs);  // the driver keeps what modules and graphs need once
  const size_t before = free_bytes();
  for (int i = 0; i < 4; ++i) live(graph, indices, inputs);
  EXPECT_GE(free_bytes(), before);
}

TEST(CudaMemory, holds_weights_once_however_many_ways_were_tried) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = wide_convolution();
  const Result<std::shared_ptr<Backend>> backend = cuda::make_backend({});
  ASSERT_TRUE(backend) << backend.error().message;
  { const Result<std::shared_ptr<const Engine>> warm = Engine::build(graph, *backend); }
  const size_t before = free_bytes();
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
  ASSERT_TRUE(engine) << engine.error().message;
  const size_t taken = before - free_bytes(), weights = 2048u * 2048 * 9;
  EXPECT_GE(taken, weights);
  EXPECT_LT(taken, weights + weights / 2);
}

/// The end of a network: a row, its steps alone for taps, and no form of the weights that neither reads.
TEST(CudaMemory, holds_weights_of_a_row_once_more_for_taps) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const Graph graph = graph_with_constants(
      "graph g (x: u8[1,1792,3,3], w: s8[8192,1792], w_scale: f32[8192], b: s32[8192]) -> (y) {\n  v = "
      "QuantGlobalAveragePool(x, x_scale=1.0, x_zero_point=0, y_scale=1.0, y_zero_point=0, to=\"u8\")\n  f = "
      "Flatten(v)\n"
      "  y = QuantGemm(f, w, w_scale, b, x_scale=1.0, x_zero_point=0, y_scale=90.0, y_zero_point=0, to=\"u8\")\n}\n",
      {"w", "w_scale", "b"}, 1);
  const Result<std::shared_ptr<Backend>> backend = cuda::make_backend({});
  ASSERT_TRUE(backend) << backend.error().message;
  { const Result<std::shared_ptr<const Engine>> warm = Engine::build(graph, *backend); }
  const size_t before = free_bytes();
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
  ASSERT_TRUE(engine) << engine.error().message;
  const size_t taken = before - free_bytes(), weights = 8192u * 1792;
  EXPECT_GE(taken, weights);
  EXPECT_LT(taken, 2 * weights + weights / 2);
}

}  // namespace
}  // namespace octet
#endif
