// Record eager_net of $OCTET_DATA/golden/observers.npz: PyTorch 2.4.1's eager-mode flow (qnnpack) for conv-bn-relu,
// conv-bn, add, relu. Folding, observers and integers as recorded; then the graph as torch.onnx.export writes it,
// mended, gives PyTorch's answers. Source: docs/toolkit_behaviour.md, PyTorch's observers and eager export.
#include <cmath>
#include <cstdlib>

#include "data/npy.h"
#include "ir/base64.h"
#include "passes/passes.h"
#include "quant/observer.h"
#include "repair/repairing.h"

namespace octet {
namespace {

constexpr float k_input_scale = 0x1.fe104ap-6f;  // 0x3cff0825
constexpr float k_c1_scale = 0x1.9ea09ep-6f;     // 0x3ccf504f
constexpr float k_c2_scale = 0x1.81033cp-5f;     // 0x3d40819e
constexpr float k_add_scale = 0x1.71cf5p-5f;     // 0x3d38e7a8

class EagerNet : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("OCTET_DATA");
    if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
    auto read = read_npz(std::string(root) + "/golden/observers.npz");
    ASSERT_TRUE(read) << read.error().message;
    for (auto& [name, tensor] : *read)
      if (name.starts_with("eager_net.")) arrays_[name.substr(10)] = std::move(tensor);
    ASSERT_EQ(arrays_.size(), 25u);
  }
  const Tensor& at(const std::string& name) const { return arrays_.at(name); }
  std::vector<float> floats(const std::string& name) const {
    return {at(name).as<float>().begin(), at(name).as<float>().end()};
  }
  /// "const NAME: f32[...] = base64 "..." "
  std::string constant(const std::string& name, const Tensor& tensor) const {
    return "const " + name + ": " + std::string(octet::name(tensor.dtype())) + to_string(tensor.dims()) +
           " = base64 \"" + to_base64(tensor.bytes()) + "\"\n";
  }
  std::string constant(const std::string& name, const std::string& array) const { return constant(name, at(array)); }
  std::string scalar(const std::string& name, float x) const { return constant(name, scalar_f32(x)); }

  /// The float network, BatchNormalization and all.
  std::string float_net() const {
    std::string text = "graph (x: f32[N,2,6,6]) -> (c1, c2, s, y) {\n";
    for (const char* layer : {"1", "2"}) {
      const std::string c = std::string("s_c") + layer, b = std::string("s_b") + layer, k = layer;
      text += constant("w" + k, c + ".weight") + constant("bias" + k, c + ".bias") + constant("g" + k, b + ".weight") +
              constant("h" + k, b + ".bias") + constant("m" + k, b + ".running_mean") +
              constant("v" + k, b + ".running_var");
    }
    return text +
           "a1 = Conv(x, w1, bias1, pads=[1,1,1,1]) n1 = BatchNormalization(a1, g1, h1, m1, v1, epsilon=1e-05)\n"
           "c1 = Relu(n1) a2 = Conv(c1, w2, bias2, pads=[1,1,1,1])\n"
           "c2 = BatchNormalization(a2, g2, h2, m2, v2, epsilon=1e-05) s = Add(c2, c1) y = Relu(s) }";
  }

  /// A quantized convolution's weight and bias as the exporter writes them.
  std::string layer(const std::string& k, float in_scale) const {
    const std::vector<float> bias = floats("c" + k + "_folded_b"), scale = floats("c" + k + "_w_scale");
    std::vector<float> grid;
    std::vector<int32_t> codes;
    for (size_t c = 0; c < bias.size(); ++c) {
      grid.push_back(in_scale * scale[c]);
      codes.push_back(static_cast<int32_t>(std::nearbyint(bias[c] / grid[c])));
    }
    const Dims dims{static_cast<int64_t>(bias.size())};
    const std::vector<int8_t> zeros(scale.size(), 0);
    return constant("w" + k, "c" + k + "_w_int") + constant("ws" + k, "c" + k + "_w_scale") +
           constant("wz" + k, Tensor::from<int8_t>(DType::s8, dims, zeros)) +
           constant("b" + k, Tensor::from<int32_t>(DType::s32, dims, codes)) +
           constant("bs" + k, f32_tensor(dims, grid)) + "const n" + k + ": s64[1] = {4}\n" + "dw" + k +
           " = DequantizeLinear(w" + k + ", ws" + k + ", wz" + k + ", axis=0)\n" + "f" + k + " = ConstantOfShape(n" +
           k + ", value=tensor(f32[1], {0})) bz" + k + " = Cast(f" + k + ", to=\"s32\")\n" + "db" + k +
           " = DequantizeLinear(b" + k + ", bs" + k + ", bz" + k + ", axis=0)\n";
  }
  static std::string pair(const std::string& in, const std::string& out, const std::string& s, const char* dtype) {
    const std::string z = dtype == std::string("s8") ? "z8" : "zu";
    return "q_" + out + " = QuantizeLinear(" + in + ", " + s + ", " + z + ") @q_" + out + "\n" + "k_" + out +
           " = Cast(q_" + out + ", to=\"" + dtype + "\") " + out + " = DequantizeLinear(k_" + out + ", " + s + ", " +
           z + ") @d_" + out + "\n";
  }
  /// E1 to E3: a Cast in every pair, uint8 zero points behind the signed QuantStub, int32 biases with computed zero
  /// points.
  std::string exported() const {
    return "graph (x: f32[N,2,6,6]) -> (y) {\n" + scalar("s0", k_input_scale) + scalar("s1", k_c1_scale) +
           scalar("s2", k_c2_scale) + scalar("s3", k_add_scale) + "const z8: s8[] = {0} const zu: u8[] = {0}\n" +
           layer("1", k_input_scale) + layer("2", k_c1_scale) + pair("x", "d0", "s0", "s8") +
           "a1 = Conv(d0, dw1, db1, pads=[1,1,1,1]) r1 = Relu(a1)\n" + pair("r1", "d1", "s1", "u8") +
           "a2 = Conv(d1, dw2, db2, pads=[1,1,1,1])\n" + pair("a2", "d2", "s2", "u8") + "s = Add(d2, d1)\n" +
           pair("s", "d3", "s3", "u8") + "r2 = Relu(d3)\n" + pair("r2", "y", "s3", "u8") + "}";
  }
  std::map<std::string, Tensor> arrays_;
};

