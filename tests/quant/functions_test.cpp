// The toolkit's functions by the hand-checked cases of docs/toolkit_behaviour.md, errors by message, strides and
// dtypes.

#include "quant/functions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "quant/formulas.h"
#include "quant/reduce_amax.h"
#include "tensor/half.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;

constexpr float k_infinity = std::numeric_limits<float>::infinity();
constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

Tensor row(const Floats& values) { return f32_tensor({static_cast<int64_t>(values.size())}, values); }

Floats floats(const Tensor& t) {
  Floats out;
  for (const double v : to_doubles(t)) out.push_back(static_cast<float>(v));
  return out;
}

Floats quant(const Floats& x, float amax, const QuantOptions& options = {}) {
  const Result<QuantizedTensor> q = tensor_quant(view_of(row(x)), scalar_f32(amax), options);
  EXPECT_TRUE(q) << (q ? "" : q.error().message);
  return q ? floats(q->values) : Floats{};
}

Floats fake(const Floats& x, float amax, const QuantOptions& options = {}) {
  const Tensor t = row(x);
  const Result<Tensor> y = fake_tensor_quant(view_of(t), scalar_f32(amax), options);
  EXPECT_TRUE(y) << (y ? "" : y.error().message);
  return y ? floats(*y) : Floats{};
}

std::string error_of(const Floats& x, const Floats& amax, const QuantOptions& options) {
  const Tensor t = row(x);
  const Result<QuantizedTensor> q = tensor_quant(view_of(t), row(amax), options);
  return q ? "" : q.error().message;
}

TEST(TensorQuant, the_guides_example) {  // case 1
  Floats x;
  for (const uint32_t bits : {0x3f7b51e2u, 0x3f612de5u, 0x3f7dfd1du, 0x3eec1102u, 0x3daa6d20u, 0x3e36b6a4u, 0x3ebc1ffcu,
                              0x3f11517eu, 0x3eacdacau, 0x3e590888u}) {
    x.push_back(std::bit_cast<float>(bits));
  }
  const Tensor t = row(x);
  const Result<Tensor> amax = kept_amax(view_of(t), {});
  const Result<QuantizedTensor> q = tensor_quant(view_of(t), *amax);
  ASSERT_TRUE(q);
  EXPECT_EQ(q->values.dtype(), DType::s8);
  EXPECT_EQ(floats(q->values), (Floats{126, 113, 127, 59, 11, 23, 47, 73, 43, 27}));
  EXPECT_EQ(q->scale.at<float>(0), 128.00568f);
  const Floats y = floats(*fake_tensor_quant(view_of(t), *amax));
  EXPECT_EQ(y, (Floats{0.98433137f, 0.88277334f, 0.9921435f, 0.46091706f, 0.08593369f, 0.17967953f, 0.36717123f,
                       0.5702872f, 0.3359226f, 0.21092814f}));
  EXPECT_EQ(std::bit_cast<uint32_t>(y[2]), 0x3f7dfd1eu) << "one ulp above the maximum";
}

TEST(TensorQuant, ties_go_to_even_and_are_clamped_afterwards) {  // case 3
  EXPECT_EQ(quant({0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, 127.5f, -127.5f, -128.5f}, 127),
            (Floats{0, 2, 2, 0, -2, -2, 126, 127, -127, -127}));
  EXPECT_EQ(quant({127.5f, -127.5f, -128.5f, -130}, 127, {.narrow_range = false}), (Floats{127, -128, -128, -128}));
}

TEST(TensorQuant, full_range_has_one_more_level) {  // case 4, D6
  EXPECT_EQ(quant({-1, -0.5f, 0, 0.3f, 1}, 1), (Floats{-127, -64, 0, 38, 127}));
  EXPECT_EQ(quant({-1.004f, -2}, 1, {.narrow_range = false}), (Floats{-128, -128}));
  EXPECT_EQ(fake({-2}, 1, {.narrow_range = false}), (Floats{-1.007874f}));
  EXPECT_EQ(quant({-130}, 127, {.narrow_range = false}), (Floats{-128}));
}

