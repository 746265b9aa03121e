// Every pass left out in turn, on quantized networks as they come: where the plan keeps its integer layers, the answer
// has the same bytes; where leaving the pass out makes layers float (their fusion is skipped), it is close.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/state.h"
#include "ir/op.h"
#include "ir/text.h"
#include "octet/model.h"
#include "octet/session.h"

namespace octet {
namespace {

struct Answer {
  uint64_t plan = 0;                    // hash of the fused graph
  std::map<std::string, int> products;  // integer and float layers with products, by op
  std::vector<float> values;            // of all f32 outputs
};

std::vector<float> numbers(size_t count) {
  std::vector<float> x;
  uint32_t seed = 7;
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x.push_back(static_cast<float>(seed >> 8) * 0x1p-22f - 2.0f);  // [-2, 2)
  }
  return x;
}

Answer answer_of(const std::string& path, const std::string& skipped, const std::string& device,
                 const Answer* known = nullptr) {
  Answer answer;
  LoadOptions options;
  if (!skipped.empty()) options.skip_passes = {skipped};
  const Result<Model> model = Model::load(path, options);
  if (!model) return ADD_FAILURE() << "without " << skipped << ": " << model.error().message, answer;
  SessionSpec spec;
  spec.device = device;
  Result<Session> session = Session::build(*model, spec);
  if (!session) return ADD_FAILURE() << "without " << skipped << ": " << session.error().message, answer;
  const Graph& planned = session->state().engine->plan().graph;
  answer.plan = hash_graph(planned);
  for (const Node& node : planned.nodes)
    if (is_op(node, "Conv") || is_op(node, "FusedConv") || is_op(node, "Gemm") || is_op(node, "FusedGemm") ||
        is_op(node, "MatMul") || is_op(node, "QuantConv") || is_op(node, "QuantGemm") || is_op(node, "QuantMatMul"))
      ++answer.products[std::string(node.op->name)];
  if (known && known->plan == answer.plan) return answer.values = known->values, answer;
  std::vector<std::vector<float>> in, out;
  std::vector<const std::byte*> from;
  std::vector<std::byte*> to;
  for (const Port& port : session->inputs()) in.push_back(numbers(port.bytes / sizeof(float)));
  for (const Port& port : session->outputs()) out.emplace_back(port.bytes / sizeof(float));
  for (const std::vector<float>& x : in) from.push_back(reinterpret_cast<const std::byte*>(x.data()));
  for (std::vector<float>& y : out) to.push_back(reinterpret_cast<std::byte*>(y.data()));
  const Result<Done> ran = session->run(from, to);
  EXPECT_TRUE(ran) << ran.error().message;
  for (const std::vector<float>& y : out) answer.values.insert(answer.values.end(), y.begin(), y.end());
  return answer;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0, apart = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(b[i])));
    apart = std::max(apart, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return a.size() == b.size() ? apart / largest : 1e9;
}

bool is_integer(const Answer& answer) {
  for (const auto& [op, count] : answer.products)
    if (!op.starts_with("Quant")) return false;
  return true;
}

/// Passes whose absence changed the plan, by what became of it.
struct Effect {
  std::set<std::string> same_bytes, became_float;
};

/// bound: of an answer that is not made of integer layers alone, as a part of the largest value.
Effect expect_equal_answers(const std::string& path, const std::string& device, double bound) {
  Effect effect;
  const Answer whole = answer_of(path, "", device);
  EXPECT_FALSE(whole.values.empty());
  std::set<std::string> names;
  for (const Pass& pass : all_passes()) names.insert(std::string(pass.name));
  for (const std::string& name : names) {
    const Answer without = answer_of(path, name, device, &whole);
    if (without.plan == whole.plan) continue;
    if (is_integer(whole) && is_integer(without)) {
      EXPECT_EQ(std::memcmp(without.values.data(), whole.values.data(), whole.values.size() * sizeof(float)), 0)
          << path << " on " << device << " without " << name << ": " << difference(without.values, whole.values);
      effect.same_bytes.insert(name);
    } else {
      EXPECT_LE(difference(without.values, whole.values), bound) << path << " on " << device << " without " << name;
      effect.became_float.insert(name);
    }
  }
  return effect;
}

/// What the passes leave the same, as far as this file has something for them.
const std::set<std::string> k_fusions = {
    "fuse_quant_conv", "fuse_quant_gemm", "fuse_quant_matmul", "matmul_to_gemm",   "normalise_gemm",
    "fold_constants",  "fold_shapes",     "transpose_codes",   "pull_quantize_up", "push_dequantize_down"};

/// Written beside the test's other files, read back as a user's file.
std::string written(const std::string& name, const std::string& text) {
  const Result<Graph> graph = parse_graph(text);
  EXPECT_TRUE(graph) << graph.error().message;
  const std::string path = testing::TempDir() + "octet_skip_" + name + ".onnx";
  const Result<std::vector<std::byte>> bytes = write_onnx(*graph, {});
  EXPECT_TRUE(bytes) << bytes.error().message;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes->data()), static_cast<std::streamsize>(bytes->size()));
  return path;
}

class SkippedPasses : public testing::TestWithParam<const char*> {};

TEST_P(SkippedPasses, leave_a_quantized_network_the_same_bytes) {
  const char* const data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  const Effect effect = expect_equal_answers(std::string(data) + "/models/" + GetParam() + ".onnx", "cpu", 0.1);
  EXPECT_FALSE(effect.same_bytes.empty());
  for (const std::string& name : effect.became_float) EXPECT_TRUE(k_fusions.contains(name)) << name;
}

