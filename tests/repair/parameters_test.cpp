// Repairs of scales, zero points, axes and weights.
#include "repair/float_form.h"
#include "repair/repairing.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

// ---- computed_parameters ----

TEST(ComputedParameters, a_chain_from_constants_becomes_a_constant) {
  expect_mended("computed_parameters",
                R"(graph (b: s32[2]) -> (y) { const s: f32[2] = {0.5, 2} const n: s64[1] = {2}
                   z0 = ConstantOfShape(n, value=tensor(s64[1], {0})) z = Cast(z0, to="s32") y = DequantizeLinear(b, s, z, axis=0) })",
                R"(graph (b: s32[2]) -> (y) { const s: f32[2] = {0.5, 2} const z_constant: s32[2] = {0, 0}
                   y = DequantizeLinear(b, s, z_constant, axis=0) })",
                {"y: zero point computed by ConstantOfShape, Cast -> s32[2] constant"});
}
TEST(ComputedParameters, a_scale_that_arithmetic_makes_becomes_a_constant) {
  expect_mended(
      "computed_parameters",
      R"(graph (x: f32[N,2]) -> (y) { const amax: f32[] = {6.35} const k: f32[] = {127} const z: s8[] = {0}
                   s = Div(amax, k) t = Identity(s) q = QuantizeLinear(x, t, z) y = DequantizeLinear(q, t, z) })",
      R"(graph (x: f32[N,2]) -> (y) { const t_constant: f32[] = {0.05} const t_constant_1: f32[] = {0.05} const z: s8[] = {0}
                   q = QuantizeLinear(x, t_constant, z) y = DequantizeLinear(q, t_constant_1, z) })",
      {"q: scale computed by Div, Identity -> f32 constant 0.05",
       "y: scale computed by Div, Identity -> f32 constant 0.05"});
}
TEST(ComputedParameters, a_double_scale_is_rounded_and_says_by_how_much) {
  const MendedGraph made =
      mended("computed_parameters", R"(graph (x: s8[N,2]) -> (y) { const s: f64[] = {0.1} const z: s8[] = {0}
                   y = DequantizeLinear(x, s, z) })");
  EXPECT_THAT(print(made.graph), HasSubstr("const s_constant: f32[] = {0.1}"));
  ASSERT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(made.rows[0].before, "scale f64 constant");
  EXPECT_EQ(made.rows[0].change, "rounded from double to float, by up to 1.49e-08 of a value");
}
TEST(ComputedParameters, a_computed_bias_becomes_a_constant) {
  const MendedGraph made =
      mended("computed_parameters", R"(graph (x: f32[N,2]) -> (y) { const s: f32[] = {0.1} const z: s8[] = {0}
      const w: s8[3,2] = {1,2,3,4,5,6} const b0: f64[3] = {1, 2, 3} b = Cast(b0, to="f32")
      q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) dw = DequantizeLinear(w, s, z) y = Gemm(d, dw, b, transB=1) })");
  EXPECT_THAT(print(made.graph), HasSubstr("const b_constant: f32[3] = {1, 2, 3}"));
}
TEST(ComputedParameters, what_depends_on_the_input_is_dynamic_and_stays) {
  expect_untouched("computed_parameters", R"(graph (x: f32[2]) -> (y) { const k: f32[] = {127} const z: s8[] = {0}
                   a = Abs(x) m = ReduceMax(a, keepdims=0) s = Div(m, k) q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) })");
}
TEST(ComputedParameters, a_float_graph_is_left_alone) {
  expect_untouched("computed_parameters",
                   R"(graph (x: f32[N,2]) -> (y) { const b0: f64[3] = {1, 2, 3} const w: f32[3,2] = {1,2,3,4,5,6}
      b = Cast(b0, to="f32") y = Gemm(x, w, b, transB=1) })");
}

// ---- scales of activations before a new calibration ----

TEST(ReplaceActivationScales, only_activations_and_only_what_is_no_scale) {
  Graph graph = broken(R"(graph (x: f32[N,2]) -> (y) { const s: f32[] = {0} const t: f32[] = {0.5} const z: s8[] = {0}
      const w: s8[2,2] = {1,2,3,4} q = QuantizeLinear(x, s, z) @q d = DequantizeLinear(q, s, z) @d dw = DequantizeLinear(w, s, z)
      m = MatMul(d, dw) p = QuantizeLinear(m, t, z) y = DequantizeLinear(p, t, z) })");
  RepairLog log;
  replace_activation_scales(graph, log);
  ASSERT_EQ(log.rows.size(), 2u);
  EXPECT_EQ(log.rows[0].node, "q");
  EXPECT_EQ(log.rows[1].node, "d");
  const std::string text = print(graph);
  EXPECT_THAT(text, HasSubstr("q = QuantizeLinear(x, s_replaced, z)"));
  EXPECT_THAT(text, HasSubstr("dw = DequantizeLinear(w, s, z)"));
  EXPECT_THAT(text, HasSubstr("p = QuantizeLinear(m, t, z)"));
  EXPECT_TRUE(repair(graph));  // mends the weight's
  EXPECT_TRUE(verify(graph));
}