TEST(TensorQuant, amax_zero_and_the_toolkits_epsilon) {  // case 5, D7
  const float eps = 0x1p-24f, next = std::nextafter(eps, 1.0f);
  for (const float amax : {0.0f, eps}) {
    const Tensor t = row({-1, 0, 1e-8f});
    const Result<QuantizedTensor> q = tensor_quant(view_of(t), scalar_f32(amax), {.ref_compat = true});
    ASSERT_TRUE(q);
    EXPECT_EQ(floats(q->values), (Floats{0, 0, 0})) << amax;
    EXPECT_TRUE(std::signbit(q->values.at<float>(0)));
    EXPECT_EQ(q->scale.at<float>(0), 1.0f);
  }
  EXPECT_EQ(quant({-1}, next, {.ref_compat = true}), (Floats{-127}));
  // Better: only zero is zero, and what has no finite scale.
  EXPECT_EQ(quant({-1, eps, eps / 2}, eps), (Floats{-127, 127, 64}));
  EXPECT_EQ(quant({-1, 1}, 0), (Floats{0, 0}));
  EXPECT_EQ(fake({-1, 1}, 1e-40f), (Floats{0, 0}));
}

TEST(TensorQuant, per_channel_amax_is_broadcast) {  // case 6
  const Tensor x = f32_tensor({2, 2}, Floats{1, 2, 3, 4});
  const Result<QuantizedTensor> q = tensor_quant(view_of(x), f32_tensor({2, 1}, Floats{2, 0}));
  ASSERT_TRUE(q);
  EXPECT_EQ(floats(q->values), (Floats{64, 127, 0, 0}));
  EXPECT_EQ(floats(q->scale), (Floats{63.5f, 1}));
  EXPECT_EQ(q->scale.dims(), (Dims{2, 1}));
  const Result<QuantizedTensor> last = tensor_quant(view_of(x), row({2, 8}));  // a row matches the last dimension
  EXPECT_EQ(floats(last->values), (Floats{64, 32, 127, 64}));
}

TEST(TensorQuant, errors_in_the_toolkits_order) {  // case 7
  EXPECT_THAT(error_of({-1}, {1}, {.is_unsigned = true}),
              HasSubstr("Negative values encountered in unsigned quantization."));
  EXPECT_THAT(error_of({1}, {-1}, {}), HasSubstr("Negative values in amax"));
  EXPECT_THAT(error_of({-1}, {-1}, {.is_unsigned = true}), HasSubstr("unsigned quantization"));
  EXPECT_EQ(error_of({-0.0f, k_nan}, {1}, {.is_unsigned = true}), "") << "neither -0 nor NaN is negative";
  EXPECT_THAT(error_of({1, 2, 3}, {1, 2}, {}), HasSubstr("amax [2] does not broadcast to the input [3]"));
  const Tensor x = s64_tensor({1}, std::vector<int64_t>{1});
  EXPECT_THAT(tensor_quant(view_of(x), scalar_f32(1)).error().message, HasSubstr("the input is s64"));
}

TEST(TensorQuant, a_non_finite_amax_is_refused_by_default_only) {  // D5
  for (const float amax : {k_infinity, k_nan}) {
    EXPECT_THAT(error_of({1}, {amax}, {}), HasSubstr("a finite amax is expected"));
    EXPECT_TRUE(std::isnan(fake({1}, amax, {.ref_compat = true})[0]));
  }
}

TEST(TensorQuant, bits_out_of_range_are_refused_by_default_only) {  // D12
  for (const int bits : {0, 1, 17}) EXPECT_THAT(error_of({1}, {1}, {.num_bits = bits}), HasSubstr("expected 2 to 16"));
  EXPECT_THAT(error_of({1}, {1}, {.num_bits = 0, .is_unsigned = true}), HasSubstr("expected 1 to 16"));
  EXPECT_EQ(fake({0.3f, -1}, 0.75f, {.num_bits = 0, .ref_compat = true}), (Floats{0.75f, 0.75f}));
  EXPECT_TRUE(std::isnan(fake({0.3f}, 0.75f, {.num_bits = 1, .ref_compat = true})[0]));
}