TEST_F(EagerNet, folded_weights_are_those_of_pytorch) {
  Graph graph = broken(float_net());
  for (const Pass& pass : all_passes()) {
    if (pass.name == "fold_batch_norm") {
      ASSERT_TRUE(run_pass(graph, pass));
    }
  }
  size_t layers = 0;
  for (const Node& node : graph.nodes) {
    if (!is_op(node, "Conv")) continue;
    const std::string k = std::to_string(++layers);
    for (const auto& [i, part] : {std::pair(1u, "_folded_w"), std::pair(2u, "_folded_b")}) {
      const std::vector<double> have = to_doubles(*graph.constant(node.inputs[i]));
      const std::vector<float> want = floats("c" + k + part);
      ASSERT_EQ(have.size(), want.size());
      for (size_t e = 0; e < want.size(); ++e)
        EXPECT_NEAR(have[e], want[e], 1e-6 * std::abs(want[e]) + 1e-7) << k << part << " " << e;
    }
  }
  EXPECT_EQ(layers, 2u);
}

TEST_F(EagerNet, observers_give_its_scales_and_integers) {
  const ObserverOptions options{.eps = 0x1p-12f};
  const Graph graph = broken(float_net());
  MinMaxObserver x(options), c1(options), c2(options), sum(options);
  for (const char* batch : {"calib0", "calib1", "calib2"}) {
    const std::vector<Tensor> made = answers(graph, {{"x", at(batch)}});
    ASSERT_TRUE(x.observe(at(batch).as<float>()));
    ASSERT_TRUE(c1.observe(made[0].as<float>()));
    ASSERT_TRUE(c2.observe(made[1].as<float>()));
    ASSERT_TRUE(sum.observe(made[2].as<float>()));
  }
  EXPECT_EQ(x.params().scale[0], k_input_scale);
  EXPECT_NEAR(c1.params().scale[0] / k_c1_scale, 1, 1e-6);  // behind float sums of another order
  EXPECT_NEAR(c2.params().scale[0] / k_c2_scale, 1, 1e-6);
  EXPECT_NEAR(sum.params().scale[0] / k_add_scale, 1, 1e-6);
  for (const std::string k : {"1", "2"}) {
    const Tensor& w = at("c" + k + "_folded_w");
    const size_t inner = static_cast<size_t>(w.size() / w.dims()[0]);
    MinMaxObserver weight(options, static_cast<size_t>(w.dims()[0]));
    ASSERT_TRUE(weight.observe(w.as<float>(), inner));
    EXPECT_EQ(weight.params().scale, floats("c" + k + "_w_scale"));
    const std::vector<double> want = to_doubles(at("c" + k + "_w_int"));
    const std::vector<int32_t> have = torch_quantize(w.as<float>(), weight.params(), inner, -128, 127);
    EXPECT_TRUE(std::equal(want.begin(), want.end(), have.begin(), have.end()));
  }
}

TEST_F(EagerNet, its_export_mended_gives_pytorchs_answers_within_one_step) {
  Graph graph = broken(exported());
  ASSERT_TRUE(verify(graph)) << verify(graph).error().message;
  const Tensor &x = at("x"), &y = at("y");
  const auto steps_apart = [&](const Graph& each) {
    const std::vector<double> have = to_doubles(answers(each, {{"x", x}}).at(0)), want = to_doubles(y);
    double largest = 0;
    for (size_t i = 0; i < want.size(); ++i) largest = std::max(largest, std::abs(have[i] - want[i]) / k_add_scale);
    return largest;
  };
  EXPECT_GT(steps_apart(graph), 5.0) << "the export as it is loses every negative value";
  for (const bool float_biases : {false, true}) {
    Graph made = graph;
    const Result<std::vector<RepairRow>> rows = repair(made, {.skip = {}, .float_biases = float_biases});
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_LE(steps_apart(made), 1.0);
    const std::string text = print(made, {.elide_constants = true});
    EXPECT_EQ(text.find("Cast"), std::string::npos) << text;
    EXPECT_EQ(text.find("u8["), std::string::npos) << text;
    for (const Node& node : made.nodes)
      if (is_op(node, "Conv")) {
        EXPECT_EQ(made.constant(node.inputs[2]) != nullptr, float_biases) << text;
      }
    const Result<std::vector<RepairRow>> again = repair(made, {.skip = {}, .float_biases = float_biases});
    ASSERT_TRUE(again);
    EXPECT_EQ(again->size(), 0u) << "a second run changes something: " << again->front().repair;
    EXPECT_EQ(print(made, {.elide_constants = true}), text);
  }
}

}  // namespace
}  // namespace octet
