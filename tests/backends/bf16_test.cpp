// Layers on products of bfloat16 against the reference, on every ISA: those without such products run plain loops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/ref/ref.h"
#include "backends/running.h"
#include "base/isa.h"
#include "ir/op.h"
#include "kernels/conv_bf16/conv_bf16.h"
#include "passes/passes.h"

namespace octet {
namespace {

// A sum near the middle between two bfloat16 numbers may round to either; a layer behind it sees the difference.
constexpr Tolerance k_short{1e-2};

std::string graph_of(const std::string& inputs, const std::string& body) {
  return "graph g (" + inputs + ") -> (y) {\n" + body + "\n}\n";
}

Graph shortened(const std::string& text, const std::set<std::string>& constants, int64_t layers) {
  Graph graph = graph_with_constants(text, constants, 1);
  const Result<Changed> made = bf16_layers(graph);
  EXPECT_TRUE(made);
  EXPECT_EQ(made ? made->count : 0, layers);
  return graph;
}

/// On the CPU alone: a GPU has FP16 instead.
void expect_near_ref(const Graph& graph, Tolerance tolerance) {
  const std::vector<Tensor> inputs = random_inputs(graph, 2);
  const std::vector<Tensor> want = run_graph(graph, make_ref_backend(), inputs);
  for (const Isa isa : available_isas())
    for (const int threads : {1, 3}) {
      const std::vector<Tensor> got = run_graph(graph, cpu::make_backend({.threads = threads, .isa = isa}), inputs);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], want[i], tolerance, std::string(name(isa)));
    }
}

TEST(Bf16OnCpu, convolutions_agree_with_the_reference) {
  for (const char* attributes : {"pads=[1,1,1,1]", "strides=[2,2], pads=[0,1,1,0]", "dilations=[2,2]"})
    for (const char* channels : {"3", "20", "64"}) {
      const std::string c = channels;
      expect_near_ref(
          shortened(graph_of("x: f32[2," + c + ",11,9], w: f32[70," + c + ",3,3], b: f32[70]",
                             std::string("  y = FusedConv(x, w, b, _, activation=\"HardSwish\", ") + attributes + ")"),
                    {"w", "b"}, 1),
          Tolerance{5e-6});
    }
}

/// The layer that makes the value is depthwise on its own FP32 weights, and its bfloat16 kernel runs it where there is
/// one.
void expect_short_depthwise(const Graph& graph, std::string_view value) {
  const NodeId id = maker(graph, value);
  const Node& node = graph.node(id);
  EXPECT_EQ(node.op->name, "Bf16Conv");
  EXPECT_EQ(graph.value(node.inputs[1]).dtype, DType::f32);
  EXPECT_EQ(graph.value(node.outputs[0]).dtype, DType::bf16);
  for (const Isa isa : available_isas()) {
    if (!conv_bf16_pays(isa)) continue;
    const auto plan = make_plan(graph, *cpu::make_backend({.threads = 1, .isa = isa}));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_THAT((*plan)->steps[static_cast<size_t>(id)].tactic, testing::StartsWith("depthwise_bf16 ")) << name(isa);
  }
}

TEST(Bf16OnCpu, depthwise_layers_between_convolutions_agree_with_the_reference) {
  for (const char* attributes : {"pads=[1,1,1,1]", "strides=[2,2], pads=[0,1,1,0]", "pads=[2,2,2,2]"}) {
    const std::string kernel = std::string(attributes).find("[2,2,2,2]") == std::string::npos ? "3,3" : "5,5";
    const Graph graph =
        shortened(graph_of("x: f32[2,24,11,9], w: f32[40,24,1,1], d: f32[40,1," + kernel + "], v: f32[24,40,1,1]",
                           "  a = FusedConv(x, w, _, _, activation=\"Relu\")\n"
                           "  b = FusedConv(a, d, _, _, activation=\"Relu\", group=40, " +
                               std::string(attributes) + ")\n  y = FusedConv(b, v)"),
                  {"w", "d", "v"}, 2);
    expect_short_depthwise(graph, "b");
    expect_near_ref(graph, k_short);
  }
}

