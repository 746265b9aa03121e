// Random small convolutional networks: what the passes make of them computes the same.
//   clean and fuse of float graphs: equal but for float rounding.
//   Q/DQ against fused integer graph: codes differ by rounding of ties only, so by one, rarely.
#include <algorithm>
#include <cmath>
#include <random>

#include "passes/pass_test.h"

namespace octet {
namespace {

/// Draws layers one after the other; each takes the newest value, some an older one too.
class Drawer {
 public:
  explicit Drawer(uint32_t seed) : random_(seed), seed_(seed) {}

  Graph draw() {
    input_ = graph_.add_value("x", DType::f32, to_shape(Dims{2, 4, 8, 8}));
    graph_.inputs = {input_};
    at_ = input_;
    conv(8, 3, 1);
    const int layers = 4 + pick(5);
    for (int i = 0; i < layers; ++i) layer();
    finish();
    EXPECT_TRUE(infer_shapes(graph_));
    Result<Done> ok = verify(graph_);
    EXPECT_TRUE(ok) << ok.error().message;
    return graph_;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  std::string fresh(const std::string& base) { return base + std::to_string(names_++); }
  ValueId constant(Dims dims, float lo, float hi) {
    return graph_.add_constant(fresh("c"), random_tensor(std::move(dims), static_cast<uint32_t>(random_()), lo, hi));
  }
  ValueId scalar(float x) { return graph_.add_constant(fresh("k"), scalar_f32(x)); }

  ValueId node(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    const std::string name = fresh(op);
    const ValueId y = graph_.add_value(name + "_y");
    graph_.nodes.push_back(Node{find_op(op), name, std::move(inputs), {y}, std::move(attributes)});
    Result<Done> ok = infer_shapes(graph_);
    EXPECT_TRUE(ok) << ok.error().message;
    return y;
  }
  int64_t channels(ValueId v) const { return (*graph_.value(v).shape)[1].value; }

  void conv(int64_t oc, int64_t kernel, int64_t group) {
    const float spread = 1.5f / std::sqrt(static_cast<float>(channels(at_) / group * kernel * kernel));
    std::vector<ValueId> inputs{at_, constant({oc, channels(at_) / group, kernel, kernel}, -spread, spread)};
    if (pick(2)) inputs.push_back(constant({oc}, -0.3f, 0.3f));
    const int64_t pad = kernel / 2;
    at_ = node("Conv", inputs, {{"pads", std::vector<int64_t>{pad, pad, pad, pad}}, {"group", group}});
  }
  void batch_norm() {
    const int64_t c = channels(at_);
    at_ = node("BatchNormalization", {at_, constant({c}, 0.5f, 1.5f), constant({c}, -0.5f, 0.5f),
                                      constant({c}, -0.5f, 0.5f), constant({c}, 0.5f, 2.0f)});
  }
  void activation() {
    const ValueId x = at_;
    switch (pick(6)) {
      case 0: at_ = node("Relu", {x}); break;
      case 1: at_ = node("Clip", {x, scalar(0.0f), scalar(6.0f)}); break;
      case 2: at_ = node("Mul", {x, node("Sigmoid", {x})}); break;
      case 3: {
        const ValueId relu6 = node("Clip", {node("Add", {x, scalar(3.0f)}), scalar(0.0f), scalar(6.0f)});
        at_ = node("Div", {node("Mul", {x, relu6}), scalar(6.0f)});
        break;
      }
      case 4: at_ = node("LeakyRelu", {x}, {{"alpha", 0.1f}}); break;
      default: at_ = node("Tanh", {x});
    }
  }
  void residual() {
    const ValueId skip = at_;
    conv(channels(at_), 3, 1);
    if (pick(2)) batch_norm();
    at_ = pick(2) ? node("Add", {at_, skip}) : node("Add", {skip, at_});
    if (pick(2)) activation();
  }
  void two_branches() {
    const ValueId x = at_;
    conv(8, 1, 1);
    const ValueId left = at_;
    at_ = x;
    conv(8, 3, 1);
    if (pick(2)) {
      at_ = node("Add", {left, at_});
    } else {
      activation();
      at_ = node("Concat", {left, at_}, {{"axis", int64_t{1}}});
    }
  }
  void squeeze_excite() {
    const ValueId x = at_;
    const ValueId axes = graph_.add_constant(fresh("axes"), s64_tensor({2}, std::vector<int64_t>{2, 3}));
    at_ = node("ReduceMean", {x, axes});
    conv(channels(x), 1, 1);
    at_ = node("Mul", {x, node("Sigmoid", {at_})});
  }
  void pool() {
    const std::vector<int64_t> window{2, 2}, pads{1, 1, 1, 1}, one{1, 1};
    if (pick(2))
      at_ = node("MaxPool", {at_}, {{"kernel_shape", window}, {"strides", one}});
    else
      at_ = node("AveragePool", {at_}, {{"kernel_shape", window}, {"strides", one}, {"pads", pads}});
  }
  void layer() {
    switch (pick(8)) {
      case 0: conv(8, 1, 1); break;
      case 1: conv(channels(at_), 3, channels(at_)); break;
      case 2: activation(); break;
      case 3: residual(); break;
      case 4: two_branches(); break;
      case 5: squeeze_excite(); break;
      case 6: batch_norm(); break;
      default: pool();
    }
  }
  void finish() {
    at_ = node("GlobalAveragePool", {at_});
    const ValueId shape = graph_.add_constant(fresh("shape"), s64_tensor({2}, std::vector<int64_t>{2, -1}));
    at_ = node("Reshape", {at_, shape});
    const ValueId w = constant({(*graph_.value(at_).shape)[1].value, 5}, -0.5f, 0.5f);
    at_ = node("Add", {node("MatMul", {at_, w}), constant({5}, -0.1f, 0.1f)});
    graph_.value(at_).name = "answer";
    graph_.outputs = {at_};
  }

  std::mt19937 random_;
  uint32_t seed_;
  Graph graph_;
  ValueId input_ = k_absent, at_ = k_absent;
  int names_ = 0;
};

std::map<std::string, Tensor> inputs_of(uint32_t seed) {
  return {{"x", random_tensor({2, 4, 8, 8}, seed + 1000, -1.0f, 1.0f)}};
}

CalibrationTable observed(const Graph& graph, const std::map<std::string, Tensor>& inputs) {
  const std::map<std::string, Tensor> values = evaluate(graph, inputs);
  CalibrationTable table;
  for (const std::string& name : calibration_points(graph)) {
    const std::span<const float> all = values.at(name).as<float>();
    const auto [least, most] = std::minmax_element(all.begin(), all.end());
    const float lo = std::min(*least, 0.0f), hi = std::max(*most, 0.0f);
    TensorRange row{name, *least, *most, all.size(), {}};
    row.by_method.fill({std::max(-lo, hi), lo, hi});
    table.tensors.push_back(row);
  }
  return table;
}

constexpr uint32_t k_graphs = 60;

TEST(RandomGraphs, clean_and_float_fusion_compute_the_same) {
  for (uint32_t seed = 0; seed < k_graphs; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Graph graph = Drawer(seed).draw();
    const Tensor expected = evaluate(graph, inputs_of(seed)).at("answer");
    const Graph clean = after_stage(Stage::clean, graph);
    for (const Node& node : clean.nodes) EXPECT_NE(node.op->name, "BatchNormalization");
    EXPECT_LT(relative_difference(evaluate(clean, inputs_of(seed)).at("answer"), expected), 2e-5);
    const Graph fused = after_stage(Stage::fuse, clean);
    EXPECT_LT(relative_difference(evaluate(fused, inputs_of(seed)).at("answer"), expected), 2e-5);
    for (const std::string& point : calibration_points(clean)) EXPECT_TRUE(fused.find_value(point)) << point;
  }
}

struct Agreement {
  int64_t codes = 0, by_one = 0, by_more = 0;
};
int code_at(const Tensor& codes, int64_t i) {
  return codes.dtype() == DType::s8 ? codes.at<int8_t>(i) : codes.at<uint8_t>(i);
}
/// By their numbers: s8 codes that are never negative may have become u8 ones, and nothing else.
void compare_codes(const Tensor& got, const Tensor& expected, Agreement& sum) {
  ASSERT_EQ(got.dims(), expected.dims());
  ASSERT_TRUE(got.dtype() == expected.dtype() || (got.dtype() == DType::u8 && expected.dtype() == DType::s8))
      << name(got.dtype()) << " in place of " << name(expected.dtype());
  for (int64_t i = 0; i < got.size(); ++i) {
    const int expected_code = code_at(expected, i);
    ASSERT_TRUE(got.dtype() == expected.dtype() || expected_code >= 0) << "u8 in place of s8, but negative";
    const int difference = std::abs(code_at(got, i) - expected_code);
    ++sum.codes;
    sum.by_one += difference == 1;
    sum.by_more += difference > 1;
  }
}

TEST(RandomGraphs, integer_layers_give_the_codes_of_the_graph_they_stand_for) {
  Agreement sum;
  for (const Target target : {Target::octet, Target::tensorrt}) {
    for (uint32_t seed = 0; seed < k_graphs; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      Graph graph = after_stage(Stage::clean, Drawer(seed).draw());
      const CalibrationTable table = observed(graph, inputs_of(seed));
      Result<QuantizeReport> report =
          quantize(graph, table, {.method = CalibrationMethod::max, .target = target, .keep_float = {}});
      ASSERT_TRUE(report) << report.error().message;
      for (const PlacementRow& row : report->rows)
        EXPECT_THAT(row.decision, ::testing::Not(::testing::HasSubstr("no range"))) << row.node;
      const Graph fused = after_stage(Stage::fuse, graph);
      const auto expected = evaluate(graph, inputs_of(seed)), got = evaluate(fused, inputs_of(seed));
      for (const Node& node : fused.nodes)
        for (const ValueId v : node.outputs)
          if (const auto at = expected.find(fused.value(v).name); at != expected.end() && is_code(fused.value(v).dtype))
            compare_codes(got.at(fused.value(v).name), at->second, sum);
      EXPECT_LT(relative_difference(got.at("answer"), expected.at("answer")), 0.02);
    }
  }
  ASSERT_GT(sum.codes, 100000);
  EXPECT_LT(static_cast<double>(sum.by_one), 0.005 * static_cast<double>(sum.codes));
  EXPECT_LT(static_cast<double>(sum.by_more), 0.0005 * static_cast<double>(sum.codes));
}

TEST(RandomGraphs, everything_but_the_ends_is_integer) {
  int64_t integer = 0, other = 0;
  for (uint32_t seed = 0; seed < k_graphs; ++seed) {
    Graph graph = after_stage(Stage::clean, Drawer(seed).draw());
    ASSERT_TRUE(quantize(graph, observed(graph, inputs_of(seed)), {}));
    for (const Node& node : after_stage(Stage::fuse, graph).nodes)
      (node.op->name.starts_with("Quant") || is_op(node, "MaxPool") || is_op(node, "Concat") ? integer : other) += 1;
  }
  EXPECT_GT(integer, 4 * other);
}

TEST(RandomGraphs, passes_are_deterministic) {
  for (uint32_t seed = 0; seed < 5; ++seed) {
    const Graph a = after_stage(Stage::clean, Drawer(seed).draw()), b = after_stage(Stage::clean, Drawer(seed).draw());
    EXPECT_EQ(print(a), print(b));
    EXPECT_EQ(hash_graph(a), hash_graph(b));
  }
}

}  // namespace
}  // namespace octet