TEST(TensorQuant, few_bits) {  // case 10
  const Floats x = {-1, -0.5f, 0, 0.3f, 1};
  EXPECT_EQ(fake(x, 1, {.num_bits = 2}), (Floats{-1, 0, 0, 0, 1}));
  EXPECT_EQ(fake(x, 1, {.num_bits = 3}), (Floats{-1, -0.6666667f, 0, 0.33333334f, 1}));
  EXPECT_EQ(fake({1, 0.5f, 0, 0.3f, 1}, 1, {.num_bits = 1, .is_unsigned = true}), (Floats{1, 0, 0, 0, 1}));
}

TEST(TensorQuant, codes_have_the_smallest_dtype_that_holds_them) {
  const Tensor x = row({1});
  const auto dtype = [&](int bits, bool is_unsigned) {
    return tensor_quant(view_of(x), scalar_f32(1), {.num_bits = bits, .is_unsigned = is_unsigned})->values.dtype();
  };
  EXPECT_EQ(dtype(8, false), DType::s8);
  EXPECT_EQ(dtype(9, false), DType::s16);
  EXPECT_EQ(dtype(8, true), DType::u8);
  EXPECT_EQ(dtype(16, true), DType::u16);
  EXPECT_EQ(quant({1}, 1, {.num_bits = 16, .is_unsigned = true}), (Floats{65535}));
  EXPECT_EQ(quant({-1}, 1, {.num_bits = 16, .narrow_range = false}), (Floats{-32767}));
}

TEST(TensorQuant, nan_stays_and_infinities_saturate) {  // case 11
  const Floats q = quant({k_nan, 1, k_infinity, -k_infinity}, 1, {.ref_compat = true});
  EXPECT_TRUE(std::isnan(q[0]));
  EXPECT_EQ((Floats{q.begin() + 1, q.end()}), (Floats{127, 127, -127}));
  EXPECT_EQ(quant({k_nan, k_infinity}, 1), (Floats{0, 127})) << "an integer has no NaN";
}

TEST(TensorQuant, half_rounds_the_scale_in_compat_only) {  // case 8, D8
  const auto halves = [](const Floats& values) {
    std::vector<uint16_t> bits;
    for (const float v : values) bits.push_back(float_to_half(v));
    return Tensor::from<uint16_t>(DType::f16, {static_cast<int64_t>(bits.size())}, bits);
  };
  const Tensor x = halves({-1, -0.5f, 0, 0.3f, 1});
  EXPECT_EQ(floats(tensor_quant(view_of(x), scalar_f32(1), {.ref_compat = true})->values),
            (Floats{-127, -64, 0, 38, 127}));
  const Tensor tiny = halves({1e-4f}).reshaped({});
  const Result<QuantizedTensor> refused = tensor_quant(view_of(x), tiny, {.ref_compat = true});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("scale is too large for FP16 with amax="));
  for (const float v : floats(*fake_tensor_quant(view_of(x), tiny, {.ref_compat = true}))) EXPECT_EQ(v, 0.0f);
  const Floats better = floats(*fake_tensor_quant(view_of(x), tiny));
  EXPECT_NEAR(better[0], -1e-4f, 1e-7f);
  EXPECT_EQ(fake_tensor_quant(view_of(x), tiny)->dtype(), DType::f16);
}

