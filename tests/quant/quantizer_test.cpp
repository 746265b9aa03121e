// TensorQuantizer: the hand-checked cases of docs/toolkit_behaviour.md, each state of the machine, errors by message.

#include "quant/quantizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant/weights.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;

Tensor row(const Floats& values) { return f32_tensor({static_cast<int64_t>(values.size())}, values); }
Tensor square(const Floats& values) { return f32_tensor({2, 2}, values); }

Floats floats(const Tensor& t) {
  Floats out;
  for (const double v : to_doubles(t)) out.push_back(static_cast<float>(v));
  return out;
}

TensorQuantizer made(const QuantDescriptor& d = {}, const QuantizerOptions& o = {}) {
  Result<TensorQuantizer> q = TensorQuantizer::make(d, o);
  EXPECT_TRUE(q) << (q ? "" : q.error().message);
  return *std::move(q);
}

Floats run(TensorQuantizer& q, const Tensor& x) {
  const Result<Tensor> y = q.forward(view_of(x));
  EXPECT_TRUE(y) << (y ? "" : y.error().message);
  return y ? floats(*y) : Floats{};
}

TEST(TensorQuantizer, default_is_dynamic_and_full_range) {  // case 1
  TensorQuantizer q = made();
  EXPECT_EQ(run(q, square({1, -2, 3, -4})), (Floats{1.007874f, -2.015748f, 2.992126f, -4}));
}

TEST(TensorQuantizer, real_quantization_gives_integers_and_keeps_the_scale) {  // case 2
  TensorQuantizer by_column = made({.fake_quant = false, .axis = {{1}}}),
                  by_row = made({.fake_quant = false, .axis = {{0}}});
  EXPECT_FALSE(by_column.scale());
  EXPECT_EQ(run(by_column, square({1, -2, 3, -4})), (Floats{42, -64, 127, -127}));
  EXPECT_EQ(run(by_row, square({1, -2, 3, -4})), (Floats{64, -127, 95, -127}));
  EXPECT_EQ(floats(*by_row.scale()), (Floats{63.5f, 31.75f}));
  EXPECT_EQ(by_row.scale()->dims(), (Dims{2, 1}));
}

TEST(TensorQuantizer, narrow_and_full_range) {  // case 3, D11
  const Tensor x = row({-1.1f, -1.004f, 1.1f});
  TensorQuantizer full = made({.amax = scalar_f32(1)}), narrow = made({.amax = scalar_f32(1), .narrow_range = true});
  EXPECT_EQ(run(full, x), (Floats{-1.007874f, -1.007874f, 1}));
  EXPECT_EQ(run(narrow, x), (Floats{-1, -1, 1}));
  const QuantDescriptor real{.fake_quant = false, .amax = scalar_f32(1)};
  TensorQuantizer toolkit = made(real, {.ref_compat = true}), octet = made(real);
  EXPECT_EQ(run(toolkit, x), (Floats{-127, -127, 127})) << "the toolkit's integers are always narrow";
  EXPECT_EQ(run(octet, x), (Floats{-128, -128, 127}));
}

TEST(TensorQuantizer, pre_quant_scale_acts_when_disabled_too) {  // case 4, D19
  TensorQuantizer q = made({.amax = scalar_f32(127)});
  q.set_pre_quant_scale(scalar_f32(2));
  const Tensor x = row({0, 0.4f, 1.1f, 2});
  EXPECT_EQ(run(q, x), (Floats{0, 1, 2, 4}));
  q.disable();
  EXPECT_EQ(run(q, x), (Floats{0, 0.8f, 2.2f, 4}));
  EXPECT_EQ(q.text(), "disabled pre_quant_scale");
  EXPECT_TRUE(q.pre_quant_scale());
}

