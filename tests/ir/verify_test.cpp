#include <gtest/gtest.h>

#include "ir/op.h"
#include "ir/text.h"

namespace octet {
namespace {

Graph chain() { return *parse_graph("graph (x: f32[1]) -> (y) { a = Identity(x) @n0 y = Identity(a) @n1 }"); }

std::string verdict(const Graph& graph) {
  const Result<Done> ok = verify(graph);
  return ok ? "accepted" : ok.error().message;
}

TEST(Verify, accepts_a_graph_without_nodes) { EXPECT_EQ(verdict(Graph{}), "accepted"); }

TEST(Verify, an_id_out_of_range_is_refused_before_it_is_used) {
  for (const ValueId id : {-2, 3, 1000000, INT32_MIN, INT32_MAX}) {
    Graph graph = chain();
    graph.nodes[1].inputs = {id};
    EXPECT_EQ(verdict(graph),
              "node 'n1' (Identity): value id " + std::to_string(id) + " is not one of the graph's 3 values");
    print(graph);  // must not crash either
    graph = chain();
    graph.outputs = {id};
    EXPECT_EQ(verdict(graph), "graph outputs: value id " + std::to_string(id) + " is not one of the graph's 3 values");
  }
  Graph graph = chain();
  graph.inputs = {k_absent};
  EXPECT_EQ(verdict(graph), "graph inputs: value id -1 is not one of the graph's 3 values");
}

TEST(Verify, a_node_without_an_op_is_refused) {
  Graph graph = chain();
  graph.nodes[0].op = nullptr;
  EXPECT_EQ(verdict(graph), "node 'n0' has no op");
}

TEST(Verify, names_are_unique_and_not_empty) {
  Graph graph = chain();
  graph.value(1).name = "x";
  EXPECT_EQ(verdict(graph), "two values are called 'x'");
  graph.value(1).name = "";
  EXPECT_EQ(verdict(graph), "a value has no name");
  graph = chain();
  graph.nodes[1].name = "n0";
  EXPECT_EQ(verdict(graph), "two nodes are called 'n0'");
  graph.nodes[0].name = graph.nodes[1].name = "";
  EXPECT_EQ(verdict(graph), "accepted");
}

TEST(Verify, a_value_is_made_once_and_before_it_is_read) {
  Graph graph = chain();
  std::swap(graph.nodes[0], graph.nodes[1]);
  EXPECT_EQ(verdict(graph), "node 'n1' (Identity): reads 'a' before anything makes it");
  graph = chain();
  graph.nodes[1].outputs = graph.nodes[0].outputs;
  EXPECT_EQ(verdict(graph), "node 'n1' (Identity): makes 'a', which exists already");
  graph = chain();
  graph.nodes.pop_back();
  EXPECT_EQ(verdict(graph), "graph output 'y' is made by no node");
  graph = chain();
  graph.inputs.push_back(graph.inputs[0]);
  EXPECT_EQ(verdict(graph), "graph input 'x' is listed twice");
}

TEST(Verify, arity_and_attributes_follow_the_schema) {
  Graph graph = chain();
  graph.nodes[0].outputs.push_back(graph.add_value("z"));
  EXPECT_EQ(verdict(graph), "node 'n0' (Identity): has 2 outputs, expected 1");
  graph = chain();
  graph.nodes[0].attributes["perm"] = int64_t{1};
  EXPECT_EQ(verdict(graph), "node 'n0' (Identity): attribute 'perm' is not known for this op");
}

TEST(Verify, stored_types_agree_with_inference) {
  Graph graph = chain();
  graph.value(1).dtype = DType::u8;
  EXPECT_EQ(verdict(graph), "node 'n0' (Identity): output 'a' is stored as u8, but inference says f32");
  graph = chain();
  graph.value(1).shape = Shape{Dim(2)};
  EXPECT_EQ(verdict(graph), "node 'n0' (Identity): output 'a' is stored as [2], but inference says [1]");
  graph.value(1).shape = Shape{Dim("N")};  // says less, contradicts nothing
  EXPECT_EQ(verdict(graph), "accepted");
  ASSERT_TRUE(infer_shapes(graph));
  EXPECT_EQ(to_string(*graph.value(1).shape), "[1]");
}

TEST(Verify, a_constant_agrees_with_its_value) {
  Graph graph;
  graph.outputs = {graph.add_constant("c", scalar_f32(1))};
  graph.value(0).dtype = DType::s32;
  EXPECT_EQ(verdict(graph), "value 'c': stored dtype s32, but its constant is f32");
  graph.value(0).dtype = DType::f32;
  graph.value(0).shape.reset();
  EXPECT_EQ(verdict(graph), "value 'c': stored shape unknown, but its constant is []");
}

/// What is said of an integer layer of one channel whose bound is 255 * 2 + |bias|.
std::string integer_layer(const std::string& op, const std::string& extents, int64_t bias) {
  const Result<Graph> graph = parse_graph(
      "graph (x: u8[" + extents + "]) -> (y) {\n  const w: s8[" + extents + "] = {-2}\n  const s: f32[1] = {0.5}\n" +
      "  const b: s32[1] = {" + std::to_string(bias) + "}\n  y = " + op +
      "(x, w, s, b, x_scale=0.5, x_zero_point=3, y_scale=0.5, y_zero_point=0, to=\"u8\") @n\n}\n");
  return graph ? verdict(*graph) : graph.error().message;
}

TEST(Verify, an_integer_layer_cannot_leave_int32) {
  for (const auto& [op, extents] : {std::pair{"QuantConv", "1,1,1,1"}, std::pair{"QuantGemm", "1,1"}}) {
    for (const int64_t bias : {int64_t{2147483137}, int64_t{-2147483137}})
      EXPECT_EQ(integer_layer(op, extents, bias), "accepted") << op;
    for (const int64_t bias : {int64_t{2147483138}, int64_t{-2147483138}, int64_t{INT32_MIN}})
      EXPECT_EQ(integer_layer(op, extents, bias),
                "node 'n' (" + std::string(op) + "): output channel 0: 255 * sum|w| + |bias| is " +
                    std::to_string(510 + std::abs(bias)) + ", expected less than 2^31, or int32 could overflow");
  }
}

TEST(Verify, absurd_extents_are_refused) {
  Graph graph = chain();
  graph.value(0).shape = Shape{Dim(int64_t{1} << 40), Dim("N")};
  EXPECT_EQ(verdict(graph), "value 'x': the shape [1099511627776,N] is negative or has more than 2^36 elements");
  EXPECT_FALSE(infer_shapes(graph));
  graph.value(0).shape = Shape{Dim(-7)};
  EXPECT_FALSE(verify(graph));
}

TEST(InferShapes, keeps_what_only_the_file_knows) {
  Graph graph = chain();
  graph.value(0).shape = Shape{Dim("N"), Dim()};
  graph.value(1).shape = Shape{Dim("M"), Dim(5)};
  ASSERT_TRUE(infer_shapes(graph));
  EXPECT_EQ(to_string(*graph.value(1).shape), "[N,5]");
}

TEST(Ops, are_found_by_name_and_each_name_is_there_once) {
  for (const OpDef* op : all_ops()) {
    EXPECT_EQ(find_op(op->name), op) << op->name;
    EXPECT_NE(op->infer, nullptr) << op->name;
    EXPECT_NE(op->reference, nullptr) << op->name;
  }
  EXPECT_EQ(find_op("NoSuchOp"), nullptr);
}

}  // namespace
}  // namespace octet
