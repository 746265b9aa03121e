#include "ir/graph.h"

#include <gtest/gtest.h>

#include "ir/op.h"
#include "ir/text.h"

namespace octet {
namespace {

Graph chain() {  // x -> a -> b -> y
  return *parse_graph("graph (x: f32[1]) -> (y) { a = Identity(x) @n0 b = Identity(a) @n1 y = Identity(b) @n2 }");
}

TEST(Graph, a_unique_name_takes_the_first_free_suffix) {
  Graph graph;
  EXPECT_EQ(graph.unique_value_name("w"), "w");
  graph.add_value("w");
  graph.add_value("w_1");
  EXPECT_EQ(graph.unique_value_name("w"), "w_2");
  EXPECT_EQ(graph.unique_value_name(""), "_1");
  const ValueId c = graph.add_constant("w", scalar_f32(2));
  EXPECT_EQ(graph.value(c).name, "w_2");
  EXPECT_EQ(graph.constant(c)->at<float>(0), 2.0f);
  EXPECT_EQ(graph.constant(k_absent), nullptr);
}

TEST(Graph, uses_count_a_node_once_for_each_input_that_reads) {
  Graph graph = chain();
  const ValueId a = *graph.find_value("a"), y = *graph.find_value("y");
  graph.nodes[1].inputs = {a, a};
  const Uses uses(graph);
  EXPECT_EQ(uses.consumers[static_cast<size_t>(a)], (std::vector<NodeId>{1, 1}));
  EXPECT_FALSE(uses.single_use(a));
  EXPECT_FALSE(uses.single_use(y));  // an output of the graph
  EXPECT_EQ(uses.producer[static_cast<size_t>(a)], 0);
  EXPECT_EQ(uses.producer[static_cast<size_t>(*graph.find_value("x"))], -1);
}

TEST(ReplaceUses, a_graph_output_keeps_its_name) {
  Graph graph = chain();
  replace_uses(graph, *graph.find_value("y"), *graph.find_value("a"));
  remove_nodes(graph, {false, true, true});
  compact(graph);
  EXPECT_EQ(print(graph), "graph (x: f32[1]) -> (y) {\n  y = Identity(x) @n0 : f32[1]\n}\n");
}

TEST(ReplaceUses, a_graph_input_keeps_its_name_and_so_the_output_stays) {
  Graph graph = chain();
  replace_uses(graph, *graph.find_value("y"), *graph.find_value("x"));
  EXPECT_EQ(print(graph), print(chain()));
  replace_uses(graph, *graph.find_value("b"), *graph.find_value("x"));
  EXPECT_EQ(graph.nodes[2].inputs, graph.inputs);
}

TEST(SortNodes, puts_producers_first_and_otherwise_keeps_the_order) {
  Graph graph = chain();
  const std::string sorted = print(graph);
  std::swap(graph.nodes[0], graph.nodes[2]);
  EXPECT_FALSE(verify(graph));
  ASSERT_TRUE(sort_nodes(graph));
  EXPECT_EQ(print(graph), sorted);
}

TEST(SortNodes, names_a_node_of_a_cycle_and_not_one_behind_it) {
  Graph graph = chain();
  graph.nodes[0].inputs = {*graph.find_value("b")};  // n0 and n1 feed each other, n2 only waits
  const Result<Done> sorted = sort_nodes(graph);
  ASSERT_FALSE(sorted);
  EXPECT_TRUE(sorted.error().message == "the graph has a cycle: node 'n0' needs its own output 'a'" ||
              sorted.error().message == "the graph has a cycle: node 'n1' needs its own output 'b'")
      << sorted.error().message;
}

TEST(Compact, drops_values_that_nothing_names) {
  Graph graph = chain();
  graph.add_value("spare");
  compact(graph);
  EXPECT_EQ(graph.values.size(), 4u);
  EXPECT_EQ(print(graph), print(chain()));
}

TEST(Attributes, a_missing_one_gives_the_default) {
  Node node;
  node.attributes["axis"] = int64_t{3};
  EXPECT_EQ(int_attribute(node, "axis", 1), 3);
  EXPECT_EQ(int_attribute(node, "other", 1), 1);
  EXPECT_EQ(float_attribute(node, "axis", 0.5f), 0.5f);  // of another kind
  EXPECT_TRUE(has_attribute(node, "axis"));
}

}  // namespace
}  // namespace octet