TEST(TensorQuantizer, errors_of_the_state_machine) {  // case 5
  TensorQuantizer q = made({.name = "conv1"});
  EXPECT_THAT(q.load_calib_amax().error().message, HasSubstr("conv1: Calibrator returned None."));
  ASSERT_TRUE(q.set_amax(scalar_f32(1)));
  EXPECT_THAT(q.set_amax(row({1, 2})).error().message, HasSubstr("Changing shape when setting amax is not allowed."));
  EXPECT_THAT(q.enable_clip().error().message, HasSubstr("learn_amax is False. Cannot enable clip."));
  EXPECT_THAT(TensorQuantizer::make({}, {.if_clip = true}).error().message, HasSubstr("Cannot enable clip."));
  EXPECT_THAT(q.init_learn_amax().error().message, HasSubstr("learn_amax=False"));
  EXPECT_THAT(TensorQuantizer::make({.amax = row({1, 2}), .learn_amax = true}).error().message,
              HasSubstr("must be scalar for initilizing learnable range"));
  EXPECT_THAT(TensorQuantizer::make({.calib_method = "histo"}).error().message,
              HasSubstr("expected max or histogram"));  // D15
  EXPECT_THAT(TensorQuantizer::make({.axis = {{0}}, .calib_method = "histogram"}).error().message,
              HasSubstr("only supports per tensor scaling"));
  EXPECT_THAT(made({.axis = {{2}}}).forward(view_of(square({1, 2, 3, 4}))).error().message,
              HasSubstr("axis 2 does not exist"));
}

