// A batch fixed at 1 made free: which nodes allow it, and that a batch is its samples one by one.
#include <cstdlib>

#include "onnx/onnx.h"
#include "passes/free_batch.h"
#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

std::string freed(std::string_view text) {
  Graph graph = parsed(text);
  const Result<Done> ok = free_batch(graph);
  return ok ? shown(after_pass("dead_code", std::move(graph))) : ok.error().message;
}

TEST(FreeBatch, a_squeeze_without_axes_keeps_the_samples) {
  EXPECT_EQ(freed(R"(graph (x: f32[1,3,2,2]) -> (y) { const w: f32[3,5] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}
      const b: f32[5] = {1,2,3,4,5} p = GlobalAveragePool(x); s = Squeeze(p) @flat; m = MatMul(s, w); y = Add(m, b) })"),
            shown(parsed(R"(graph (x: f32[N,3,2,2]) -> (y) { const b: f32[5] = {1,2,3,4,5}
      const s_batch_shape: s64[2] = {0, 3} const w: f32[3,5] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}
      p = GlobalAveragePool(x); s = Reshape(p, s_batch_shape) @flat; m = MatMul(s, w); y = Add(m, b) })")));
}

TEST(FreeBatch, axes_move_where_the_file_had_dropped_the_batch) {
  EXPECT_EQ(freed(R"(graph (x: f32[1,6,4]) -> (y) { const to: s64[3] = {2,3,4}
      r = Reshape(x, to); t = Transpose(r, perm=[1,0,2]); s = Softmax(t, axis=1); y = Concat(s, t, axis=-1) })"),
            shown(parsed(R"(graph (x: f32[N,6,4]) -> (y) { const r_batch_shape: s64[4] = {0,2,3,4}
      r = Reshape(x, r_batch_shape); t = Transpose(r, perm=[0,2,1,3]); s = Softmax(t, axis=2)
      y = Concat(s, t, axis=3) })")));
}

TEST(FreeBatch, a_node_that_mixes_samples_is_named) {
  const auto refused = [](const char* body) {
    return freed(std::string("graph (x: f32[1,4,2]) -> (y) { ") + body + " }");
  };
  EXPECT_EQ(refused("y = Softmax(x, axis=0) @mix"),
            "the batch cannot be made free: node 'mix' (Softmax) does not work on each sample by itself: its axis is "
            "the batch");
  EXPECT_THAT(refused("y = Transpose(x, perm=[1,0,2])"), HasSubstr("it moves the batch axis"));
  EXPECT_THAT(refused("const a: s64[1] = {0} y = ReduceMean(x, a)"), HasSubstr("it works along the batch"));
  EXPECT_THAT(refused("q, s, z = DynamicQuantizeLinear(x); y = DequantizeLinear(q, s, z)"),
              HasSubstr("(DynamicQuantizeLinear) does not work on each sample by itself: no rule for this op"));
  EXPECT_THAT(refused("const c: f32[2,4,2] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16} y = Add(x, c)"),
              HasSubstr("operand 'c' has more than one sample's extents"));
  EXPECT_THAT(freed("graph (x: f32[2,4]) -> (y) { y = Relu(x) }"), HasSubstr("input 'x' has no leading extent of 1"));
}

/// Outputs of the graph for x, with its batch bound to x's.
std::vector<float> run(Graph graph, const Tensor& x) {
  const std::string in = graph.value(graph.inputs[0]).name, out = graph.value(graph.outputs[0]).name;
  const Result<Done> bound = bind_shapes(graph, {.batch = x.dims()[0], .shapes = {}});
  EXPECT_TRUE(bound) << bound.error().message;
  const Tensor y = evaluate(after_stage(Stage::clean, std::move(graph)), {{in, x}}).at(out);
  return {y.as<float>().begin(), y.as<float>().end()};
}

/// The graph for x: f32[1,2,3,4], made free, has for two samples the answers that each has alone.
void expect_each_sample_as_alone(const Graph& one) {
  Graph free = one;
  const Result<Done> ok = free_batch(free);
  ASSERT_TRUE(ok) << ok.error().message;
  const Tensor both = random_tensor({2, 2, 3, 4}, 3);
  std::vector<float> one_by_one;
  for (int64_t i = 0; i < 2; ++i) {
    const std::vector<float> sample(both.as<float>().begin() + i * 24, both.as<float>().begin() + (i + 1) * 24);
    const std::vector<float> y = run(one, Tensor::from<float>(DType::f32, {1, 2, 3, 4}, sample));
    one_by_one.insert(one_by_one.end(), y.begin(), y.end());
  }
  EXPECT_EQ(run(free, both), one_by_one);
}

