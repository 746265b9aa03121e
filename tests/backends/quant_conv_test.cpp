// QuantConv and QuantGemm on every ISA give the reference's bytes.
#include <gtest/gtest.h>

#include <algorithm>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/requantize.h"
#include "backends/running.h"

namespace octet {
namespace {

const std::set<std::string> k_weights = {"w", "w_scale", "b"};

/// One convolution of x: u8 or s8 [2,C,H,W].
std::string conv(const std::string& x, const std::string& w, int oc, const std::string& attributes,
                 const std::string& more_inputs = "", const std::string& residual = "") {
  const std::string channels = std::to_string(oc);
  return "graph g (x: " + x + ", w: s8" + w + ", w_scale: f32[" + channels + "], b: s32[" + channels + "]" +
         more_inputs + ") -> (y) {\n  y = QuantConv(x, w, w_scale, b" + residual + ", " + attributes + ")\n}\n";
}

TEST(QuantConvOnCpu, gives_the_reference_bytes_for_a_3x3_with_padding) {
  expect_cpu_equals_ref(
      conv("u8[2,5,9,7]", "[19,5,3,3]", 19,
           R"(pads=[1,1,1,1], x_scale=0.02, x_zero_point=37, y_scale=0.05, y_zero_point=99, to="u8")"),
      k_weights, k_exact);
}

TEST(QuantConvOnCpu, keeps_s8_codes_apart_from_u8_codes) {
  for (const char* to : {"u8", "s8"}) {
    expect_cpu_equals_ref(
        conv("s8[2,16,6,6]", "[32,16,1,1]", 32,
             std::string("x_scale=0.02, x_zero_point=-5, y_scale=0.07, y_zero_point=3, to=\"") + to + "\""),
        k_weights, k_exact);
  }
}

TEST(QuantConvOnCpu, tightens_the_range_for_relu_and_clip) {
  expect_cpu_equals_ref(
      conv(
          "u8[1,8,8,8]", "[16,8,3,3]", 16,
          R"(strides=[2,2], pads=[1,1,1,1], x_scale=0.02, x_zero_point=128, y_scale=0.04, y_zero_point=7, activation="Relu", to="u8")"),
      k_weights, k_exact);
  expect_cpu_equals_ref(
      conv(
          "s8[1,8,8,8]", "[16,8,3,3]", 16,
          R"(strides=[2,2], pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.04, y_zero_point=-128, activation="Clip", activation_params=[0.0,6.0], to="s8")"),
      k_weights, k_exact);
  // Bounds that cross: the maximum wins.
  for (const char* to : {"u8", "f32"})
    expect_cpu_equals_ref(
        conv("u8[1,8,8,8]", "[16,8,3,3]", 16,
             std::string("x_scale=0.02, x_zero_point=128, y_scale=0.04, y_zero_point=70, activation=\"Clip\", "
                         "activation_params=[1.0,-1.0], to=\"") +
                 to + "\""),
        k_weights, k_exact);
}

TEST(QuantConvOnCpu, adds_a_residual_of_another_scale) {
  expect_cpu_equals_ref(
      conv(
          "u8[2,16,5,5]", "[24,16,3,3]", 24,
          R"(pads=[1,1,1,1], x_scale=0.02, x_zero_point=10, y_scale=0.06, y_zero_point=0, residual_scale=0.031, residual_zero_point=-7, activation="Relu", to="u8")",
          ", r: s8[2,24,5,5]", ", r"),
      k_weights, k_exact);
}

// The codes of a residual and the floats that come out have rows of their own lengths in memory.
TEST(QuantConvOnCpu, adds_a_residual_and_hands_out_f32) {
  const std::string codes =
      "pads=[1,1,1,1], x_scale=0.02, x_zero_point=10, residual_scale=0.031, residual_zero_point=7, to=\"f32\"";
  expect_cpu_equals_ref(conv("u8[2,16,5,5]", "[20,16,3,3]", 20, codes, ", r: u8[2,20,5,5]", ", r"), k_weights, k_exact);
  expect_cpu_equals_ref(conv("u8[2,40,5,5]", "[40,1,3,3]", 40, "group=40, " + codes, ", r: u8[2,40,5,5]", ", r"),
                        k_weights, k_exact);
  expect_cpu_equals_ref(conv("u8[2,24,5,5]", "[24,8,3,3]", 24, "group=3, " + codes, ", r: u8[2,24,5,5]", ", r"),
                        k_weights, k_exact);
}

// A float bias off the grid: what rounding takes from it, at every pixel. Dense, 1x1, depthwise, one output pixel.
TEST(QuantConvOnCpu, adds_a_residual_of_one_pixel_everywhere) {
  const std::string codes =
      "x_scale=0.02, x_zero_point=10, y_scale=0.06, y_zero_point=3, residual_scale=0.002, "
      "residual_zero_point=128, ";
  const std::pair<const char*, const char*> layers[] = {{"u8[2,16,5,5]", "[24,16,3,3]|pads=[1,1,1,1], "},
                                                        {"u8[3,16,4,7]", "[70,16,1,1]|"},
                                                        {"u8[2,33,9,9]", "[33,1,3,3]|group=33, pads=[1,1,1,1], "},
                                                        {"u8[2,4,3,3]", "[5,4,3,3]|"}};
  for (const auto& [x, layer] : layers)
    for (const char* to :
         {"activation=\"Relu\", to=\"u8\"", "to=\"s8\"", "activation=\"Silu\", to=\"u8\"", "to=\"f32\""}) {
      const std::string text(layer), w = text.substr(0, text.find('|')), geometry = text.substr(text.find('|') + 1);
      const int oc = std::stoi(w.substr(1));
      expect_cpu_equals_ref(conv(x, w, oc, geometry + codes + to, ", r: u8[1," + std::to_string(oc) + ",1,1]", ", r"),
                            {"w", "w_scale", "b", "r"}, k_exact);
    }
}

TEST(QuantConvOnCpu, evaluates_other_activations_on_values) {
  for (const char* activation : {"Silu", "HardSwish", "Sigmoid", "Tanh"}) {
    for (const char* to : {"u8", "s8", "f32"}) {
      expect_cpu_equals_ref(
          conv("u8[1,8,6,6]", "[20,8,3,3]", 20,
               std::string("x_scale=0.02, x_zero_point=120, y_scale=0.03, y_zero_point=9, activation=\"") + activation +
                   "\", to=\"" + to + "\""),
          k_weights, k_exact);
    }
  }
}

TEST(QuantConvOnCpu, hands_out_f32_when_asked) {
  expect_cpu_equals_ref(
      conv("s8[2,12,4,4]", "[10,12,1,1]", 10, R"(x_scale=0.02, x_zero_point=1, activation="Relu", to="f32")"),
      k_weights, k_exact);
}

TEST(QuantConvOnCpu, runs_depthwise_layers) {
  for (const char* geometry :
       {"kernel_shape=[3,3], pads=[1,1,1,1]", "kernel_shape=[5,5], strides=[2,2], pads=[2,2,2,2]",
        "kernel_shape=[3,3], dilations=[2,2], auto_pad=\"SAME_UPPER\""}) {
    const std::string k = std::string(geometry).find("[5,5]") != std::string::npos ? "5,5" : "3,3";
    expect_cpu_equals_ref(
        conv("u8[2,24,9,11]", "[24,1," + k + "]", 24,
             std::string(geometry) +
                 ", group=24, x_scale=0.02, x_zero_point=60, y_scale=0.05, y_zero_point=30, to=\"u8\""),
        k_weights, k_exact);
  }
}

// 7 bits: [0, 127] on a zero point of 20, by a Clip; the pool keeps the bound, a signed code's is 128 higher.
TEST(QuantConvOnCpu, knows_a_bound_of_what_a_layer_makes) {
  const std::string text =
      R"(graph g (x: u8[1,16,8,8], w: s8[16,16,3,3], w_scale: f32[16], b: s32[16]) -> (y, z) {
  c = QuantConv(x, w, w_scale, b, pads=[1,1,1,1], x_scale=0.02, x_zero_point=128, y_scale=0.5, y_zero_point=20, activation="Clip", activation_params=[-10.0,53.5], to="u8")
  p = MaxPool(c, kernel_shape=[2,2], strides=[2,2])
  y = QuantConv(p, w, w_scale, b, pads=[1,1,1,1], x_scale=0.5, x_zero_point=20, y_scale=9.0, y_zero_point=0, activation="Clip", activation_params=[-90.0,99.0], to="s8")
  z = QuantConv(y, w, w_scale, b, pads=[1,1,1,1], x_scale=9.0, x_zero_point=0, to="f32")
}
)";
  const Graph graph = graph_with_constants(text, k_weights, 11);
  const auto bound = [&](std::string_view value) { return cpu::largest_code(graph, *graph.find_value(value)); };
  EXPECT_EQ(bound("x"), 255);
  EXPECT_EQ(bound("c"), 127);
  EXPECT_EQ(bound("p"), 127);
  EXPECT_EQ(bound("y"), 128 + 11);
  EXPECT_EQ(bound("z"), 255);
  expect_cpu_equals_ref(text, k_weights, k_exact);
}

