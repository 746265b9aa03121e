// Float layers whose products become those of bfloat16.
#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A stem, a residual block, a depthwise layer behind it, pooling and a classifier.
const std::string k_graph = R"(graph (x: f32[1,3,8,8]) -> (y) {
  const w1: f32[8,3,3,3] = random; const b1: f32[8] = random; const w2: f32[8,8,3,3] = random; const w3: f32[8,8,1,1] = random
  const wd: f32[8,1,3,3] = random; const wf: f32[5,8] = random; const bf: f32[5] = random
  a = FusedConv(x, w1, b1, activation="Relu", pads=[1,1,1,1]) @stem
  c = FusedConv(a, w2, _, activation="Relu", pads=[1,1,1,1]) @middle
  r = FusedConv(c, w3, _, a) @last
  d = FusedConv(r, wd, _, group=8, pads=[1,1,1,1]) @depthwise
  p = GlobalAveragePool(d); f = Flatten(p)
  y = FusedGemm(f, wf, bf) @classifier })";

/// The text with every "random" replaced by as many numbers as the type before it has elements.
std::string with_numbers(std::string text) {
  unsigned seed = 1;
  for (size_t at = text.find("random"); at != std::string::npos; at = text.find("random")) {
    const size_t open = text.rfind('[', at), close = text.find(']', open);
    int64_t count = 1;
    for (size_t i = open + 1; i < close; i = text.find_first_of(",]", i) + 1) count *= std::stoll(text.substr(i));
    std::string numbers = "{";
    for (int64_t i = 0; i < count; ++i) {
      seed = seed * 1664525u + 1013904223u;
      numbers += (i ? ", " : "") + std::to_string(static_cast<double>(seed >> 8) / (1 << 23) - 1.0);
    }
    text.replace(at, 6, numbers + "}");
  }
  return text;
}

DType dtype(const Graph& graph, const char* name) { return graph.value(*graph.find_value(name)).dtype; }

TEST(Bf16Layers, values_between_such_layers_are_bfloat16_and_others_stay_f32) {
  Graph graph = parsed(with_numbers(k_graph));
  const Result<Changed> made = bf16_layers(graph);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->count, 4);
  EXPECT_EQ(dtype(graph, "a"), DType::bf16) << "read as an input and as a residual";
  EXPECT_EQ(dtype(graph, "c"), DType::bf16);
  EXPECT_EQ(dtype(graph, "r"), DType::f32) << "a depthwise layer reads it";
  EXPECT_EQ(dtype(graph, "y"), DType::f32) << "an output";
  const std::string text = shown(graph);
  EXPECT_THAT(text, HasSubstr("FusedConv(r, wd"));
  EXPECT_THAT(text, HasSubstr("Bf16Gemm(f, wf_bf16, bf"));
  EXPECT_EQ(print(parsed(print(graph))), print(graph)) << "it prints and parses";
}

TEST(Bf16Layers, depthwise_layers_between_such_layers_keep_their_weights) {
  const auto made =
      [](const std::string& depthwise, const std::string& behind) {
        Graph graph = parsed(with_numbers(R"(graph (x: f32[1,16,8,8]) -> (y) {
  const w1: f32[16,16,1,1] = random; const wd: f32[16,1,3,3] = random; const w2: f32[16,16,1,1] = random
  a = FusedConv(x, w1, _, activation="Clip", activation_params=[0.0, 6.0]) @expand
  d = FusedConv(a, wd, _, )" + depthwise + R"(group=16, pads=[1,1,1,1]) @depthwise
  )" + behind + "}"));
        EXPECT_TRUE(bf16_layers(graph));
        return graph;
      };
  const Graph between = made("activation=\"Relu\", ", "y = FusedConv(d, w2, _) @project ");
  EXPECT_THAT(shown(between), HasSubstr("d = Bf16Conv(a, wd,"));
  EXPECT_EQ(dtype(between, "a"), DType::bf16);
  EXPECT_EQ(dtype(between, "d"), DType::bf16);
  EXPECT_EQ(dtype(between, "wd"), DType::f32);
  const Graph pooled = made("", "y = GlobalAveragePool(d) ");
  EXPECT_THAT(shown(pooled), HasSubstr("d = FusedConv(a, wd,")) << "pooling reads f32";
  EXPECT_EQ(dtype(pooled, "a"), DType::f32);
  const Graph curved = made("activation=\"Silu\", ", "y = FusedConv(d, w2, _) @project ");
  EXPECT_THAT(shown(curved), HasSubstr("d = FusedConv(a, wd,")) << "an activation that is no clamp";
}

