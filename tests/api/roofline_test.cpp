// Products that a layer's way needs, as the roofline counts them.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ir/text.h"
#include "octet/measure.h"
#include "octet/session.h"
#include "octet/tasks.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

constexpr char k_network[] =
    R"(graph n (x: f32[1,64,14,14], w: f32[64,64,3,3], v: f32[64,64,3,3]) -> (y) {
  a = Conv(x, w, pads=[1,1,1,1]) @first
  r = Relu(a)
  y = Conv(r, v, pads=[1,1,1,1]) @second
}
)";

Result<Model> network(const std::string& path) {
  Result<Graph> graph = parse_graph(k_network);
  if (!graph) return graph.error();
  for (const ValueId id : std::vector<ValueId>(graph->inputs.begin() + 1, graph->inputs.end())) {
    std::vector<float> weights(64 * 64 * 9);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 17) / 64 - 0.1f;
    graph->value(id).constant = Tensor::from<float>(DType::f32, {64, 64, 3, 3}, weights);
  }
  graph->inputs.resize(1);
  if (Result<Done> written = write_onnx_file(path, *graph); !written) return written.error();
  return Model::load(path);
}

TEST(Roofline, winograds_products_are_those_of_its_tiles_positions) {
  const std::string path = testing::TempDir() + "octet_roofline_" + std::to_string(::getpid()) + ".onnx";
  const Result<Model> model = network(path);
  ASSERT_TRUE(model) << model.error().message;
  SessionSpec spec;
  spec.precision = "int8";
  spec.calibration.data.path = "synthetic:2";
  Result<Session> session = Session::build(*model, spec);
  std::filesystem::remove(path);
  ASSERT_TRUE(session) << session.error().message;
  const Result<RooflineReport> report = roofline(*session, 0.01);
  ASSERT_TRUE(report) << report.error().message;
  int counted = 0;
  for (const RooflineLayer& layer : report->layers) {
    if (!layer.tactic.starts_with("winograd_u8s8")) continue;
    // 14 outputs are tiles of 4, 4, 4 and 2: of 6, 6, 6 and 4 positions, or 6 where all tiles are alike.
    const double positions = layer.tactic == "winograd_u8s8 avx512_vnni 4x4" ? 22 * 22 : 24 * 24;
    EXPECT_NEAR(layer.needed_mmac, 2 * positions * 64 * 64 / 1e6, 1e-6) << layer.tactic;
    ++counted;
  }
  if (counted == 0) GTEST_SKIP() << "not applicable: no layer runs so on this machine";
}

}  // namespace
}  // namespace octet
