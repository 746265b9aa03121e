// The fuse stage on Q/DQ graphs: the integer ops.
#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string fused(const std::string& text) { return shown(after_stage(Stage::fuse, parsed(text))); }

// x codes (u8, 0.5, zp 3), weight codes with scales per channel, bias on the grid.
const std::string k_layer = R"(
  const xs: f32[] = {0.5}; const xz: u8[] = {3}; const ys: f32[] = {0.25}; const yz: s8[] = {0}
  const w: s8[2,2,1,1] = {1, -2, 127, 4}; const ws: f32[2] = {0.5, 2}; const b: s32[2] = {10, -20}; const bs: f32[2] = {0.25, 1}
  dx = DequantizeLinear(x, xs, xz); dw = DequantizeLinear(w, ws, axis=0); db = DequantizeLinear(b, bs, axis=0)
)";
const std::string k_head = "graph (x: u8[N,2,4,4], r: s8[N,2,4,4]) -> (y) {";
const std::string k_constants =
    "const conv_bias: s32[2] = {10, -20}; const conv_w: s8[2,2,1,1] = {1, -2, 127, 4}; const conv_w_scale: f32[2] = "
    "{0.5, 2}\n";

TEST(FuseQuantConv, conv_activation_and_quantize_become_one_op) {
  EXPECT_EQ(fused(k_head + k_layer + "c = Conv(dx, dw, db) @conv; a = Relu(c); y = QuantizeLinear(a, ys, yz) }"),
            shown(parsed(k_head + k_constants +
                         R"(y = QuantConv(x, conv_w, conv_w_scale, conv_bias, activation="Relu", to="s8", x_scale=0.5,
                         x_zero_point=3, y_scale=0.25, y_zero_point=0) @conv })")));
}
TEST(FuseQuantConv, a_dequantized_operand_of_the_add_is_its_residual) {
  EXPECT_EQ(
      fused(k_head + k_layer + R"(const rs: f32[] = {0.125}; const rz: s8[] = {-7}; dr = DequantizeLinear(r, rs, rz)
                  c = Conv(dx, dw, db) @conv; s = Add(dr, c); y = QuantizeLinear(s, ys, yz) })"),
      shown(parsed(k_head + k_constants +
                   R"(y = QuantConv(x, conv_w, conv_w_scale, conv_bias, r, residual_scale=0.125,
                         residual_zero_point=-7, to="s8", x_scale=0.5, x_zero_point=3, y_scale=0.25, y_zero_point=0) @conv })")));
}
TEST(FuseQuantConv, without_a_quantize_the_result_is_float) {
  EXPECT_THAT(fused(k_head + k_layer + "c = Conv(dx, dw, db) @conv; y = Sigmoid(c) }"),
              HasSubstr("y = QuantConv(x, conv_w, conv_w_scale, conv_bias, activation=\"Sigmoid\", to=\"f32\""));
}
TEST(FuseQuantConv, a_result_that_others_read_stays_float) {
  const std::string text = fused("graph (x: u8[N,2,4,4]) -> (y, z) {" + k_layer +
                                 "c = Conv(dx, dw, db) @conv; y = QuantizeLinear(c, ys, yz); z = Softmax(c) }");
  EXPECT_THAT(text, HasSubstr("c = QuantConv("));
  EXPECT_THAT(text, HasSubstr("to=\"f32\""));
  EXPECT_THAT(text, HasSubstr("y = QuantizeLinear(c, ys, yz)"));
}
TEST(FuseQuantConv, a_quantize_between_conv_and_add_is_executed_as_written) {
  const std::string text =
      fused(k_head + k_layer + R"(const rs: f32[] = {0.125}; dr = DequantizeLinear(r, rs); c = Conv(dx, dw, db) @conv
            q = QuantizeLinear(c, ys, yz); d = DequantizeLinear(q, ys, yz); s = Add(d, dr) @add; y = QuantizeLinear(s, ys, yz) })");
  EXPECT_THAT(text, HasSubstr("q = QuantConv("));
  EXPECT_THAT(text,
              HasSubstr("y = QuantAdd(q, r, a_scale=0.25, a_zero_point=0, b_scale=0.125, b_zero_point=0, to=\"s8\", "
                        "y_scale=0.25, y_zero_point=0) @add"));
}
// Numbers by hand: gamma / sqrt(var + eps) = 2 and -0.5, beta - mean * that = 0.25 and 1.5.
const std::string k_norm =
    R"(graph (x: u8[N,2,4,4]) -> (y) { const xs: f32[] = {0.5}; const xz: u8[] = {3}; const ys: f32[] = {0.25}
  const yz: s8[] = {-4}; const gq: s8[2] = {4, -1}; const gs: f32[] = {1}; const be: f32[2] = {0.25, 2}; const m: f32[2] = {0, -1}
  const v: f32[2] = {3.75, 3.75}; dx = DequantizeLinear(x, xs, xz); g = DequantizeLinear(gq, gs)
)";
TEST(BatchNormOfCodes, between_codes_it_is_a_depthwise_convolution_whatever_its_parameters_lie_behind) {
  const std::string text = fused(k_norm +
                                 "n = BatchNormalization(dx, g, be, m, v, epsilon=0.25) @bn; a = Relu(n) "
                                 "y = QuantizeLinear(a, ys, yz) }");
  EXPECT_THAT(text, HasSubstr("= {127, -127}"));
  EXPECT_THAT(text, HasSubstr("= {0.015748031, 0.003937008}"));  // 2 / 127, 0.5 / 127
  EXPECT_THAT(text, HasSubstr("y = QuantConv(x, "));
  EXPECT_THAT(text, HasSubstr("activation=\"Relu\", group=2, kernel_shape=[1,1]"));
  EXPECT_THAT(text, Not(HasSubstr("BatchNormalization")));
}
TEST(BatchNormOfCodes, gives_the_codes_of_the_float_ops) {
  const std::string text =
      k_norm + "n = BatchNormalization(dx, g, be, m, v, epsilon=0.25); a = Relu(n); y = QuantizeLinear(a, ys, yz) }";
  Tensor x = Tensor::from<uint8_t>(DType::u8, {8, 2, 4, 4}, [] {
    std::vector<uint8_t> codes;
    for (int i = 0; i < 256; ++i) codes.push_back(static_cast<uint8_t>(37 * i));
    return codes;
  }());
  const Tensor want = evaluate(parsed(text), {{"x", x}}).at("y");
  const Tensor got = evaluate(after_stage(Stage::fuse, parsed(text)), {{"x", x}}).at("y");
  int differ = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    EXPECT_LE(std::abs(got.at<int8_t>(i) - want.at<int8_t>(i)), 1) << i;
    differ += got.at<int8_t>(i) != want.at<int8_t>(i);
  }
  EXPECT_LE(differ, 2);
}
/// Channel 0 is steep (factor 30000.5, shift 60.251); channel 1 has the factor `gamma` / 2 and the shift `beta`.
std::string beside_a_steep_channel(const std::string& gamma, const std::string& beta) {
  return k_norm + "const steep: f32[2] = {60001, " + gamma + "}; const far: f32[2] = {0.25, " + beta +
         "}; const near: f32[2] = {-0.002, 0}; n = BatchNormalization(dx, steep, far, near, v, epsilon=0.25); " +
         "y = QuantizeLinear(n, ys, yz) }";
}
/// How many of all x's codes in both channels get another code from the fused graph.
int changed_codes(const std::string& text) {
  std::vector<uint8_t> codes;
  for (int i = 0; i < 512; ++i) codes.push_back(static_cast<uint8_t>(37 * i + i / 256));
  const std::map<std::string, Tensor> x = {{"x", Tensor::from<uint8_t>(DType::u8, {16, 2, 4, 4}, codes)}};
  const Tensor want = evaluate(parsed(text), x).at("y");
  const Tensor got = evaluate(after_stage(Stage::fuse, parsed(text)), x).at("y");
  int differ = 0;
  for (int64_t i = 0; i < want.size(); ++i) differ += got.at<int8_t>(i) != want.at<int8_t>(i);
  return differ;
}
TEST(BatchNormOfCodes, a_channel_whose_gamma_is_0_keeps_its_shift_beside_a_steep_one) {
  const std::string text = beside_a_steep_channel("0", "0.65");  // 2.6 steps of y, 1.3 of x
  EXPECT_THAT(fused(text), Not(HasSubstr("BatchNormalization")));
  EXPECT_EQ(changed_codes(text), 0);
}
TEST(BatchNormOfCodes, stays_where_the_common_step_of_the_remainders_would_move_a_channel) {
  const std::string text = beside_a_steep_channel("200", "0.19");  // a grid of 0.39, a common step of 0.46, y's is 0.25
  EXPECT_THAT(fused(text), HasSubstr("BatchNormalization"));
  EXPECT_EQ(changed_codes(text), 0);
  EXPECT_THAT(fused(beside_a_steep_channel("4", "0.19")), Not(HasSubstr("BatchNormalization")));
}
TEST(BatchNormOfCodes, stays_where_its_result_is_read_as_floats_or_a_parameter_is_none) {
  EXPECT_THAT(fused(k_norm + "y = BatchNormalization(dx, g, be, m, v, epsilon=0.25) }"),
              HasSubstr("BatchNormalization"));
  EXPECT_THAT(fused(k_norm + "n = BatchNormalization(dx, g, be, m, v, epsilon=0.25); s = Softmax(n); "
                             "y = QuantizeLinear(s, ys, yz) }"),
              HasSubstr("BatchNormalization"));
  std::string text = k_norm + "n = BatchNormalization(dx, g, be, b, v, epsilon=0.25); y = QuantizeLinear(n, ys, yz) }";
  text.replace(text.find(") -> (y)"), 1, ", b: f32[2])");
  EXPECT_THAT(fused(text), HasSubstr("BatchNormalization"));
}

