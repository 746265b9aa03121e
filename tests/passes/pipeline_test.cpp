// Running the passes, binding shapes, and the graph's fingerprint.
#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

TEST(RunStage, repeats_the_clean_passes_until_nothing_changes) {
  // Folding the shape uncovers the identity of the reshape, which uncovers the pair of a sigmoid and a product.
  const Graph graph = after_stage(Stage::clean, parsed(R"(graph (x: f32[N,3,4]) -> (y) {
      s = Shape(x); r = Reshape(x, s); g = Sigmoid(r); y = Mul(x, g) })"));
  EXPECT_EQ(shown(graph), shown(parsed("graph (x: f32[N,3,4]) -> (y) { y = Silu(x) }")));
}
TEST(RunStage, a_skipped_pass_changes_nothing) {
  const char* const text = "graph (x: f32[N,4]) -> (y) { s = Sigmoid(x); y = Mul(x, s) }";
  EXPECT_EQ(shown(after_stage(Stage::clean, parsed(text), {"recognise_silu"})), shown(parsed(text)));
}
TEST(RunStage, an_unknown_name_to_skip_is_an_error) {
  Graph graph = parsed("graph (x: f32[N,4]) -> (y) { y = Relu(x) }");
  Result<std::vector<PassReport>> reports = run_stage(graph, Stage::clean, {"fold_everything"});
  ASSERT_FALSE(reports);
  EXPECT_EQ(reports.error().code, ErrorCode::bad_argument);
  EXPECT_THAT(reports.error().message, HasSubstr("there is no pass called 'fold_everything'"));
}
TEST(RunStage, reports_how_often_each_pass_acted) {
  Graph graph = parsed("graph (x: f32[N,4]) -> (y) { a = Identity(x); b = Identity(a); y = Relu(b) }");
  Result<std::vector<PassReport>> reports = run_stage(graph, Stage::clean);
  ASSERT_TRUE(reports) << reports.error().message;
  for (const PassReport& report : *reports)
    EXPECT_EQ(report.changed.count, report.name == "remove_identity" ? 2 : 0) << report.name;
}
TEST(RunStage, a_clean_graph_stays_as_it_is) {
  const char* const text = R"(graph (x: f32[N,1,4,4]) -> (y) { const w: f32[1,1,3,3] = {1,1,1,1,1,1,1,1,1}
      c = Conv(x, w); r = Relu(c); p = GlobalAveragePool(r); y = Flatten(p, axis=1) })";
  EXPECT_EQ(shown(after_stage(Stage::clean, parsed(text))), shown(parsed(text)));
}

