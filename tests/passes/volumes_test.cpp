// Layers of three spatial axes as layers of two: the answers of the reference kernels before and behind the pass.
#include "passes/pass_test.h"

namespace octet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

int count_of(const Graph& graph, std::string_view op) {
  int count = 0;
  for (const Node& node : graph.nodes) count += is_op(node, op);
  return count;
}

Tensor some_codes(DType dtype, const Dims& dims, uint32_t seed) {
  std::vector<float> floats = random_floats(static_cast<size_t>(*element_count(dims)), seed, 0.0f, 256.0f);
  std::vector<uint8_t> codes;
  for (const float f : floats) codes.push_back(static_cast<uint8_t>(f));
  const Tensor u8 = Tensor::from<uint8_t>(DType::u8, dims, codes);
  if (dtype == DType::u8) return u8;
  return Tensor::from<int8_t>(DType::s8, dims, u8.as<int8_t>());
}

/// The graph of `text` with the weights put in as constants.
Graph with_constants(const std::string& text, const std::map<std::string, Tensor>& constants) {
  Graph graph = parsed(text);
  for (const auto& [name, tensor] : constants)
    for (Value& value : graph.values)
      if (value.name == name) {
        value.constant = tensor;
        std::erase(graph.inputs, static_cast<ValueId>(&value - graph.values.data()));
      }
  return graph;
}

/// Every output has the same dims, and the same numbers: codes exactly, floats but for the order of their sums.
Graph expect_same(const Graph& before, const std::map<std::string, Tensor>& inputs) {
  Graph after = after_pass("dead_code", after_pass("volumes_to_images", before));
  expect_same_outputs(before, after, inputs, 1e-5);
  return after;
}

struct Case {
  std::string kernel, attributes;
  int64_t group = 1;
  std::string y;  // dims of the result
  int stacks = 0;
};

std::vector<int64_t> ints_of(const std::string& list) {
  std::vector<int64_t> ints;
  for (size_t at = 0; at < list.size();
       at = list.find(',', at) == std::string::npos ? list.size() : list.find(',', at) + 1)
    ints.push_back(std::stoll(list.substr(at)));
  return ints;
}

const std::vector<Case> k_cases = {
    {"1,1,1", "", 1, "2,6,5,6,7"},
    {"1,1,1", ", strides=[2,2,2]", 1, "2,6,3,3,4"},
    {"1,3,3", ", pads=[0,1,1,0,1,1]", 1, "2,6,5,6,7"},
    {"3,1,1", ", pads=[1,0,0,1,0,0]", 1, "2,6,5,6,7"},
    {"3,1,1", ", pads=[2,0,0,0,0,0], strides=[2,1,1]", 2, "2,6,3,6,7"},
    {"3,3,3", ", pads=[1,1,1,1,1,1]", 1, "2,6,5,6,7"},
    {"3,3,2", ", pads=[1,0,1,2,1,0], strides=[2,1,2]", 1, "2,6,3,5,4"},
    {"2,3,3", ", dilations=[3,1,2], pads=[1,1,2,0,1,2]", 2, "2,6,3,6,7"},
    {"3,3,1", ", pads=[4,1,0,4,1,0]", 1, "2,6,11,6,7"},
    {"1,3,3", ", pads=[1,1,1,0,1,1]", 4, "2,8,6,6,7"},  // of a group for each channel
};

std::string conv_text(const Case& c, const std::string& dtype, const std::string& op, const std::string& more) {
  const Dims y = ints_of(c.y);
  return "graph (x: " + dtype + "[2,4,5,6,7], w: " + (dtype == "f32" ? "f32" : "s8") + "[" + std::to_string(y[1]) +
         "," + std::to_string(4 / c.group) + "," + c.kernel + "], " + more + ") -> (y) {\n y = " + op +
         (c.group > 1 ? ", group=" + std::to_string(c.group) : "") + c.attributes + ") @c\n}";
}