/// A layer @expand that makes a, and what follows; of 16 channels, with weights of depthwise layers and 1x1 ones.
Graph behind_expand(const std::string& outputs, const std::string& rest) {
  Graph graph = parsed(with_numbers("graph (x: f32[1,16,8,8]) -> (" + outputs + R"() {
  const w1: f32[16,16,1,1] = random; const w2: f32[16,16,1,1] = random
  const wd: f32[16,1,3,3] = random; const we: f32[16,1,3,3] = random
  a = FusedConv(x, w1, _, activation="Relu") @expand
  )" + rest + "}"));
  EXPECT_TRUE(bf16_layers(graph));
  return graph;
}

TEST(Bf16Layers, a_depthwise_layer_that_makes_an_output_stays_f32) {
  const Graph graph = behind_expand("y, d", R"(d = FusedConv(a, wd, _, group=16, pads=[1,1,1,1]) @depthwise
  y = FusedConv(d, w2, _) @project )");
  EXPECT_THAT(shown(graph), HasSubstr("d = FusedConv(a, wd,"));
  EXPECT_THAT(shown(graph), HasSubstr("y = Bf16Conv(d, w2_bf16"));
  EXPECT_EQ(dtype(graph, "d"), DType::f32);
  EXPECT_EQ(dtype(graph, "a"), DType::f32);
}

TEST(Bf16Layers, a_depthwise_layer_with_a_reader_of_f32_stays_f32) {
  for (const std::string reader : {"z = GlobalAveragePool(d)", "z = FusedConv(d, we, _, group=16) @kept"}) {
    const Graph graph = behind_expand("y, z", R"(d = FusedConv(a, wd, _, group=16, pads=[1,1,1,1]) @depthwise
  y = FusedConv(d, w2, _) @project
  )" + reader + " ");
    EXPECT_THAT(shown(graph), HasSubstr("d = FusedConv(a, wd,")) << reader;
    EXPECT_EQ(dtype(graph, "d"), DType::f32) << reader;
    EXPECT_EQ(dtype(graph, "a"), DType::f32) << reader;
  }
}

TEST(Bf16Layers, a_chain_of_depthwise_layers_becomes_bfloat16_as_a_whole_or_not_at_all) {
  const std::string chain = R"(d = FusedConv(a, wd, _, activation="Relu", group=16, pads=[1,1,1,1]) @first
  e = FusedConv(d, we, _, group=16, pads=[1,1,1,1]) @second
  )";
  const Graph between = behind_expand("y", chain + "y = FusedConv(e, w2, _) @project ");
  EXPECT_THAT(shown(between), HasSubstr("d = Bf16Conv(a, wd,"));
  EXPECT_THAT(shown(between), HasSubstr("e = Bf16Conv(d, we,"));
  for (const char* const value : {"a", "d", "e"}) EXPECT_EQ(dtype(between, value), DType::bf16) << value;
  const Graph pooled = behind_expand("y", chain + "y = GlobalAveragePool(e) ");
  EXPECT_THAT(shown(pooled), HasSubstr("d = FusedConv(a, wd,"));
  EXPECT_THAT(shown(pooled), HasSubstr("e = FusedConv(d, we,"));
  for (const char* const value : {"a", "d", "e"}) EXPECT_EQ(dtype(pooled, value), DType::f32) << value;
}

TEST(Bf16Layers, a_depthwise_layer_with_a_residual_stays_f32) {
  for (const std::string residual : {"a", "x"}) {
    const Graph graph =
        behind_expand("y", "d = FusedConv(a, wd, _, " + residual + R"(, group=16, pads=[1,1,1,1]) @depthwise
  y = FusedConv(d, w2, _) @project )");
    EXPECT_THAT(shown(graph), HasSubstr("d = FusedConv(a, wd, _, " + residual)) << residual;
    EXPECT_EQ(dtype(graph, "d"), DType::f32) << residual;
    EXPECT_EQ(dtype(graph, "a"), DType::f32) << residual;
  }
}