TEST(TensorQuant, three_formulas) {  // case 9
  struct Case {
    float amax, scale, x;
    int toolkit, reciprocal, onnx;
  };
  for (const Case c : {Case{6, 0.04724409431219101f, 0.16535432636737823f, 3, 3, 4},
                       Case{0.9921434522f, 0.9921434522f / 127, 0.01171822939068079f, 1, 2, 2},
                       Case{1, 1.0f / 127, 0.6889763474464417f, 87, 87, 88}}) {
    const Tensor x = row({c.x});
    EXPECT_EQ(quant({c.x}, c.amax)[0], static_cast<float>(c.toolkit));
    EXPECT_EQ(floats(*onnx_quantize(view_of(x), scalar_f32(c.scale)))[0], static_cast<float>(c.onnx));
    EXPECT_EQ(floats(*torch_fake_quantize(view_of(x), scalar_f32(c.scale)))[0],
              static_cast<float>(c.reciprocal) * c.scale);
  }
}

TEST(TensorQuant, gradient_passes_inside_amax_bounds_included) {  // case 12
  const Tensor x = row({-1.1f, -1, -0.5f, 0, 1, 1.0000001f, k_nan, k_infinity}), dy = row({1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(floats(*tensor_quant_backward(view_of(x), scalar_f32(1), view_of(dy))), (Floats{0, 2, 3, 4, 5, 0, 0, 0}));
  const Tensor m = f32_tensor({2, 2}, Floats{1, 2, 3, 4}), g = f32_tensor({2, 2}, Floats{1, 2, 3, 4});
  EXPECT_EQ(floats(*tensor_quant_backward(view_of(m), f32_tensor({2, 1}, Floats{1.5f, 3}), view_of(g))),
            (Floats{1, 0, 3, 0}));
}

TEST(TensorQuant, any_strides_and_any_output) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  Floats values(5 * 7 * 6);
  for (float& v : values) v = normal(random);
  const Tensor dense = f32_tensor({5, 7, 6}, values);
  const Tensor amax = f32_tensor({1, 7, 1}, Floats{1, 2, 0.5f, 3, 0, 1.5f, 2.5f});
  const Floats wanted = floats(*fake_tensor_quant(view_of(dense), amax));
  // The same tensor with dimensions 0 and 2 stored the other way round, every second element used.
  Floats stored(5 * 7 * 6 * 2, 99.0f);
  TensorView turned{DType::f32, {5, 7, 6}, {2, 2 * 5, 2 * 5 * 7}, reinterpret_cast<std::byte*>(stored.data())};
  const auto at = [&](int64_t i, int64_t j, int64_t k) { return static_cast<size_t>(2 * i + 10 * j + 70 * k); };
  for (int64_t i = 0, n = 0; i < 5; ++i)
    for (int64_t j = 0; j < 7; ++j)
      for (int64_t k = 0; k < 6; ++k, ++n) stored[at(i, j, k)] = values[static_cast<size_t>(n)];
  EXPECT_EQ(floats(*fake_tensor_quant(turned, amax)), wanted);
  ASSERT_TRUE(fake_tensor_quant_into(turned, amax, {}, turned)) << "in place";
  for (int64_t i = 0, n = 0; i < 5; ++i)
    for (int64_t j = 0; j < 7; ++j)
      for (int64_t k = 0; k < 6; ++k, ++n) ASSERT_EQ(stored[at(i, j, k)], wanted[static_cast<size_t>(n)]);
  for (size_t i = 1; i < stored.size(); i += 2) ASSERT_EQ(stored[i], 99.0f) << "between the elements";
}

TEST(TensorQuant, any_order_of_dimensions_in_memory) {
  // Long enough for the strips that a transposed read is cut into, and for what is left of them.
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  const Dims dims = {130, 3, 70};
  Floats values(130 * 3 * 70);
  for (float& v : values) v = normal(random);
  const Tensor dense = f32_tensor(dims, values);
  std::vector<size_t> order = {0, 1, 2};
  do {
    TensorView x = view_of(dense);
    for (size_t d = 0; d < 3; ++d) {
      x.dims[d] = dims[order[d]];
      x.strides[d] = view_of(dense).strides[order[d]];
    }
    const Tensor moved = *dense_copy(x);
    for (const std::vector<int64_t>& axes :
         {std::vector<int64_t>{}, {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}) {
      const Tensor amax = *kept_amax(x, axes);
      ASSERT_EQ(amax, *kept_amax(view_of(moved), axes));
      ASSERT_EQ(*fake_tensor_quant(x, amax), *fake_tensor_quant(view_of(moved), amax));
      Floats out(values.size());
      TensorView y = x;  // written in the order in which x lies
      y.data = reinterpret_cast<std::byte*>(out.data());
      ASSERT_TRUE(fake_tensor_quant_into(x, amax, {}, y));
      ASSERT_EQ(*dense_copy(y), *fake_tensor_quant(view_of(moved), amax));
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(TensorQuant, empty_and_rank_0) {
  EXPECT_EQ(quant({}, 1), Floats{});
  const Tensor x = scalar_f32(0.5f);
  EXPECT_EQ(floats(*fake_tensor_quant(view_of(x), scalar_f32(0.5f))), (Floats{0.5f}));
}

TEST(AffineQuant, the_grid_nearest_the_range) {  // case 13
  const auto affine = [](const Floats& x, float lo, float hi, int bits) {
    const Tensor t = row(x);
    return floats(*fake_affine_tensor_quant(view_of(t), lo, hi, {.num_bits = bits}));
  };
  EXPECT_EQ(affine({-128, -7, 0, 3, 127}, -128, 127, 8), (Floats{-128, -7, 0, 3, 127}));
  EXPECT_EQ(affine({-0.1f, 0, 0.05f, 0.9f, 0.95f}, -0.1f, 0.9f, 4),
            (Floats{-0.13333334f, 0, 0.06666667f, 0.86666673f, 0.86666673f}));
  EXPECT_EQ(affine({-0.1f, 0, 0.05f, 0.9f, 0.95f}, -0.1f, 0.9f, 8),
            (Floats{-0.098039225f, 0, 0.050980397f, 0.8980393f, 0.90196085f}));
  EXPECT_EQ(affine({1, 2, 3, 4, 7}, 2, 5, 8), (Floats{2, 2, 3, 4, 5}));
}

TEST(AffineQuant, an_empty_range_is_refused_by_default_only) {  // D13
  const Tensor x = row({1});
  EXPECT_THAT(fake_affine_tensor_quant(view_of(x), 2, 2).error().message, HasSubstr("min < max is expected"));
  EXPECT_TRUE(std::isnan(floats(*fake_affine_tensor_quant(view_of(x), 2, 2, {.ref_compat = true}))[0]));
  EXPECT_EQ(floats(*fake_affine_tensor_quant(view_of(x), 2, 5.1f, {.include_zero = true}))[0], 1.0f);
}

TEST(E4m3, saturates_and_rounds_to_even) {  // case 14
  const Tensor x =
      row({0, 1, 448, 464, 465, 1e9f, k_infinity, k_nan, 0x1p-9f, 0x1p-10f, 1.01f * 0x1p-10f, 1e-8f, -300});
  Floats y = floats(*scaled_e4m3(view_of(x)));
  EXPECT_TRUE(std::isnan(y[7]));
  y[7] = 0;
  EXPECT_EQ(y, (Floats{0, 1, 448, 448, 448, 448, 448, 0, 0x1p-9f, 0, 0x1p-9f, 0, -288}));
  const Tensor z = row({0.2f, 0.4f, 0.6f, 0.8f, 1.2f});
  EXPECT_EQ(floats(*scaled_e4m3(view_of(z))), (Floats{0.203125f, 0.40625f, 0.625f, 0.8125f, 1.25f}));
  const Tensor w = row({-1.8f, 3});
  EXPECT_EQ(floats(*scaled_e4m3(view_of(w), scalar_f32(2))), (Floats{-1.8571428f, 2}));
  const Tensor v = row({0, 1e-9f, 1});
  EXPECT_EQ(floats(*scaled_e4m3(view_of(v), scalar_f32(0))), (Floats{0, 0, 0}));
  EXPECT_THAT(scaled_e4m3(view_of(v), {}, 5, 2).error().message, HasSubstr("Only support E=4 & M=3 for now"));
}

TEST(PactClip, a_bound_takes_the_gradient) {  // case 15
  const Tensor x = row({-2, -1, -0.3f, 0.5f, 1, 3}), dy = row({1, 2, 3, 4, 5, 6});
  const Tensor lo = scalar_f32(-1), hi = scalar_f32(1);
  const Result<Tensor> clipped = pact_clip(view_of(x), lo, hi);
  EXPECT_EQ(floats(*fake_tensor_quant(view_of(*clipped), scalar_f32(1))),
            (Floats{-1, -1, -0.2992126f, 0.503937f, 1, 1}));
  const Result<ClipGradients> g = pact_clip_backward(view_of(x), lo, hi, view_of(dy));
  ASSERT_TRUE(g);
  EXPECT_EQ(floats(g->dx), (Floats{0, 0, 3, 4, 0, 0}));
  EXPECT_EQ(g->dmin, 3.0f);
  EXPECT_EQ(g->dmax, 11.0f);
}

TEST(PactClip, bounds_of_many_numbers_need_not_be_learnable) {  // D14
  const Tensor x = row({-2, 2}), dy = row({1, 1}), lo = row({-1, -3}), hi = scalar_f32(1);
  EXPECT_EQ(floats(*pact_clip(view_of(x), lo, hi)), (Floats{-1, 1}));
  EXPECT_TRUE(pact_clip_backward(view_of(x), lo, hi, view_of(dy), {.learn_min = false}));
  const Result<ClipGradients> refused =
      pact_clip_backward(view_of(x), lo, hi, view_of(dy), {.learn_min = false, .learn_max = false, .ref_compat = true});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("Learnable min/max can only be scalar, got size [2]"));
}

TEST(ReduceAmax, keeps_unit_dims_that_were_not_reduced) {  // D26
  const Tensor x = f32_tensor({1, 3, 2}, Floats{1, -2, 3, 4, -6, 5});
  EXPECT_EQ(reduce_amax(view_of(x), {{2}}, false)->dims(), (Dims{1, 3}));
  EXPECT_EQ(reduce_amax(view_of(x), {{2}}, false, true)->dims(), (Dims{3}));
  EXPECT_EQ(floats(*reduce_amax(view_of(x), {{2}})), (Floats{2, 4, 6}));
  EXPECT_EQ(reduce_amax(view_of(x), {})->dims(), Dims{});
  EXPECT_THAT(reduce_amax(view_of(x), {{0, 1, 2, 0}}).error().message,
              HasSubstr("Cannot reduce more axes than tensor's dim."));
}

TEST(ReduceAmax, one_channel_keeps_its_shape) {  // D22
  const Tensor w = f32_tensor({1, 3}, Floats{1, -2, 1});
  EXPECT_EQ(kept_amax(view_of(w), {{0}})->dims(), (Dims{1, 1}));
  EXPECT_EQ(kept_amax(view_of(w), {{0}}, true)->dims(), Dims{});
}

TEST(TorchFakeQuantize, a_dead_channels_scale_is_refused_by_default_only) {  // D39
  const Tensor x = row({0, 1});
  EXPECT_THAT(torch_fake_quantize(view_of(x), scalar_f32(0)).error().message, HasSubstr("a positive normal number"));
  EXPECT_TRUE(std::isnan(floats(*torch_fake_quantize(view_of(x), scalar_f32(0), {}, true))[0]) ||
              floats(*torch_fake_quantize(view_of(x), scalar_f32(0), {}, true))[0] == 0.0f);
}

TEST(OnnxFormula, one_published_value) {  // ONNX, case 6
  const Tensor x = row({0.16535432636737823f});
  const Tensor s = scalar_f32(0.04724409431219101f);
  EXPECT_EQ(floats(*onnx_dequantize(*onnx_quantize(view_of(x), s), s)), (Floats{0.18897638f}));
  const Tensor nan = row({k_nan});
  EXPECT_EQ(floats(*onnx_quantize(view_of(nan), s, {3, 0, 255})), (Floats{3}));
}

}  // namespace
}  // namespace octet