TEST(FuseQuantConv, scales_per_tensor_are_broadcast_and_zero_points_subtracted) {
  const std::string text = fused(R"(graph (x: u8[N,2,4,4]) -> (y) { const xs: f32[] = {0.5}; const xz: u8[] = {3}
      const w: u8[2,2,1,1] = {129, 126, 255, 132}; const ws: f32[] = {0.5}; const wz: u8[] = {128}
      dx = DequantizeLinear(x, xs, xz); dw = DequantizeLinear(w, ws, wz); y = Conv(dx, dw) @conv })");
  EXPECT_THAT(text, HasSubstr("const conv_w: s8[2,2,1,1] = {1, -2, 127, 4}"));
  EXPECT_THAT(text, HasSubstr("const conv_w_scale: f32[2] = {0.5, 0.5}"));
}
TEST(FuseQuantConv, signed_codes_without_a_zero_point_stay_where_they_lie) {
  for (const std::string zero : {"", "const wz: s8[2] = {0, 0}", "const wz: s8[2] = {1, 1}"}) {
    Graph graph = parsed("graph (x: u8[N,2,4,4]) -> (y) {" + zero + R"(
        const xs: f32[] = {0.5}; const w: s8[2,2,1,1] = {1, -2, 127, 4}; const ws: f32[2] = {0.5, 2}
        dx = DequantizeLinear(x, xs); dw = DequantizeLinear(w, ws)" +
                         (zero.empty() ? "" : ", wz") + R"(, axis=0)
        y = Conv(dx, dw) @conv })");
    const auto bytes_of = [&](std::string_view name) -> std::pair<const std::byte*, int> {
      for (const Value& value : graph.values)
        if (value.name == name && value.constant)
          return {value.constant->bytes().data(), value.constant->at<int8_t>(2)};
      return {nullptr, 0};
    };
    const std::byte* const before = bytes_of("w").first;
    ASSERT_TRUE(run_stage(graph, Stage::fuse));
    const auto [after, third] = bytes_of("conv_w");
    ASSERT_NE(after, nullptr) << zero;
    EXPECT_EQ(third, zero.ends_with("{1, 1}") ? 126 : 127);
    EXPECT_EQ(after == before, !zero.ends_with("{1, 1}")) << zero;
  }
}
std::vector<std::string> notes_of(const std::vector<PassReport>& reports) {
  std::vector<std::string> notes;
  for (const PassReport& report : reports)
    notes.insert(notes.end(), report.changed.notes.begin(), report.changed.notes.end());
  return notes;
}
TEST(FuseQuantConv, a_float_bias_off_the_grid_keeps_its_number) {
  Graph graph = parsed("graph (x: u8[N,2,4,4]) -> (y) { const fb: f32[2] = {2.6, -20.05}" + k_layer +
                       "y = Conv(dx, dw, fb) @conv }");
  const Graph before = graph;
  Result<std::vector<PassReport>> reports = run_stage(graph, Stage::fuse);
  ASSERT_TRUE(reports) << reports.error().message;
  // In units of 0.25: 2.6 = 10 and 0.1 over, -20.05 = -80 (unit 0.25) and 0.05 under; 0.1 is 127 steps, 0.05 about 64.
  EXPECT_THAT(print(graph), HasSubstr("conv_bias_remainder: u8[1,2,1,1] = {255, "));
  EXPECT_THAT(print(graph), HasSubstr("residual_zero_point=128"));
  EXPECT_THAT(notes_of(*reports), ::testing::IsEmpty());
  std::vector<uint8_t> codes(64);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(3 + i % 3);  // the zero point is 3
  const std::map<std::string, Tensor> x = {{"x", Tensor::from<uint8_t>(DType::u8, {2, 2, 4, 4}, codes)}};
  const Tensor was = evaluate(before, x).at("y"), is = evaluate(graph, x).at("y");
  for (int64_t i = 0; i < was.size(); ++i)
    EXPECT_NEAR(was.at<float>(i), is.at<float>(i), 0.1 / 254 + 1e-4) << "a step of the remainder is 0.1 / 127";
}
TEST(FuseQuantConv, a_float_bias_before_a_residual_is_rounded_once_and_reported) {
  Graph graph = parsed("graph (x: u8[N,2,4,4], r: s8[N,2,4,4]) -> (y) { const fb: f32[2] = {2.6, -20}" + k_layer +
                       "const rs: f32[] = {0.125}; dr = DequantizeLinear(r, rs); c = Conv(dx, dw, fb) @conv; "
                       "y = Add(c, dr) }");
  Result<std::vector<PassReport>> reports = run_stage(graph, Stage::fuse);
  ASSERT_TRUE(reports) << reports.error().message;
  // 2.6 / 0.25 = 10.4 -> 10; the change is 0.1
  EXPECT_THAT(print(graph), HasSubstr("conv_bias: s32[2] = {10, -20}"));
  EXPECT_THAT(notes_of(*reports),
              ::testing::ElementsAre("conv: bias rounded once to the grid x_scale * w_scale, by up to 0.1"));
}
TEST(FoldBiasAdd, an_add_for_each_channel_behind_the_convolution_is_its_bias) {
  const std::string with_add = k_head + k_layer +
                               "const a: f32[1,2,1,1] = {2.6, -20.05}; c = Conv(dx, dw) @conv; s = Add(a, c); "
                               "y = Relu(s) }";
  expect_rewrite(
      "fold_bias_add", with_add,
      k_head + k_layer + "const a_bias: f32[2] = {2.6, -20.05}; s = Conv(dx, dw, a_bias) @conv; y = Relu(s) }");
  // The same plan as with the bias in the file.
  EXPECT_EQ(fused(with_add),
            fused(k_head + k_layer + "const fb: f32[2] = {2.6, -20.05}; s = Conv(dx, dw, fb) @conv; y = Relu(s) }"));
  expect_rewrite("fold_bias_add",
                 k_head + k_layer +
                     "const fb: f32[2] = {1, 2}; const a: f32[] = {0.5}; c = Conv(dx, dw, fb) @conv; y = Add(c, a) }",
                 k_head + k_layer + "const a_bias: f32[2] = {1.5, 2.5}; y = Conv(dx, dw, a_bias) @conv }");
}
TEST(FoldBiasAdd, what_is_no_bias_or_would_be_rounded_as_one_stays) {
  // By pixel; a residual behind it; a bias in codes; another reader of the products.
  for (const char* const rest :
       {"const a: f32[4] = {1, 2, 3, 4}; c = Conv(dx, dw); y = Add(c, a) }",
        "const a: f32[2,1,1] = {1, 2}; dr = DequantizeLinear(r, xs); c = Conv(dx, dw); s = Add(c, a); y = Add(s, dr) }",
        "const a: f32[2,1,1] = {1, 2}; c = Conv(dx, dw, db); y = Add(c, a) }"})
    expect_untouched("fold_bias_add", k_head + k_layer + rest);
  expect_untouched("fold_bias_add", "graph (x: u8[N,2,4,4]) -> (y, z) {" + k_layer +
                                        "const a: f32[2,1,1] = {1, 2}; c = Conv(dx, dw); y = Add(c, a); z = Relu(c) }");
}
TEST(FuseQuantConv, a_bias_that_is_no_number_stays_float_and_is_handed_on) {
  Graph graph =
      parsed("graph (x: u8[N,2,4,4]) -> (y) { const fb: f32[2] = {nan, 1}" + k_layer + "y = Conv(dx, dw, fb) @conv }");
  Result<std::vector<PassReport>> reports = run_stage(graph, Stage::fuse);
  ASSERT_TRUE(reports) << reports.error().message;
  EXPECT_THAT(print(graph), Not(HasSubstr("QuantConv")));
  EXPECT_THAT(notes_of(*reports), ::testing::ElementsAre("conv: float: the bias holds a number that is not finite"));
}
TEST(FuseQuantConv, a_sum_that_could_overflow_stays_float) {
  // 255 * 127 + 2^31 - 1000 > 2^31
  Graph graph = parsed(R"(graph (x: u8[N,1,4,4]) -> (y) { const xs: f32[] = {1}; const w: s8[1,1,1,1] = {127}
      const ws: f32[1] = {1}; const b: s32[1] = {2147482648}; const bs: f32[1] = {1}; dx = DequantizeLinear(x, xs)
      dw = DequantizeLinear(w, ws, axis=0); db = DequantizeLinear(b, bs, axis=0); y = Conv(dx, dw, db) @conv })");
  Result<std::vector<PassReport>> reports = run_stage(graph, Stage::fuse);
  ASSERT_TRUE(reports) << reports.error().message;
  EXPECT_THAT(print(graph), HasSubstr("y = FusedConv("));
  std::vector<std::string> notes;
  for (const PassReport& report : *reports)
    notes.insert(notes.end(), report.changed.notes.begin(), report.changed.notes.end());
  EXPECT_THAT(notes, ::testing::ElementsAre(HasSubstr("conv: float: 255 * sum|w| + |bias| reaches 2^31")));
}
TEST(FuseQuantConv, scales_along_the_input_channels_stay_float) {
  EXPECT_THAT(fused(R"(graph (x: u8[N,2,4,4]) -> (y) { const xs: f32[] = {0.5}; const w: s8[2,2,1,1] = {1, -2, 127, 4}
      const ws: f32[2] = {0.5, 2}; dx = DequantizeLinear(x, xs); dw = DequantizeLinear(w, ws, axis=1); y = Conv(dx, dw) })"),
              HasSubstr("FusedConv"));
}

