// Functions that exporters write in pieces, and products of two activations.
#include "passes/pass_test.h"

namespace octet {
namespace {

const std::string k_constants = "const r: f32[] = {1.41421354}; const o: f32[] = {1}; const h: f32[] = {0.5}; ";

TEST(RecogniseGelu, however_the_products_are_grouped) {
  const std::string after = "graph (x: f32[N,4]) -> (y) { y = Gelu(x) @act }";
  const auto gelu = [](const std::string& body) { return "graph (x: f32[N,4]) -> (y) { " + k_constants + body + " }"; };
  const auto rewritten = [&](const std::string& body) {
    Graph graph = after_pass("recognise_gelu", parsed(gelu(body)));
    compact(graph);
    return shown(graph);
  };
  EXPECT_EQ(rewritten("d = Div(x, r); e = Erf(d); a = Add(e, o); m = Mul(x, a); y = Mul(m, h) @act"),
            shown(parsed(after)));
  EXPECT_EQ(rewritten("d = Div(x, r); e = Erf(d); a = Add(o, e); s = Mul(h, x); y = Mul(a, s) @act"),
            shown(parsed(after)));
  const std::string by_product =
      "const i: f32[] = {0.70710677}; d = Mul(x, i); e = Erf(d); a = Add(e, o); m = Mul(a, x); y = Mul(h, m) @act";
  EXPECT_EQ(rewritten(by_product), shown(parsed(after)));
  // As torch's exporter with dynamo writes it: x * (0.5 * (1 + erf)).
  EXPECT_EQ(rewritten("d = Div(x, r); e = Erf(d); a = Add(e, o); m = Mul(h, a); y = Mul(x, m) @act"),
            shown(parsed(after)));
}

TEST(RecogniseGelu, by_tanh_with_both_spellings_of_the_cube) {
  const std::string constants =
      k_constants + "const k: f32[] = {0.044715}; const t: f32[] = {0.7978845608}; const n: f32[] = {3}; ";
  const std::string rest =
      "c = Mul(k, q); s = Add(x, c); v = Mul(s, t); e = Tanh(v); a = Add(e, o); m = Mul(x, a); y = Mul(m, h) @act }";
  const std::map<std::string, Tensor> inputs = {{"x", random_tensor({3, 4}, 5, -4.0f, 4.0f)}};
  for (const char* const cube :
       {"q = Pow(x, n); ", "p = Mul(x, x); q = Mul(p, x); ", "p = Mul(x, x); q = Mul(x, p); "}) {
    const std::string text = "graph (x: f32[N,4]) -> (y) { " + constants + cube + rest;
    Graph graph = after_pass("recognise_gelu", parsed(text));
    compact(graph);
    EXPECT_EQ(shown(graph), shown(parsed("graph (x: f32[N,4]) -> (y) { y = Gelu(x, approximate=\"tanh\") @act }")));
    EXPECT_LE(relative_difference(evaluate(graph, inputs).at("y"), evaluate(parsed(text), inputs).at("y")), 1e-6);
  }
  expect_untouched("recognise_gelu",
                   "graph (x: f32[N,4], z: f32[N,4]) -> (y) { " + constants + "q = Pow(z, n); " + rest);
  expect_untouched("recognise_gelu", "graph (x: f32[N,4]) -> (y, s) { " + constants + "q = Pow(x, n); " + rest);
}

TEST(RecogniseGelu, leaves_pieces_that_others_read_and_other_numbers) {
  const std::string in = "graph (x: f32[N,4]) -> (y";
  const std::string pieces = "d = Div(x, r); e = Erf(d); a = Add(e, o); m = Mul(x, a); y = Mul(m, h) }";
  expect_untouched("recognise_gelu", in + ", e) { " + k_constants + pieces);
  expect_untouched("recognise_gelu", in + ", m) { " + k_constants + pieces);
  expect_untouched("recognise_gelu",
                   in + ") { const r: f32[] = {1.5}; const o: f32[] = {1}; const h: f32[] = {0.5}; " + pieces);
  expect_untouched("recognise_gelu",
                   in + ") { const r: f32[] = {1.41421354}; const o: f32[] = {1}; const h: f32[] = {0.4}; " + pieces);
}

const std::string k_norm =
    "const a: s64[1] = {-1}; const e: f32[] = {1e-05}; const two: f32[] = {2}; const s: f32[4] = {1,2,3,4}; const b: "
    "f32[4] = "
    "{5,6,7,8}; m = ReduceMean(x, a); d = Sub(x, m); ";

TEST(RecogniseLayerNorm, with_squares_of_both_spellings) {
  for (const char* square : {"q = Mul(d, d); ", "q = Pow(d, two); "}) {
    Graph graph =
        after_pass("recognise_layer_norm",
                   parsed("graph (x: f32[N,3,4]) -> (y) { " + k_norm + square +
                          "v = ReduceMean(q, a); w = Add(v, e); t = Sqrt(w); u = Div(d, t); p = Mul(u, s); y = "
                          "Add(p, b) @norm }"));
    EXPECT_EQ(shown(graph),
              shown(parsed("graph (x: f32[N,3,4]) -> (y) { const s: f32[4] = {1,2,3,4}; const b: f32[4] = "
                           "{5,6,7,8}; y = LayerNormalization(x, s, b, epsilon=1e-05) @norm }")));
  }
}

TEST(RecogniseLayerNorm, leaves_pieces_that_others_read_and_other_axes) {
  const std::string rest =
      "q = Mul(d, d); v = ReduceMean(q, a); w = Add(v, e); t = Sqrt(w); u = Div(d, t); y = Mul(u, s) }";
  expect_untouched("recognise_layer_norm", "graph (x: f32[N,3,4]) -> (y, d) { " + k_norm + rest);
  expect_untouched("recognise_layer_norm", "graph (x: f32[N,3,4]) -> (y, v) { " + k_norm + rest);
  std::string other = "graph (x: f32[N,4,4]) -> (y) { " + k_norm + rest;
  other.replace(other.find("{-1}"), 4, "{1}");
  expect_untouched("recognise_layer_norm", other);
}

TEST(RecogniseLayerNorm, gives_the_numbers_of_its_pieces) {
  const std::string text =
      "graph (x: f32[2,3,4]) -> (y) { " + k_norm +
      "q = Mul(d, d); v = ReduceMean(q, a); w = Add(v, e); t = Sqrt(w); u = Div(d, t); y = Mul(u, s) }";
  const std::map<std::string, Tensor> inputs = {{"x", random_tensor({2, 3, 4}, 5)}};
  const Graph after = after_pass("recognise_layer_norm", parsed(text));
  ASSERT_EQ(after.nodes.size(), 1u);
  EXPECT_LE(relative_difference(evaluate(after, inputs).at("y"), evaluate(parsed(text), inputs).at("y")), 1e-6);
}

const std::string k_codes =
    "const s: f32[] = {0.5}; const t: f32[] = {0.25}; const z: u8[] = {3}; const c: s8[] = {-2}; ";

/// After the pass and without what nobody reads any more.
std::string fused(const std::string& text) {
  return shown(after_pass("dead_code", after_pass("fuse_quant_matmul", parsed(text))));
}

TEST(FuseQuantMatMul, of_two_activations_with_and_without_a_quantizer_behind) {
  const std::string in = "graph (a: u8[N,2,3], b: s8[N,3,4]) -> (y) { ";
  const std::string values = k_codes + "p = DequantizeLinear(a, s, z); q = DequantizeLinear(b, t, c); ";
  const std::string product = "y = QuantMatMul(a, b, a_scale=0.5, a_zero_point=3, b_scale=0.25, b_zero_point=-2, ";
  EXPECT_EQ(fused(in + values + "m = MatMul(p, q) @attend; y = QuantizeLinear(m, t, z) }"),
            shown(parsed(in + product + "to=\"u8\", y_scale=0.25, y_zero_point=3) @attend }")));
  EXPECT_EQ(fused(in + values + "y = MatMul(p, q) }"),
            shown(parsed(in + product + "to=\"f32\", y_scale=1.0, y_zero_point=0) }")));
}

TEST(FuseQuantLookup, tables_a_smooth_activation) {
  const std::string text =
      "graph (a: s8[256]) -> (y) { const s: f32[] = {0.05}; const t: f32[] = {0.02}; const z: u8[] = {9}; const c: "
      "s8[] = {0}; "
      "x = DequantizeLinear(a, s, c); g = Gelu(x); y = QuantizeLinear(g, t, z) }";
  const Graph after = after_pass("dead_code", after_pass("fuse_quant_lookup", parsed(text)));
  ASSERT_EQ(after.nodes.size(), 1u);
  EXPECT_EQ(after.nodes[0].op->name, "QuantLookup");
  std::vector<int8_t> all;
  for (int code = -128; code < 128; ++code) all.push_back(static_cast<int8_t>(code));
  const std::map<std::string, Tensor> inputs = {{"a", Tensor::from<int8_t>(DType::s8, {256}, all)}};
  EXPECT_EQ(evaluate(after, inputs).at("y"), evaluate(parsed(text), inputs).at("y"));
}

}  // namespace
}  // namespace octet