TEST(QuantConvOnCpu, runs_grouped_layers) {
  expect_cpu_equals_ref(
      conv("u8[1,12,6,6]", "[18,4,3,3]", 18,
           R"(group=3, pads=[0,1,1,0], x_scale=0.02, x_zero_point=60, y_scale=0.05, y_zero_point=30, to="s8")"),
      k_weights, k_exact);
}

/// The tactics of the only node on this ISA.
std::vector<Tactic> tactics_of(const Graph& graph, Isa isa) {
  return cpu::make_backend({.threads = 1, .isa = isa})->tactics(graph, 0);
}

TEST(QuantConvOnCpu, runs_a_3x3_layer_with_fewer_products_where_that_costs_less) {
  const std::string attributes =
      R"(pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.9, y_zero_point=0, to="u8")";
  const Graph large = graph_with_constants(conv("u8[1,64,32,32]", "[64,64,3,3]", 64, attributes), k_weights, 1);
  const Graph small = graph_with_constants(conv("u8[1,64,4,4]", "[64,64,3,3]", 64, attributes), k_weights, 1);
  const Graph strided =
      graph_with_constants(conv("u8[1,64,32,32]", "[64,64,3,3]", 64, "strides=[2,2], " + attributes), k_weights, 1);
  const auto named = [](const std::vector<Tactic>& tactics, const std::string& name) {
    return std::find_if(tactics.begin(), tactics.end(), [&](const Tactic& t) { return t.name.starts_with(name); });
  };
  for (const Isa isa : available_isas()) {
    const std::vector<Tactic> tactics = tactics_of(large, isa);
    const auto fewer = named(tactics, "winograd_u8s8");
    ASSERT_NE(fewer, tactics.end());
    const auto cheapest = std::min_element(tactics.begin(), tactics.end(), [](const Tactic& a, const Tactic& b) {
      return a.refused.empty() == b.refused.empty() ? a.cost_us < b.cost_us : a.refused.empty();
    });
    if (isa == Isa::scalar) {
      EXPECT_EQ(fewer->refused, "no kernel for scalar");
      continue;
    }
    EXPECT_EQ(named(tactics_of(strided, isa), "winograd_u8s8")->refused, "only strides and dilations of 1");
    if (isa == Isa::amx) continue;
    EXPECT_EQ(fewer->name, "winograd_u8s8 " + std::string(name(isa)) + " 4x4");
    EXPECT_EQ(cheapest, fewer);
    const std::vector<Tactic> few_tiles = tactics_of(small, isa);
    EXPECT_GT(named(few_tiles, "winograd_u8s8")->cost_us,
              named(few_tiles, "conv_u8s8 " + std::string(name(isa)))->cost_us);
  }
  expect_cpu_equals_ref(large, k_exact);
  expect_cpu_equals_ref(small, k_exact);
}