TEST(FuseQuantGemm, both_layouts_of_the_weight_give_rows_by_output) {
  const std::string head = "graph (x: u8[N,2]) -> (y) { const xs: f32[] = {0.5}; dx = DequantizeLinear(x, xs)\n";
  const std::string expected = "const fc_w: s8[3,2] = {1, 4, 2, 5, 3, 6}";
  EXPECT_THAT(fused(head + "const w: s8[2,3] = {1,2,3,4,5,6}; const ws: f32[3] = {1,2,3}\n"
                           "dw = DequantizeLinear(w, ws, axis=1); y = Gemm(dx, dw) @fc }"),
              HasSubstr(expected));
  EXPECT_THAT(fused(head + "const w: s8[3,2] = {1,4,2,5,3,6}; const ws: f32[3] = {1,2,3}\n"
                           "dw = DequantizeLinear(w, ws, axis=0); y = Gemm(dx, dw, transB=1) @fc }"),
              HasSubstr(expected));
}

const std::string k_two =
    R"(graph (a: u8[N,2,4,4], b: u8[N,2,1,1]) -> (y) { const as: f32[] = {0.5}; const az: u8[] = {128}
  const bs: f32[] = {0.25}; const ys: f32[] = {0.125}; const yz: u8[] = {7}
  da = DequantizeLinear(a, as, az); db = DequantizeLinear(b, bs)
)";
TEST(FuseQuantElementwise, a_gate_is_the_second_operand_of_the_product) {
  EXPECT_THAT(fused(k_two + "m = Mul(db, da) @gate; y = QuantizeLinear(m, ys, yz) }"),
              HasSubstr("y = QuantMul(a, b, a_scale=0.5, a_zero_point=128, b_scale=0.25, b_zero_point=0, to=\"u8\", "
                        "y_scale=0.125, y_zero_point=7) @gate"));
}
TEST(FuseQuantElementwise, a_broadcast_sum_stays_float) {
  EXPECT_THAT(fused(k_two + "m = Add(db, da); y = QuantizeLinear(m, ys, yz) }"), HasSubstr("FusedAdd(db, da)"));
}

