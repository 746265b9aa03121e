// A network with channel shuffles, which the fused graph joins into one step, from calibration to a run.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include "api/state.h"
#include "ir/op.h"
#include "ir/text.h"
#include "octet/measure.h"
#include "octet/model.h"
#include "octet/session.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

int count_of(const Session& session, std::string_view op) {
  int count = 0;
  for (const Node& node : session.state().engine->plan().graph.nodes) count += is_op(node, op);
  return count;
}

/// A float network of text, by way of a file, and its INT8 form from ranges of synthetic data.
struct Networks {
  std::optional<Model> floats, int8;
  [[nodiscard]] std::optional<Session> build(bool is_int8) const {
    Result<Session> session = Session::build(is_int8 ? *int8 : *floats, {});
    EXPECT_TRUE(session) << session.error().message;
    return session ? std::optional(std::move(*session)) : std::nullopt;
  }
};

Networks networks_of(const std::string& text) {
  const std::string path = testing::TempDir() + "octet_shuffle_" + std::to_string(::getpid()) + ".onnx";
  const Result<Graph> graph = parse_graph(text);
  EXPECT_TRUE(graph) << graph.error().message;
  EXPECT_TRUE(graph && write_onnx_file(path, *graph));
  Networks networks;
  Result<Model> model = Model::load(path);
  std::filesystem::remove(path);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return networks;
  CalibrateSpec calibration;
  calibration.data.path = "synthetic:4";
  const Result<Ranges> ranges = calibrate(*model, calibration);
  EXPECT_TRUE(ranges) << ranges.error().message;
  if (!ranges) return networks;
  Result<Quantized> quantized = quantize(*model, *ranges, {});
  EXPECT_TRUE(quantized) << quantized.error().message;
  if (!quantized) return networks;
  return {std::move(*model), std::move(quantized->model)};
}

TEST(ChannelShuffle, is_calibrated_and_quantized_and_runs_as_one_step_in_every_precision) {
  const Networks networks = networks_of(
      "graph g (x: f32[N,4,4,4]) -> (y) {\n"
      "  const w: f32[4,4,1,1] = {1, 0.5, -1, 2, 0.25, 1, 1, -1, 0.5, 0.5, 0.5, 1, -1, 1, 2, 0.125}\n"
      "  const a: s64[5] = {0, 2, 2, 4, 4}\n  const b: s64[4] = {0, 4, 4, 4}\n"
      "  c = Conv(x, w) @first\n  t = Reshape(c, a)\n  u = Transpose(t, perm=[0,2,1,3,4])\n  v = Reshape(u, b)\n"
      "  y = Conv(v, w) @last\n}\n");
  ASSERT_TRUE(networks.int8);
  for (const bool is_int8 : {false, true}) {
    const std::optional<Session> session = networks.build(is_int8);
    ASSERT_TRUE(session);
    EXPECT_EQ(count_of(*session, "Gather"), 1);
    EXPECT_EQ(count_of(*session, "Transpose"), 0);
    EXPECT_EQ(count_of(*session, is_int8 ? "QuantConv" : "FusedConv"), 2);
  }
}

/// In the float engine the halves are gathered from where the branches lie: the sum of both and what is gathered of it
/// have a range all the same.
TEST(ChannelShuffle, written_as_a_gather_is_calibrated_where_its_halves_and_branches_would_join) {
  const Networks networks = networks_of(
      "graph g (x: f32[N,2,4,4]) -> (y) {\n  const w: f32[2,2,1,1] = {1, 0.5, -1, 2}\n"
      "  const i: s64[4] = {0, 2, 1, 3}\n  const p: s64[2] = {2, 2}\n"
      "  a = Conv(x, w)\n  b = Conv(a, w)\n  c = Concat(a, b, axis=1)\n  s = Gather(c, i, axis=1)\n"
      "  h, r = Split(s, p, axis=1)\n  t = Conv(h, w)\n  u = Conv(r, w)\n  y = Concat(t, u, axis=1)\n}\n");
  ASSERT_TRUE(networks.int8);
  for (const bool is_int8 : {false, true}) {
    const std::optional<Session> session = networks.build(is_int8);
    ASSERT_TRUE(session);
    EXPECT_EQ(count_of(*session, "JoinedGather"), 2);
    EXPECT_EQ(count_of(*session, is_int8 ? "QuantConv" : "FusedConv") + count_of(*session, "Conv"), 4);
  }
}

}  // namespace
}  // namespace octet
