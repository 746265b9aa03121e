// A mean in front of a 1x1 convolution, from calibration to a run: the same layers whether the file knows the image's
// extents or the session does.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "api/state.h"
#include "ir/op.h"
#include "ir/text.h"
#include "octet/model.h"
#include "octet/session.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

/// The ops of an INT8 session of a float network with images of these extents, "H,W" or numbers.
std::vector<std::string> int8_ops(const std::string& extents) {
  std::string weights;
  for (int i = 0; i < 16 * 16; ++i) weights += (i ? "," : "") + std::to_string(i * 37 % 101 - 50);
  const Result<Graph> graph =
      parse_graph("graph g (x: f32[N,16," + extents + "]) -> (y) {\n  const w: f32[16,16,1,1] = {" + weights +
                  "}\n  a = Conv(x, w)\n  r = Relu(a)\n  b = Conv(r, w)\n  p = AveragePool(b, "
                  "kernel_shape=[8,8])\n  y = Conv(p, w)\n}\n");
  const std::string path = testing::TempDir() + "octet_pool_" + std::to_string(::getpid()) + ".onnx";
  EXPECT_TRUE(graph && write_onnx_file(path, *graph));
  const Result<Model> model = Model::load(path);
  std::filesystem::remove(path);
  if (!model) return {model.error().message};
  SessionSpec spec;
  spec.precision = "int8";
  spec.shapes = {{"x", {1, 16, 8, 8}}};
  spec.calibration.data.path = "synthetic:4";
  spec.calibration.shapes = spec.shapes;
  const Result<Session> session = Session::build(*model, spec);
  if (!session) return {session.error().message};
  std::vector<std::string> ops;
  for (const Node& node : session->state().engine->plan().graph.nodes) ops.emplace_back(node.op->name);
  return ops;
}

TEST(PoolBeforeConv, is_integer_layers_wherever_the_extents_come_from) {
  EXPECT_EQ(int8_ops("8,8"), (std::vector<std::string>{"QuantizeLinear", "QuantConv", "QuantGlobalAveragePool",
                                                       "QuantConv", "QuantConv"}));
  EXPECT_EQ(int8_ops("H,W"), (std::vector<std::string>{"QuantizeLinear", "QuantConv", "QuantConv",
                                                       "QuantGlobalAveragePool", "QuantConv"}));
}

}  // namespace
}  // namespace octet
