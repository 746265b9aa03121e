// Layers found by their weights: as they are, transposed, scaled by a folded normalization, and what cannot be told.

#include "checkpoint/match_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/op.h"

namespace octet {
namespace {

using testing::HasSubstr;

std::vector<float> numbers(size_t n, float first) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = first + std::sin(static_cast<float>(i) * 1.7f + first);
  return values;
}

Tensor numbers_of(const Dims& dims, float first) {
  int64_t n = 1;
  for (const int64_t d : dims) n *= d;
  return f32_tensor(dims, numbers(static_cast<size_t>(n), first));
}

void put_layer(Checkpoint& checkpoint, const std::string& name, Tensor weight, float amax) {
  checkpoint.tensors[name + ".weight"] = std::move(weight);
  checkpoint.tensors[name + "._input_quantizer._amax"] = scalar_f32(amax);
}

/// x -> node(weight) -> y, appended.
ValueId append(Graph& graph, const char* op, ValueId x, Tensor weight, Attributes attributes = {}) {
  const std::string name = "node" + std::to_string(graph.nodes.size());
  const ValueId w = graph.add_constant(name + "_w", std::move(weight));
  const ValueId y = graph.add_value(name + "_y");
  graph.nodes.push_back({find_op(op), name, {x, w}, {y}, std::move(attributes)});
  return y;
}

Graph empty_graph() {
  Graph graph;
  graph.inputs = {graph.add_value("x", DType::f32, Shape{Dim("N"), Dim(3), Dim(8), Dim(8)})};
  return graph;
}

TEST(MatchWeights, finds_equal_scaled_and_transposed_layers) {
  Checkpoint checkpoint;
  put_layer(checkpoint, "a", numbers_of({4, 3, 3, 3}, 1), 2.0f);
  put_layer(checkpoint, "b", numbers_of({4, 3, 3, 3}, 2), 3.0f);
  put_layer(checkpoint, "fc", numbers_of({2, 5}, 3), 4.0f);
  std::vector<float> scaled = numbers(4 * 27, 2);
  for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= i < 27 ? 0.25f : -1.75f * static_cast<float>(i / 27);
  std::vector<float> transposed(10);
  const std::vector<float> fc = numbers(10, 3);
  for (size_t o = 0; o < 2; ++o)
    for (size_t i = 0; i < 5; ++i) transposed[i * 2 + o] = fc[o * 5 + i];
  Graph graph = empty_graph();
  append(graph, "Conv", graph.inputs[0], f32_tensor({4, 3, 3, 3}, scaled));
  append(graph, "Conv", graph.inputs[0], numbers_of({4, 3, 3, 3}, 1));
  const ValueId flat = graph.add_value("flat");
  append(graph, "MatMul", flat, f32_tensor({5, 2}, transposed));
  append(graph, "Conv", graph.inputs[0], numbers_of({4, 3, 3, 3}, 9));
  const Result<WeightMatches> found = match_weights(checkpoint, graph);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->layers.size(), 3u);
  EXPECT_EQ(found->layers[0].layer, "b");
  EXPECT_TRUE(found->layers[0].scaled);
  EXPECT_EQ(found->layers[1].layer, "a");
  EXPECT_FALSE(found->layers[1].scaled);
  EXPECT_EQ(found->layers[2].layer, "fc");
  const std::vector<std::pair<std::string, float>> ranges = {{"flat", 4.0f}, {"x", 3.0f}};  // the larger of a and b
  EXPECT_EQ(found->amax, ranges);
  ASSERT_EQ(found->notes.size(), 1u);
  EXPECT_THAT(found->notes[0], HasSubstr("node 'node3': no layer of the checkpoint has its weight"));
}

TEST(MatchWeights, says_which_layers_cannot_be_told_apart_and_which_are_missing) {
  Checkpoint checkpoint;
  put_layer(checkpoint, "a", numbers_of({4, 3, 3, 3}, 1), 2.0f);
  put_layer(checkpoint, "b", numbers_of({4, 3, 3, 3}, 1), 3.0f);
  put_layer(checkpoint, "c", numbers_of({4, 4, 1, 1}, 5), 3.0f);
  checkpoint.tensors["d.weight"] = numbers_of({6, 3, 1, 1}, 7);
  Graph graph = empty_graph();
  append(graph, "Conv", graph.inputs[0], numbers_of({4, 3, 3, 3}, 1));
  append(graph, "Conv", graph.inputs[0], numbers_of({6, 3, 1, 1}, 7));
  const Result<WeightMatches> found = match_weights(checkpoint, graph);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(found->amax.empty());
  ASSERT_EQ(found->layers.size(), 1u);  // d, which has no range
  ASSERT_EQ(found->notes.size(), 3u);
  EXPECT_THAT(found->notes[0], HasSubstr("that of 2 layers ('a', 'b') whose ranges differ"));
  EXPECT_THAT(found->notes[1], HasSubstr("layer 'd' has no range"));
  EXPECT_THAT(found->notes[2], HasSubstr("layer 'c': no node has its weight"));
}

TEST(MatchWeights, refuses_another_network) {
  Checkpoint checkpoint;
  put_layer(checkpoint, "a", numbers_of({4, 3, 3, 3}, 1), 2.0f);
  Graph graph = empty_graph();
  append(graph, "Conv", graph.inputs[0], numbers_of({4, 3, 3, 3}, 2));
  const Result<WeightMatches> found = match_weights(checkpoint, graph);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("none of the checkpoint's 1 layers"));
}

}  // namespace
}  // namespace octet