const std::string k_image = R"(graph (x: u8[N,2,4,4]) -> (y) { const s: f32[] = {0.5}; const z: u8[] = {128}
  const t: f32[] = {0.25}; d = DequantizeLinear(x, s, z)
)";
TEST(FuseQuantElementwise, a_sum_without_a_quantize_or_with_a_curved_activation_stays_float) {
  const std::string equal = R"(graph (a: u8[N,4], b: u8[N,4]) -> (y) { const s: f32[] = {0.5}; const z: u8[] = {0}
      da = DequantizeLinear(a, s, z); db = DequantizeLinear(b, s, z); m = Add(da, db))";
  EXPECT_THAT(fused(equal + "y = Relu(m) }"), HasSubstr("y = FusedAdd(da, db, activation=\"Relu\")"));
  EXPECT_THAT(fused(equal + "t = Tanh(m); y = QuantizeLinear(t, s, z) }"), HasSubstr("m = FusedAdd(da, db)"));
  EXPECT_THAT(fused(equal + "t = Relu(m); y = QuantizeLinear(t, s, z) }"), HasSubstr("y = QuantAdd(a, b, a_scale=0.5"));
}

TEST(FuseQuantPool, pools_sum_codes) {
  EXPECT_THAT(fused(k_image + "p = GlobalAveragePool(d) @pool; y = QuantizeLinear(p, t, z) }"),
              HasSubstr("y = QuantGlobalAveragePool(x, to=\"u8\", x_scale=0.5, x_zero_point=128, y_scale=0.25, "
                        "y_zero_point=128) @pool"));
  EXPECT_THAT(fused(k_image + "y = AveragePool(d, kernel_shape=[2,2], count_include_pad=1) }"),
              HasSubstr("y = QuantAveragePool(x, count_include_pad=1, kernel_shape=[2,2], to=\"f32\""));
}