// ---- scales ----

TEST(Scales, a_zero_scale_takes_the_median_and_its_codes_become_0) {
  expect_mended(
      "scales",
      R"(graph () -> (y) { const w: s8[4,2] = {1, 2, 3, 4, 5, 6, 7, 8} const s: f32[4] = {0.5, 0, 2, 1}
                   y = DequantizeLinear(w, s, axis=0) })",
      R"(graph () -> (y) { const w_mended: s8[4,2] = {1, 2, 0, 0, 5, 6, 7, 8} const s_mended: f32[4] = {0.5, 1, 2, 1}
                   y = DequantizeLinear(w_mended, s_mended, axis=0) })",
      {"y: 1 of 4 scales 0 -> positive scales, the same numbers"});
}
TEST(Scales, a_negative_scale_mirrors_the_codes) {
  expect_mended(
      "scales",
      R"(graph () -> (y) { const w: s8[2,2] = {1, -2, 127, 4} const s: f32[2] = {0.5, -2} const z: s8[2] = {0, 0}
                   y = DequantizeLinear(w, s, z, axis=0) })",
      R"(graph () -> (y) { const w_mended: s8[2,2] = {1, -2, -127, -4} const s_mended: f32[2] = {0.5, 2} const z: s8[2] = {0, 0}
                   y = DequantizeLinear(w_mended, s_mended, z, axis=0) })",
      {"y: 1 of 2 scales negative -> positive scales, the same numbers"});
}
TEST(Scales, the_lowest_code_has_no_mirror_image) {
  const MendedGraph made = mended(
      "scales", R"(graph () -> (y) { const w: s8[2] = {-128, 3} const s: f32[] = {-1} y = DequantizeLinear(w, s) })");
  EXPECT_THAT(print(made.graph), HasSubstr("const w_mended: s8[2] = {127, -3}"));
  EXPECT_EQ(made.rows.at(0).change, "a value at the lowest code moves by one step");
}
TEST(Scales, a_pair_with_one_negative_scale_rounds_as_with_the_positive_one) {
  const char* const before = R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {-0.5} const z: s8[] = {0}
      q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) })";
  expect_same_answers(before, mended("scales", before).graph, {20, 4}, 60.0f);
}
TEST(Scales, what_cannot_be_mended_is_named_by_the_verifier) {
  Graph graph = broken(R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0} const z: s8[] = {0}
      q = QuantizeLinear(x, s, z) @q y = DequantizeLinear(q, s, z) })");
  ASSERT_TRUE(repair(graph));
  const Result<Done> ok = verify(graph);
  ASSERT_FALSE(ok);
  EXPECT_EQ(ok.error().message,
            "node 'q' (QuantizeLinear): scale holds 0.000000, expected positive finite numbers\n"
            "node of 'y' (DequantizeLinear): scale holds 0.000000, expected positive finite numbers");
  Graph nan = broken(
      R"(graph () -> (y) { const w: s8[2] = {1, 2} const s: f32[2] = {nan, 1} y = DequantizeLinear(w, s, axis=0) @dw })");
  ASSERT_TRUE(repair(nan));
  EXPECT_FALSE(verify(nan));
}
TEST(ChannelAxis, that_fits_nothing_becomes_the_only_one_that_fits) {
  const MendedGraph made = mended("channel_axis", R"(graph (x: f32[1,3]) -> (y) { const w: s8[3,2] = {1,2,3,4,5,6}
      const s: f32[3] = {1,2,3} d = DequantizeLinear(w, s) y = MatMul(x, d) @fc })");
  EXPECT_THAT(print(made.graph), HasSubstr("d = DequantizeLinear(w, s, axis=0)"));
  ASSERT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(made.rows[0].change, "the only axis of the weight that the scales fit");
  Graph square = broken(R"(graph (x: f32[1,3]) -> (y) { const w: s8[3,3] = {1,2,3,4,5,6,7,8,9}
      const s: f32[2] = {1,2} d = DequantizeLinear(w, s) y = MatMul(x, d) })");
  ASSERT_TRUE(repair(square));
  EXPECT_FALSE(verify(square));
}
TEST(Scales, good_scales_stay) {
  expect_untouched("scales",
                   "graph () -> (y) { const w: s8[2] = {1, 2} const s: f32[] = {1} y = DequantizeLinear(w, s) }");
}

