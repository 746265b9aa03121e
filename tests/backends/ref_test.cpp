// The reference back end behind its door: the answers of OpDef::reference, taps, times, buffers.
#include "backends/ref/ref.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "ir/text.h"
#include "runtime/engine.h"

namespace octet {
namespace {

/// An f32 buffer of the caller.
struct Buffer {
  Dims dims;
  std::vector<float> values;
  TensorView view() { return TensorView::dense(DType::f32, dims, reinterpret_cast<std::byte*>(values.data())); }
};

Result<Context> open(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  if (!graph) return graph.error();
  Result<std::shared_ptr<const Engine>> engine = Engine::build(std::move(*graph), make_ref_backend());
  if (!engine) return engine.error();
  return Context::make(*engine);
}

// y = relu(x - 3) and its double; "dead" is read by nobody.
constexpr std::string_view k_graph = R"(graph two (x: f32[2,3]) -> (z, y) {
  const three: f32[] = {3}
  const two: f32[] = {2}
  difference = Sub(x, three) @sub
  y = Relu(difference) @relu
  dead = Neg(difference) @neg
  z = Mul(y, two) @mul
})";

TEST(RefBackend, runs_the_nodes_in_order_and_fills_the_callers_buffers) {
  Result<Context> context = open(k_graph);
  ASSERT_TRUE(context) << context.error().message;
  Buffer x{{2, 3}, {0, 1, 2, 3, 4, 5.5f}}, z{{2, 3}, std::vector<float>(6, -1)}, y = z;
  for (int run = 0; run < 2; ++run) {  // a second run finds nothing of the first
    Result<Done> ran = context->run({.inputs = {x.view()}, .outputs = {z.view(), y.view()}});
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_THAT(y.values, testing::ElementsAre(0, 0, 0, 0, 1, 2.5f));
    EXPECT_THAT(z.values, testing::ElementsAre(0, 0, 0, 0, 2, 5));
  }
}

TEST(RefBackend, shows_every_f32_value_that_a_step_makes_and_times_each_step) {
  Result<Context> context = open(k_graph);
  ASSERT_TRUE(context) << context.error().message;
  Buffer x{{2, 3}, {0, 1, 2, 3, 4, 5.5f}}, z{{2, 3}, std::vector<float>(6)}, y = z;
  std::map<std::string, double> sums;
  std::vector<double> seconds;
  const RunHooks hooks = {.tap =
                              [&](std::string_view value, const TensorView& view) {
                                const auto* v = reinterpret_cast<const float*>(view.data);
                                sums[std::string(value)] = std::accumulate(v, v + 6, 0.0);
                              },
                          .step_seconds = &seconds};
  ASSERT_TRUE(context->run({.inputs = {x.view()}, .outputs = {z.view(), y.view()}}, hooks));
  EXPECT_EQ(sums, (std::map<std::string, double>{{"difference", -2.5}, {"y", 3.5}, {"dead", 2.5}, {"z", 7.0}}));
  EXPECT_EQ(seconds.size(), context->engine().plan().steps.size());
}

TEST(RefBackend, hands_a_graph_input_or_a_constant_through) {
  Result<Context> context = open("graph (x: f32[2]) -> (x, c) {\n const c: f32[2] = {7, 8}\n}");
  ASSERT_TRUE(context) << context.error().message;
  Buffer x{{2}, {1, 2}}, first{{2}, {0, 0}}, second{{2}, {0, 0}};
  ASSERT_TRUE(context->run({.inputs = {x.view()}, .outputs = {first.view(), second.view()}}));
  EXPECT_THAT(first.values, testing::ElementsAre(1, 2));
  EXPECT_THAT(second.values, testing::ElementsAre(7, 8));
}

TEST(RefBackend, names_the_node_whose_data_is_wrong) {
  // An index that only the data shows to be out of range.
  Result<Context> context = open(R"(graph (x: f32[2]) -> (y) {
  const table: f32[3] = {1, 2, 3}
  i = Cast(x, to="s64") @cast
  y = Gather(table, i, axis=0) @gather
})");
  ASSERT_TRUE(context) << context.error().message;
  Buffer x{{2}, {1, 9}}, y{{2}, {0, 0}};
  Result<Done> ran = context->run({.inputs = {x.view()}, .outputs = {y.view()}});
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().message, testing::HasSubstr("node 'gather' (Gather)"));
}

TEST(RefBackend, has_one_tactic_for_every_op) {
  Result<Graph> graph = parse_graph(k_graph);
  ASSERT_TRUE(graph);
  const std::shared_ptr<Backend> backend = make_ref_backend();
  EXPECT_EQ(backend->name(), "ref");
  for (NodeId id = 0; id < static_cast<NodeId>(graph->nodes.size()); ++id) {
    const std::vector<Tactic> tactics = backend->tactics(*graph, id);
    ASSERT_EQ(tactics.size(), 1u);
    EXPECT_EQ(tactics[0].name, "reference");
    EXPECT_EQ(tactics[0].refused, "");
  }
}

}  // namespace
}  // namespace octet