TEST(QuantConvOnCpu, says_why_small_images_are_not_kept_in_registers) {
  const std::vector<Isa> have = available_isas();
  if (std::find(have.begin(), have.end(), Isa::avx512_vnni) == have.end())
    GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  const auto refused = [](const std::string& output) {
    const std::string attributes = "pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, " + output;
    const Graph graph = graph_with_constants(conv("u8[1,64,4,4]", "[64,64,3,3]", 64, attributes), k_weights, 1);
    for (const Tactic& t : tactics_of(graph, Isa::avx512_vnni))
      if (t.name == "conv_u8s8 avx512_vnni 16x16 images") return t.refused;
    return std::string("not offered");
  };
  EXPECT_EQ(refused(R"(y_scale=0.9, y_zero_point=0, to="u8")"), "");
  EXPECT_EQ(refused(R"(y_scale=0.9, y_zero_point=0, activation="Relu", to="s8")"), "");
  EXPECT_EQ(refused(R"(y_scale=0.9, y_zero_point=9, activation="Silu", to="u8")"),
            "knows no activation but Relu and Clip");
  EXPECT_EQ(refused(R"(activation="Relu", to="f32")"), "writes codes, not floats");
}

TEST(QuantGemmOnCpu, gives_the_reference_bytes_for_awkward_widths) {
  for (const int k : {1, 15, 16, 33, 64}) {
    for (const int n : {1, 10, 16, 31}) {
      const std::string text =
          "graph g (x: s8[5," + std::to_string(k) + "], w: s8[" + std::to_string(n) + "," + std::to_string(k) +
          "], w_scale: f32[" + std::to_string(n) + "], b: s32[" + std::to_string(n) +
          "]) -> (y, z) {\n  y = QuantGemm(x, w, w_scale, b, x_scale=0.02, x_zero_point=-3, y_scale=0.05, "
          "y_zero_point=4, to=\"u8\")\n  z = QuantGemm(x, w, w_scale, _, x_scale=0.02, x_zero_point=-3, "
          "to=\"f32\")\n}\n";
      expect_cpu_equals_ref(text, k_weights, k_exact);
    }
  }
}

