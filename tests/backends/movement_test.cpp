// Steps that move elements, on f32, codes and s64, against the reference.
#include <gtest/gtest.h>

#include "backends/cpu/movement.h"
#include "backends/running.h"

namespace octet {
namespace {

/// Runs the body on x of every dtype that moves.
void expect_moves(const std::string& shape, const std::string& body, const std::string& more = "") {
  for (const char* type : {"f32", "u8", "s8", "s64"}) {
    std::string typed = more;
    for (size_t at = typed.find("TYPE"); at != std::string::npos; at = typed.find("TYPE")) typed.replace(at, 4, type);
    expect_cpu_equals_ref("graph g (x: " + std::string(type) + shape + typed + ") -> (y) {\n" + body + "\n}\n", {},
                          k_exact);
  }
}

TEST(MovementOnCpu, reshapes_between_ranks) {
  const char* const targets[][2] = {{"[2,21,3,4]", "s64[2] = {2, 252}"},      {"[2,16,1,1]", "s64[2] = {2, 16}"},
                                    {"[2,21,1,1]", "s64[2] = {2, 21}"},       {"[6,16]", "s64[4] = {2, 3, 4, 4}"},
                                    {"[2,6,4,5]", "s64[4] = {2, 8, 3, 5}"},   {"[2,9,4]", "s64[2] = {6, 12}"},
                                    {"[2,21,3,4]", "s64[4] = {1, 42, 4, 3}"}, {"[24]", "s64[3] = {2, 3, 4}"}};
  for (const auto& [from, to] : targets) expect_moves(from, std::string("  const t: ") + to + "\n  y = Reshape(x, t)");
  expect_moves("[2,5,3,4]", "  y = Flatten(x)");
  expect_moves("[2,5,3,4]", "  y = Flatten(x, axis=2)");
  expect_moves("[2,5,1,4]", "  const a: s64[1] = {2}\n  y = Squeeze(x, a)");
  expect_moves("[2,5,4]", "  const a: s64[1] = {1}\n  y = Unsqueeze(x, a)");
  expect_moves("[2,5,3,4]", "  y = Identity(x)");
}

TEST(MovementOnCpu, transposes) {
  for (const char* perm : {"0,2,3,1", "0,3,1,2", "3,2,1,0", "0,1,3,2"})
    expect_moves("[2,5,3,4]", std::string("  y = Transpose(x, perm=[") + perm + "])");
  expect_moves("[5,7]", "  y = Transpose(x)");
  expect_moves("[2,3,4,5,6]", "  y = Transpose(x, perm=[1,4,0,3,2])");
  for (const char* dims : {"[8,8]", "[17,9]", "[64,40]", "[33,8]"})  // in blocks of 8 x 8 codes
    expect_moves(dims, "  y = Transpose(x)");
  for (const char* dims : {"[3,17,9]", "[2,64,40]", "[5,7,33]"}) expect_moves(dims, "  y = Transpose(x, perm=[0,2,1])");
  expect_moves("[2,3,19,26]", "  y = Transpose(x, perm=[0,1,3,2])");
}

TEST(MovementOnCpu, blocks_of_channels_become_pixels_in_either_order) {
  for (const char* mode : {"DCR", "CRD"}) {
    const std::string more = std::string(", mode=\"") + mode + "\")";
    for (const int channels : {1, 3, 5, 16, 20, 48, 64, 70})
      for (const int block : {2, 3}) {
        const std::string deep = "[2," + std::to_string(channels * block * block) + ",3,5]";
        expect_moves(deep, "  y = DepthToSpace(x, blocksize=" + std::to_string(block) + more);
      }
    expect_moves("[1,48,2,67]", "  y = DepthToSpace(x, blocksize=4" + more);  // more pixels than go at a time
    expect_moves("[1,7,2,3]", "  y = DepthToSpace(x, blocksize=1" + more);
  }
  expect_moves("[2,5,4,6]", "  y = SpaceToDepth(x, blocksize=2)");
}

TEST(MovementOnCpu, concatenates_and_splits_along_any_axis) {
  expect_moves("[2,5,3,4]", "  y = Concat(x, z, x, axis=1)", ", z: TYPE[2,18,3,4]");
  expect_moves("[2,5,3,4]", "  y = Concat(x, z, axis=-1)", ", z: TYPE[2,5,3,2]");
  expect_moves("[2,5]", "  y = Concat(x, z, axis=0)", ", z: TYPE[3,5]");
  for (const char* axis : {"1", "-1"}) {
    expect_moves("[2,6,3,6]", std::string("  const s: s64[3] = {1, 2, 3}\n  a, b, c = Split(x, s, axis=") + axis +
                                  ")\n  y = Concat(c, a, b, axis=" + axis + ")");
  }
}

TEST(MovementOnCpu, concatenates_constants) {
  expect_cpu_equals_ref("graph g (x: f32[1,5,3,4], c: f32[1,3,3,4]) -> (y) { y = Concat(c, x, axis=1)\n}\n", {"c"},
                        k_exact);
  expect_cpu_equals_ref("graph g (x: s8[1,5,3,4], c: s8[1,3,3,4]) -> (y) { y = Concat(c, x, axis=1)\n}\n", {"c"},
                        k_exact);
}

TEST(MovementOnCpu, slices_with_steps_and_backwards) {
  const char* const cuts[] = {"  const s: s64[1] = {1}\n  const e: s64[1] = {9999}\n  y = Slice(x, s, e)",
                              "  const s: s64[2] = {0, 1}\n  const e: s64[2] = {9223372036854775807, -1}\n  const a: "
                              "s64[2] = {2, 3}\n  const t: s64[2] = {2, 1}\n  y = Slice(x, s, e, a, t)",
                              "  const s: s64[1] = {-1}\n  const e: s64[1] = {-9223372036854775807}\n  const a: s64[1] "
                              "= {1}\n  const t: s64[1] = {-2}\n  y = Slice(x, s, e, a, t)"};
  for (const char* cut : cuts) expect_moves("[2,5,3,4]", cut);
}

TEST(MovementOnCpu, pads_with_a_value_and_crops) {
  for (const char* pads : {"{0, 3, 1, 0, 0, 2, 0, 1}", "{0, -1, 1, 0, 0, 2, -2, 0}"}) {
    for (const char* typed : {"f32[] = {-2.5}", "u8[] = {7}", "s8[] = {-7}"}) {
      const std::string type = std::string(typed).substr(0, std::string(typed).find('['));
      expect_cpu_equals_ref("graph g (x: " + type + "[2,5,3,4]) -> (y, z) {\n  const p: s64[8] = " + pads +
                                "\n  const v: " + typed + "\n  y = Pad(x, p, v)\n  z = Pad(x, p)\n}\n",
                            {}, k_exact);
    }
  }
  expect_moves("[2,5]", "  const p: s64[2] = {2, 1}\n  const a: s64[1] = {1}\n  y = Pad(x, p, _, a)");
}

TEST(MovementOnCpu, pads_with_what_the_image_holds) {
  for (const char* mode : {"reflect", "edge", "wrap"}) {
    for (const char* pads : {"{0, 0, 2, 3, 0, 0, 1, 2}", "{1, 4, 0, 1, 0, 3, 2, 0}", "{0, 0, -1, 2, 0, -2, 2, -1}"}) {
      for (const char* type : {"f32", "u8", "s8"}) {
        expect_cpu_equals_ref(std::string("graph g (x: ") + type + "[2,5,3,4]) -> (y) {\n  const p: s64[8] = " + pads +
                                  "\n  y = Pad(x, p, mode=\"" + mode + "\")\n}\n",
                              {}, k_exact);
      }
    }
  }
  expect_moves("[7]", "  const p: s64[2] = {3, 1}\n  y = Pad(x, p, mode=\"reflect\")");
}

TEST(MovementOnCpu, expands) {
  expect_moves("[5,1,1]", "  const t: s64[4] = {2, 5, 3, 4}\n  y = Expand(x, t)");
  expect_moves("[3,1]", "  const t: s64[2] = {1, 7}\n  y = Expand(x, t)");
}

TEST(MovementOnCpu, lets_a_reshape_of_like_memory_share_its_storage) {
  const Graph graph = graph_with_constants(
      "graph g (x: f32[2,32,4,4]) -> (y) {\n  p = GlobalAveragePool(x)\n  f = Flatten(p)\n  y = Relu(f)\n}\n", {}, 1);
  EXPECT_EQ(cpu::reshape_alias(graph, graph.node(1)), graph.node(1).inputs[0]);
  const Graph padded = graph_with_constants(
      "graph g (x: f32[2,20,4,4]) -> (y) {\n  p = GlobalAveragePool(x)\n  f = Flatten(p)\n  y = Relu(f)\n}\n", {}, 1);
  EXPECT_EQ(cpu::reshape_alias(padded, padded.node(1)), k_absent);  // 20 channels lie 32 apart
  expect_cpu_equals_ref(graph, k_float);
  expect_cpu_equals_ref(padded, k_float);
}

TEST(GraphEdgesOnCpu, hands_inputs_and_constants_through) {
  expect_cpu_equals_ref("graph g (x: f32[1,3,4,5], c: f32[2,3]) -> (x, c, y, y) { y = Relu(x)\n}\n", {"c"}, k_exact);
  expect_cpu_equals_ref("graph g (x: s8[3,5]) -> (y, z) {\n  y = Identity(x)\n  z = Transpose(y)\n}\n", {}, k_exact);
}

TEST(GraphEdgesOnCpu, reads_an_output_that_is_also_an_intermediate_value) {
  expect_cpu_equals_ref("graph g (x: f32[2,7]) -> (a, b) {\n  a = Relu(x)\n  b = Exp(a)\n}\n", {}, k_float);
  expect_cpu_equals_ref("graph g (x: f32[2,7,3,3]) -> (a, b) {\n  a = Relu(x)\n  b = Exp(a)\n}\n", {}, k_float);
}

}  // namespace
}  // namespace octet