TEST(FuseQuantMoves, a_max_pool_between_equal_parameters_runs_on_codes) {
  EXPECT_EQ(fused(k_image + "p = MaxPool(d, kernel_shape=[2,2]) @pool; y = QuantizeLinear(p, s, z) }"),
            shown(parsed("graph (x: u8[N,2,4,4]) -> (y) { y = MaxPool(x, kernel_shape=[2,2]) @pool }")));
}
TEST(FuseQuantMoves, other_parameters_behind_it_are_a_table) {
  const std::string text = fused(k_image + "p = MaxPool(d, kernel_shape=[2,2]); y = QuantizeLinear(p, t, z) }");
  EXPECT_THAT(text, HasSubstr("p_codes = MaxPool(x, kernel_shape=[2,2]) : u8"));
  EXPECT_THAT(text, HasSubstr("y = QuantLookup(p_codes, y_table)"));
}
TEST(FuseQuantMoves, a_reader_in_float_gets_the_dequantized_result) {
  EXPECT_EQ(
      fused(k_image + "p = Transpose(d, perm=[0,2,3,1]); y = Softmax(p) }"),
      shown(parsed("graph (x: u8[N,2,4,4]) -> (y) { const s: f32[] = {0.5}; const z: u8[] = {128}\n"
                   "p_codes = Transpose(x, perm=[0,2,3,1]); p = DequantizeLinear(p_codes, s, z); y = Softmax(p) }")));
}
TEST(FuseQuantMoves, a_quantize_behind_moves_climbs_to_the_layer_before) {
  const std::string text =
      fused(k_head + k_layer + R"(c = Conv(dx, dw, db) @conv; a = Relu(c); p = MaxPool(a, kernel_shape=[2,2])
      t = Transpose(p, perm=[0,2,3,1]); y = QuantizeLinear(t, ys, yz) })");
  EXPECT_THAT(text, HasSubstr("= QuantConv(x, conv_w, conv_w_scale, conv_bias, activation=\"Relu\", to=\"s8\""));
  EXPECT_THAT(text, HasSubstr("y = Transpose("));
  EXPECT_THAT(text, Not(HasSubstr("QuantizeLinear")));
}
TEST(FuseQuantMoves, padding_with_zeros_is_padding_with_the_zero_point) {
  const std::string text =
      fused(k_image + R"(const p: s64[8] = {0,0,1,1,0,0,1,1}; h = Pad(d, p) @pad; y = QuantizeLinear(h, s, z) })");
  EXPECT_THAT(text, HasSubstr("const pad_zero: u8[] = {128}"));
  EXPECT_THAT(text, HasSubstr("y = Pad(x, p, pad_zero) @pad"));
}
TEST(FuseQuantMoves, inputs_of_a_concat_are_requantized_to_its_scale) {
  const std::string text =
      fused(R"(graph (a: u8[N,2,4,4], b: u8[N,3,4,4]) -> (y) { const s: f32[] = {0.5}; const t: f32[] = {0.25}
      const z: u8[] = {0}; da = DequantizeLinear(a, s, z); db = DequantizeLinear(b, t, z); c = Concat(da, db, axis=1) @cat
      y = QuantizeLinear(c, s, z) })");
  EXPECT_THAT(text, HasSubstr("db_quantized = QuantLookup(b, db_quantized_table)"));
  EXPECT_THAT(text, HasSubstr("y = Concat(a, db_quantized, axis=1) @cat : u8[N,5,4,4]"));
}

const std::string k_pixels = R"(graph (x: u8[N,2,4,4]) -> (y) { const m: f32[1,2,1,1] = {100, 50}
    const d: f32[2,1,1] = {50, 25}; const s: f32[] = {0.02}; const z: u8[] = {100}; f = Cast(x, to="f32") @cast; )";