std::string narrow_gemm(int rows, int k, int n) {
  const std::string K = std::to_string(k), N = std::to_string(n), given = "x_scale=0.02, x_zero_point=-3, ";
  return "graph g (x: s8[" + std::to_string(rows) + "," + K + "], w: s8[" + N + "," + K + "], w_scale: f32[" + N +
         "], b: s32[" + N + "]) -> (y, z, u, v) {\n  y = QuantGemm(x, w, w_scale, b, " + given +
         "y_scale=0.05, y_zero_point=4, to=\"u8\")\n  z = QuantGemm(x, w, w_scale, _, " + given +
         "to=\"f32\")\n  u = QuantGemm(x, w, w_scale, b, " + given +
         "y_scale=0.03, y_zero_point=-7, activation=\"Silu\", to=\"s8\")\n  v = QuantGemm(x, w, w_scale, b, " + given +
         "y_scale=0.04, y_zero_point=-128, activation=\"Relu\", to=\"s8\")\n}\n";
}

TEST(QuantGemmOnCpu, runs_narrow_rows_side_by_side) {
  for (const auto& [k, n] : {std::pair{4, 4}, {8, 8}, {2, 7}, {5, 3}, {3, 1}})
    expect_cpu_equals_ref(narrow_gemm(700, k, n), k_weights, k_exact);
  const auto cheapest = [](const Graph& graph, Isa isa) {
    const std::vector<Tactic> tactics = tactics_of(graph, isa);
    return std::min_element(tactics.begin(), tactics.end(),
                            [](const Tactic& a, const Tactic& b) {
                              return a.refused.empty() == b.refused.empty() ? a.cost_us < b.cost_us : a.refused.empty();
                            })
        ->name;
  };
  for (const Isa isa : available_isas()) {
    for (const int rows : {1, 16, 700}) {
      const Graph narrow = graph_with_constants(narrow_gemm(rows, 4, 4), k_weights, 1);
      EXPECT_EQ(cheapest(narrow, isa), "narrow_u8s8 " + std::string(name(isa))) << rows;
    }
    EXPECT_NE(cheapest(graph_with_constants(narrow_gemm(16, 9, 4), k_weights, 1), isa),
              "narrow_u8s8 " + std::string(name(isa)));
  }
}

TEST(QuantGemmOnCpu, adds_a_bias_that_no_float_holds) {
  const std::string given = "x_scale=0.02, x_zero_point=0, ";
  const std::string text =
      "graph g (x: u8[3,2]) -> (y) {\n  const w: s8[2,2] = {1, 2, 3, -4}\n  const s: f32[2] = {0.5, 0.5}\n"
      "  const b: s32[2] = {16777217, -16777219}\n  y = QuantGemm(x, w, s, b, " +
      given + "to=\"f32\")\n}\n";
  expect_cpu_equals_ref(text, {}, k_exact);
  const Graph graph = graph_with_constants(text, {}, 1);
  for (const Tactic& t : tactics_of(graph, Isa::scalar)) {
    if (t.name == "narrow_u8s8 scalar") {
      EXPECT_EQ(t.refused, "a bias beyond 2^24 - 2^18");
    }
  }
}

}  // namespace
}  // namespace octet
