// What the GPU's kernels refuse, and a tuner among ways of which one does not run.
#ifdef OCTET_TEST_CUDA
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/cuda/conv_choices.h"
#include "backends/cuda/conv_layer.h"
#include "backends/cuda/step.h"
#include "backends/cuda/tile_limits.h"
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
TEST(CudaLimits, weights_of_no_channels_have_no_sums) {
  EXPECT_TRUE(cuda::row_sums({}, 0).all.empty());
  const std::vector<int8_t> w = {3, -4, 5, 0, -127, 127};
  const cuda::RowSums sums = cuda::row_sums(w, 2);
  EXPECT_EQ(sums.all, (std::vector<int64_t>{4, 0}));
  EXPECT_EQ(sums.positive, (std::vector<int64_t>{8, 127}));
  EXPECT_EQ(sums.negative, (std::vector<int64_t>{-4, -127}));
}

TEST(CudaLimits, what_is_refused_runs_on_the_host) {
  expect_cpu_equals_ref(
      "graph g (x: u8[65537,1,1,2]) -> (y) {\n  y = QuantGlobalAveragePool(x, x_scale=0.1, x_zero_point=3, "
      "y_scale=0.1, y_zero_point=0, to=\"u8\")\n}\n",
      {}, k_exact);
}

/// Compute capabilities 8.6 and 8.9 have less than half of what 9.0 has.
TEST(CudaTiles, that_do_not_fit_a_device_are_left_out_and_named) {
  cuda::ConvParams p;
  p.m = 196, p.oc = 256, p.k_bytes = p.k_used = 2304;
  const auto names = [&](cuda::ConvType type, bool small_c, size_t shared_bytes) {
    std::set<std::string> found;
    const cuda::Device device{
        .ordinal = 0, .name = "", .major = 8, .minor = 0, .sms = 84, .shared_bytes = shared_bytes};
    const Plan plan;
    std::vector<cuda::DeviceBytes> constants;
    cuda::ArenaOffsets offsets(plan);
    cuda::StepBuilder builder(plan, device, DType::f32, constants, offsets);
    const cuda::PackedWeights none;
    cuda::DenseConv conv{type, p, none, small_c, {}, {}, {}, &none};  // as if its weights were on the device
    const Result<cuda::PreparedStep> step = cuda::conv_choices(conv, builder);
    if (!step) ADD_FAILURE() << step.error().message;
    if (step)
      for (const cuda::Choice& choice : step->choices) found.insert(choice.name);
    return found;
  };
  constexpr size_t k_sm80 = 166912, k_sm86 = 101376, k_sm90 = 232448;
  for (const cuda::ConvType type :
       {cuda::ConvType::u8s8, cuda::ConvType::f16, cuda::ConvType::f32, cuda::ConvType::tf32})
    for (const size_t limit : {k_sm80, k_sm86, k_sm90}) EXPECT_FALSE(names(type, false, limit).empty()) << limit;
  EXPECT_FALSE(names(cuda::ConvType::u8s8, true, k_sm86).empty());
  const std::set<std::string> all = names(cuda::ConvType::u8s8, false, k_sm90),
                              some = names(cuda::ConvType::u8s8, false, k_sm80),
                              few = names(cuda::ConvType::u8s8, false, k_sm86);
  for (const char* tile : {"64x64 k4", "64x32 k4", "32x32 k8", "16x32 k8", "32x16 k8"}) {
    EXPECT_TRUE(all.contains(tile)) << tile;
    EXPECT_FALSE(some.contains(tile)) << tile;
    EXPECT_THAT(cuda::refuse_tile(tile + std::string(" split 2 early"), true, k_sm80),
                HasSubstr("needs 196608 bytes of shared memory, the GPU gives a CTA 166912"));
    EXPECT_EQ(cuda::refuse_tile(tile, true, k_sm90), "");
  }
  EXPECT_TRUE(some.contains("128x256") && few.contains("128x128"));
  EXPECT_FALSE(few.contains("128x256") || few.contains("32x64 k4"));
  for (const std::string& name : few) EXPECT_EQ(cuda::refuse_tile(name, true, k_sm86), "");
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
  ASSERT_EQ(tuner.refusals().size(), 2u);
  EXPECT_THAT(tuner.refusals()[0], HasSubstr("a: CUDA, capturing a kernel"));
  EXPECT_THAT(tuner.refusals()[1], HasSubstr("c: CUDA, capturing a kernel"));
  step.choices.erase(step.choices.begin() + 1);
  const Result<std::vector<size_t>> none = tuner.fastest(step);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("capturing a kernel"));
}

}  // namespace
}  // namespace octet
#endif
