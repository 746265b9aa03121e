// What layers that run together as strips say of their times: --precision best and the roofline.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "ir/text.h"
#include "octet/engine_file.h"
#include "octet/measure.h"
#include "octet/session.h"
#include "octet/tasks.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

using testing::HasSubstr;
using testing::Not;

/// 9.6 MB lie between the layers expand, depthwise and project; `aside` is listed among them and reads none of them.
constexpr char k_network[] =
    R"(graph n (x: f32[1,8,112,112], we: f32[96,8,1,1], wa: f32[8,8,3,3], wd: f32[96,1,3,3], wp: f32[8,96,1,1]) -> (y) {
  e = Conv(x, we) @expand
  er = Relu(e)
  a = Conv(x, wa, pads=[1,1,1,1]) @aside
  d = Conv(er, wd, group=96, pads=[1,1,1,1]) @depthwise
  dr = Relu(d)
  p = Conv(dr, wp) @project
  y = Concat(p, a, axis=1) @join
}
)";

Result<Model> network(const std::string& path) {
  Result<Graph> graph = parse_graph(k_network);
  if (!graph) return graph.error();
  std::vector<ValueId> inputs;
  for (const ValueId id : graph->inputs) {
    Value& value = graph->value(id);
    if (value.name == "x") {
      inputs.push_back(id);
      continue;
    }
    const Dims dims = *known_dims(*value.shape);
    std::vector<float> weights(static_cast<size_t>(*element_count(dims)));
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 17) / 64 - 0.1f;
    value.constant = Tensor::from<float>(DType::f32, dims, weights);
  }
  graph->inputs = inputs;
  if (Result<Done> written = write_onnx_file(path, *graph); !written) return written.error();
  return Model::load(path);
}

/// A file name that is gone when the test ends.
struct TemporaryFile {
  explicit TemporaryFile(const char* end)
      : path(testing::TempDir() + "octet_strips_" + std::to_string(::getpid()) + end) {}
  ~TemporaryFile() { std::filesystem::remove(path); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path;
};

bool has_strips(const Model& model) {
  SessionSpec spec;
  spec.precision = "fp32";
  const Result<Session> session = Session::build(model, spec);
  if (!session) return false;
  for (const LayerInfo& layer : session->layers())
    if (layer.name == "depthwise" && layer.tactic == "in the step after it") return true;
  return false;
}

TEST(StripsTimes, precision_best_has_a_time_for_every_float_layer) {
  const TemporaryFile file(".onnx"), table(".txt");
  const Result<Model> model = network(file.path);
  ASSERT_TRUE(model) << model.error().message;
  if (!has_strips(*model)) GTEST_SKIP() << "not applicable: no strips on this machine";
  BuildSpec spec;
  spec.session.precision = "best";
  spec.session.calibration.data.path = "synthetic:2";
  spec.session.timing_cache = table.path;
  const Result<EngineFile> plan = build_engine(*model, spec);
  ASSERT_TRUE(plan) << plan.error().message;
  for (const char* layer : {"expand", "depthwise", "project", "aside"})
    EXPECT_THAT(plan->tuning_log(), HasSubstr("precision " + std::string(layer) + ": INT8 "));
  EXPECT_THAT(plan->tuning_log(), Not(HasSubstr("FP32 0.00 us")));
  std::ifstream text(table.path);
  int layers = 0;
  for (std::string line; std::getline(text, line);) {
    if (line.find("Conv[") == std::string::npos || line.find("QuantConv[") != std::string::npos) continue;
    ++layers;
    EXPECT_GT(std::stod(line.substr(line.rfind('\t') + 1)), 0) << line;
  }
  EXPECT_GE(layers, 4);
}

TEST(StripsTimes, the_roofline_counts_a_group_to_the_layer_that_runs_it) {
  const TemporaryFile file(".onnx");
  const Result<Model> model = network(file.path);
  ASSERT_TRUE(model) << model.error().message;
  if (!has_strips(*model)) GTEST_SKIP() << "not applicable: no strips on this machine";
  SessionSpec spec;
  spec.precision = "fp32";
  Result<Session> session = Session::build(*model, spec);
  ASSERT_TRUE(session);
  const Result<RooflineReport> report = roofline(*session, 0.01);
  ASSERT_TRUE(report) << report.error().message;
  std::map<std::string, RooflineLayer> layers;
  for (const RooflineLayer& layer : report->layers) layers[layer.name] = layer;
  constexpr double k_pixels = 112 * 112;
  EXPECT_NEAR(layers["aside"].mmac, k_pixels * 8 * 8 * 9 / 1e6, 1e-6);
  EXPECT_NEAR(layers["project"].mmac, k_pixels * 96 * (8 + 9 + 8) / 1e6, 1e-6);
  EXPECT_NEAR(layers["project"].needed_mmac, layers["project"].mmac, 1e-6);
  EXPECT_EQ(layers["aside"].bytes, 4 * (k_pixels * (8 + 8) + 8 * 8 * 9));
  EXPECT_EQ(layers["project"].bytes, 4 * (k_pixels * (8 + 8) + 96 * (8 + 9 + 8)));
  for (const char* name : {"expand", "depthwise"}) {
    EXPECT_EQ(layers[name].mmac, 0) << name;
    EXPECT_EQ(layers[name].bytes, 0) << name;
  }
}

}  // namespace
}  // namespace octet