TEST(FreeBatch, each_op_with_a_rule_gives_a_batch_the_answers_of_its_samples) {
  const std::vector<std::string> bodies = {
      "n = Not(b); y = Cast(n, to=\"f32\")",
      "z = Transpose(b, perm=[0,1,2,3]); n = Not(z); o = Xor(b, n); y = Cast(o, to=\"f32\")",
      "l = LessOrEqual(x, h); g = GreaterOrEqual(x, h); o = And(l, g); y = Cast(o, to=\"f32\")",
      "const m: s32[] = {6} o = BitwiseAnd(i, m); y = Cast(o, to=\"f32\")",
      "const m: s32[4] = {1,2,3,4} o = BitwiseOr(i, m); n = BitwiseNot(o); e = BitwiseXor(n, i); y = Cast(e, "
      "to=\"f32\")",
      "const m: u8[] = {2} o = BitShift(u, m, direction=\"LEFT\"); y = Cast(o, to=\"f32\")",
      "const m: s32[] = {3} o = Mod(i, m); y = Cast(o, to=\"f32\")",
      "y = Hardmax(x, axis=-2)",
      "y = LpNormalization(x, axis=2, p=1)",
      "const s: f32[4] = {1,2,3,4} y = RMSNormalization(x, s)",
      "y = MeanVarianceNormalization(x, axes=[2,3])",
      "const a: s64[2] = {-1,1} y = ReduceL1(x, a, keepdims=0)",
      "const a: s64[2] = {-1,1} y = ReduceL2(x, a)",
      "const a: s64[1] = {3} p = ReduceProd(x, a); q = ReduceSumSquare(x, a); y = Add(p, q)",
      "const a: s64[1] = {3} e = Exp(x); p = ReduceLogSum(e, a); q = ReduceLogSumExp(x, a); y = Sub(p, q)",
      "const a: s64[] = {-2} y = CumSum(x, a)",
      "const k: s64[1] = {2} v, at = TopK(x, k, axis=2); f = Cast(at, to=\"f32\"); y = Add(v, f)",
      "m = ArgMax(x, axis=1); n = ArgMin(x, axis=1); o = Sub(m, n); y = Cast(o, to=\"f32\")",
      "const d: s64[] = {3} const v: f32[2] = {-1,2} m = ArgMax(x, axis=-1, keepdims=0); y = OneHot(m, d, v, axis=1)",
      "m = ArgMax(x, axis=3); y = GatherElements(x, m, axis=3)",
      "m = ArgMax(x, axis=3); v = GatherElements(x, m, axis=3); y = ScatterElements(x, m, v, axis=3)",
      "const k: s64[] = {1} y = Trilu(x, k)",
      "const to: s64[5] = {0,2,3,4,1} r = Reshape(x, to); const w: s64[5] = {1,2,3,4,2} y = Expand(r, w)",
      "const n: s64[4] = {1,2,1,3} y = Tile(x, n)",
      "const s: s64[3] = {2,3,4} r = Reshape(x, s); const n: s64[3] = {2,1,1} y = Tile(r, n)",
      "const s: f32[4] = {1,1,2,3} y = Resize(x, _, s, mode=\"linear\")",
      "const s: s64[4] = {1,2,5,2} y = Resize(x, _, _, s, mode=\"nearest\")",
      "const s: s64[4] = {0,3,2,4} t = Reshape(x, s); v = Transpose(t, perm=[0,1,3,2]); "
      "g = Slice(v, b0, b2, b3); y = GridSample(x, g)",
      "p = GlobalLpPool(x); y = Mul(p, x)",
      "const w: u8[2,2,1,1] = {3,200,7,90} const z: u8[] = {128} o = ConvInteger(u, w, z, z); y = Cast(o, to=\"f32\")",
      "const w: u8[4,2] = {3,200,7,90,1,2,3,4} const z: u8[] = {128} o = MatMulInteger(u, w, z, z); "
      "y = Cast(o, to=\"f32\")"};
  for (const std::string& body : bodies) {
    SCOPED_TRACE(body);
    const Graph one = parsed(R"(graph (x: f32[1,2,3,4]) -> (y) { const h: f32[] = {0.1} const ten: f32[] = {10}
      const b0: s64[1] = {0} const b2: s64[1] = {2} const b3: s64[1] = {3} b = Greater(x, h); large = Mul(x, ten)
      i = Cast(large, to="s32"); positive = Abs(large); u = Cast(positive, to="u8"); )" +
                             body + " }");
    expect_each_sample_as_alone(one);
  }
}