TEST(FuseQuantPixels, a_mean_and_a_deviation_of_each_channel_are_a_table_of_each) {
  const Graph graph =
      after_stage(Stage::fuse, parsed(k_pixels + "a = Sub(f, m); b = Div(a, d) @norm; y = QuantizeLinear(b, s, z) }"));
  EXPECT_THAT(print(graph, {.elide_constants = true}), HasSubstr("y = QuantPixels(x, y_table) @norm : u8[N,2,4,4]"));
  const Tensor& table = *graph.constant(*graph.find_value("y_table"));
  ASSERT_EQ(table.dims(), (Dims{2, 256}));
  EXPECT_EQ(table.at<uint8_t>(100), 100);       // the mean of channel 0
  EXPECT_EQ(table.at<uint8_t>(103), 103);       // 3 / 50 / 0.02
  EXPECT_EQ(table.at<uint8_t>(256 + 50), 100);  // the mean of channel 1
  EXPECT_EQ(table.at<uint8_t>(256 + 53), 106);  // 3 / 25 / 0.02
  EXPECT_EQ(table.at<uint8_t>(255), 255);       // 155 / 50 / 0.02 = 155 saturates
  EXPECT_EQ(table.at<uint8_t>(256 + 0), 0);     // -50 / 25 / 0.02 = -100
}
TEST(FuseQuantPixels, where_channels_come_last_the_pixels_are_turned) {
  for (const char* codes : {"const z: u8[] = {100}", "const z: s8[] = {-28}"}) {
    const std::string head = std::string("graph (x: u8[N,5,6,2]) -> (y) { const m: f32[2] = {100, 50}; ") +
                             "const d: f32[1,1,1,2] = {50, 25}; const h: f32[] = {1}; const s: f32[] = {0.02}; " +
                             codes +
                             "; f = Cast(x, to=\"f32\") @cast; a = Sub(f, m); b = Div(a, d); g = Mul(b, h) @norm; ";
    for (const char* rest : {"q = QuantizeLinear(g, s, z); y = Transpose(q, perm=[0,3,1,2]) @turn }",
                             "t = Transpose(g, perm=[0,3,1,2]) @turn; y = QuantizeLinear(t, s, z) }"}) {
      const Graph graph = after_stage(Stage::fuse, parsed(head + rest));
      const std::string text = print(graph, {.elide_constants = true});
      EXPECT_THAT(text, HasSubstr("x_turned = Transpose(x, perm=[0,3,1,2]) @turn : u8[N,2,5,6]"));
      EXPECT_THAT(text, HasSubstr("y = QuantPixels(x_turned, "));
      ASSERT_EQ(graph.nodes.size(), 2u) << text;
      const Tensor& table = *graph.constant(graph.nodes[1].inputs[1]);
      ASSERT_EQ(table.dims(), (Dims{2, 256}));
      const auto code = [&](int64_t i) {
        return table.dtype() == DType::u8 ? table.at<uint8_t>(i) : table.at<int8_t>(i) + 128;
      };
      EXPECT_EQ(code(103), 103);       // 3 / 50 / 0.02
      EXPECT_EQ(code(256 + 50), 100);  // the mean of channel 1
      EXPECT_EQ(code(256 + 53), 106);  // 3 / 25 / 0.02
      EXPECT_EQ(code(256 + 0), 0);     // -50 / 25 / 0.02 = -100
      EXPECT_EQ(code(255), 255);       // saturates
    }
  }
}
TEST(FuseQuantPixels, channels_that_come_last_stay_where_nothing_turns_them) {
  const std::string head =
      R"(graph (x: u8[N,5,6,2]) -> (y) { const m: f32[2] = {100, 50}; const r: f32[6,1] = {1,2,3,4,5,6}
      const s: f32[] = {0.02}; const z: u8[] = {100}; f = Cast(x, to="f32"); )";
  for (const char* rest : {"a = Sub(f, m); y = QuantizeLinear(a, s, z) }",
                           "a = Sub(f, m); q = QuantizeLinear(a, s, z); y = Transpose(q, perm=[0,2,1,3]) }",
                           "a = Sub(f, r); q = QuantizeLinear(a, s, z); y = Transpose(q, perm=[0,3,1,2]) }"})
    EXPECT_THAT(print(after_stage(Stage::fuse, parsed(head + rest))), Not(HasSubstr("QuantPixels"))) << rest;
}
TEST(FuseQuantPixels, a_convolution_of_each_channel_by_itself_is_one_too) {
  const Graph graph = after_stage(
      Stage::fuse,
      parsed(k_pixels + "const w: f32[2,1,1,1] = {0.02, 0.04}; const b: f32[2] = {-2, -2}; c = Conv(f, w, b, group=2) "
                        "@norm; y = QuantizeLinear(c, s, z) }"));
  EXPECT_THAT(print(graph, {.elide_constants = true}), HasSubstr("y = QuantPixels(x, y_table)"));
  EXPECT_EQ(graph.constant(*graph.find_value("y_table"))->at<uint8_t>(256 + 53), 106);
}
TEST(FuseQuantPixels, what_is_not_alike_everywhere_or_read_by_others_stays) {
  for (const char* rest :
       {"const p: f32[4] = {1,2,3,4}; a = Sub(f, p); y = QuantizeLinear(a, s, z) }",  // along the rows
        "a = Sub(f, f); y = QuantizeLinear(a, s, z) }",                               // no constant
        "const w: f32[2,1,1,1] = {1, 2}; a = Conv(f, w, group=2, pads=[1,1,1,1]); y = QuantizeLinear(a, s, z) }",
        "const w: f32[2,2,1,1] = {1, 2, 3, 4}; a = Conv(f, w); y = QuantizeLinear(a, s, z) }"})  // mixes channels
    EXPECT_THAT(print(after_stage(Stage::fuse, parsed(k_pixels + rest))), Not(HasSubstr("QuantPixels"))) << rest;
  const std::string two_readers =
      "graph (x: u8[N,2,4,4]) -> (y, f) { const s: f32[] = {0.02}; f = Cast(x, to=\"f32\"); y = QuantizeLinear(f, s) }";
  EXPECT_THAT(print(after_stage(Stage::fuse, parsed(two_readers))), Not(HasSubstr("QuantPixels")));
}

