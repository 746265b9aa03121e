// TensorRT's rules: for each a graph that breaks it, with the message.
#include "repair/tensorrt.h"

#include <set>

#include "repair/repairing.h"

namespace octet {
namespace {

struct RuleCase {
  int rule;
  std::string body;  // between "graph (x: f32[1,4,8,8]) -> (y) {" and "}"
  std::string text;  // the finding
};

const std::string k_pair =
    R"(const s: f32[] = {0.02} const z: s8[] = {0} q = QuantizeLinear(x, s, z) @q d = DequantizeLinear(q, s, z) @d )";
const std::string k_weight =
    R"(const w: s8[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} const ws: f32[4] = {1,2,3,4} dw = DequantizeLinear(w, ws, axis=0) @dw )";
const std::string k_float_weight = R"(const w: f32[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} )";
const char* const k_symmetric =
    " Mend: quantize symmetrically in int8 (octet repair --recalibrate --target tensorrt --calib-data DIR).";

std::string pair_with(const std::string& scale, const std::string& zero_point) {
  return "const s: " + scale + " const z: " + zero_point +
         " q = QuantizeLinear(x, s, z) @q y = DequantizeLinear(q, s, z) @d";
}

std::vector<RuleCase> rule_cases() {
  return {
      {1, pair_with("f32[] = {0.02}", "s8[] = {3}"),
       std::string("R1 error, node 'q': zero point 3; TensorRT supports symmetric quantization only.") + k_symmetric},
      {2, pair_with("f32[] = {0.02}", "u8[] = {0}"),
       std::string("R2 error, node 'q': codes of u8; TensorRT takes int8 only, and int8 with the same scale ends at "
                   "127 steps.") +
           k_symmetric},
      {3,
       k_pair +
           R"(const w: f32[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} const ws: f32[4] = {1,2,3,4} const wz: s8[1] = {0}
          qw = QuantizeLinear(w, ws, wz, axis=0) @qw dw = DequantizeLinear(qw, ws, axis=0) y = Conv(d, dw))",
       "R3 error, node 'qw': 1 zero points for 4 scales; TensorRT wants the same volume. Mend: repeat the zero point. "
       "octet repair does it."},
      {4, "const s: f32[] = {0.02} q = QuantizeLinear(x, s) @q y = DequantizeLinear(q, s)",
       "R4 warning, node 'q': no zero point: uint8 to ONNX, int8 to TensorRT. Mend: write the zero point. octet repair "
       "does it."},
      {5,
       "const s: f32[] = {0.02} const c: s8[] = {1} z = Identity(c) q = QuantizeLinear(x, s, z) @q y = "
       "DequantizeLinear(q, s, z)",
       "R5 error, node 'q': the zero point is computed by nodes; TensorRT wants a constant, perhaps behind one Cast. "
       "Mend: octet repair folds it where it derives from constants."},
      {6,
       k_pair +
           R"(const w: s8[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} const ws: f32[4] = {1,0,3,4} dw = DequantizeLinear(w, ws, axis=0) @dw y = Conv(d, dw))",
       "R6 error, node 'dw': scale 0; TensorRT: scale coefficients must all be positive. Mend: octet repair does it."},
      {7, pair_with("f32[0] = {}", "s8[0] = {}"), "R7 error, node 'q': the scale is empty. Mend: give it one scale."},
      {8,
       "const k: f32[] = {127} const z: s8[] = {0} a = Abs(x) m = ReduceMax(a, keepdims=0) s = Div(m, k) q = "
       "QuantizeLinear(x, s, z) @q y = DequantizeLinear(q, s, z)",
       "R8 error, node 'q': the scale is computed while the network runs; TensorRT has no int8 kernel for it. Mend: "
       "calibrate once and store the scale (octet repair --recalibrate --target tensorrt --calib-data DIR)."},
      {9, pair_with("f32[4,1] = {1,2,3,4}", "s8[4,1] = {0,0,0,0}"),
       "R9 error, node 'q': the scale has rank 2; TensorRT wants a number or a vector. Mend: a vector and an axis."},
      {10, "const s: f64[] = {0.02} const z: s8[] = {0} const w: s8[4] = {1,2,3,4} y = DequantizeLinear(w, s, z) @dw",
       "R10 warning, node 'dw': the scale is f64; TensorRT 8 reads its bytes as float32. Mend: store it as float32. "
       "octet repair does it for doubles."},
      {11,
       "const s: f32[4] = {1,2,3,4} const z: s8[4] = {0,0,0,0} q = QuantizeLinear(x, s, z, axis=1) @q y = "
       "DequantizeLinear(q, s, z, axis=1)",
       "R11 error, node 'q': 4 scales on an activation; TensorRT has no kernel for it. Mend: one scale for the "
       "tensor."},
      {12,
       k_pair +
           R"(const w: s8[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} const ws: f32[4] = {1,2,3,4} dw = DequantizeLinear(w, ws) @dw y = Conv(d, dw))",
       "R12 warning, node 'dw': several scales and no axis: 1 to ONNX, 0 to TensorRT. Mend: write the axis."},
      {13,
       k_pair +
           R"(const w: s8[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} const ws: f32[3] = {1,2,3} dw = DequantizeLinear(w, ws, axis=0) @dw y = Conv(d, dw))",
       "R13 error, node 'dw': 3 scales, but axis 0 of [4,4,1,1] has 4 channels. Mend: put them along the output "
       "channels. octet repair does it where only one axis fits."},
      {14,
       k_pair +
           R"(const w: s8[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} const ws: f32[4] = {1,2,3,4} dw = DequantizeLinear(w, ws, axis=1) y = Conv(d, dw) @conv)",
       "R14 error, node 'conv': the weight's scales lie along axis 1; TensorRT wants the output channels, axis 0. "
       "Mend: quantize the weight along axis 0 (octet repair does it where the codes show that it was)."},
      {16,
       R"(const s: f32[] = {0.02} const z: s8[] = {0} q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) const w: s8[8,4] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}
          const ws: f32[8] = {1,2,3,4,5,6,7,8} dw = DequantizeLinear(w, ws, axis=0) y = MatMul(d, dw) @mm)",
       "R16 error, node 'mm': the weight's scales lie along axis 0, over which the product sums; they belong to axis "
       "1. Mend: quantize the weight along its output dimension."},
      {15,
       k_pair +
           R"(const w: s8[4,2,1,1] = {1,2,3,4,5,6,7,8} const ws: f32[2] = {1,2} dw = DequantizeLinear(w, ws, axis=1) y = ConvTranspose(d, dw) @up)",
       "R15 warning, node 'up': the weight's scales lie along axis 1, the output channels; TensorRT 8 wants axis 0 and "
       "8.2 computes wrong results. Mend: one scale for the tensor is safe everywhere."},
      {38,
       k_pair +
           R"(const t: s64[3] = {256,1,1} const w: f32[1,4,1] = {1,2,3,4} r = Reshape(d, t) e = QuantizeLinear(r, s, z)
          f = DequantizeLinear(e, s, z) y = LSTM(f, w, w, hidden_size=1) @lstm)",
       "R38 error, node 'lstm': a quantized LSTM; TensorRT has no int8 kernel for it. Mend: take the pairs off its "
       "inputs."},
      {17, "const s: f32[2,2] = {1,2,3,4} const w: s8[2,4] = {1,2,3,4,5,6,7,8} y = DequantizeLinear(w, s) @dw",
       "R17 error, node 'dw': scales of shape [2,2] are blocks; TensorRT has none for int8. Mend: one scale for each "
       "output channel."},
      {18, k_pair + k_weight + R"(e = Cast(w, to="f32") @cast y = Conv(d, e))",
       "R18 error, node 'cast': reads the int8 constant 'w', which also feeds DequantizeLinear; TensorRT lets int8 "
       "constants feed DequantizeLinear only. Mend: give it a constant of its own type."},
      {19, k_pair + k_float_weight + "y = Conv(d, w) @conv",
       "R19 warning, node 'conv': the data is quantized, the weight is not: the layer runs in float. Mend: quantize "
       "the weight."},
      {20,
       k_pair + k_weight +
           "const b: s32[4] = {1,2,3,4} const bs: f32[4] = {0.02,0.04,0.06,0.08} db = DequantizeLinear(b, bs, axis=0) "
           "y = Conv(d, dw, db) @conv",
       "R20 error, node 'conv': the bias is s32 behind DequantizeLinear; TensorRT takes float biases only. Mend: store "
       "code * scale as float (octet repair --target tensorrt)."},
      {21,
       R"(const s: f32[] = {0.02} const z: s8[] = {0} q = QuantizeLinear(x, s, z) c = Cast(q, to="s32") @c e = Cast(c, to="s8") y = DequantizeLinear(e, s, z))",
       "R21 error, node 'c': stands between QuantizeLinear and DequantizeLinear. Mend: octet repair takes it out where "
       "the codes stay the same."},
      {21,
       R"(const s: f32[] = {0.02} const z: s8[] = {0} q = QuantizeLinear(x, s, z) c = Identity(q) @c y = DequantizeLinear(c, s, z))",
       "R21 warning, node 'c': stands between QuantizeLinear and DequantizeLinear; it moves the codes only. Mend: "
       "octet "
       "repair takes it out."},
      {22,
       "const s: f32[] = {0.02} const z: s8[] = {0} q = QuantizeLinear(x, s, z) @q a = Add(q, q) @add y = "
       "DequantizeLinear(a, s, z)",
       "R22 error, node 'add': computes on the codes of 'q'. Mend: dequantize before it."},
      {25, "const s: f32[] = {0.02} const z: s8[] = {0} const c: s8[] = {3} y = DequantizeLinear(c, s, z) @d",
       "R25 error, node 'd': the data is a scalar; TensorRT up to 9 refuses rank 0. Mend: reshape it to [1]."},
      {26,
       k_float_weight + "const s: f32[] = {0.02} const z: s8[] = {0} c = Conv(x, w) q = QuantizeLinear(c, s, z) d = "
                        "DequantizeLinear(q, s, z) y = Conv(d, w) @second",
       "R26 warning, node 'second': a pair stands on the output of the layer before, none on this weight. Mend: "
       "quantize the inputs of layers: data and weight."},
      {27,
       k_pair + k_weight +
           "c = Conv(d, dw) q2 = QuantizeLinear(c, s, z) @q2 d2 = DequantizeLinear(q2, s, z) y = Relu(d2)",
       "R27 warning, node 'q2': a pair between Conv and Relu keeps them from being fused. Mend: put the pair behind "
       "the Relu."},
      {28,
       k_pair + k_weight +
           "c = Conv(d, dw) a = Add(c, x) @add r = Relu(a) p = QuantizeLinear(r, s, z) y = DequantizeLinear(p, s, z)",
       "R28 warning, node 'add': the identity branch 'x' is float: the Add runs in float. Mend: put a pair on the "
       "identity branch (octet repair does it where the value has codes)."},
      {29,
       k_pair + "const t: f32[] = {0.03} m = MaxPool(d, kernel_shape=[2,2]) @pool p = QuantizeLinear(m, t, z) y = "
                "DequantizeLinear(p, t, z)",
       "R29 warning, node 'pool': scale 0.02 before it, 0.03 behind it: requantized. Mend: one scale on both sides."},
      {30, k_pair + "y = Relu(d)",
       "R30 note: TensorRT 8 to 10 need --int8 for this network, strong typing and 11 do not."},
      {33,
       k_pair + "const t: f32[] = {0.03} p = QuantizeLinear(x, t, z) e = DequantizeLinear(p, t, z) y = Concat(d, e, "
                "axis=1) @cat",
       "R33 warning, node 'cat': inputs with scales 0.02 and 0.03: each is requantized. Mend: one scale for all "
       "inputs."},
      {34, k_pair + "p = GlobalAveragePool(d) @pool y = Sigmoid(p)",
       "R34 warning, node 'pool': a pair before it and none behind: it ends in float. Mend: put a pair behind it."},
      {35, k_pair + "const t: f32[] = {0.03} p = QuantizeLinear(d, t, z) @again y = DequantizeLinear(p, t, z)",
       "R35 warning, node 'again': quantizes again, scale 0.02 to 0.03: two roundings. Mend: keep one of the two "
       "pairs."},
      {36, k_pair + "t = Sigmoid(x) y = MatMul(d, t) @mm",
       "R36 warning, node 'mm': only operand 0 is quantized: the product runs in float. Mend: quantize both operands "
       "or none."},
      {37,
       "const s: f32[] = {0.0039} const z: s8[] = {-128} p = Softmax(x) q = QuantizeLinear(p, s, z) @q y = "
       "DequantizeLinear(q, s, z)",
       "R37 error, node 'q': zero point -128 behind Softmax, as ONNX Runtime's own rule writes it. Mend: leave Softmax "
       "float, or quantize it symmetrically."},
      {41, k_pair + "const t: f32[] = {0.03} p = QuantizeLinear(x, t, z) e = DequantizeLinear(p, t, z) y = Add(d, e)",
       "R41 note, node 'q': 'x' is quantized with several scales, a copy each."},
      {42, k_pair + k_float_weight + "r = Relu(d) y = Conv(r, w) @first",
       "R42 note, node 'first': the first layer is float."},
  };
}

