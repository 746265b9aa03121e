// Property: whatever the tensors are, every scale in everything that octet writes is a positive normal float: the
// ranges file, TensorRT's and ONNX Runtime's tables, the Q/DQ file, the plan file.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <random>

#include "ir/text.h"
#include "octet/cache.h"
#include "octet/model.h"
#include "onnx/onnx.h"
#include "passes/choose_codes.h"
#include "passes/passes.h"
#include "plan/plan_file.h"
#include "quant/cache_file.h"
#include "quant/choose.h"

namespace octet {
namespace {

constexpr const char* k_network = R"(graph g (x: f32[2,3,6,6]) -> (y) {
  const w1: f32[4,3,1,1] = {0.5, -0.25, 1, 0.125, 0.75, -1, 0.25, 0.5, -0.5, 1, 1, 1}
  const b1: f32[4] = {0.5, -1, 0, 2}
  const w2: f32[4,4,1,1] = {1, -1, 0.5, 0.25, 0, 0, 0, 0, 1, 2, 3, 4, -1, -2, -3, -4}
  const w3: f32[4,2] = {1, 2, 3, 4, 5, 6, 7, 8}
  const b3: f32[2] = {1, -1}
  c1 = Conv(x, w1, b1) @conv1
  r1 = Relu(c1)
  c2 = Conv(r1, w2) @conv2
  s = Add(c2, r1)
  t = Sigmoid(s)
  p = GlobalAveragePool(t)
  f = Flatten(p)
  y = Gemm(f, w3, b3) @fc
}
)";

/// Zeros, constants, subnormals, ordinary numbers and numbers near both ends of float.
std::vector<float> awkward(std::mt19937& random, bool never_negative) {
  static constexpr float k_sizes[] = {0.0f, 1e-45f, 3e-39f, 1.2e-38f, 1e-30f, 1e-12f,
                                      1.0f, 1e4f,   1e12f,  1e20f,    1e30f,  3e38f};
  const float size = k_sizes[random() % std::size(k_sizes)];
  const uint32_t kind = random() % 3;
  std::normal_distribution<float> normal(0, 0.3f);
  std::vector<float> x(257);
  for (float& v : x) {
    const float unit = std::clamp(kind == 0 ? 1.0f : normal(random), -1.0f, 1.0f);
    v = kind == 2 ? (random() % 50 ? 0.0f : size) : unit * size;  // constant; spread; mostly zero with spikes
    if (never_negative) v = std::abs(v);
  }
  return x;
}

bool is_scale(float s) { return s > 0 && std::isnormal(s); }

CalibrationTable drawn_table(const Graph& graph, uint32_t seed) {
  std::mt19937 random(seed);
  CalibrationTable table;
  for (const std::string& name : calibration_points(graph)) {
    Histogram h;
    h.collect(awkward(random, random() % 2 == 0));
    TensorRange row;
    row.name = name;
    row.min = h.min();
    row.max = h.max();
    row.count = h.count();
    for (const CalibrationMethod m : k_calibration_methods) row.by_method[static_cast<size_t>(m)] = choose(m, h);
    table.tensors.push_back(row);
  }
  return table;
}

int64_t check_ranges_file(const CalibrationTable& table) {
  const Result<CalibrationTable> read = ranges_from_json(to_json(table));
  EXPECT_TRUE(read) << read.error().message;
  if (!read) return 0;
  int64_t seen = 0;
  for (const TensorRange& row : read->tensors)
    for (const CalibrationMethod m : k_calibration_methods)
      for (const bool proven : {false, true})
        for (const Target target : {Target::octet, Target::tensorrt}) {
          const float scale = choose_codes(code_range(row.range(m), proven), target).scale;
          EXPECT_TRUE(is_scale(scale)) << row.name << " " << name(m) << " " << scale;
          ++seen;
        }
  return seen;
}