TEST(Bf16OnCpu, grouped_convolutions_agree_with_the_reference) {
  for (const char* groups : {"2", "4"})
    expect_near_ref(
        shortened(
            graph_of(
                "x: f32[2,80,9,7], w: f32[160," + std::to_string(80 / std::stoi(groups)) + ",3,3], b: f32[160]",
                std::string("  y = FusedConv(x, w, b, _, activation=\"Relu\", pads=[1,1,1,1], group=") + groups + ")"),
            {"w", "b"}, 1),
        Tolerance{5e-6});
}

TEST(Bf16OnCpu, a_block_keeps_its_values_in_bfloat16) {
  expect_near_ref(
      shortened(graph_of("x: f32[3,3,17,17], w1: f32[32,3,3,3], w2: f32[48,32,3,3], w3: f32[32,48,1,1], "
                         "w4: f32[70,32,1,1], b: f32[32]",
                         "  a = FusedConv(x, w1, b, _, activation=\"Relu\", pads=[1,1,1,1], strides=[2,2])\n"
                         "  c = FusedConv(a, w2, _, _, activation=\"Relu\", pads=[1,1,1,1])\n"
                         "  r = FusedConv(c, w3, b, a, activation=\"Relu\")\n"
                         "  y = Conv(r, w4)"),
                {"w1", "w2", "w3", "w4", "b"}, 4),
      k_short);
}

TEST(Bf16OnCpu, a_maximum_between_convolutions_agrees_with_the_reference) {
  for (const char* attributes :
       {"kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]", "kernel_shape=[2,2], strides=[2,2], ceil_mode=1"}) {
    const Graph graph = shortened(graph_of("x: f32[2,3,19,17], w: f32[40,3,7,7], v: f32[24,40,1,1]",
                                           "  a = FusedConv(x, w, _, _, activation=\"Relu\", strides=[2,2], "
                                           "pads=[3,3,3,3])\n  p = MaxPool(a, " +
                                               std::string(attributes) + ")\n  y = FusedConv(p, v)"),
                                  {"w", "v"}, 2);
    const NodeId id = maker(graph, "p");
    EXPECT_EQ(graph.value(graph.node(id).inputs[0]).dtype, DType::bf16);
    EXPECT_EQ(graph.value(graph.node(id).outputs[0]).dtype, DType::bf16);
    for (const Isa isa : available_isas()) {
      const auto plan = make_plan(graph, *cpu::make_backend({.threads = 1, .isa = isa}));
      ASSERT_TRUE(plan) << plan.error().message;
      EXPECT_THAT((*plan)->steps[static_cast<size_t>(id)].tactic, testing::StartsWith("max_pool ")) << name(isa);
    }
    expect_near_ref(graph, k_short);
  }
}

TEST(Bf16OnCpu, fully_connected_layers_agree_with_the_reference) {
  for (const char* size : {"10", "32", "130"}) {
    const std::string n = size;
    expect_near_ref(shortened(graph_of("x: f32[5,37], w: f32[" + n + ",37], b: f32[" + n + "], v: f32[10," + n + "]",
                                       "  h = FusedGemm(x, w, b, activation=\"Relu\")\n  y = FusedGemm(h, v)"),
                              {"w", "b", "v"}, 2),
                    k_short);
  }
}

TEST(Bf16OnCpu, layers_among_others_agree_with_the_reference) {
  expect_near_ref(
      shortened(graph_of("x: f32[2,16,9,9], w1: f32[64,16,1,1], wd: f32[64,1,3,3], w2: f32[24,64,1,1], wf: f32[7,24]",
                         "  e = FusedConv(x, w1, _, _, activation=\"Clip\", activation_params=[0.0, 6.0])\n"
                         "  d = FusedConv(e, wd, _, _, group=64, pads=[1,1,1,1], strides=[2,2])\n"
                         "  p = Conv(d, w2)\n  g = GlobalAveragePool(p)\n  f = Flatten(g)\n  y = FusedGemm(f, wf)"),
                {"w1", "wd", "w2", "wf"}, 3),
      k_short);
}

}  // namespace
}  // namespace octet