TEST(VolumesToImages, convolutions_of_floats_have_two_axes) {
  for (const Case& c : k_cases) {
    const Dims y = ints_of(c.y), kernel = ints_of(c.kernel);
    const Dims w = {y[1], 4 / c.group, kernel[0], kernel[1], kernel[2]};
    for (const bool fused : {false, true}) {
      const std::string more = "b: f32[" + std::to_string(y[1]) + "], r: f32[" + c.y + "]";
      const Graph before = with_constants(
          conv_text(c, "f32", fused ? "FusedConv(x, w, b, r, activation=\"Relu\"" : "Conv(x, w, b", more),
          {{"w", random_tensor(w, 3)}, {"b", random_tensor({y[1]}, 4)}});
      const Graph after = expect_same(before, {{"x", random_tensor({2, 4, 5, 6, 7}, 5)}, {"r", random_tensor(y, 6)}});
      for (const Node& node : after.nodes)
        if (is_op(node, "Conv") || is_op(node, "FusedConv")) {
          EXPECT_EQ(after.value(node.inputs[0]).shape->size(), 4u) << print(after);
        }
    }
  }
}

TEST(VolumesToImages, convolutions_of_codes_give_the_same_codes) {
  for (const Case& c : k_cases)
    for (const DType dtype : {DType::u8, DType::s8}) {
      const Dims y = ints_of(c.y), kernel = ints_of(c.kernel);
      const Dims w = {y[1], 4 / c.group, kernel[0], kernel[1], kernel[2]};
      const std::string outputs = std::to_string(y[1]), type(name(dtype));
      const std::map<std::string, Tensor> constants = {{"w", some_codes(DType::s8, w, 3)},
                                                       {"m", random_tensor({y[1]}, 4, 0.01f, 0.02f)},
                                                       {"p", some_codes(DType::u8, {1, y[1], 1, 1, 1}, 9)}};
      for (const char* residual : {"r", "p"}) {
        const std::string rest = std::string("QuantConv(x, w, m, _, ") + residual +
                                 ", x_scale=0.02, x_zero_point=" + (dtype == DType::u8 ? "131" : "-7") +
                                 ", y_scale=0.9, y_zero_point=3, residual_scale=0.4, residual_zero_point=128, "
                                 "to=\"u8\"";
        const Graph before = with_constants(
            conv_text(c, type, rest, "m: f32[" + outputs + "], r: u8[" + c.y + "], p: u8[1," + outputs + ",1,1,1]"),
            constants);
        const Graph after =
            expect_same(before, {{"x", some_codes(dtype, {2, 4, 5, 6, 7}, 5)}, {"r", some_codes(DType::u8, y, 6)}});
        for (const Node& node : after.nodes)
          if (is_op(node, "QuantConv")) {
            EXPECT_EQ(after.value(node.inputs[0]).shape->size(), 4u) << print(after);
          }
      }
    }
}

TEST(VolumesToImages, pools_are_pools_of_frames_and_of_columns) {
  const std::map<std::string, Tensor> floats = {{"x", random_tensor({2, 3, 5, 6, 7}, 5)}};
  const std::map<std::string, Tensor> codes = {{"x", some_codes(DType::s8, {2, 3, 5, 6, 7}, 5)}};
  for (const char* window :
       {"kernel_shape=[3,3,3], strides=[2,2,2], pads=[1,1,1,1,1,1]", "kernel_shape=[1,3,2], strides=[1,2,2]",
        "kernel_shape=[2,1,1], strides=[2,1,1]", "kernel_shape=[1,1,1]", "kernel_shape=[1,1,1], strides=[2,2,1]",
        "kernel_shape=[2,2,3], strides=[2,2,2], ceil_mode=1",
        "kernel_shape=[3,3,2], strides=[2,2,2], ceil_mode=1, pads=[1,1,0,1,1,1]"}) {
    const std::string rest = std::string(window) + ") }";
    for (const char* more : {"", "count_include_pad=1, "})
      EXPECT_EQ(count_of(expect_same(parsed("graph (x: f32[2,3,5,6,7]) -> (y) { y = AveragePool(x, " + (more + rest)),
                                     floats),
                         "FramesToPlanes") > 0,
                rest.find("[2,1,1]") == std::string::npos && rest.find("[1,1,1])") == std::string::npos);
    expect_same(parsed("graph (x: f32[2,3,5,6,7]) -> (y) { y = MaxPool(x, " + rest), floats);
    expect_same(parsed("graph (x: s8[2,3,5,6,7]) -> (y) { y = MaxPool(x, " + rest), codes);
  }
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool"})
    expect_same(parsed(std::string("graph (x: f32[2,3,5,6,7]) -> (y) { y = ") + op + "(x) }"), floats);
  const std::string params = "x_scale=0.1, x_zero_point=-3, y_scale=0.02, y_zero_point=5, to=\"s8\") }";
  expect_same(parsed("graph (x: s8[2,3,5,6,7]) -> (y) { y = QuantGlobalAveragePool(x, " + params), codes);
  const auto quant = [&](const std::string& kernel) {
    return expect_same(
        parsed("graph (x: s8[2,3,5,6,7]) -> (y) { y = QuantAveragePool(x, kernel_shape=" + kernel + ", " + params),
        codes);
  };
  EXPECT_EQ(count_of(quant("[1,2,2]"), "PlanesToFrames"), 1);
  EXPECT_EQ(count_of(quant("[2,1,1]"), "PlanesToFrames"), 0);
  EXPECT_EQ(count_of(quant("[2,2,2]"), "Reshape"), 0);  // would round twice
}