int64_t check_foreign_tables(const CalibrationTable& table, CalibrationMethod method) {
  TrtCache cache;
  cache.version = "100300";
  cache.scales = trt_scales(table, method);
  const Result<TrtCache> text = parse_trt_cache(to_text(cache));
  EXPECT_TRUE(text) << text.error().message;
  int64_t seen = 0;
  for (const TrtScale& s : text->scales) {
    EXPECT_TRUE(is_scale(s.scale)) << s.name;
    ++seen;
  }
  const OrtTable made = ort_table(table, method);
  for (const OrtForm form : {OrtForm::text, OrtForm::json, OrtForm::flatbuffers}) {
    const Result<OrtTable> read = parse_ort_table(to_bytes(made, form), form);
    EXPECT_TRUE(read) << read.error().message;
    for (const OrtRange& r : read->ranges) {
      EXPECT_TRUE(is_scale(static_cast<float>(r.amax / 127))) << r.name << " " << r.amax;
      ++seen;
    }
  }
  return seen;
}

/// Constant scales of Q/DQ nodes, scales in attributes and in the weights of fused nodes; what they multiply to.
int64_t check_graph(const Graph& graph, const std::string& what) {
  int64_t seen = 0;
  const auto expect = [&](float s, const Node& node) {
    EXPECT_TRUE(is_scale(s)) << what << ": node '" << node.name << "' (" << node.op->name << ") scale " << s;
    ++seen;
  };
  for (const Node& node : graph.nodes) {
    for (const auto& [key, value] : node.attributes)
      if (key.ends_with("_scale"))
        if (const auto* s = std::get_if<float>(&value)) expect(*s, node);
    const bool linear = node.op->name == "QuantizeLinear" || node.op->name == "DequantizeLinear";
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == k_absent || !graph.constant(node.inputs[i])) continue;
      const Value& value = graph.value(node.inputs[i]);
      if (value.dtype == DType::f32 && ((linear && i == 1) || value.name.ends_with("_w_scale")))
        for (const float s : value.constant->as<float>()) expect(s, node);
    }
  }
  return seen;
}

TEST(ArtefactScales, are_positive_and_normal_in_every_file_that_octet_writes) {
  const Result<Graph> float_graph = parse_graph(k_network);
  ASSERT_TRUE(float_graph) << float_graph.error().message;
  const std::string path = testing::TempDir() + "octet_artefact_" + std::to_string(::getpid()) + ".onnx";
  int64_t in_ranges = 0, in_tables = 0, in_files = 0, in_plans = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    const CalibrationTable table = drawn_table(*float_graph, seed);
    const std::string what = "seed " + std::to_string(seed);
    in_ranges += check_ranges_file(table);
    const CalibrationMethod method = k_calibration_methods[seed % 4];
    in_tables += check_foreign_tables(table, method);
    for (const Target target : {Target::octet, Target::tensorrt}) {
      Graph graph = *float_graph;
      const Result<QuantizeReport> report =
          quantize(graph, table, {.method = method, .target = target, .keep_float = {}});
      ASSERT_TRUE(report) << what << ": " << report.error().message;
      ASSERT_TRUE(write_onnx_file(path, graph));
      const Result<Model> read = Model::load(path);
      ASSERT_TRUE(read) << what << ": " << read.error().message;
      in_files += check_graph(graph, what);
      const Result<std::vector<PassReport>> fused = run_stage(graph, Stage::fuse);
      ASSERT_TRUE(fused) << what << ": " << fused.error().message;
      PlanFile plan;
      plan.writer = "octet test";
      plan.graph = graph;
      const Result<std::vector<std::byte>> bytes = plan_bytes(plan);
      ASSERT_TRUE(bytes) << what << ": " << bytes.error().message;
      const Result<PlanFile> again = read_plan(*bytes, std::make_shared<std::vector<std::byte>>(*bytes), "octet test");
      ASSERT_TRUE(again) << what << ": " << again.error().message;
      in_plans += check_graph(again->graph, what + ", plan");
    }
  }
  ::unlink(path.c_str());
  EXPECT_GT(in_ranges, 2000);
  EXPECT_GT(in_tables, 500);
  EXPECT_GT(in_files, 1000);
  EXPECT_GT(in_plans, 1000);
}

}  // namespace
}  // namespace octet
