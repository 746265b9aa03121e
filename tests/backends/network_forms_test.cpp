// The forms that torchvision's networks are exported in, on small networks: what the passes make of them, float and
// INT8, computes the same on every ISA as on the reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "backends/open.h"
#include "backends/running.h"
#include "ir/op.h"
#include "passes/passes.h"

namespace octet {
namespace {

struct Form {
  const char* name;
  const char* text;
  std::set<std::string> constants;
  bool computes_shapes = false;  // only the clean stage gives it shapes that can be planned
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

const Form k_forms[] = {
    // Flatten before the first of several Gemms; between them Dropout, which the reader makes an Identity.
    {"vgg",
     R"(graph vgg (x: f32[2,3,16,16], w0: f32[8,3,3,3], b0: f32[8], w1: f32[8,8,3,3], b1: f32[8],
      f0: f32[20,72], c0: f32[20], f1: f32[5,20], c1: f32[5]) -> (y) {
  a = Conv(x, w0, b0, pads=[1,1,1,1])
  b = Relu(a)
  c = MaxPool(b, kernel_shape=[2,2], strides=[2,2])
  d = Conv(c, w1, b1, pads=[1,1,1,1])
  e = Relu(d)
  f = MaxPool(e, kernel_shape=[2,2], strides=[2,2])
  p = AveragePool(f, kernel_shape=[2,2], strides=[1,1])
  g = Flatten(p, axis=1)
  h = Gemm(g, f0, c0, transB=1)
  i = Relu(h)
  j = Identity(i)
  y = Gemm(j, f1, c1, transB=1)
})",
     {"w0", "b0", "w1", "b1", "f0", "c0", "f1", "c1"}},
    // Norm and activation in front of the convolution, behind a growing Concat; a transition with average pooling.
    {"densenet",
     R"(graph densenet (x: f32[2,3,16,16], w0: f32[8,3,3,3], s0: f32[8], o0: f32[8], m0: f32[8], v0_var: f32[8],
      w1: f32[12,8,1,1], w2: f32[4,12,3,3], s1: f32[12], o1: f32[12], m1: f32[12], v1_var: f32[12], w3: f32[6,12,1,1],
      s2: f32[6], o2: f32[6], m2: f32[6], v2_var: f32[6], f: f32[5,6], c: f32[5]) -> (y) {
  a = Conv(x, w0, pads=[1,1,1,1])
  n0 = BatchNormalization(a, s0, o0, m0, v0_var)
  r0 = Relu(n0)
  g = Conv(r0, w1)
  r1 = Relu(g)
  h = Conv(r1, w2, pads=[1,1,1,1])
  k = Concat(a, h, axis=1)
  n1 = BatchNormalization(k, s1, o1, m1, v1_var)
  r2 = Relu(n1)
  t = Conv(r2, w3)
  p = AveragePool(t, kernel_shape=[2,2], strides=[2,2])
  n2 = BatchNormalization(p, s2, o2, m2, v2_var)
  r3 = Relu(n2)
  q = GlobalAveragePool(r3)
  z = Flatten(q, axis=1)
  y = Gemm(z, f, c, transB=1)
})",
     {"w0", "s0", "o0", "m0", "v0_var", "w1", "w2", "s1", "o1", "m1", "v1_var", "w3", "s2", "o2", "m2", "v2_var", "f",
      "c"}},
    // Halves of the channels, one through a depthwise branch, shuffled by shapes that the graph computes.
    {"shufflenet",
     R"(graph shufflenet (x: f32[2,3,16,16], w0: f32[8,3,3,3], b0: f32[8], w1: f32[4,4,1,1], b1: f32[4],
      w2: f32[4,1,3,3], b2: f32[4], w3: f32[4,4,1,1], b3: f32[4], f: f32[5,8], c: f32[5]) -> (y) {
  const i0: s64[] = {0}
  const i2: s64[] = {2}
  const two: s64[1] = {2}
  const four: s64[1] = {4}
  const eight: s64[1] = {8}
  const front: s64[1] = {0}
  a0 = Conv(x, w0, b0, strides=[2,2], pads=[1,1,1,1])
  a = Relu(a0)
  left, right = Split(a, axis=1, num_outputs=2)
  d = Conv(right, w1, b1)
  e = Relu(d)
  g = Conv(e, w2, b2, pads=[1,1,1,1], group=4)
  h = Conv(g, w3, b3)
  k = Relu(h)
  j = Concat(left, k, axis=1)
  shape = Shape(j)
  n = Gather(shape, i0, axis=0)
  s = Gather(shape, i2, axis=0)
  n1 = Unsqueeze(n, front)
  s1 = Unsqueeze(s, front)
  apart = Concat(n1, two, four, s1, s1, axis=0)
  together = Concat(n1, eight, s1, s1, axis=0)
  m = Reshape(j, apart)
  t = Transpose(m, perm=[0,2,1,3,4])
  o = Reshape(t, together)
  const sides: s64[2] = {2, 3}
  q = ReduceMean(o, sides, keepdims=0)
  y = Gemm(q, f, c, transB=1)
})",
     {"w0", "b0", "w1", "b1", "w2", "b2", "w3", "b3", "f", "c"},
     true},
};

