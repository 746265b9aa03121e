// Random inputs against the toolkit's definition as NumPy computes it (make_toolkit_cases.py): functions, histograms,
// searches.

#include <gtest/gtest.h>

#include <bit>

#include "quant/functions.h"
#include "quant/toolkit_histogram.h"
#include "tensor/half.h"

namespace octet {
namespace {

using Bits = std::vector<uint32_t>;

struct FunctionCase {
  int num_bits;
  bool is_unsigned, narrow_range;
  DType dtype;
  Dims dims, amax_dims;
  Bits x, amax, q, scale, fake, dy, dx;
};
struct AffineCase {
  int num_bits;
  uint32_t min, max;
  Bits x, y;
};
struct E4m3Case {
  bool has_amax;
  uint32_t amax;
  Bits x, y;
};
struct Choice {
  const char* method;
  double percentile;
  int num_bits;
  bool is_unsigned;
  int stride, start_bin;
  uint32_t amax;
};
struct HistogramCase {
  bool torch_hist;
  int num_bins;
  std::vector<Bits> batches;
  std::vector<double> counts, edges;
  std::vector<Choice> choices;
};
#include "toolkit_cases.inc"

std::vector<float> floats(const Bits& bits) {
  std::vector<float> out;
  for (const uint32_t b : bits) out.push_back(std::bit_cast<float>(b));
  return out;
}

Tensor tensor(DType dtype, const Dims& dims, const Bits& bits) {
  if (dtype == DType::f32) return f32_tensor(dims, floats(bits));
  std::vector<uint16_t> shorter;
  for (const float v : floats(bits)) shorter.push_back(dtype == DType::f16 ? float_to_half(v) : float_to_bfloat16(v));
  return Tensor::from<uint16_t>(dtype, dims, shorter);
}

/// The same numbers; -0 equals +0.
void expect_same(const Result<Tensor>& got, const Bits& wanted, const char* what) {
  ASSERT_TRUE(got) << got.error().message;
  const std::vector<double> values = to_doubles(*got);
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(values[i], static_cast<double>(std::bit_cast<float>(wanted[i]))) << what << " element " << i;
  }
}

TEST(ToolkitCases, tensor_quant_and_its_gradient) {
  int n = 0;
  for (const FunctionCase& c : k_function_cases) {
    SCOPED_TRACE(n++);
    const Tensor x = tensor(c.dtype, c.dims, c.x), dy = tensor(c.dtype, c.dims, c.dy);
    const Tensor amax = tensor(DType::f32, c.amax_dims, c.amax);
    QuantOptions options{.num_bits = c.num_bits, .is_unsigned = c.is_unsigned, .narrow_range = c.narrow_range};
    const Result<QuantizedTensor> q = tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(q) << q.error().message;
    expect_same(q->values, c.q, "q");
    expect_same(q->scale, c.scale, "scale");
    expect_same(fake_tensor_quant(view_of(x), amax, options), c.fake, "fake");
    expect_same(tensor_quant_backward(view_of(x), amax, view_of(dy)), c.dx, "dx");
    if (c.dtype != DType::f32) continue;  // there ref_compat rounds more often (D8)
    options.ref_compat = true;
    expect_same(tensor_quant(view_of(x), amax, options)->values, c.q, "q of the toolkit");
    expect_same(fake_tensor_quant(view_of(x), amax, options), c.fake, "fake of the toolkit");
  }
  EXPECT_EQ(n, 60);
}

TEST(ToolkitCases, affine) {
  for (const AffineCase& c : k_affine_cases) {
    const Tensor x = tensor(DType::f32, {static_cast<int64_t>(c.x.size())}, c.x);
    expect_same(fake_affine_tensor_quant(view_of(x), std::bit_cast<float>(c.min), std::bit_cast<float>(c.max),
                                         {.num_bits = c.num_bits}),
                c.y, "y");
  }
}

TEST(ToolkitCases, e4m3) {
  for (const E4m3Case& c : k_e4m3_cases) {
    const Tensor x = tensor(DType::f32, {static_cast<int64_t>(c.x.size())}, c.x);
    std::optional<Tensor> amax;
    if (c.has_amax) amax = scalar_f32(std::bit_cast<float>(c.amax));
    expect_same(scaled_e4m3(view_of(x), amax), c.y, "y");
  }
}

TEST(ToolkitCases, histograms_and_searches) {
  int n = 0;
  for (const HistogramCase& c : k_histogram_cases) {
    SCOPED_TRACE(n++);
    ToolkitHistogram h;
    h.torch_hist = c.torch_hist;
    h.num_bins = c.num_bins;
    for (const Bits& batch : c.batches) {
      const Result<Done> done = h.collect(floats(batch));
      ASSERT_TRUE(done) << done.error().message;
    }
    EXPECT_EQ(h.counts, c.counts);
    EXPECT_EQ(h.edges, c.edges);
    for (const Choice& choice : c.choices) {
      const std::string method = choice.method;
      const ToolkitSearch search{choice.num_bits, choice.is_unsigned, choice.stride, choice.start_bin};
      const Result<ToolkitChoice> found = method == "entropy" ? toolkit_entropy(h, search) : toolkit_mse(h, search);
      const Result<float> amax = method == "percentile" ? toolkit_percentile(h, choice.percentile)
                                 : found                ? Result<float>(found->amax)
                                                        : Result<float>(found.error());
      ASSERT_TRUE(amax) << amax.error().message;
      EXPECT_EQ(std::bit_cast<uint32_t>(*amax), choice.amax)
          << method << " " << choice.percentile << " " << choice.num_bits << " " << choice.start_bin;
    }
  }
  EXPECT_EQ(n, 16);
}

}  // namespace
}  // namespace octet