// ---- channel_axis ----

const std::string k_data =
    R"(const xs: f32[] = {0.5} const xz: s8[] = {0} q = QuantizeLinear(x, xs, xz) d = DequantizeLinear(q, xs, xz) )";

TEST(ChannelAxis, an_axis_that_does_not_fit_becomes_the_output_channels) {
  expect_mended(
      "channel_axis",
      "graph (x: f32[N,2,4,4]) -> (y) {" + k_data +
          R"(const w: s8[3,2,1,1] = {1,2,3,4,5,6} const s: f32[3] = {1,2,3} dw = DequantizeLinear(w, s) y = Conv(d, dw) @conv })",
      "graph (x: f32[N,2,4,4]) -> (y) {" + k_data +
          R"(const w: s8[3,2,1,1] = {1,2,3,4,5,6} const s: f32[3] = {1,2,3} dw = DequantizeLinear(w, s, axis=0) y = Conv(d, dw) @conv })",
      {"conv: 3 scales along axis 1, which has 2 channels -> along axis 0; the only axis of the output channels that "
       "the scales fit"});
}
TEST(ChannelAxis, on_a_square_weight_the_codes_tell_the_axis) {
  // Row 0 and row 1 both reach 127; column 0 does not.
  const MendedGraph made = mended(
      "channel_axis",
      "graph (x: f32[N,2,4,4]) -> (y) {" + k_data +
          R"(const w: s8[2,2,1,1] = {3,127,5,-127} const s: f32[2] = {1,2} dw = DequantizeLinear(w, s) y = Conv(d, dw) @conv })");
  ASSERT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(made.rows[0].change, "the weights fill their codes along axis 0 only, so that is what was meant");
  EXPECT_THAT(print(made.graph), HasSubstr("axis=0"));
}
TEST(ChannelAxis, float_weights_tell_it_by_their_largest_values) {
  const MendedGraph made =
      mended("channel_axis",
             "graph (x: f32[N,2]) -> (y) {" + k_data +
                 R"(const w: f32[2,2] = {1.27,0.2,0.3,-25.4} const s: f32[2] = {0.01,0.2} const z: s8[2] = {0,0}
         qw = QuantizeLinear(w, s, z, axis=0) dw = DequantizeLinear(qw, s, z, axis=0) y = Gemm(d, dw) @fc })");
  EXPECT_EQ(made.rows.size(), 0u) << "both axes fit the diagonal";
}
TEST(ChannelAxis, scales_that_truly_lie_along_the_input_channels_stay) {
  expect_untouched(
      "channel_axis",
      "graph (x: f32[N,2,4,4]) -> (y) {" + k_data +
          R"(const w: s8[2,2,1,1] = {127,1,2,127} const s: f32[2] = {1,2} dw = DequantizeLinear(w, s) y = Conv(d, dw) @conv })");
  expect_untouched(
      "channel_axis",
      "graph (x: f32[N,2,4,4]) -> (y) {" + k_data +
          R"(const w: s8[3,2,1,1] = {1,2,3,4,5,6} const s: f32[2] = {1,2} dw = DequantizeLinear(w, s) y = Conv(d, dw) @conv })");
}
TEST(ChannelAxis, a_right_axis_stays) {
  expect_untouched(
      "channel_axis",
      "graph (x: f32[N,2]) -> (y) {" + k_data +
          R"(const w: s8[2,3] = {1,2,3,4,5,6} const s: f32[3] = {1,2,3} dw = DequantizeLinear(w, s, axis=1) y = MatMul(d, dw) @mm })");
}

// ---- quantized_weights ----

TEST(QuantizedWeights, are_stored_as_codes) {
  expect_mended(
      "quantized_weights",
      R"(graph () -> (y) { const w: f32[2,2] = {0.3, -0.5, 100, 2} const s: f32[2] = {0.1, 0.5} const z: s8[2] = {0, 0}
                   q = QuantizeLinear(w, s, z, axis=0) @qw y = DequantizeLinear(q, s, z, axis=0) })",
      R"(graph () -> (y) { const w_quantized: s8[2,2] = {3, -5, 127, 4} const s: f32[2] = {0.1, 0.5} const z: s8[2] = {0, 0}
                   y = DequantizeLinear(w_quantized, s, z, axis=0) })",
      {"qw: f32[2,2] weight quantized at run time -> s8[2,2] codes behind DequantizeLinear"});
}
TEST(QuantizedWeights, activations_and_stored_codes_stay) {
  expect_untouched("quantized_weights",
                   R"(graph (x: f32[2,2]) -> (y, v) { const s: f32[] = {0.1} const z: s8[] = {0} const w: s8[2] = {1, 2}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) v = DequantizeLinear(w, s, z) })");
}