INSTANTIATE_TEST_SUITE_P(Models, SkippedPasses,
                         testing::Values("resnet20_cifar10_ort_qdq_s8", "resnet18_cifar10_eager_int8",
                                         "mobilenet_v2_cifar10_int8_qlinear", "mobilenet_v2_cifar10_fakequant_qdq"),
                         [](const auto& each) { return std::string(each.param); });

// With a known batch more shape changes meet than with a free one; the tensors to calibrate are those of the free one.
TEST(Transformer, every_tensor_that_is_quantized_is_found_while_calibrating) {
  const char* const data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  const Result<Model> model = Model::load(std::string(data) + "/models/vit_tiny_c10.onnx");
  ASSERT_TRUE(model) << model.error().message;
  SessionSpec spec;
  spec.precision = "int8";
  spec.calibration.data = {.path = std::string(data) + "/cifar10/train_exact_4000.bin",
                           .preprocess = "cifar10",
                           .limit = 8,
                           .shuffle_seed = -1};
  const Result<Session> session = Session::build(*model, spec);
  ASSERT_TRUE(session) << session.error().message;
  int products = 0;
  for (const Node& node : session->state().engine->plan().graph.nodes)
    products += is_op(node, "QuantGemm") || is_op(node, "QuantMatMul");
  EXPECT_EQ(products, 37);
}

// What exporters leave behind, on codes: pads, inverse transposes, reshapes there and back, casts, a clip before Q,
// equal pairs, an average written as ReduceMean, and a linear layer on rows.
const char* const k_untidy = R"(graph untidy (x: f32[N,3,8,8]) -> (y) {
  const p: s64[8] = {0,0,1,1,0,0,1,1}
  const sx: f32[] = {0.0157}
  const zx: u8[] = {128}
  const w: s8[4,3,3,3] = {WEIGHTS}
  const sw: f32[4] = {0.01,0.02,0.015,0.012}
  const zw: s8[4] = {0,0,0,0}
  const sa: f32[] = {0.02}
  const za: u8[] = {0}
  const lo: f32[] = {0}
  const hi: f32[] = {6}
  const rows: s64[2] = {-1,4}
  const image: s64[4] = {-1,8,8,4}
  const axes: s64[2] = {2,3}
  const v: s8[4,5] = {5,-7,9,11,-13,20,-30,40,50,-60,1,2,3,4,5,-9,-8,7,6,-5}
  const sv: f32[] = {0.03}
  const zv: s8[] = {0}
  const so: f32[] = {0.05}
  const zo: u8[] = {100}
  i = Identity(x)
  d64 = Cast(i, to="f64")
  d32 = Cast(d64, to="f32")
  a = Pad(d32, p)
  q = QuantizeLinear(a, sx, zx)
  dq = DequantizeLinear(q, sx, zx)
  dw = DequantizeLinear(w, sw, zw, axis=0)
  c = Conv(dq, dw)
  t = Transpose(c, perm=[0,2,3,1])
  r = Clip(t, lo, hi)
  u = Transpose(r, perm=[0,3,1,2])
  qa = QuantizeLinear(u, sa, za)
  da = DequantizeLinear(qa, sa, za)
  qb = QuantizeLinear(u, sa, za)
  db = DequantizeLinear(qb, sa, za)
  m = MaxPool(da, kernel_shape=[1,1])
  e = Add(m, db)
  h = Transpose(e, perm=[0,2,3,1])
  k = Reshape(h, rows)
  qk = QuantizeLinear(k, sa, za)
  dk = DequantizeLinear(qk, sa, za)
  o = Reshape(dk, image)
  l = Transpose(o, perm=[0,3,1,2])
  f = ReduceMean(l, axes, keepdims=0)
  qf = QuantizeLinear(f, sa, za)
  df = DequantizeLinear(qf, sa, za)
  dv = DequantizeLinear(v, sv, zv)
  g = MatMul(df, dv)
  qg = QuantizeLinear(g, so, zo)
  y = DequantizeLinear(qg, so, zo)
})";

TEST(SkippedPassesOfText, leave_untidy_codes_the_same_bytes_on_the_reference_and_on_the_cpu) {
  std::string weights, text = k_untidy;
  for (int i = 0; i < 108; ++i) weights += (i ? "," : "") + std::to_string(i * 37 % 255 - 127);
  text.replace(text.find("WEIGHTS"), 7, weights);
  const std::string path = written("untidy", text);
  Effect both;
  for (const char* const device : {"ref", "cpu"}) {
    const Effect effect = expect_equal_answers(path, device, 0.1);
    both.same_bytes.insert(effect.same_bytes.begin(), effect.same_bytes.end());
    for (const std::string& name : effect.became_float) EXPECT_TRUE(k_fusions.contains(name)) << name;
  }
  const Answer ref = answer_of(path, "", "ref"), cpu = answer_of(path, "", "cpu");
  EXPECT_TRUE(is_integer(ref));
  EXPECT_EQ(ref.values, cpu.values);
  for (const char* const name : {"merge_transposes", "merge_reshapes", "fold_pad"})
    EXPECT_TRUE(both.same_bytes.contains(name)) << name;
  std::remove(path.c_str());
}

}  // namespace
}  // namespace octet
