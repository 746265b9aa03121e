// s8 codes that Relu leaves become u8 codes of the same numbers.
#include <functional>

#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string k_weights = R"(
  const w: s8[2,2,1,1] = {70, -21, 127, 44}; const ws: f32[2] = {0.01, 0.02}; const b: s32[2] = {10, -20}
  const s: f32[] = {0.25}; const z: s8[] = {0}
)";
/// A layer from `x` to `y` with zero points 0.
std::string conv(const std::string& y, const std::string& x, const std::string& activation,
                 const std::string& more = "") {
  return y + " = QuantConv(" + x + ", w, ws, b" + more + ", activation=\"" + activation +
         "\", to=\"s8\", x_scale=0.5, x_zero_point=0, y_scale=0.25, y_zero_point=0)\n";
}
std::string text_of(const std::string& body) { return "graph (x: s8[1,2,4,4]) -> (y) {" + k_weights + body + "}"; }
DType dtype_of(const Graph& graph, const char* name) { return graph.value(*graph.find_value(name)).dtype; }

/// The graph behind the pass, whose answer is the same.
Graph expect_same_answer(const std::string& text) {
  const Graph before = parsed(text), after = after_pass("codes_of_seven_bits", before);
  std::vector<int8_t> codes;
  for (const float v : random_floats(32, 7, -128, 128)) codes.push_back(static_cast<int8_t>(v));
  expect_same_outputs(before, after, {{"x", Tensor::from<int8_t>(DType::s8, {1, 2, 4, 4}, codes)}});
  return after;
}

TEST(CodesOfSevenBits, behind_relu_between_integer_layers) {
  const Graph after = expect_same_answer(text_of(conv("a", "x", "Relu") + conv("y", "a", "")));
  EXPECT_EQ(dtype_of(after, "a"), DType::u8);
  EXPECT_EQ(dtype_of(after, "y"), DType::s8);
  EXPECT_THAT(shown(after), HasSubstr(R"(activation="Clip", activation_params=[0.0,31.75])"));
}

TEST(CodesOfSevenBits, a_clip_keeps_its_bounds_and_gets_one_where_it_has_none) {
  for (const auto& [given, kept] : {std::pair{"[0.0,6.0]", "[0.0,6.0]"}, {"[0.5,1000.0]", "[0.5,31.75]"}}) {
    std::string layer = conv("a", "x", "Clip");
    layer.insert(layer.find(", to="), std::string(", activation_params=") + given);
    const Graph after = expect_same_answer(text_of(layer + conv("y", "a", "")));
    EXPECT_EQ(dtype_of(after, "a"), DType::u8);
    EXPECT_THAT(shown(after), HasSubstr(std::string("activation_params=") + kept));
  }
}