// ---- biases ----

const std::string k_layer =
    R"(graph (x: s8[N,2]) -> (y) { const xs: f32[] = {0.5} const w: s8[2,2] = {1,2,3,4} const ws: f32[2] = {0.25, 2}
   d = DequantizeLinear(x, xs) dw = DequantizeLinear(w, ws, axis=0) )";

TEST(Biases, a_float_bias_is_rounded_to_the_grid_once) {
  expect_mended("biases", k_layer + "const b: f32[2] = {0.3, -7.6} y = Gemm(d, dw, b, transB=1) @fc }",
                k_layer + R"(const b_s32: s32[2] = {2, -8} const b_grid: f32[2] = {0.125, 1}
                   b_on_grid = DequantizeLinear(b_s32, b_grid, axis=0) y = Gemm(d, dw, b_on_grid, transB=1) @fc })",
                {"fc: f32 bias -> s32 bias on the grid x_scale * w_scale; rounded once, by up to 0.4"});
}
TEST(Biases, a_float_bias_of_a_convolution_keeps_its_number_unless_a_residual_follows) {
  const std::string head =
      R"(graph (x: s8[N,2,4,4], r: f32[N,2,4,4]) -> (y) { const xs: f32[] = {0.5} const w: s8[2,2,1,1] = {1,2,3,4}
         const ws: f32[2] = {0.25, 2} const b: f32[2] = {0.3, -7.6} d = DequantizeLinear(x, xs)
         dw = DequantizeLinear(w, ws, axis=0) )";
  expect_untouched("biases", head + "c = Conv(d, dw, b) @conv y = Relu(c) }");
  const MendedGraph made = mended("biases", head + "c = Conv(d, dw, b) @conv y = Add(c, r) }");
  ASSERT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(made.rows[0].change, "rounded once, by up to 0.4");
}
TEST(Biases, a_uint8_bias_with_parameters_of_its_own_is_rounded_too) {
  const MendedGraph made =
      mended("biases", k_layer + R"(const b: u8[2] = {10, 250} const bs: f32[] = {0.1} const bz: u8[] = {128}
      db = DequantizeLinear(b, bs, bz) y = Gemm(d, dw, db, transB=1) @fc })");
  EXPECT_THAT(print(made.graph), HasSubstr("const db_s32: s32[2] = {-94, 12}"));
  EXPECT_EQ(made.rows.at(0).before, "u8 bias behind DequantizeLinear");
}
TEST(Biases, an_int32_bias_on_another_grid_is_rounded_and_one_on_the_grid_is_used_as_it_is) {
  EXPECT_EQ(mended("biases", k_layer + R"(const b: s32[2] = {10, 250} const bs: f32[] = {0.1}
      db = DequantizeLinear(b, bs) y = Gemm(d, dw, db, transB=1) @fc })")
                .rows.at(0)
                .before,
            "s32 bias behind DequantizeLinear");
  expect_untouched("biases", k_layer + R"(const b: s32[2] = {10, 250} const bs: f32[2] = {0.12500001, 1}
      db = DequantizeLinear(b, bs, axis=0) y = Gemm(d, dw, db, transB=1) @fc })");
}
TEST(Biases, a_float_bias_on_the_grid_and_one_too_large_for_it_stay) {
  expect_untouched("biases", k_layer + "const b: f32[2] = {0.375, -7} y = Gemm(d, dw, b, transB=1) @fc }");
  expect_untouched("biases", k_layer + "const b: f32[2] = {0.3, 3e9} y = Gemm(d, dw, b, transB=1) @fc }");
}
// 0.3 = 2.4 steps of 0.125, -7.6 = -7.6 steps of 1.
TEST(Biases, the_add_behind_a_matrix_product_is_a_bias) {
  const std::string head =
      R"(graph (x: s8[N,2]) -> (y) { const xs: f32[] = {0.5} const w: s8[2,2] = {1,2,3,4} const ws: f32[2] = {0.25, 2}
      const b: f32[2] = {0.3, -7.6} d = DequantizeLinear(x, xs) )";
  const std::string columns = "dw = DequantizeLinear(w, ws, axis=1) m = MatMul(d, dw) @fc ";
  const std::string rows = "t = DequantizeLinear(w, ws, axis=0) dw = Transpose(t, perm=[1,0]) m = MatMul(d, dw) @fc ";
  const std::string grid =
      "const b_s32: s32[2] = {2, -8} const b_grid: f32[2] = {0.125, 1} b_on_grid = DequantizeLinear(b_s32, b_grid, "
      "axis=0) ";
  const std::string row = "fc: f32 bias -> s32 bias on the grid x_scale * w_scale; rounded once, by up to 0.4";
  const auto without_b = [](std::string text) {
    return text.replace(text.find("const b: f32[2] = {0.3, -7.6}"), 29, "");
  };
  for (const std::string& product : {columns, rows}) {
    expect_mended("biases", head + product + "y = Add(m, b) }",
                  without_b(head) + product + grid + "y = Add(m, b_on_grid) }", {row});
    expect_mended("biases", head + product + "y = Add(b, m) }",
                  without_b(head) + product + grid + "y = Add(b_on_grid, m) }", {row});
    // Another reader of the product, a vector of another rank: the Add stays one, in float.
    expect_untouched("biases", head + product + "a = Add(m, b) y = Mul(a, m) }");
    expect_untouched("biases", head + product + "const c: f32[1,2] = {0.3, 1} a = Add(m, c) y = Add(a, b) }");
  }
  expect_untouched("biases", head + columns + "const c: f32[2] = {0.375, -7} e = Add(m, c) y = Add(e, b) }");
}
TEST(Biases, of_another_kind_of_layer_that_are_not_finite_are_told) {
  const auto left = [](const std::string& text) {
    Graph graph = broken(text);
    std::vector<std::string> notes;
    const Result<std::vector<RepairRow>> rows = repair(graph, {}, &notes);
    EXPECT_TRUE(rows && rows->empty()) << print(graph);
    return notes;
  };
  const std::string rest =
      "): its bias holds a NaN, for which ONNX's QuantizeLinear has no code: octet gives the zero point, other "
      "engines other codes";
  EXPECT_THAT(left(R"(graph (x: s8[N,2]) -> (y) { const xs: f32[] = {0.5} const w: s8[2,2] = {1,2,3,4}
      const ws: f32[2] = {0.25, 2} const z: s8[] = {0} const wz: s8[2] = {0,0} const b: f32[2] = {0.3, nan}
      d = DequantizeLinear(x, xs, z) dw = DequantizeLinear(w, ws, wz, axis=1) m = MatMul(d, dw) @fc y = Add(m, b) })"),
              ::testing::ElementsAre("node 'fc' (MatMul" + rest));
  EXPECT_THAT(left(R"(graph (x: s8[N,2,4]) -> (y) { const xs: f32[] = {0.5} const w: s8[2,2,1] = {1,2,3,4}
      const ws: f32[2] = {0.25, 2} const z: s8[] = {0} const wz: s8[2] = {0,0} const b: f32[2] = {0.3, nan}
      d = DequantizeLinear(x, xs, z) dw = DequantizeLinear(w, ws, wz, axis=0) y = Conv(d, dw, b) @conv })"),
              ::testing::ElementsAre("node 'conv' (Conv" + rest));
  EXPECT_THAT(
      left(R"(graph (x: s8[N,2,4]) -> (y) { const xs: f32[] = {0.5} const w: s8[2,2,1] = {1,2,3,4}
      const ws: f32[] = {0.25} const z: s8[] = {0} const b: f32[2] = {0.3, -inf}
      d = DequantizeLinear(x, xs, z) dw = DequantizeLinear(w, ws, z) y = ConvTranspose(d, dw, b) @up })"),
      ::testing::ElementsAre("node 'up' (ConvTranspose): its bias holds an infinite number, so the layer runs in "
                             "float and saturates there"));
}
TEST(Biases, of_layers_that_run_in_float_stay) {
  expect_untouched(
      "biases",
      R"(graph (x: f32[N,2]) -> (y) { const w: s8[2,2] = {1,2,3,4} const ws: f32[2] = {0.25, 2} const b: f32[2] = {0.3, 1}
      dw = DequantizeLinear(w, ws, axis=0) y = Gemm(x, dw, b, transB=1) })");
  expect_untouched("biases", k_layer + "const b: f32[2] = {0.3, 1} y = Gemm(d, dw, b, transB=1, alpha=2.0) }");
}

}  // namespace
}  // namespace octet
