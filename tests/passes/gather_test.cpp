// Slices of gathers, and gathers of concatenations.
#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

Tensor some_codes(const Dims& dims) {
  std::vector<uint8_t> codes;
  for (int64_t i = 0; i < *element_count(dims); ++i) codes.push_back(static_cast<uint8_t>(i * 37));
  return Tensor::from<uint8_t>(DType::u8, dims, codes);
}

/// The bytes of every output are the same behind the passes.
Graph expect_same_answer(const std::string& text, const std::map<std::string, Tensor>& inputs) {
  const Graph before = parsed(text), after = after_pass("join_gathers", after_pass("gather_parts", before));
  expect_same_outputs(before, after, inputs);
  return after;
}

TEST(GatherParts, slices_along_the_axis_take_a_part_of_the_indices) {
  expect_rewrite("gather_parts",
                 "graph (x: f32[N,4,2,2]) -> (a, b) { const i: s64[4] = {0, 2, 1, 3}; const zero: s64[1] = {0}\n"
                 "const two: s64[1] = {2}; const most: s64[1] = {9223372036854775807}; const one: s64[1] = {1}\n"
                 "g = Gather(x, i, axis=1); a = Slice(g, zero, two, one) @a; b = Slice(g, two, most, one) @b }",
                 "graph (x: f32[N,4,2,2]) -> (a, b) { const a_indices: s64[2] = {0, 2}\n"
                 "const b_indices: s64[2] = {1, 3}\n"
                 "a = Gather(x, a_indices, axis=1) @a; b = Gather(x, b_indices, axis=1) @b }");
}

TEST(GatherParts, splits_are_a_gather_for_each_part) {
  expect_rewrite("gather_parts",
                 "graph (x: u8[5,3]) -> (a, b) { const i: s64[5] = {4, 3, 2, 1, 0}; const s: s64[2] = {2, 3}\n"
                 "g = Gather(x, i, axis=0); a, b = Split(g, s, axis=-2) @s }",
                 "graph (x: u8[5,3]) -> (a, b) { const a_indices: s64[2] = {4, 3}\n"
                 "const b_indices: s64[3] = {2, 1, 0}\n"
                 "a = Gather(x, a_indices, axis=0) @s_1; b = Gather(x, b_indices, axis=0) @s }");
}

TEST(GatherParts, slices_run_forwards_and_backwards_from_either_end) {
  for (const char* cut : {"{0}/{4}/{1}", "{-3}/{-1}/{1}", "{1}/{1000}/{2}", "{-1}/{-9223372036854775808}/{-1}",
                          "{9223372036854775807}/{0}/{-2}", "{3}/{-1000}/{-9223372036854775808}",
                          "{-1000}/{9223372036854775807}/{9223372036854775807}"}) {
    const std::string all = cut;
    const size_t first = all.find('/'), second = all.rfind('/');
    const std::string text =
        "graph (x: u8[2,6,3,1]) -> (y) { const i: s64[5] = {5, 0, -2, 3, 3}; const a: s64[1] = {1}\n"
        "const s: s64[1] = " +
        all.substr(0, first) + "; const e: s64[1] = " + all.substr(first + 1, second - first - 1) +
        "; const t: s64[1] = " + all.substr(second + 1) + "\ng = Gather(x, i, axis=1); y = Slice(g, s, e, a, t) }";
    const Graph after = expect_same_answer(text, {{"x", some_codes({2, 6, 3, 1})}});
    EXPECT_EQ(after.nodes.size(), 1u) << cut;
  }
}

TEST(GatherParts, of_others_readers_axes_and_indices_stay) {
  const std::string cut =
      "const s: s64[1] = {0}; const e: s64[1] = {2}; const one: s64[1] = {1}; const two: s64[1] = {2}\n";
  const std::string head = "graph (x: f32[1,4,4,4], j: s64[4]) -> (y) {" + cut + "const i: s64[4] = {0, 2, 1, 3}\n";
  for (const char* rest : {"g = Gather(x, i, axis=1); y = Slice(g, s, e, two) }",  // another axis
                           "g = Gather(x, j, axis=1); y = Slice(g, s, e, one) }",  // indices that are not known
                           "g = Gather(x, i, axis=1); h = Slice(g, s, e, one); r = Relu(g); y = Concat(h, r, axis=1) }",
                           "g = Gather(x, i, axis=1); y = Slice(g, s, s, one) }"})  // nothing
    expect_untouched("gather_parts", head + rest);
  for (const char* along : {"0", "1"})  // a Slice without axes cuts the first ones
    expect_untouched("gather_parts",
                     "graph (x: f32[4,4]) -> (y) { const s: s64[2] = {0, 0}; const e: s64[2] = {2, 1}\n"
                     "const i: s64[4] = {0, 2, 1, 3}; g = Gather(x, i, axis=" +
                         std::string(along) + "); y = Slice(g, s, e) }");
  expect_untouched("gather_parts",
                   "graph (x: u8[5,3]) -> (a) { const i: s64[5] = {4, 3, 2, 1, 0}\n"
                   "const n: s64[2] = {2, 3}; g = Gather(x, i, axis=0); a, _ = Split(g, n, axis=0) }");
  expect_untouched("gather_parts", "graph (x: f32[1,4,4,4]) -> (g, y) {" + cut + "const i: s64[4] = {0, 2, 1, 3}\n" +
                                       "g = Gather(x, i, axis=1); y = Slice(g, s, e, one) }");
}