TEST(CodesOfSevenBits, as_residuals_through_pools_concatenations_and_to_float) {
  const Graph after = expect_same_answer(
      text_of(conv("a", "x", "Relu") + conv("r", "a", "Relu", ", a, residual_scale=0.5, residual_zero_point=0") +
              R"(m = MaxPool(a, kernel_shape=[2,2], strides=[2,2]); n = MaxPool(r, kernel_shape=[2,2], strides=[2,2])
         c = Concat(m, n, axis=1); y = DequantizeLinear(c, s, z))"));
  for (const char* name : {"a", "r", "m", "n", "c"}) EXPECT_EQ(dtype_of(after, name), DType::u8) << name;
  EXPECT_THAT(shown(after), HasSubstr("y = DequantizeLinear(c, s, y_zero_point)"));
}

TEST(CodesOfSevenBits, what_may_be_negative_or_is_read_as_s8_stays) {
  // no activation; Clip from below zero; a zero point; a concatenation with such; a graph output
  EXPECT_EQ(dtype_of(expect_same_answer(text_of(conv("a", "x", "") + conv("y", "a", ""))), "a"), DType::s8);
  std::string clip = conv("a", "x", "Clip");
  clip.insert(clip.find(", to="), ", activation_params=[-1.0,6.0]");
  EXPECT_EQ(dtype_of(expect_same_answer(text_of(clip + conv("y", "a", ""))), "a"), DType::s8);
  std::string shifted = conv("a", "x", "Relu");
  shifted.replace(shifted.find("y_zero_point=0"), 14, "y_zero_point=5");
  EXPECT_EQ(dtype_of(expect_same_answer(text_of(shifted + conv("y", "a", ""))), "a"), DType::s8);
  const Graph mixed = expect_same_answer(text_of(conv("a", "x", "Relu") + conv("b2", "x", "") +
                                                 "c = Concat(a, b2, axis=1); y = DequantizeLinear(c, s, z)"));
  for (const char* name : {"a", "b2", "c"}) EXPECT_EQ(dtype_of(mixed, name), DType::s8) << name;
  EXPECT_EQ(dtype_of(expect_same_answer(text_of(conv("y", "x", "Relu"))), "y"), DType::s8);
}

/// A table of s8 codes: entry i is of(the code whose byte is i).
std::string table(const char* name, const std::function<int(int)>& of) {
  std::string text = std::string("const ") + name + ": s8[256] = {";
  for (int i = 0; i < 256; ++i) text += (i ? ", " : "") + std::to_string(of(i));
  return text + "}\n";
}

TEST(CodesOfSevenBits, through_tables_that_give_no_negative_code_for_such) {
  const auto requantized = [](int byte) { return static_cast<int>(static_cast<int8_t>(byte)) * 3 / 4; };
  const Graph after =
      expect_same_answer(text_of(table("t", requantized) + conv("a", "x", "Relu") + conv("b2", "x", "Relu") +
                                 "l = QuantLookup(a, t)\n c = Concat(l, b2, axis=1)\n"
                                 "m = QuantLookup(c, t)\n" +
                                 "y = DequantizeLinear(m, s, z)"));
  for (const char* name : {"a", "l", "b2", "c", "m"}) EXPECT_EQ(dtype_of(after, name), DType::u8) << name;
  const Graph of_any = expect_same_answer(text_of(table("t", [](int byte) { return byte / 2; }) + conv("a", "x", "") +
                                                  "l = QuantLookup(a, t)\n y = DequantizeLinear(l, s, z)"));
  EXPECT_EQ(dtype_of(of_any, "a"), DType::s8);
  EXPECT_EQ(dtype_of(of_any, "l"), DType::u8);
}

TEST(CodesOfSevenBits, tables_that_give_or_may_give_negative_codes_stay) {
  const auto requantized = [](int byte) { return static_cast<int>(static_cast<int8_t>(byte)) * 3 / 4; };
  // codes that may be negative; a negative entry for one that is not; a u8 value that a table needs, but that is none
  const std::string rest = "l = QuantLookup(a, t)\n y = DequantizeLinear(l, s, z)";
  EXPECT_EQ(dtype_of(expect_same_answer(text_of(table("t", requantized) + conv("a", "x", "") + rest)), "l"), DType::s8);
  const auto shifted = [](int byte) { return byte == 127 ? -1 : byte / 4; };
  const Graph after = expect_same_answer(text_of(table("t", shifted) + conv("a", "x", "Relu") + rest));
  EXPECT_EQ(dtype_of(after, "a"), DType::u8);
  EXPECT_EQ(dtype_of(after, "l"), DType::s8);
  const Graph refused = expect_same_answer("graph (x: s8[1,2,4,4]) -> (y, a) {" + k_weights + table("t", requantized) +
                                           conv("a", "x", "Relu") + rest + "}");
  EXPECT_EQ(dtype_of(refused, "l"), DType::s8);
}

TEST(CodesOfSevenBits, of_a_table_with_another_zero_point_than_0_keep_it_or_stay) {
  // Sigmoid of what is not negative in s8 codes over [0, 1]: zero point -128, and no negative code.
  const auto halves = [](int byte) { return byte / 2; };
  for (const auto& [zero, dtype] : {std::pair{-128, DType::s8}, {-1, DType::s8}, {3, DType::u8}}) {
    const std::string text = std::to_string(zero), made = table("t", halves) + "l = QuantLookup(x, t)\n";
    const Graph to_float =
        expect_same_answer(text_of("const zp: s8[] = {" + text + "}\n" + made + "y = DequantizeLinear(l, s, zp)"));
    EXPECT_EQ(dtype_of(to_float, "l"), dtype) << zero;
    const Graph pooled =
        expect_same_answer(text_of(made + "y = QuantGlobalAveragePool(l, to=\"s8\", x_scale=0.5, x_zero_point=" + text +
                                   ", y_scale=0.5, y_zero_point=0)"));
    EXPECT_EQ(dtype_of(pooled, "l"), dtype) << zero;
    const Graph added = expect_same_answer(
        text_of(made + "y = QuantAdd(x, l, to=\"s8\", a_scale=0.5, a_zero_point=0, b_scale=0.5, b_zero_point=" + text +
                ", y_scale=0.5, y_zero_point=0)"));
    EXPECT_EQ(dtype_of(added, "l"), dtype) << zero;
  }
}

}  // namespace
}  // namespace octet