class NetworkForms : public testing::TestWithParam<Form> {};

Graph staged(Graph graph, Stage stage) {
  const auto reports = run_stage(graph, stage);
  EXPECT_TRUE(reports) << reports.error().message;
  return graph;
}

/// The form as it is exported, or as near to that as can be planned.
Graph exported(const Form& form) {
  Graph graph = graph_with_constants(form.text, form.constants, 7);
  return form.computes_shapes ? staged(std::move(graph), Stage::clean) : graph;
}

std::shared_ptr<Backend> reference() { return *open_backend("ref", {}); }

/// Ranges of all values on one random batch.
CalibrationTable observed(const Graph& graph, const std::vector<Tensor>& inputs) {
  std::map<std::string, std::pair<float, float>> seen;
  RunHooks hooks;
  hooks.value_tap = [&](std::string_view name, const TensorView& view, int) {
    if (view.dtype != DType::f32) return;
    const auto* begin = reinterpret_cast<const float*>(view.data);
    const auto [least, most] = std::minmax_element(begin, begin + *element_count(view.dims));
    seen[std::string(name)] = {std::min(*least, 0.0f), std::max(*most, 0.0f)};
  };
  run_graph(graph, reference(), inputs, hooks);
  const std::span<const float> x = inputs[0].as<float>();
  const auto [least, most] = std::minmax_element(x.begin(), x.end());
  seen["x"] = {std::min(*least, 0.0f), std::max(*most, 0.0f)};
  CalibrationTable table;
  for (const std::string& name : calibration_points(graph)) {
    const auto [lo, hi] = seen.at(name);
    TensorRange row{name, lo, hi, 1, {}};
    row.by_method.fill({std::max(-lo, hi), lo, hi});
    table.tensors.push_back(row);
  }
  return table;
}

TEST_P(NetworkForms, in_float_stay_what_they_were_on_every_isa) {
  const Graph graph = exported(GetParam());
  const std::vector<Tensor> inputs = random_inputs(graph, 11);
  const Graph fused = staged(staged(graph, Stage::clean), Stage::fuse);
  for (const Node& node : fused.nodes) {
    const bool shuffles = is_op(node, "Gather") && int_attribute(node, "axis", 0) == 1;  // channels, not extents
    for (const char* gone : {"Shape", "Gather", "Identity", "Unsqueeze"})
      EXPECT_TRUE(shuffles || !is_op(node, gone)) << node.op->name;
  }
  const std::vector<Tensor> before = run_graph(graph, reference(), inputs),
                            after = run_graph(fused, reference(), inputs);
  ASSERT_EQ(before.size(), 1u);
  ASSERT_EQ(after.size(), 1u);
  expect_close(after[0], before[0], {2e-5}, GetParam().name);
  expect_cpu_equals_ref(fused, k_float);
}

TEST_P(NetworkForms, in_int8_give_the_same_codes_on_every_isa) {
  const Graph graph = exported(GetParam());
  const std::vector<Tensor> inputs = random_inputs(graph, 11);
  for (const Target target : {Target::octet, Target::tensorrt}) {
    Graph quantized = staged(graph, Stage::clean);
    const CalibrationTable table = observed(quantized, inputs);
    const Result<QuantizeReport> report =
        quantize(quantized, table, {.method = CalibrationMethod::max, .target = target, .keep_float = {}});
    ASSERT_TRUE(report) << report.error().message;
    const Graph fused = staged(quantized, Stage::fuse);
    int64_t float_layers = 0;
    for (const Node& node : fused.nodes)
      float_layers += node.op->name == "Conv" || node.op->name == "Gemm" || node.op->name == "FusedConv";
    EXPECT_EQ(float_layers, 0);
    expect_cpu_equals_ref(fused, k_exact);
    const std::vector<Tensor> real = run_graph(graph, reference(), inputs),
                              codes = run_graph(fused, reference(), inputs);
    expect_close(codes[0], real[0], {0.1}, std::string(GetParam().name) + " against float");
  }
}

INSTANTIATE_TEST_SUITE_P(All, NetworkForms, testing::ValuesIn(k_forms),
                         [](const auto& form) { return form.param.name; });

}  // namespace
}  // namespace octet