TEST(TensorQuantizer, learned_bounds_clip_first_and_the_larger_sets_the_scale) {  // case 6
  TensorQuantizer q = made({.learn_amax = true});
  ASSERT_TRUE(q.set_clip(-0.5f, 1));
  const Tensor x = row({-2, -1, -0.3f, 0.5f, 1, 3}), dy = row({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run(q, x), (Floats{-0.503937f, -0.503937f, -0.2992126f, 0.503937f, 1, 1}));
  const Result<QuantizerGradients> g = q.backward(view_of(x), view_of(dy));
  ASSERT_TRUE(g);
  EXPECT_EQ(floats(g->dx), (Floats{0, 0, 3, 4, 0, 0}));
  EXPECT_EQ(*g->dmin, 3.0f);
  EXPECT_EQ(*g->dmax, 11.0f);
  q.disable_quant();
  EXPECT_EQ(run(q, x), (Floats{-0.5f, -0.5f, -0.3f, 0.5f, 1, 1})) << "the clip alone";
  q.disable_clip();
  EXPECT_EQ(run(q, x), floats(x));
}

TEST(TensorQuantizer, init_learn_amax_takes_the_largest) {
  TensorQuantizer q = made({.learn_amax = true});
  EXPECT_EQ(*q.clip_max(), 1.0f);
  EXPECT_THAT(q.init_learn_amax().error().message, HasSubstr("needs an amax"));
  ASSERT_TRUE(q.set_amax(row({0.5f, 3, 2})));
  ASSERT_TRUE(q.init_learn_amax());
  EXPECT_EQ(*q.clip_min(), -3.0f);
  EXPECT_EQ(*q.clip_max(), 3.0f);
}

TEST(TensorQuantizer, texts_of_the_toolkit) {  // case 7
  EXPECT_EQ(made().text(), "8bit fake per-tensor amax=dynamic calibrator=MaxCalibrator scale=1.0 quant");
  EXPECT_EQ(made({.axis = {{0}}, .amax = f32_tensor({2, 1}, Floats{0.7f, 1.5f})}).text(),
            "8bit fake axis=0 amax=[0.7000, 1.5000](2) calibrator=MaxCalibrator scale=1.0 quant");
  EXPECT_EQ(made({.scale_amax = 0.5, .calib_method = "histogram", .is_unsigned = true, .narrow_range = true}).text(),
            "unsigned 8bit narrow fake per-tensor amax=dynamic *0.5 calibrator=HistogramCalibrator scale=1.0 quant");
  EXPECT_EQ(made({}, {.disabled = true}).text(), "disabled");
  EXPECT_EQ(made({.learn_amax = true}, {.if_quant = false, .if_calib = true}).text(),
            "8bit fake per-tensor amax=dynamic learned calibrator=MaxCalibrator scale=1.0 clip calib");
}

TEST(TensorQuantizer, state_has_the_toolkits_names) {  // case 8
  TensorQuantizer q = made({.amax = scalar_f32(2), .learn_amax = true});
  q.set_pre_quant_scale(row({1, 2}));
  StateDict state;
  q.add_state("conv1._input_quantizer.", state);
  EXPECT_EQ(state.size(), 4u);
  EXPECT_EQ(floats(state.at("conv1._input_quantizer._amax")), (Floats{2}));
  EXPECT_EQ(floats(state.at("conv1._input_quantizer._pre_quant_scale")), (Floats{1, 2}));
  EXPECT_EQ(floats(state.at("conv1._input_quantizer.clip.clip_value_min")), (Floats{-2}));
  EXPECT_EQ(floats(state.at("conv1._input_quantizer.clip.clip_value_max")), (Floats{2}));

  TensorQuantizer fresh = made({.learn_amax = true});
  ASSERT_TRUE(fresh.load_state("conv1._input_quantizer.", state));
  EXPECT_EQ(floats(*fresh.amax()), (Floats{2})) << "created, as it was absent";
  EXPECT_EQ(*fresh.clip_min(), -2.0f);
  const Tensor x = row({0.3f, 1.7f});
  EXPECT_EQ(run(fresh, x), run(q, x));
}

TEST(TensorQuantizer, state_that_lacks_a_tensor_is_an_error_when_strict) {
  TensorQuantizer q = made({.amax = scalar_f32(2)});
  EXPECT_THAT(q.load_state("fc.", {}).error().message, HasSubstr("the state lacks fc._amax"));
  EXPECT_TRUE(q.load_state("fc.", {}, /*strict=*/false));
  EXPECT_THAT(q.load_state("fc.", {{"fc._amax", row({1, 2})}}).error().message, HasSubstr("fc._amax: Changing shape"));
  EXPECT_THAT(q.load_state("fc.", {{"fc._amax", scalar_f32(std::nanf(""))}}).error().message,
              HasSubstr("finite numbers"));
}

TEST(TensorQuantizer, calibration_sees_the_float_input_while_quantization_is_on) {
  TensorQuantizer q = made({.amax = scalar_f32(1)}, {.if_calib = true});
  EXPECT_EQ(run(q, row({3, -5})), (Floats{1, -1.007874f}));
  ASSERT_TRUE(q.load_calib_amax());
  EXPECT_EQ(floats(*q.amax()), (Floats{5}));
}

TEST(TensorQuantizer, histogram_calibration_by_every_method) {
  Floats data;
  for (int i = 0; i < 1000; ++i) data.push_back(static_cast<float>(i % 100));
  TensorQuantizer q = made({.calib_method = "histogram"}, {.if_quant = false, .if_calib = true});
  run(q, row(data));
  EXPECT_THAT(q.load_calib_amax().error().message, HasSubstr("Unknown calibration method ''"));
  ASSERT_TRUE(q.load_calib_amax({.method = "percentile", .percentile = 90}));
  EXPECT_EQ(floats(*q.amax()), (Floats{89}));
  for (const char* method : {"max", "entropy"}) {
    ASSERT_TRUE(q.load_calib_amax({.method = method}));
    EXPECT_EQ(floats(*q.amax()), (Floats{99})) << method;
  }
  ASSERT_TRUE(q.load_calib_amax({.method = "mse"}));
}

TEST(TensorQuantizer, scale_amax_is_not_written_back) {
  TensorQuantizer q = made({.amax = scalar_f32(2), .scale_amax = 0.5});
  EXPECT_EQ(run(q, row({2, 0.5f})), (Floats{1, 0.503937f}));
  EXPECT_EQ(floats(*q.amax()), (Floats{2}));
  EXPECT_EQ(floats(*q.step_size()), (Floats{2.0f / 127}));
  EXPECT_EQ(q.maxbound(), 127.0f);
  EXPECT_EQ(made({.num_bits = NumBits::e4m3()}).maxbound(), 448.0f);
  EXPECT_EQ(made({.num_bits = 4, .is_unsigned = true}).maxbound(), 15.0f);
}

TEST(TensorQuantizer, a_negative_axis_counts_from_the_end) {  // D9
  const Tensor x = square({1, -2, 3, -4});
  TensorQuantizer last = made({.axis = {{-1}}}), second = made({.axis = {{1}}});
  TensorQuantizer toolkit = made({.axis = {{-1}}}, {.ref_compat = true}), whole = made();
  EXPECT_EQ(run(last, x), run(second, x));
  EXPECT_EQ(run(toolkit, x), run(whole, x)) << "the toolkit falls back to the whole tensor";
}

TEST(TensorQuantizer, a_list_of_amax_belongs_to_the_axis) {  // D10
  const Tensor x = square({1, 1, 2, 2});
  const QuantDescriptor d{.axis = {{0}}, .amax = row({1, 2})};
  TensorQuantizer octet = made(d), toolkit = made(d, {.ref_compat = true});
  EXPECT_EQ(run(octet, x), (Floats{1, 1, 2, 2}));
  EXPECT_EQ(run(toolkit, x), (Floats{1, 1.007874f, 1, 2})) << "the toolkit matches the last axis and clips";
  const Tensor three = f32_tensor({3, 2}, Floats{1, 1, 1, 1, 1, 1});
  EXPECT_THAT(octet.forward(view_of(three)).error().message,
              HasSubstr("amax has 2 elements, axis 0 of the input [3,2] has 3"));
}

TEST(TensorQuantizer, bits_set_later_reach_the_calibrator) {  // D18
  Floats tail;
  for (int i = 0; i < 4000; ++i) tail.push_back(0.5f / static_cast<float>(1 + i % 1000));
  const auto calibrated = [&](bool ref_compat, bool set_later) {
    TensorQuantizer q = made({.num_bits = set_later ? 8 : 4, .calib_method = "histogram"},
                             {.if_quant = false, .if_calib = true, .ref_compat = ref_compat});
    if (set_later) {
      EXPECT_TRUE(q.set_num_bits(4));
    }
    run(q, row(tail));
    EXPECT_TRUE(q.load_calib_amax({.method = "mse", .start_bin = 8}));
    return floats(*q.amax())[0];
  };
  EXPECT_EQ(calibrated(false, true), calibrated(false, false));
  EXPECT_NE(calibrated(true, true), calibrated(true, false)) << "the toolkit's calibrator keeps its own copy";
}

TEST(TensorQuantizer, amax_stays_after_loading) {  // D21
  const auto after_more_data = [](bool ref_compat) {
    TensorQuantizer q = made({}, {.if_quant = false, .if_calib = true, .ref_compat = ref_compat});
    run(q, row({4}));
    EXPECT_TRUE(q.load_calib_amax());
    run(q, row({40}));
    return floats(*q.amax())[0];
  };
  EXPECT_EQ(after_more_data(false), 4.0f);
  EXPECT_EQ(after_more_data(true), 40.0f);
}

TEST(TensorQuantizer, one_channel_keeps_one_shape) {           // D22
  const Tensor weight = f32_tensor({1, 3}, Floats{1, -2, 1});  // Linear(3, 1)
  TensorQuantizer q = made(k_quant_desc_8bit_linear_weight_per_row, {.if_quant = false, .if_calib = true});
  run(q, weight);
  ASSERT_TRUE(q.load_calib_amax());
  EXPECT_EQ(q.amax()->dims(), (Dims{1, 1}));
  const WeightSlot slot{"fc._weight_quantizer", view_of(weight), &q};
  EXPECT_TRUE(calibrate_weights({&slot, 1}, {.method = "max"}));
  EXPECT_TRUE(q.set_amax(scalar_f32(2))) << "a number without dimensions is accepted";
  EXPECT_EQ(q.amax()->dims(), (Dims{1, 1}));

  TensorQuantizer toolkit =
      made(k_quant_desc_8bit_linear_weight_per_row, {.if_quant = false, .if_calib = true, .ref_compat = true});
  run(toolkit, weight);
  ASSERT_TRUE(toolkit.load_calib_amax());
  EXPECT_EQ(toolkit.amax()->dims(), Dims{});
  EXPECT_THAT(toolkit.set_amax(f32_tensor({1, 1}, Floats{2})).error().message, HasSubstr("Changing shape"));
}

TEST(TensorQuantizer, nothing_seen_leaves_it_uncalibrated_not_nan) {  // D5
  TensorQuantizer octet = made(), toolkit = made({}, {.ref_compat = true});
  ASSERT_TRUE(octet.load_calib_amax({}, /*strict=*/false));
  EXPECT_FALSE(octet.amax());
  ASSERT_TRUE(toolkit.load_calib_amax({}, /*strict=*/false));
  EXPECT_TRUE(std::isnan(toolkit.amax()->at<float>(0)));
  EXPECT_THAT(octet.set_amax(scalar_f32(std::numeric_limits<float>::infinity())).error().message,
              HasSubstr("finite numbers"));
}

TEST(Weights, in_place_is_stable_and_strided) {
  Floats stored = {1, 9, -2, 9, 0.3f, 9, 4, 9};  // every second element is a weight: [2,2]
  const TensorView weight{DType::f32, {2, 2}, {4, 2}, reinterpret_cast<std::byte*>(stored.data())};
  TensorQuantizer q = made(k_quant_desc_8bit_linear_weight_per_row);
  const WeightSlot slot{"fc._weight_quantizer", weight, &q};
  ASSERT_TRUE(calibrate_weights({&slot, 1}, {.method = "max"}));
  EXPECT_EQ(floats(*q.amax()), (Floats{2, 4}));
  ASSERT_TRUE(quantize_weights_in_place({&slot, 1}));
  const Floats once = stored;
  EXPECT_EQ(once, (Floats{1.007874f, 9, -2, 9, 0.31496063f, 9, 4, 9}));
  ASSERT_TRUE(quantize_weights_in_place({&slot, 1}));
  EXPECT_EQ(stored, once);
  TensorQuantizer real = made({.fake_quant = false, .axis = {{0}}});
  const WeightSlot codes{"fc._weight_quantizer", weight, &real};
  EXPECT_THAT(quantize_weights_in_place({&codes, 1}).error().message,
              HasSubstr("fc._weight_quantizer: its quantizer gives integers"));
}

TEST(Weights, methods_and_errors) {  // D33, D34
  Floats values(64 * 40);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(static_cast<float>(i)) * static_cast<float>(1 + i % 7);
  const Tensor gates = f32_tensor({64, 40}, values);  // an LSTM's joined matrix: a weight like any other
  for (const char* method : {"max", "entropy", "percentile", "mse"}) {
    const Result<Tensor> rows = weight_amax(gates, {.method = method});
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->dims(), (Dims{64, 1})) << method;
    const Result<Tensor> whole = weight_amax(gates, {.method = method, .per_channel = false});
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_EQ(whole->dims(), Dims{}) << method;
  }
  EXPECT_EQ(weight_amax(gates, {.method = "max", .axis = -1})->dims(), (Dims{1, 40}));
  EXPECT_THAT(weight_amax(gates, {.method = "mean"}).error().message, HasSubstr("Unsupported calibration method mean"));
  EXPECT_THAT(weight_amax(gates, {.method = "entropy", .ref_compat = true}).error().message,
              HasSubstr("Unsupported calibration method entropy"));
  EXPECT_FALSE(weight_amax(gates, {.method = "max", .per_channel = false, .ref_compat = true}));
  // Bins are honoured: two of them cannot place a percentile finely.
  const float coarse = weight_amax(gates, {.per_channel = false, .percentile = 60, .num_bins = 2})->at<float>(0);
  const float fine = weight_amax(gates, {.per_channel = false, .percentile = 60})->at<float>(0);
  EXPECT_NE(coarse, fine);
  const float two =
      weight_amax(gates, {.per_channel = false, .percentile = 60, .num_bins = 2, .ref_compat = true})->at<float>(0);
  EXPECT_EQ(
      two,
      weight_amax(gates, {.per_channel = false, .percentile = 60, .num_bins = 2048, .ref_compat = true})->at<float>(0))
      << "the toolkit's per-tensor histogram has 2048 bins whatever is asked";
}

}  // namespace
}  // namespace octet