std::vector<std::string> texts(const std::vector<RuleFinding>& findings) {
  std::vector<std::string> made;
  for (const RuleFinding& f : findings) made.push_back(to_string(f));
  return made;
}

Graph graph_of(const std::string& body) { return broken("graph (x: f32[1,4,8,8]) -> (y) {" + body + "}"); }

TEST(TensorRt, each_rule_has_a_graph_that_breaks_it_and_its_message) {
  for (const RuleCase& each : rule_cases())
    EXPECT_THAT(texts(check_tensorrt(graph_of(each.body))), ::testing::Contains(each.text)) << "rule " << each.rule;
}

TEST(TensorRt, fp8_beside_int8_is_refused) {
  const Graph graph =
      broken("graph (x: f32[1,4,8,8], e: f8e4m3fn[4]) -> (d, y) {" + k_pair + "y = DequantizeLinear(e, s) @fp8 }");
  EXPECT_THAT(
      texts(check_tensorrt(graph)),
      ::testing::Contains("R32 error, node 'fp8': FP8 codes beside the int8 codes of 'd'; TensorRT takes one of "
                          "the two. Mend: quantize the whole network in int8."));
}

TEST(TensorRt, rules_on_the_file_rather_than_the_graph) {
  const Graph graph = graph_of(k_pair + k_weight + "y = Conv(d, dw) @conv");
  EXPECT_THAT(
      texts(check_tensorrt(graph, {.opset = 10, .operator_forms = {}, .calibration_given = false})),
      ::testing::Contains("R24 error, node 'dw': scales per channel in a file of opset 10, which knows no axis; ONNX's "
                          "checker refuses it. Mend: write the file with opset 13 (octet repair does it)."));
  EXPECT_THAT(texts(check_tensorrt(
                  graph, {.opset = 13, .operator_forms = {{"c1", "QLinearConv"}}, .calibration_given = false})),
              ::testing::Contains(
                  "R23 error, node 'c1': QLinearConv; TensorRT has no importer for it. Mend: octet repair writes "
                  "it as QuantizeLinear and DequantizeLinear."));
  for (const std::string op : {"ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"})
    EXPECT_THAT(
        texts(check_tensorrt(graph, {.opset = 13, .operator_forms = {{"c1", op}}, .calibration_given = false})),
        ::testing::Contains("R23 error, node 'c1': " + op +
                            "; TensorRT has no importer for it. Mend: octet repair --recalibrate --target tensorrt "
                            "--calib-data DIR gives the float layer behind it ranges from samples."));
  EXPECT_THAT(
      texts(check_tensorrt(graph, {.opset = 13, .operator_forms = {}, .calibration_given = true})),
      ::testing::Contains("R31 warning: the network is explicit: calibration data and caches are ignored. Mend: leave "
                          "the calibration out, or calibrate the float network."));
  EXPECT_THAT(
      texts(check_tensorrt(broken(
          "graph (x: s8[4]) -> (y) { const s: f32[] = {1} const z: s8[] = {0} y = DequantizeLinear(x, s, z) }"))),
      ::testing::Contains("R39 note: graph input 'x' is of codes: give it an int8 format."));
}