TEST(Bf16Layers, a_maximum_between_such_layers_is_one_of_bfloat16) {
  const std::string pool = "(a, kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]) @pool\n";
  const Graph between = behind_expand("y", "p = MaxPool" + pool + "  y = FusedConv(p, w2, _) @project ");
  for (const char* const value : {"a", "p"}) EXPECT_EQ(dtype(between, value), DType::bf16) << value;
  const Graph twice = behind_expand("y", "p = MaxPool" + pool + R"(  q = MaxPool(p, kernel_shape=[2,2]) @again
  d = FusedConv(q, wd, _, group=16) @depthwise
  y = FusedConv(d, w2, _) @project )");
  for (const char* const value : {"a", "p", "q", "d"}) EXPECT_EQ(dtype(twice, value), DType::bf16) << value;
  EXPECT_EQ(print(parsed(print(twice))), print(twice)) << "it prints and parses";
}

TEST(Bf16Layers, a_maximum_that_others_read_or_that_reads_others_stays_f32) {
  const std::string pool = "(a, kernel_shape=[2,2]) @pool\n  ";
  for (const std::string& rest : {"p = MaxPool" + pool + "y = FusedConv(p, w2, _) @project\n  z = Neg(p) ",
                                  "p = MaxPool" + pool + "y = FusedConv(p, w2, _) @project\n  z = Neg(a) ",
                                  "p, z = MaxPool" + pool + "y = FusedConv(p, w2, _) @project "}) {
    const Graph graph = behind_expand("y, z", rest);
    for (const char* const value : {"a", "p"}) EXPECT_EQ(dtype(graph, value), DType::f32) << rest;
  }
  const Graph first = behind_expand("y, z", R"(p = MaxPool(x, kernel_shape=[2,2]) @pool
  y = FusedConv(p, w2, _) @project
  z = Neg(a) )");
  EXPECT_EQ(dtype(first, "p"), DType::f32) << "of the input of the graph";
}

TEST(Bf16Layers, a_maximum_of_rounded_numbers_is_the_maximum_rounded) {
  const std::string rest = R"(p = MaxPool(a, kernel_shape=[3,3], pads=[1,1,1,1]) @pool
  y = FusedConv(p, w2, _) @project)";
  const std::string other = rest + "\n  z = Neg(a)";  // which keeps a and p in f32
  const std::map<std::string, Tensor> inputs = {{"x", random_tensor({1, 16, 8, 8}, 1, -2, 2)}};
  EXPECT_EQ(relative_difference(evaluate(behind_expand("y, z", other), inputs)["y"],
                                evaluate(behind_expand("y", rest), inputs)["y"]),
            0);
}

TEST(Bf16Layers, change_values_by_roundings_of_eight_bits) {
  const Graph before = parsed(with_numbers(k_graph));
  Graph after = before;
  ASSERT_TRUE(bf16_layers(after));
  const std::map<std::string, Tensor> inputs = {{"x", random_tensor({1, 3, 8, 8}, 1, -2, 2)}};
  const double difference = relative_difference(evaluate(before, inputs)["y"], evaluate(after, inputs)["y"]);
  EXPECT_GT(difference, 1e-5);
  EXPECT_LT(difference, 2e-2);
}

TEST(Bf16Layers, take_groups_that_fill_a_vector) {
  const auto count = [](int64_t channels, int64_t groups) {
    const std::string c = std::to_string(channels), g = std::to_string(groups);
    Graph graph = parsed(with_numbers("graph (x: f32[1," + c + ",2,2]) -> (y) { const w: f32[" + c + "," +
                                      std::to_string(channels / groups) +
                                      ",1,1] = random; y = FusedConv(x, w, group=" + g + ") }"));
    const Result<Changed> made = bf16_layers(graph);
    return made ? made->count : -1;
  };
  EXPECT_EQ(count(32, 2), 1);
  EXPECT_EQ(count(16, 2), 0) << "8 channels a group";
  EXPECT_EQ(count(4, 4), 0) << "depthwise";
}

TEST(Bf16Layers, leave_integer_layers_alone) {
  Graph graph = parsed(R"(graph (x: u8[1,1,2,2]) -> (y) {
  const w: s8[1,1,1,1] = {3}; const s: f32[1] = {0.5}
  y = QuantConv(x, w, s, x_scale=0.5, to="f32") })");
  const std::string before = shown(graph);
  const Result<Changed> made = bf16_layers(graph);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->count, 0);
  EXPECT_EQ(shown(graph), before);
}

}  // namespace
}  // namespace octet
