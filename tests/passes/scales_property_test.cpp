// Property: every scale that quantize writes is a positive normal float, whatever the weights, biases and ranges are;
// and what follows of it, that the graph with Q/DQ verifies and fuses.
#include <cmath>
#include <limits>
#include <random>

#include "passes/pass_test.h"

namespace octet {
namespace {

/// 0, subnormal, tiny, ordinary, huge: by channel or as a whole.
constexpr float k_sizes[] = {0.0f, 1e-45f, 1e-39f, 1.2e-38f, 1e-30f, 1e-12f, 1e-3f, 1.0f, 1e4f, 1e20f, 3e38f};
constexpr uint32_t k_harmless = 9;  // of them: every layer can be quantized

class AwkwardNetwork {
 public:
  explicit AwkwardNetwork(uint32_t seed) : random_(seed), sizes_(seed % 2 ? std::size(k_sizes) : k_harmless) {}

  Graph draw() {
    const auto zeros = [](int n) {
      std::string text = "0";
      for (int i = 1; i < n; ++i) text += ", 0";
      return " = {" + text + "}; ";
    };
    Graph g =
        parsed("graph (x: f32[N,3,6,6]) -> (y) {\nconst w1: f32[4,3,3,3]" + zeros(108) + "const b1: f32[4]" + zeros(4) +
               "const w2: f32[4,4,1,1]" + zeros(16) + "const b2: f32[4]" + zeros(4) + "const w3: f32[4,2]" + zeros(8) +
               "const b3: f32[2]" + zeros(2) +
               "c1 = Conv(x, w1, b1, pads=[1,1,1,1]) @conv1; r1 = Relu(c1); c2 = Conv(r1, w2, b2) @conv2; "
               "s = Add(c2, r1); r2 = Relu(s); p = GlobalAveragePool(r2); f = Flatten(p); y = Gemm(f, w3, b3) @fc }");
    for (const auto& [name, channels] :
         std::map<std::string, int64_t>{{"w1", 4}, {"w2", 4}, {"w3", 1}, {"b1", 4}, {"b2", 4}, {"b3", 2}}) {
      Value& value = g.value(*g.find_value(name));
      const Dims dims = *known_dims(*value.shape);
      value.constant =
          f32_tensor(dims, numbers(static_cast<size_t>(*element_count(dims)), static_cast<size_t>(channels)));
    }
    return g;
  }

  CalibrationTable ranges(const Graph& graph) {
    CalibrationTable table;
    for (const std::string& name : calibration_points(graph)) {
      const float lo = pick(2) ? -size() : 0.0f, hi = pick(4) ? size() : 0.0f;
      TensorRange row;
      row.name = name;
      row.min = lo;
      row.max = hi;
      row.count = 1;
      row.by_method.fill({std::max(-lo, hi), lo, hi});
      table.tensors.push_back(row);
    }
    return table;
  }

 private:
  uint32_t pick(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }
  float size() { return k_sizes[pick(sizes_)]; }

  std::vector<float> numbers(size_t count, size_t channels) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> out(count);
    for (size_t c = 0; c < channels; ++c) {
      const float scale = size();
      for (size_t i = c * (count / channels); i < (c + 1) * (count / channels); ++i) out[i] = uniform(random_) * scale;
    }
    return out;
  }

  std::mt19937 random_;
  uint32_t sizes_;
};

int64_t expect_normal_scales(const Graph& graph, const std::string& what) {
  int64_t seen = 0;
  for (const Node& node : graph.nodes) {
    if (node.op->name != "QuantizeLinear" && node.op->name != "DequantizeLinear") continue;
    const Tensor* scale = graph.constant(node.inputs[1]);
    if (!scale) continue;
    for (const float s : scale->as<float>()) {
      EXPECT_TRUE(s > 0 && std::isnormal(s)) << what << " node '" << node.name << "' scale " << s;
      ++seen;
    }
  }
  return seen;
}

/// How many scales were written; layers that stay float because their scales would not fit are counted apart.
int64_t scales_written(uint32_t seed, Target target, int64_t& left_out) {
  AwkwardNetwork network(seed);
  Graph graph = network.draw();
  const CalibrationTable table = network.ranges(graph);
  const Result<QuantizeReport> report = quantize(graph, table, {.target = target, .keep_float = {}});
  const std::string what = "seed " + std::to_string(seed);
  EXPECT_TRUE(report) << what << ": " << report.error().message;
  if (!report) return 0;
  for (const PlacementRow& row : report->rows)
    left_out += row.decision.find("would need a weight scale of") != std::string::npos;
  const Result<Done> verified = verify(graph);
  EXPECT_TRUE(verified) << what << ": " << verified.error().message;
  return expect_normal_scales(graph, what);
}

TEST(Scales, are_positive_and_normal_in_every_quantized_graph) {
  int64_t seen = 0, left_out = 0;
  for (uint32_t seed = 0; seed < 400; ++seed)
    for (const Target target : {Target::octet, Target::tensorrt}) seen += scales_written(seed, target, left_out);
  EXPECT_GT(seen, 2000);
  EXPECT_GT(left_out, 0) << "weights of 1e20 and biases of 3e38 were drawn";
}

// One weight of 1e20 made the whole file impossible: x_scale * w_scale was infinite.
TEST(Scales, one_layer_near_the_end_of_float_stays_float_and_the_others_do_not) {
  Graph g = parsed(
      "graph (x: f32[N,1,2,2]) -> (y) { const w: f32[1,1,1,1] = {3e38}; const v: f32[1,1,1,1] = {2}; "
      "const b: f32[1] = {1e38}; a = Conv(x, w) @huge; c = Conv(x, v) @plain; d = Conv(x, v, b) @biased; "
      "y = Concat(a, c, d, axis=1) }");
  CalibrationTable table;
  for (const std::string& name : calibration_points(g)) {
    TensorRange row;
    row.name = name;
    row.by_method.fill({1, -1, 1});
    table.tensors.push_back(row);
  }
  const Result<QuantizeReport> report = quantize(g, table, {});
  ASSERT_TRUE(report) << report.error().message;
  std::map<std::string, std::string> decision;
  for (const PlacementRow& row : report->rows) decision[row.node] = row.decision;
  EXPECT_THAT(
      decision["huge"],
      ::testing::HasSubstr("float: output channel 0 would need a weight scale of 2.36e+36, the largest is 2^33"));
  EXPECT_EQ(decision["plain"], "int8");
  EXPECT_THAT(decision["biased"], ::testing::HasSubstr("would need a weight scale of"));
  expect_normal_scales(g, "one layer");
}

TEST(Scales, a_tensor_near_the_end_of_float_stays_float_and_is_told) {
  Graph g = parsed(
      "graph (x: f32[N,1,2,2]) -> (y) { const w: f32[1,1,1,1] = {1}; a = Conv(x, w) @one; r = Relu(a); "
      "y = Conv(r, w) @two }");
  CalibrationTable table;
  for (const auto& [name, amax] : std::map<std::string, float>{{"x", 1.0f}, {"r", 1e20f}}) {
    TensorRange row;
    row.name = name;
    row.by_method.fill({amax, -amax, amax});
    table.tensors.push_back(row);
  }
  const Result<QuantizeReport> report = quantize(g, table, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->notes, ::testing::Contains("'r': its range goes beyond 127 * 2^33; it stays float"));
  EXPECT_EQ(report->quantized, 2) << "conv 'one' and its Relu";
}

}  // namespace
}  // namespace octet