/// What matmul_to_gemm has made of a transformer's products.
TEST(FreeBatch, a_gemm_of_the_rows_of_one_sample_becomes_a_matmul) {
  const char* const bodies[] = {
      "g = Gemm(r, w, b, transB=1)", "v = Transpose(w, perm=[1,0]); g = Gemm(r, v)",
      "const c: s8[2,4] = {1,-2,3,-4,5,6,7,-8} const s: f32[2] = {0.5,0.25} d = DequantizeLinear(c, s, axis=0); "
      "g = Gemm(r, d, b, transB=1)"};
  for (const std::string body : bodies) {
    SCOPED_TRACE(body);
    expect_each_sample_as_alone(parsed(R"(graph (x: f32[1,2,3,4]) -> (y) { const rows: s64[2] = {6,4}
      const w: f32[2,4] = {1,2,3,4,-1,-2,3,0} const b: f32[2] = {5,6} const back: s64[4] = {-1,2,3,2}
      r = Reshape(x, rows); )" + body + "; y = Reshape(g, back) }"));
  }
}

TEST(FreeBatch, what_joins_samples_is_refused) {
  const auto refused = [](const char* body) {
    return freed(std::string("graph (x: f32[1,4]) -> (y) { ") + body + " }");
  };
  EXPECT_THAT(freed(R"(graph (x: f32[1,2,3]) -> (y) { const rows: s64[2] = {2,3} const w: f32[3,1] = {1,2,3}
      const c: f32[2,1] = {4,5} r = Reshape(x, rows); y = Gemm(r, w, c) })"),
              HasSubstr("its bias has rows"));
  EXPECT_THAT(refused("y = Trilu(x)"), HasSubstr("(Trilu) does not work on each sample by itself: its matrices"));
  EXPECT_THAT(refused("const n: s64[2] = {3,1} y = Tile(x, n)"), HasSubstr("it repeats the batch"));
  EXPECT_THAT(refused("const n: s64[2] = {3,4} y = Expand(x, n)"), HasSubstr("it repeats the batch"));
  EXPECT_THAT(refused("const s: f32[2] = {2,1} y = Resize(x, _, s)"), HasSubstr("it works along the batch"));
  EXPECT_THAT(refused("const a: s64[] = {0} y = CumSum(x, a)"), HasSubstr("it works along the batch"));
  EXPECT_THAT(refused("const s: s64[3] = {0,2,2} r = Reshape(x, s); v, y = MaxPool(r, kernel_shape=[1])"),
              HasSubstr("its indices count the elements of all samples"));
  EXPECT_THAT(refused("y = ArgMax(x)"), HasSubstr("its axis is the batch"));
  EXPECT_THAT(refused("const d: s64[] = {3} const v: f32[2] = {0,1} y = OneHot(x, d, v, axis=0)"),
              HasSubstr("its axis is the batch"));
  EXPECT_THAT(refused("const i: s64[1,1] = {2} y = GatherElements(x, i, axis=1)"),
              HasSubstr("operand 'i' is the same for all samples"));
}

TEST(FreeBatch, a_batch_gives_the_answers_of_its_samples) {
  if (!std::getenv("OCTET_DATA")) GTEST_SKIP() << "OCTET_DATA is not set";
  for (const char* name : {"resnet18_cifar10", "mobilenet_v2_cifar10_int8_qlinear"}) {
    SCOPED_TRACE(name);
    const Result<OnnxModel> model = read_onnx(std::string(std::getenv("OCTET_DATA")) + "/models/" + name + ".onnx");
    ASSERT_TRUE(model) << model.error().message;
    const Tensor both = random_tensor({2, 3, 32, 32}, 1);
    std::vector<float> one_by_one;
    for (int64_t i = 0; i < 2; ++i) {
      const std::vector<float> pixels(both.as<float>().begin() + i * 3072, both.as<float>().begin() + (i + 1) * 3072);
      const std::vector<float> y = run(model->graph, Tensor::from<float>(DType::f32, {1, 3, 32, 32}, pixels));
      one_by_one.insert(one_by_one.end(), y.begin(), y.end());
    }
    EXPECT_EQ(run(model->graph, both), one_by_one);
  }
}

}  // namespace
}  // namespace octet