TEST(JoinGathers, of_a_concatenation_read_its_parts) {
  expect_rewrite(
      "join_gathers",
      "graph (x: u8[N,2,4,4], z: u8[N,2,4,4]) -> (a, b) { const i: s64[2] = {0, 2}; const j: s64[2] = {1, 3}\n"
      "c = Concat(x, z, axis=1); a = Gather(c, i, axis=1) @a; b = Gather(c, j, axis=1) @b }",
      "graph (x: u8[N,2,4,4], z: u8[N,2,4,4]) -> (a, b) { const i: s64[2] = {0, 2}; const j: s64[2] = {1, 3}\n"
      "a = JoinedGather(i, _, x, z, axis=1) @a; b = JoinedGather(j, _, x, z, axis=1) @b }");
}

TEST(JoinGathers, look_codes_up_where_nothing_else_reads_them) {
  std::string table = "const t: s8[256] = {";
  for (int i = 0; i < 256; ++i) table += (i ? ", " : "") + std::to_string((i * 7 + 3) % 256 - 128);
  const std::string head = "graph (x: u8[2,3,4,4], z: u8[2,2,4,4]) -> (y, k) {" + table +
                           "}; const i: s64[4] = {4, 0, -2, 1}; const j: s64[1] = {1}\nc = Concat(x, z, axis=-3)\n"
                           "g = Gather(c, i, axis=1); k = Gather(c, j, axis=1)\n";
  const std::map<std::string, Tensor> inputs = {{"x", some_codes({2, 3, 4, 4})}, {"z", some_codes({2, 2, 4, 4})}};
  const Graph joined = expect_same_answer(head + "y = QuantLookup(g, t) @l }", inputs);
  EXPECT_THAT(print(joined, {.elide_constants = true}),
              HasSubstr("y = JoinedGather(i, t, x, z, axis=1) @l : s8[2,4,4,4]"));
  EXPECT_EQ(joined.nodes.size(), 2u);
  const Graph read_twice =
      expect_same_answer(head + "l = QuantLookup(g, t); m = QuantLookup(g, t); y = Concat(l, m, axis=0) }", inputs);
  EXPECT_THAT(shown(read_twice), HasSubstr("g = JoinedGather(i, _, x, z, axis=1)"));
  EXPECT_EQ(read_twice.nodes.size(), 5u);
}

TEST(JoinGathers, a_concatenation_that_others_read_stays) {
  const std::string head = "graph (x: f32[1,2,4,4], z: f32[1,2,4,4], j: s64[2]) -> (y) {\nconst i: s64[2] = {0, 3}\n";
  for (const char* rest :
       {"c = Concat(x, z, axis=1); g = Gather(c, i, axis=1); r = Relu(c); y = Concat(g, r, axis=1) }",
        "c = Concat(x, z, axis=1); y = Gather(c, i, axis=2) }", "c = Concat(x, z, axis=2); y = Gather(c, i, axis=2) }",
        "c = Concat(x, z, axis=1); y = Gather(c, j, axis=1) }"})
    expect_untouched("join_gathers", head + rest);
  expect_untouched("join_gathers",
                   "graph (x: f32[1,2,4,4], z: f32[1,2,4,4]) -> (c, y) {\nconst i: s64[2] = {0, 3}\n"
                   "c = Concat(x, z, axis=1); y = Gather(c, i, axis=1) }");
  expect_untouched("join_gathers",
                   "graph (x: f32[3,4], z: f32[3,4]) -> (y) {\nconst i: s64[2] = {0, 3}\n"
                   "c = Concat(x, z, axis=1); y = Gather(c, i, axis=1) }");
}

}  // namespace
}  // namespace octet