TEST(VolumesToImages, values_between_stay_planes_under_the_volumes_names) {
  const Graph after = expect_same(
      with_constants("graph (x: f32[1,4,3,4,5], w: f32[4,4,3,3,3], v: f32[4,4,1,1,1]) -> (z) {\n"
                     "a = Conv(x, w, pads=[1,1,1,1,1,1]) @a; r = Relu(a) @r; b = Conv(r, v) @b; s = Add(b, x) @s\n"
                     "c = Concat(s, a, axis=1) @c; z = MaxPool(c, kernel_shape=[1,2,2]) @m }",
                     {{"w", random_tensor({4, 4, 3, 3, 3}, 1)}, {"v", random_tensor({4, 4, 1, 1, 1}, 2)}}),
      {{"x", random_tensor({1, 4, 3, 4, 5}, 5)}});
  EXPECT_EQ(count_of(after, "Reshape"), 2) << print(after);  // of x and of z
  const std::string text = print(after);
  for (const char* line : {"a = FramesToPlanes(", "r = Relu(a) @r : f32[1,4,3,20]", "c = Concat(s, a, axis=1) @c"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(VolumesToImages, leaves_what_has_no_such_form) {
  for (const char* text :
       {"graph (x: f32[1,4,3,4,5], w: f32[4,4,3,3,3]) -> (y) { y = Conv(x, w) }",  // weights that are computed
        "graph (x: f32[1,4,D,4,5]) -> (y) { y = MaxPool(x, kernel_shape=[1,2,2]) }",
        "graph (x: f32[1,4,3,4,5]) -> (y) { y = MaxPool(x, kernel_shape=[1,2,2], auto_pad=\"SAME_UPPER\") }",
        "graph (x: f32[1,4,3,4,5]) -> (y) { y = Relu(x) }",  // nothing made planes of x
        "graph (x: f32[1,4,4,5]) -> (y) { y = MaxPool(x, kernel_shape=[2,2]) }"})
    expect_untouched("volumes_to_images", text);
  const Graph huge = with_constants(  // 10^9 slices of 100 channels and 9 taps
      "graph (x: f32[1,100,1,1,1], w: f32[1,100,9,1,2]) -> (y) {\n"
      "y = Conv(x, w, pads=[500000000,0,1,500000000,0,0]) }",
      {{"w", random_tensor({1, 100, 9, 1, 2}, 1)}});
  EXPECT_EQ(print(after_pass("volumes_to_images", huge)), print(huge));
  const Graph depthwise =
      with_constants("graph (x: f32[1,4,3,4,5], w: f32[4,1,3,3,3]) -> (y) { y = Conv(x, w, group=4) }",
                     {{"w", random_tensor({4, 1, 3, 3, 3}, 1)}});
  EXPECT_EQ(print(after_pass("volumes_to_images", depthwise)), print(depthwise));
}

TEST(VolumesToImages, fused_layers_have_their_residual_and_their_activation) {
  Graph graph = with_constants(
      "graph (x: f32[1,4,3,4,5], w: f32[4,4,3,3,3]) -> (z) {\n"
      "a = Conv(x, w, pads=[1,1,1,1,1,1]) @a; s = Add(a, x) @s; z = Relu(s) @r }",
      {{"w", random_tensor({4, 4, 3, 3, 3}, 1)}});
  const Graph after = after_stage(Stage::fuse, graph);
  EXPECT_THAT(print(after), HasSubstr("FusedConv("));
  EXPECT_THAT(print(after), Not(HasSubstr("Relu(")));
}

}  // namespace
}  // namespace octet
