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
