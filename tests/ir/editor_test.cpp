#include "ir/editor.h"

#include <gtest/gtest.h>

#include "ir/text.h"

namespace octet {
namespace {

// A node that reads a value with several inputs is its reader once for each.
TEST(Editor, keeps_a_reader_once_for_each_input) {
  Graph graph = *parse_graph(
      "graph (x: f32[1,1], z: f32[1,1]) -> (y) { a = Relu(x) b = Relu(z) y = Concat(a, b, a, a, axis=1) }");
  const ValueId a = *graph.find_value("a"), b = *graph.find_value("b");
  Editor editor(graph);
  EXPECT_EQ(editor.readers(a), (std::vector<NodeId>{2, 2, 2}));
  editor.set_input(2, 2, b);
  EXPECT_EQ(editor.readers(a), (std::vector<NodeId>{2, 2}));
  EXPECT_EQ(editor.readers(b), (std::vector<NodeId>{2, 2}));
  ASSERT_TRUE(editor.replace_uses(a, b));
  EXPECT_TRUE(editor.readers(a).empty());
  EXPECT_EQ(editor.readers(b), (std::vector<NodeId>{2, 2, 2, 2}));
  EXPECT_EQ(editor.node(2).inputs, (std::vector<ValueId>{b, b, b, b}));
  editor.remove(2);
  EXPECT_TRUE(editor.readers(b).empty());
}

}  // namespace
}  // namespace octet
