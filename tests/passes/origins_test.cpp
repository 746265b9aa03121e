// Which nodes of the file a fused node stands for: handed on by the stages, whatever the passes do.
#include "ir/origins.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "ir/editor.h"
#include "onnx/onnx.h"
#include "passes/pass_test.h"

namespace octet {
namespace {

using Names = std::vector<std::string>;

/// Every node stands for itself, as after reading a file.
Graph from_file(std::string_view text) {
  Graph graph = parsed(text);
  for (Node& node : graph.nodes) node.origins = {label(graph, node)};
  return graph;
}

Names joined_names(const Graph& graph) {
  Names names;
  for (const Node& node : graph.nodes) names.push_back(joined_name(graph, node));
  return names;
}

Names fused(std::string_view text) {
  return joined_names(after_stage(Stage::fuse, after_stage(Stage::clean, from_file(text))));
}

constexpr char k_weights[] = R"(
  const w: f32[4,4,1,1] = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}
  const g: f32[4] = {1,2,1,2}
  const b: f32[4] = {0,1,0,1}
)";

std::string network(std::string_view nodes) {
  return "graph small (x: f32[1,4,6,6]) -> (y) {" + std::string(k_weights) + std::string(nodes) + "\n}\n";
}

TEST(Origins, a_convolution_is_named_with_its_add_and_its_relu) {
  EXPECT_EQ(fused(network(R"(
    h = Relu(x) @Relu_3
    c = Conv(h, w) @Conv_4
    s = Add(c, h) @Add_5
    y = Relu(s) @Relu_6)")),
            (Names{"Relu_3", "Conv_4 + Add_5 + Relu_6"}));
}

TEST(Origins, nodes_without_a_name_are_called_by_their_first_output) {
  EXPECT_EQ(fused(network("c = Conv(x, w); y = Relu(c)")), (Names{"c + y"}));
}

TEST(Origins, a_batch_norm_belongs_to_the_convolution_that_took_it_in) {
  EXPECT_EQ(fused(network(R"(
    a = Conv(x, w) @Conv_0
    n = BatchNormalization(a, g, b, b, g) @Norm_1
    y = Conv(n, w) @Conv_2)")),
            (Names{"Conv_0 + Norm_1", "Conv_2"}));
}

TEST(Origins, what_is_only_left_out_belongs_to_the_node_before_it) {
  EXPECT_EQ(fused(network(R"(
    a = Conv(x, w) @Conv_0
    i = Identity(a) @Identity_1
    d = Identity(i) @Identity_2
    y = MaxPool(d, kernel_shape=[2,2], strides=[2,2]) @Pool_3)")),
            (Names{"Conv_0 + Identity_1 + Identity_2", "Pool_3"}));
  EXPECT_EQ(fused(network("i = Identity(x) @Identity_0; y = Conv(i, w) @Conv_1")), (Names{"Identity_0 + Conv_1"}))
      << "there is none before it";
}

TEST(Origins, a_node_that_became_a_constant_belongs_to_its_reader) {
  EXPECT_EQ(fused(network(R"(
    const shape: s64[2] = {1, -1}
    u = Mul(w, w) @Mul_0
    a = Conv(x, u) @Conv_1
    y = Reshape(a, shape) @Reshape_2)")),
            (Names{"Mul_0 + Conv_1", "Reshape_2"}));
}

TEST(Origins, what_nobody_reads_is_nobodys) {
  EXPECT_EQ(fused(network("t = Tanh(x) @Tanh_0; y = Conv(x, w) @Conv_1")), (Names{"Conv_1"}));
}

constexpr char k_codes[] = R"(
  const s: f32[] = {0.0625}
  const z: s8[] = {0}
  const wq: s8[4,4,1,1] = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}
)";

TEST(Origins, quantize_and_dequantize_nodes_are_in_the_layer_that_they_became_part_of) {
  EXPECT_EQ(fused(network(std::string(k_codes) + R"(
    q = QuantizeLinear(x, s, z) @Q_in
    d = DequantizeLinear(q, s, z) @DQ_in
    v = DequantizeLinear(wq, s, z) @DQ_w
    c = Conv(d, v) @Conv_4
    r = Relu(c) @Relu_5
    p = QuantizeLinear(r, s, z) @Q_out
    y = DequantizeLinear(p, s, z) @DQ_out)")),
            (Names{"Q_in", "DQ_in + DQ_w + Conv_4 + Relu_5 + Q_out", "DQ_out"}));
}

TEST(Origins, a_pool_on_codes_keeps_its_name_and_the_pair_around_it_is_told_once) {
  const Names names = fused(network(std::string(k_codes) + R"(
    q = QuantizeLinear(x, s, z) @Q_in
    d = DequantizeLinear(q, s, z) @DQ_in
    m = MaxPool(d, kernel_shape=[2,2], strides=[2,2]) @Pool_2
    q2 = QuantizeLinear(m, s, z) @Q_2
    d2 = DequantizeLinear(q2, s, z) @DQ_2
    v = DequantizeLinear(wq, s, z) @DQ_w
    y = Conv(d2, v) @Conv_4)"));
  ASSERT_EQ(names.size(), 3u) << testing::PrintToString(names);
  EXPECT_EQ(names[0], "Q_in");
  EXPECT_EQ(names[1], "DQ_in + Pool_2 + Q_2");
  EXPECT_EQ(names[2], "DQ_2 + DQ_w + Conv_4");
}

// What travels with the nodes decides nothing.
TEST(Origins, are_no_part_of_the_text_and_of_the_hash) {
  const Graph with = from_file(network("c = Conv(x, w); y = Relu(c)"));
  const Graph without = parsed(network("c = Conv(x, w); y = Relu(c)"));
  EXPECT_EQ(print(with), print(without));
  EXPECT_EQ(hash_graph(with), hash_graph(without));
}

/// The names of a file's nodes that something it gives depends on.
std::multiset<std::string> living_names(const Graph& graph) {
  std::set<ValueId> read(graph.outputs.begin(), graph.outputs.end());
  std::multiset<std::string> names;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (std::none_of(node->outputs.begin(), node->outputs.end(), [&](ValueId v) { return read.contains(v); })) continue;
    read.insert(node->inputs.begin(), node->inputs.end());
    names.insert(node->origins.begin(), node->origins.end());
  }
  return names;
}

TEST(Origins, every_layer_of_a_real_file_is_in_exactly_one_step) {
  const char* data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  for (const std::string name :
       {"resnet18_c10", "resnet18_cifar10", "resnet18_cifar10_eager_int8", "resnet56_cifar10_bn_pad",
        "mobilenet_v3_small_c10", "efficientnet_b0_c10", "squeezenet1_1_imagenet", "resnet20_cifar10_ort_qdq_s8",
        "mobilenet_v2_cifar10_fakequant_qdq", "mobilenet_v2_cifar10_int8_qlinear", "vit_tiny_c10"}) {
    Result<OnnxModel> model = read_onnx(std::string(data) + "/models/" + name + ".onnx");
    ASSERT_TRUE(model) << model.error().message;
    const std::multiset<std::string> file = living_names(model->graph);
    ASSERT_GT(file.size(), 20u) << name;
    ASSERT_EQ(std::set<std::string>(file.begin(), file.end()).size(), file.size()) << name;
    const Graph steps = after_stage(Stage::fuse, after_stage(Stage::clean, std::move(model->graph)));
    std::multiset<std::string> told;
    for (const Node& node : steps.nodes) told.insert(node.origins.begin(), node.origins.end());
    EXPECT_EQ(told, file) << name;
  }
}

// A node that is taken apart when it is read belongs to the step that multiplies or adds.
TEST(Origins, of_a_node_that_is_taken_apart_are_with_its_product) {
  const char* data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<OnnxModel> model = read_onnx(std::string(data) + "/models/mobilenet_v2_cifar10_int8_qlinear.onnx");
  ASSERT_TRUE(model) << model.error().message;
  const Graph steps = after_stage(Stage::fuse, after_stage(Stage::clean, std::move(model->graph)));
  int products = 0;
  for (const Node& node : steps.nodes)
    for (const std::string& origin : node.origins) {
      if (origin.find("Conv_quant") == std::string::npos && origin.find("MatMul_quant") == std::string::npos) continue;
      ++products;
      EXPECT_TRUE(is_any(node, {"QuantConv", "QuantGemm", "QuantMatMul"})) << origin << " is in a " << node.op->name;
    }
  EXPECT_GT(products, 50);
}

}  // namespace
}  // namespace octet