TEST(FuseQuantLookup, an_activation_between_codes_is_a_table) {
  const Graph graph = after_stage(
      Stage::fuse,
      parsed(R"(graph (x: s8[N,4]) -> (y) { const s: f32[] = {0.5}; const z: s8[] = {1}; const t: f32[] = {0.25}
      const tz: u8[] = {10}; d = DequantizeLinear(x, s, z); r = Relu(d) @act; y = QuantizeLinear(r, t, tz) })"));
  EXPECT_THAT(print(graph, {.elide_constants = true}), HasSubstr("y = QuantLookup(x, y_table) @act : u8[N,4]"));
  const Tensor& table = *graph.constant(*graph.find_value("y_table"));
  ASSERT_EQ(table.dtype(), DType::u8);
  EXPECT_EQ(table.at<uint8_t>(1), 10);     // code 1 is real 0
  EXPECT_EQ(table.at<uint8_t>(3), 14);     // (3 - 1) * 0.5 / 0.25 + 10
  EXPECT_EQ(table.at<uint8_t>(127), 255);  // 126 * 0.5 / 0.25 + 10 = 262 saturates
  EXPECT_EQ(table.at<uint8_t>(128), 10);   // code -128 is negative
}
// A GELU that a quantizer took apart: x * (erf(x / sqrt(2)) + 1) * 0.5, each step between codes.
TEST(MergeLookups, a_product_of_codes_with_a_table_of_them_is_a_table) {
  const std::string text = R"(graph (x: s8[N,4]) -> (y) {
    const xs: f32[] = {0.03}; const es: f32[] = {0.00787}; const as: f32[] = {0.01571}; const ys: f32[] = {0.0213}; const zero: s8[] = {0}
    const one: f32[] = {1}; const half: f32[] = {0.5}; const root: f32[] = {1.4142135}
    dx = DequantizeLinear(x, xs, zero); t = Div(dx, root); e = Erf(t); eq = QuantizeLinear(e, es, zero)
    ed = DequantizeLinear(eq, es, zero); a = Add(ed, one); aq = QuantizeLinear(a, as, zero)
    ad = DequantizeLinear(aq, as, zero); h = Mul(ad, half); hq = QuantizeLinear(h, es, zero); hd = DequantizeLinear(hq, es, zero)
    p = Mul(dx, hd) @gelu; y = QuantizeLinear(p, ys, zero) })";
  const Graph graph = after_stage(Stage::fuse, parsed(text));
  ASSERT_EQ(graph.nodes.size(), 1u) << print(graph, {.elide_constants = true});
  EXPECT_THAT(print(graph, {.elide_constants = true}), HasSubstr("y = QuantLookup(x, y_table) @gelu : s8[N,4]"));
  const Tensor& table = *graph.constant(graph.nodes[0].inputs[1]);
  const auto code = [](double x) {
    const auto q = [](double v, double s) { return std::clamp(std::nearbyint(v / s), -128.0, 127.0); };
    const double e = q(std::erf(x * 0.03 / std::sqrt(2.0)), 0.00787) * 0.00787, a = q(e + 1, 0.01571) * 0.01571;
    return q(x * 0.03 * q(a * 0.5, 0.00787) * 0.00787, 0.0213);
  };
  int differ = 0;
  for (int x = -128; x < 128; ++x) {
    const double got = table.at<int8_t>(x & 255), want = code(x);
    EXPECT_NEAR(got, want, 1) << x;
    differ += got != want;
  }
  EXPECT_LE(differ, 3);  // ties of these scales
}
TEST(MergeLookups, another_reader_keeps_the_table_between) {
  const std::string text =
      fused(R"(graph (x: u8[N,4]) -> (y, z) { const s: f32[] = {0.05}; const z0: u8[] = {10}; const t: f32[] = {0.02}
    d = DequantizeLinear(x, s, z0); a = Sigmoid(d); q = QuantizeLinear(a, t, z0); e = DequantizeLinear(q, t, z0)
    b = Tanh(e); y = QuantizeLinear(b, s, z0); z = Softmax(e) })");
  EXPECT_THAT(text, HasSubstr("q = QuantLookup(x, q_table)"));
  EXPECT_THAT(text, HasSubstr("y = QuantLookup(x, y_table"));
}
TEST(MergeLookups, tables_of_different_codes_stay_a_product) {
  const std::string text =
      fused(R"(graph (x: u8[N,4], w: u8[N,4]) -> (y) { const s: f32[] = {0.05}; const z0: u8[] = {10}
    d = DequantizeLinear(x, s, z0); a = Sigmoid(d); q = QuantizeLinear(a, s, z0); e = DequantizeLinear(q, s, z0)
    v = DequantizeLinear(w, s, z0); p = Mul(e, v); y = QuantizeLinear(p, s, z0) })");
  EXPECT_THAT(text, HasSubstr("y = QuantMul(q, w"));
}

TEST(FuseQuantElementwise, a_bias_of_its_own_codes_is_an_operand) {
  const std::string head =
      R"(graph (x: u8[N,3,4]) -> (y) { const s: f32[] = {0.5}; const z: u8[] = {7}; const bs: f32[] = {0.25}
    const b: s8[4] = {1, -2, 3, 4}; const one: s8[1] = {5}; const rows: s8[3,1] = {1, 2, 3}; const wide: s8[2,3,4] = {)";
  const std::string rest = R"(} ; d = DequantizeLinear(x, s, z); )";
  std::string wide = "1";
  for (int i = 1; i < 24; ++i) wide += ", 1";
  const auto fused_with = [&](const std::string& nodes) { return fused(head + wide + rest + nodes); };
  EXPECT_THAT(fused_with("c = DequantizeLinear(b, bs); a = Add(d, c); y = QuantizeLinear(a, s, z) }"),
              HasSubstr("y = QuantAdd(x, b, a_scale=0.5, a_zero_point=7, b_scale=0.25, b_zero_point=0, to=\"u8\""));
  EXPECT_THAT(fused_with("c = DequantizeLinear(b, bs); a = Add(c, d); y = QuantizeLinear(a, s, z) }"),
              HasSubstr("y = QuantAdd(x, b, a_scale=0.5"));
  EXPECT_THAT(fused_with("c = DequantizeLinear(rows, bs); a = Add(d, c); y = QuantizeLinear(a, s, z) }"),
              HasSubstr("QuantAdd(x, rows"));
  // One element is a table's; a constant that gives the sum another shape stays float.
  EXPECT_THAT(fused_with("c = DequantizeLinear(one, bs); a = Add(d, c); y = QuantizeLinear(a, s, z) }"),
              Not(HasSubstr("QuantAdd")));
  EXPECT_THAT(fused_with("c = DequantizeLinear(wide, bs); a = Add(d, c); y = QuantizeLinear(a, s, z) }"),
              Not(HasSubstr("QuantAdd")));
}

// Channel 1 is so steep that the steps of its remainder, 0.002, are a tenth of a step of y for channel 0.
TEST(FuseQuantConv, a_bias_off_the_grid_that_shared_steps_would_move_stays_float) {
  const auto layer = [](const std::string& y_scale) {
    return "graph (x: u8[N,1,4,4]) -> (y) { const xs: f32[] = {0.5}; const ys: f32[] = {" + y_scale +
           "}; const w: s8[2,1,1,1] = {1, 1}; const ws: f32[2] = {0.02, 1}; const b: f32[2] = {0.003, 0.2501}\n"
           "dx = DequantizeLinear(x, xs); dw = DequantizeLinear(w, ws, axis=0); c = Conv(dx, dw, b) @conv; y = "
           "QuantizeLinear(c, ys) }";
  };
  EXPECT_THAT(fused(layer("0.5")), HasSubstr("QuantConv(x, conv_w, conv_w_scale, conv_bias, conv_bias_remainder"));
  EXPECT_THAT(fused(layer("0.004")), Not(HasSubstr("QuantConv")));
}

