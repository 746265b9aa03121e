// The toolkit's recorded runs with every input moved at random, against its definition as NumPy computes it
// (make_perturbed_cases.py): calibrators, weights, quantizers, half and bfloat16, gradients. So no answer is a
// record's.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "quant/functions.h"
#include "quant/quantizer.h"
#include "quant/weights.h"
#include "tensor/half.h"

namespace octet {
namespace {

using Bits = std::vector<uint32_t>;

struct MaxStep {
  Dims dims;
  Bits x;
  Dims amax_dims;
  Bits local, amax;
};
struct MaxCase {
  const char* id;
  std::vector<int64_t> axis;
  bool has_axis;
  std::vector<MaxStep> steps;
};
struct WeightCase {
  const char *id, *method;
  bool per_channel;
  double percentile;
  int num_bins;
  int64_t axis;
  Dims dims;
  Bits weight;
  Dims amax_dims;
  Bits amax;
};
struct QuantizerCase {
  const char* id;
  Dims dims;
  Bits x, y, scale, dy, dx;
  double dmin, dmax;
};
struct HalfCase {
  DType dtype;
  int num_bits;
  bool is_unsigned, narrow_range;
  Bits x;
  uint32_t amax;
  Bits q, fake;
};
struct GradientCase {
  const char* id;
  bool is_affine, has_amax;
  uint32_t low, high;
  Bits x, dy, dx;
};
#include "perturbed_cases.inc"

std::vector<float> floats(const Bits& bits) {
  std::vector<float> out;
  for (const uint32_t b : bits) out.push_back(std::bit_cast<float>(b));
  return out;
}

Tensor tensor(const Dims& dims, const Bits& bits) { return f32_tensor(dims, floats(bits)); }
Tensor row(const Bits& bits) { return tensor({static_cast<int64_t>(bits.size())}, bits); }

/// The same numbers; -0 equals +0, NaN equals NaN.
void expect_numbers(const Tensor& got, const Bits& wanted, const char* what) {
  const std::vector<double> values = to_doubles(got);
  ASSERT_EQ(values.size(), wanted.size()) << what;
  for (size_t i = 0; i < values.size(); ++i) {
    const double w = std::bit_cast<float>(wanted[i]);
    if (std::isnan(w) && std::isnan(values[i])) continue;
    ASSERT_EQ(values[i], w) << what << " element " << i;
  }
}

TEST(PerturbedCases, max_calibrator_after_every_batch) {
  for (const MaxCase& c : k_max_cases) {
    SCOPED_TRACE(c.id);
    std::optional<std::vector<int64_t>> axis;
    if (c.has_axis) axis = c.axis;
    MaxCalibrator calibrator({.axis = axis, .track_amax = true, .ref_compat = true});
    for (const MaxStep& step : c.steps) {
      ASSERT_TRUE(calibrator.collect(view_of(tensor(step.dims, step.x))));
      const Result<std::optional<Tensor>> amax = calibrator.compute_amax();
      ASSERT_TRUE(amax && *amax);
      EXPECT_EQ((*amax)->dims(), step.amax_dims);
      expect_numbers(**amax, step.amax, "amax");
      expect_numbers(calibrator.tracked().back(), step.local, "of the batch");
    }
  }
  EXPECT_EQ(k_max_cases.size(), 9u);
}

TEST(PerturbedCases, calibrate_weights) {
  for (const WeightCase& c : k_weight_cases) {
    SCOPED_TRACE(c.id);
    const Result<Tensor> amax = weight_amax(tensor(c.dims, c.weight), {.method = c.method,
                                                                       .per_channel = c.per_channel,
                                                                       .percentile = c.percentile,
                                                                       .num_bins = c.num_bins,
                                                                       .axis = c.axis,
                                                                       .ref_compat = true});
    ASSERT_TRUE(amax) << amax.error().message;
    EXPECT_EQ(amax->dims(), c.amax_dims);
    expect_numbers(*amax, c.amax, "amax");
  }
  EXPECT_EQ(k_weight_cases.size(), 27u);
}

/// Descriptors and flags of the quantizers by the record's name: the index of the records is not needed here.
Result<TensorQuantizer> quantizer_of(const std::string& id) {
  QuantDescriptor d;
  QuantizerOptions o{.ref_compat = true};
  if (id == "seed_quantizer") d = {.num_bits = 4, .fake_quant = false, .axis = {{0}}, .is_unsigned = true};
  if (id == "tq_axis0_dynamic" || id == "tq_scale_amax_dyn") d.axis = {{0}};
  if (id == "tq_axis1_dynamic") d.axis = {{1}};
  if (id == "tq_axism1_dynamic") d.axis = {{-1}};
  if (id == "tq_amax_full" || id == "tq_amax_narrow" || id == "tq_real" || id == "tq_scale_amax")
    d.amax = scalar_f32(1);
  if (id == "tq_amax_narrow") d.narrow_range = true;
  if (id == "tq_real") d.fake_quant = false;
  if (id.starts_with("tq_scale_amax")) d.scale_amax = 0.9;
  if (id == "tq_learn") d.amax = scalar_f32(0.8f);
  if (id == "tq_clip_only") {
    d.amax = scalar_f32(0.5f);
    o.if_quant = false;
    o.if_clip = true;
  }
  d.learn_amax = id == "tq_learn" || id == "tq_clip_only";
  if (id == "tq_unsigned") d.is_unsigned = true;
  if (id == "tq_4bit") d.num_bits = 4;
  if (id == "tq_e4m3") d.num_bits = NumBits::e4m3();
  if (id.starts_with("tq_pre_scale")) d.amax = scalar_f32(4);
  Result<TensorQuantizer> q = TensorQuantizer::make(d, o);
  if (q && id.starts_with("tq_pre_scale")) q->set_pre_quant_scale(scalar_f32(2));
  if (q && id.ends_with("_disabled")) q->disable();
  return q;
}

TEST(PerturbedCases, quantizers_forward_and_backward) {
  for (const QuantizerCase& c : k_quantizer_cases) {
    SCOPED_TRACE(c.id);
    Result<TensorQuantizer> q = quantizer_of(c.id);
    ASSERT_TRUE(q) << q.error().message;
    const Tensor x = tensor(c.dims, c.x), dy = tensor(c.dims, c.dy);
    const Result<Tensor> y = q->forward(view_of(x));
    ASSERT_TRUE(y) << y.error().message;
    expect_numbers(*y, c.y, "y");
    if (!q->descriptor().fake_quant) {
      ASSERT_TRUE(q->scale());
      expect_numbers(*q->scale(), c.scale, "scale");
    }
    const Result<QuantizerGradients> g = q->backward(view_of(x), view_of(dy));
    ASSERT_TRUE(g) << g.error().message;
    expect_numbers(g->dx, c.dx, "dx");
    if (!q->descriptor().learn_amax) continue;
    EXPECT_NEAR(*g->dmin, c.dmin, 1e-5 * std::abs(c.dmin));
    EXPECT_NEAR(*g->dmax, c.dmax, 1e-5 * std::abs(c.dmax));
  }
  EXPECT_EQ(k_quantizer_cases.size(), 17u);
}

void expect_short_float(const std::vector<HalfCase>& cases, size_t count) {
  int n = 0;
  for (const HalfCase& c : cases) {
    SCOPED_TRACE(n++);
    std::vector<uint16_t> shorter;
    for (const float v : floats(c.x))
      shorter.push_back(c.dtype == DType::f16 ? float_to_half(v) : float_to_bfloat16(v));
    const Tensor x = Tensor::from<uint16_t>(c.dtype, {static_cast<int64_t>(shorter.size())}, shorter);
    const Tensor amax = scalar_f32(std::bit_cast<float>(c.amax));
    const QuantOptions options{
        .num_bits = c.num_bits, .is_unsigned = c.is_unsigned, .narrow_range = c.narrow_range, .ref_compat = true};
    const Result<QuantizedTensor> q = tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(q) << q.error().message;
    expect_numbers(q->values, c.q, "q");
    const Result<Tensor> fake = fake_tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(fake) << fake.error().message;
    EXPECT_EQ(fake->dtype(), c.dtype);
    expect_numbers(*fake, c.fake, "fake");
  }
  EXPECT_EQ(cases.size(), count);
}

TEST(PerturbedCases, half_the_toolkits_way) { expect_short_float(k_half_cases, 12); }
TEST(PerturbedCases, bfloat16_the_toolkits_way) { expect_short_float(k_bf16_cases, 6); }

TEST(PerturbedCases, gradients_of_affine_and_e4m3) {
  for (const GradientCase& c : k_gradient_cases) {
    SCOPED_TRACE(c.id);
    const Tensor x = row(c.x), dy = row(c.dy);
    const float low = std::bit_cast<float>(c.low), high = std::bit_cast<float>(c.high);
    const Result<Tensor> dx =
        c.is_affine ? fake_affine_tensor_quant_backward(view_of(x), low, high, view_of(dy))
                    : scaled_e4m3_backward(view_of(x), c.has_amax ? std::optional(scalar_f32(high)) : std::nullopt,
                                           view_of(dy));
    ASSERT_TRUE(dx) << dx.error().message;
    expect_numbers(*dx, c.dx, "dx");
  }
  EXPECT_EQ(k_gradient_cases.size(), 23u);
}

}  // namespace
}  // namespace octet