std::string bound(std::string_view text, const Binding& binding) {
  Graph graph = parsed(text);
  Result<Done> done = bind_shapes(graph, binding);
  return done ? shown(graph) : "ERROR " + done.error().message;
}
TEST(BindShapes, the_batch_takes_the_unknown_leading_extent) {
  EXPECT_EQ(bound("graph (x: f32[N,3,4]) -> (y) { y = Relu(x) }", {.batch = 8, .shapes = {}}),
            "graph (x: f32[8,3,4]) -> (y) {\n  y = Relu(x) : f32[8,3,4]\n}\n");
}
TEST(BindShapes, a_fixed_batch_stays) {
  EXPECT_EQ(bound("graph (x: f32[2,3]) -> (y) { y = Relu(x) }", {.batch = 8, .shapes = {}}),
            "graph (x: f32[2,3]) -> (y) {\n  y = Relu(x) : f32[2,3]\n}\n");
}
TEST(BindShapes, a_symbol_is_one_number_everywhere) {
  EXPECT_EQ(bound("graph (x: f32[N,H], z: f32[N,H]) -> (y) { y = Add(x, z) }", {.batch = 0, .shapes = {{"x", {2, 5}}}}),
            "graph (x: f32[2,5], z: f32[2,5]) -> (y) {\n  y = Add(x, z) : f32[2,5]\n}\n");
  EXPECT_THAT(
      bound("graph (x: f32[N], z: f32[N]) -> (y) { y = Add(x, z) }", {.batch = 0, .shapes = {{"x", {2}}, {"z", {3}}}}),
      HasSubstr("'N' cannot be both 2 and 3"));
}
TEST(BindShapes, a_picture_gives_free_height_and_width) {
  const std::optional<std::array<int64_t, 2>> picture = {{224, 192}};
  const char* const free_sides = "graph (x: f32[N,3,H,W]) -> (y) { y = Relu(x) }";
  EXPECT_THAT(bound(free_sides, {.batch = 2, .shapes = {}, .picture = picture}), HasSubstr("f32[2,3,224,192]"));
  EXPECT_THAT(bound(free_sides, {.batch = 2, .shapes = {{"x", {1, 3, 8, 8}}}, .picture = picture}),
              HasSubstr("f32[1,3,8,8]"));
  EXPECT_THAT(bound("graph (x: f32[N,3,H,H]) -> (y) { y = Relu(x) }", {.batch = 2, .shapes = {}, .picture = picture}),
              HasSubstr("'H' cannot be both 224 and 192"));
  for (const char* const other : {"graph (x: f32[N,4,H,W]) -> (y) { y = Relu(x) }",    // no picture
                                  "graph (x: f32[N,3,32,W]) -> (y) { y = Relu(x) }"})  // one side is the file's
    EXPECT_THAT(bound(other, {.batch = 2, .shapes = {}, .picture = picture}), HasSubstr("W]"));
}
TEST(BindShapes, what_does_not_fit_is_named) {
  const char* const text = "graph (x: f32[N,3]) -> (y) { y = Relu(x) }";
  EXPECT_THAT(bound(text, {.batch = 0, .shapes = {{"x", {2, 4}}}}),
              HasSubstr("input 'x' is [N,3] in the model: extent 1 is fixed"));
  EXPECT_THAT(bound(text, {.batch = 0, .shapes = {{"x", {2}}}}), HasSubstr("another rank"));
  EXPECT_THAT(bound(text, {.batch = 0, .shapes = {{"z", {2}}}}), HasSubstr("'z', which is not an input"));
  EXPECT_THAT(bound(text, {.batch = 0, .shapes = {{"x", {-2, 3}}}}), HasSubstr("is not a shape"));
}

TEST(HashGraph, the_same_graph_has_the_same_hash_and_any_part_changes_it) {
  const auto hash = [](std::string_view text) { return hash_graph(parsed(text)); };
  const uint64_t base = hash("graph (x: f32[N,2]) -> (y) { const c: f32[2] = {1, 2}; y = Add(x, c) @a }");
  EXPECT_EQ(base, hash("graph other (x: f32[N,2]) -> (y) { const c: f32[2] = {1, 2}; y = Add(x, c) @a }"));
  EXPECT_NE(base, hash("graph (x: f32[N,2]) -> (y) { const c: f32[2] = {1, 3}; y = Add(x, c) @a }"));
  EXPECT_NE(base, hash("graph (x: f32[N,2]) -> (y) { const c: f32[2] = {1, 2}; y = Mul(x, c) @a }"));
  EXPECT_NE(base, hash("graph (x: f32[N,2]) -> (y) { const c: f32[2] = {1, 2}; y = Add(c, x) @a }"));
  EXPECT_NE(base, hash("graph (x: f32[N,2]) -> (y) { const c: f32[2] = {1, 2}; y = Add(x, c) @b }"));
  EXPECT_NE(base, hash("graph (z: f32[N,2]) -> (y) { const c: f32[2] = {1, 2}; y = Add(z, c) @a }"));
  EXPECT_NE(hash("graph (x: f32[N,2]) -> (y) { y = LeakyRelu(x, alpha=0.1) }"),
            hash("graph (x: f32[N,2]) -> (y) { y = LeakyRelu(x, alpha=0.2) }"));
}
TEST(HashGraph, does_not_depend_on_unused_values) {
  Graph graph = parsed("graph (x: f32[N,2]) -> (y) { y = Relu(x) }");
  const uint64_t base = hash_graph(graph);
  graph.add_value("spare", DType::f32);
  EXPECT_EQ(hash_graph(graph), base);
}

}  // namespace
}  // namespace octet