TEST(FuseQuantLookup, ties_round_to_even_and_signs_are_kept) {
  const Graph graph = after_stage(
      Stage::fuse,
      parsed(R"(graph (x: s8[N,4]) -> (y) { const s: f32[] = {0.5}; const t: f32[] = {1}; const z: s8[] = {0}
      d = DequantizeLinear(x, s, z); y = QuantizeLinear(d, t, z) })"));
  const Tensor& table = *graph.constant(*graph.find_value("y_table"));
  EXPECT_EQ(table.at<int8_t>(1), 0);     // 0.5
  EXPECT_EQ(table.at<int8_t>(3), 2);     // 1.5
  EXPECT_EQ(table.at<int8_t>(5), 2);     // 2.5
  EXPECT_EQ(table.at<int8_t>(255), 0);   // -0.5
  EXPECT_EQ(table.at<int8_t>(253), -2);  // -1.5
  EXPECT_EQ(table.at<int8_t>(128), -64);
}
TEST(FuseQuantLookup, equal_parameters_on_both_sides_are_nothing) {
  EXPECT_EQ(fused(k_image + "q = QuantizeLinear(d, s, z); e = DequantizeLinear(q, t, z); y = Softmax(e) }"),
            shown(parsed(R"(graph (x: u8[N,2,4,4]) -> (y) { const t: f32[] = {0.25}; const z: u8[] = {128}
                         e = DequantizeLinear(x, t, z); y = Softmax(e) })")));
}

TEST(FuseQuantLookup, functions_and_scalar_arithmetic_between_codes_are_a_table) {
  const Graph graph =
      after_stage(Stage::fuse, parsed(R"(graph (x: s8[N,4]) -> (y) { const s: f32[] = {0.03125}; const z: s8[] = {0}
      const t: f32[] = {0.0078125}; const tz: u8[] = {128}; const two: f32[] = {2}; const one: f32[1] = {0.25}
      d = DequantizeLinear(x, s, z); a = Div(d, two); e = Erf(a) @erf; b = Sub(one, e) @sub
      y = QuantizeLinear(b, t, tz) })"));
  EXPECT_THAT(print(graph, {.elide_constants = true}), HasSubstr("y = QuantLookup(x, y_table) @sub : u8[N,4]"));
  EXPECT_EQ(graph.nodes.size(), 1u);
  const Tensor& table = *graph.constant(*graph.find_value("y_table"));
  EXPECT_EQ(table.at<uint8_t>(0), 128 + 32);         // 0.25 * 128
  EXPECT_EQ(table.at<uint8_t>(64), 128 + 32 - 108);  // erf(1) = 0.84270
  EXPECT_EQ(table.at<uint8_t>(192), 255);            // -64: 0.25 + 0.84270 saturates
  EXPECT_EQ(table.at<uint8_t>(32), 128 + 32 - 67);   // erf(0.5) = 0.52050: 66.6
}
TEST(FuseQuantLookup, circular_functions_between_codes_are_a_table) {
  const Graph graph =
      after_stage(Stage::fuse, parsed(R"(graph (x: s8[N,4]) -> (y) { const s: f32[] = {0.03125}; const z: s8[] = {0}
      d = DequantizeLinear(x, s, z); a = Sin(d) @sin; b = Cosh(a); y = QuantizeLinear(b, s, z) })"));
  EXPECT_EQ(graph.nodes.size(), 1u);
  const Tensor& table = *graph.constant(*graph.find_value("y_table"));
  EXPECT_EQ(table.at<int8_t>(0), 32);   // cosh(sin 0) = 1
  EXPECT_EQ(table.at<int8_t>(48), 49);  // cosh(sin 1.5) = 1.5402: 49.29
}
TEST(FuseQuantLookup, what_differs_by_channel_or_has_another_reader_is_no_table) {
  const std::string head = R"(graph (x: s8[N,2]) -> (y, w) { const s: f32[] = {0.5}; const z: s8[] = {0}
      const c: f32[2] = {1, 2}; const one: f32[] = {1}; d = DequantizeLinear(x, s, z); )";
  EXPECT_THAT(fused(head + "a = Mul(d, c); y = QuantizeLinear(a, s, z); w = Relu(d) }"), Not(HasSubstr("QuantLookup")));
  EXPECT_THAT(fused(head + "e = Erf(d); a = Mul(e, one); y = QuantizeLinear(a, s, z); w = Sqrt(e) }"),
              Not(HasSubstr("QuantLookup")));
  EXPECT_THAT(fused(head + "e = Erf(d); y = QuantizeLinear(e, s, z); w = Sqrt(d) }"),
              HasSubstr("y = QuantLookup(x, y_table)"));
}

TEST(ClipBeforeQuantize, a_relu_between_equal_pairs_goes_to_the_layer_before) {
  EXPECT_THAT(fused(k_head + k_layer + R"(c = Conv(dx, dw, db) @conv; q = QuantizeLinear(c, ys, yz)
      d = DequantizeLinear(q, ys, yz); a = Relu(d); y = QuantizeLinear(a, ys, yz) })"),
              HasSubstr("y = QuantConv(x, conv_w, conv_w_scale, conv_bias, activation=\"Relu\", to=\"s8\""));
}
TEST(ClipBeforeQuantize, another_scale_behind_the_relu_is_executed_as_written) {
  const std::string text = fused(k_head + k_layer + R"(c = Conv(dx, dw, db) @conv; q = QuantizeLinear(c, ys, yz)
      d = DequantizeLinear(q, ys, yz); a = Relu(d); y = QuantizeLinear(a, xs, xz) })");
  EXPECT_THAT(text, HasSubstr("q = QuantConv("));
  EXPECT_THAT(text, HasSubstr("y = QuantLookup(q, y_table)"));
}

}  // namespace
}  // namespace octet