TEST(TensorRt, a_clean_network_breaks_nothing) {
  const Graph graph =
      graph_of(k_pair +
               "const w: s8[4,4,1,1] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} const ws: f32[4] = {1,2,3,4} const wz: "
               "s8[4] = {0,0,0,0} "
               "dw = DequantizeLinear(w, ws, wz, axis=0) const b: f32[4] = {1,2,3,4} c = Conv(d, dw, b) r = Relu(c) "
               "p = QuantizeLinear(r, s, z) y = DequantizeLinear(p, s, z)");
  for (const RuleFinding& f : check_tensorrt(graph)) EXPECT_EQ(f.severity, Severity::note) << to_string(f);
  EXPECT_TRUE(check_tensorrt(broken("graph (x: f32[2]) -> (y) { y = Relu(x) }")).empty());
}

// R40: half to even, saturation. Expected codes by hand.
TEST(TensorRt, rounding_is_half_to_even_and_saturates) {
  const Graph graph = broken(R"(graph (x: f32[8]) -> (q) { const s: f32[] = {0.5} const z: s8[] = {0}
      q = QuantizeLinear(x, s, z) })");
  const std::vector<float> x = {1.25f, 1.75f, -1.25f, 0.25f, 63.5f, 64.0f, -64.0f, -65.0f};
  const Tensor q = answers(graph, {{"x", Tensor::from<float>(DType::f32, {8}, x)}})[0];
  const std::vector<int8_t> codes(q.as<int8_t>().begin(), q.as<int8_t>().end());
  EXPECT_EQ(codes, (std::vector<int8_t>{2, 4, -2, 0, 127, 127, -128, -128}));
}

