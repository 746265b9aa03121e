// What the GPU's kernels refuse, and a tuner among ways of which one does not run.
#ifdef OCTET_TEST_CUDA
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/cuda/step.h"
#include "backends/cuda/tune.h"
#include "backends/running.h"

namespace octet {
namespace {

using testing::HasSubstr;

std::string refusal(const cuda::StepDef& step, const std::string& text, const std::set<std::string>& constants = {}) {
  const Graph graph = graph_with_constants(text, constants, 1);
  return step.refuse(cuda::StepQuery{{graph, graph.nodes[0]}, DType::f32, false});
}

TEST(CudaLimits, windows_whose_corner_leaves_16_bits_are_refused) {
  const auto conv = [](const std::string& pads) {
    return "graph g (x: u8[1,16,8,8], w: s8[16,16,1,1], w_scale: f32[16], b: s32[16]) -> (y) {\n  y = QuantConv(x, w, "
           "w_scale, b, strides=[1000,1000], pads=[" +
           pads + "], x_scale=0.1, x_zero_point=3, y_scale=0.1, y_zero_point=0, to=\"u8\")\n}\n";
  };
  const std::set<std::string> constants = {"w", "w_scale", "b"};
  EXPECT_EQ(refusal(cuda::conv_u8s8_step, conv("900,0,900,0"), constants), "");
  EXPECT_THAT(refusal(cuda::conv_u8s8_step, conv("50000,0,0,0"), constants), HasSubstr("padding of more than 16000"));
  EXPECT_THAT(refusal(cuda::conv_u8s8_step, conv("0,0,0,50000"), constants), HasSubstr("padding of more than 16000"));
}

TEST(CudaLimits, grids_of_more_than_65535_rows_are_refused) {
  const auto pool = [](int n) {
    return "graph g (x: u8[" + std::to_string(n) +
           ",4,1,1]) -> (y) {\n  y = QuantGlobalAveragePool(x, x_scale=0.1, x_zero_point=3, y_scale=0.1, "
           "y_zero_point=0, to=\"u8\")\n}\n";
  };
  EXPECT_EQ(refusal(cuda::global_average_step, pool(65535)), "");
  EXPECT_THAT(refusal(cuda::global_average_step, pool(65536)), HasSubstr("more than 65535 images"));
  const auto product = [](int m) {
    return "graph g (a: f32[" + std::to_string(m) + ",2], b: f32[2,3]) -> (y) {\n  y = MatMul(a, b)\n}\n";
  };
  EXPECT_EQ(refusal(cuda::matmul_step, product(2097120)), "");
  EXPECT_THAT(refusal(cuda::matmul_step, product(2097121)), HasSubstr("more than 2097120 rows"));
  const auto codes = [](int m) {
    return "graph g (a: u8[" + std::to_string(m) + ",2], b: u8[2,3]) -> (y) {\n  y = MatMulInteger(a, b)\n}\n";
  };
  EXPECT_EQ(refusal(cuda::matmul_integer_step, codes(4194240)), "");
  EXPECT_THAT(refusal(cuda::matmul_integer_step, codes(4194241)), HasSubstr("more than 4194240 rows"));
}

/// The batch that the kernel refuses runs on the host, with the right answer.
TEST(CudaLimits, what_is_refused_runs_on_the_host) {
  expect_cpu_equals_ref(
      "graph g (x: u8[65537,1,1,2]) -> (y) {\n  y = QuantGlobalAveragePool(x, x_scale=0.1, x_zero_point=3, "
      "y_scale=0.1, y_zero_point=0, to=\"u8\")\n}\n",
      {}, k_exact);
}

TEST(CudaTuner, leaves_out_a_choice_that_does_not_run) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  Result<cuda::Stream> stream = cuda::make_stream();
  Result<cuda::DeviceBytes> bytes = cuda::allocate_device(4096, "a test");
  ASSERT_TRUE(stream && bytes);
  const auto stage = [&]() -> Result<cuda::Launch> {
    cuda::Launch launch;
    launch.stream = stream->get();
    return launch;
  };
  const cuda::Enqueue fails = [](const cuda::Launch&) { return cudaErrorNotSupported; },
                      runs = [&](const cuda::Launch&run) { return cudaMemsetAsync(bytes->get(), 0, 4096, run.stream); };
  cuda::PreparedStep step;
  step.choices = {{"a", 1.0, fails}, {"b", 1.0, runs}, {"c", 1.0, fails}};
  cuda::Tuner tuner(nullptr, "gpu", stage);
  const Result<std::vector<size_t>> fastest = tuner.fastest(step);
  ASSERT_TRUE(fastest) << fastest.error().message;
  EXPECT_EQ(*fastest, std::vector<size_t>{1});
  step.choices.erase(step.choices.begin() + 1);
  const Result<std::vector<size_t>> none = tuner.fastest(step);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("capturing a kernel"));
}

}  // namespace
}  // namespace octet
#endif