TEST(TensorRt, the_rules_are_numbered_1_to_42) {
  int next = 1;
  for (const TensorRtRule& rule : tensorrt_rules()) EXPECT_EQ(rule.number, next++);
  EXPECT_EQ(next, 43);
}

TEST(TensorRt, int32_biases_become_the_same_numbers_in_float) {
  const std::string body = k_pair + k_weight +
                           "const b: s32[4] = {1,2,3,4} const bs: f32[4] = {0.02,0.04,0.06,0.08} db = "
                           "DequantizeLinear(b, bs, axis=0) y = Conv(d, dw, db) @conv";
  Graph graph = graph_of(body);
  const Result<std::vector<RepairRow>> rows = repair(graph, {.skip = {}, .float_biases = true});
  ASSERT_TRUE(rows);
  EXPECT_THAT(print(graph), ::testing::HasSubstr("const db_real: f32[4] = {0.02, 0.08, 0.17999999, 0.32}"));
  for (const RuleFinding& f : check_tensorrt(graph)) EXPECT_NE(f.rule, 20);
}

TEST(TensorRt, int4_weights_in_blocks_are_no_finding) {
  const Graph graph = broken(R"(graph (x: f32[2,4]) -> (y) { const s: f32[2,4] = {1,2,3,4,5,6,7,8}
      const w: s4[4,4] = {1,2,3,4,5,6,7,-8,1,2,3,4,5,6,7,-8} e = DequantizeLinear(w, s, axis=0, block_size=2) @dw
      y = MatMul(x, e) })");
  for (const RuleFinding& f : check_tensorrt(graph, {.opset = 21, .operator_forms = {}, .calibration_given = false}))
    EXPECT_NE(f.node, "dw") << to_string(f);
}

}  // namespace
}  // namespace octet
