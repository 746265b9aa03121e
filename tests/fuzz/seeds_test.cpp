// The fuzzers' first corpora: mutation takes names from the file at hand, so an op that no seed has is met only by
// luck.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "backends/open.h"
#include "ir/op.h"
#include "ir/text.h"
#include "onnx/onnx.h"
#include "onnx/proto.h"
#include "onnx_seeds.h"
#include "plan/plan_file.h"
#include "plan_seeds.h"
#include "runtime/engine.h"

namespace octet {
namespace {

using testing::IsEmpty;

/// What octet reads: "Conv" of ai.onnx, "com.microsoft QGemm".
std::set<std::string> ops_of_files() {
  std::set<std::string> names = {"If"};
  for (const OpDef* op : all_ops())
    if (op->is_onnx) names.insert(std::string(op->name));
#define OCTET_ONNX_ODDITY(op, function) names.insert(#op);
#define OCTET_ONNX_REPLACED(op, by, function) names.insert(#op);
#define OCTET_ONNX_FOREIGN(domain, op, function) names.insert(domain " " #op);
#include "onnx/map.def"
#undef OCTET_ONNX_ODDITY
#undef OCTET_ONNX_REPLACED
#undef OCTET_ONNX_FOREIGN
  return names;
}

TEST(OnnxSeeds, have_every_op_that_is_read) {
  std::set<std::string> missing = ops_of_files();
  for (const OnnxSeed& seed : onnx_seeds()) {
    const Result<ProtoModel> model = parse_model(seed.bytes);
    ASSERT_TRUE(model) << seed.name << ": " << model.error().message;
    for (const ProtoNode& node : model->graph.nodes)
      missing.erase((node.domain.empty() ? "" : std::string(node.domain) + " ") + std::string(node.op_type));
  }
  EXPECT_THAT(missing, IsEmpty());
}

// A seed that the reader refuses leads no mutant to what lies behind the refusal.
TEST(OnnxSeeds, are_read_and_verify) {
  std::set<std::string> names;
  for (const OnnxSeed& seed : onnx_seeds()) {
    EXPECT_TRUE(names.insert(seed.name).second) << "two seeds are called " << seed.name;
    const auto bytes = std::make_shared<const std::vector<std::byte>>(seed.bytes);
    const Result<OnnxModel> model = read_onnx(*bytes, bytes);
    ASSERT_TRUE(model) << seed.name << ": " << model.error().message;
    const Result<Done> verified = verify(model->graph);
    EXPECT_TRUE(verified) << seed.name << ": " << verified.error().message;
  }
}

TEST(PlanSeeds, have_every_op) {
  std::set<std::string_view> missing;
  for (const OpDef* op : all_ops()) missing.insert(op->name);
  for (const PlanSeed& seed : plan_seeds()) {
    const Result<Graph> graph = parse_graph(seed.graph);
    ASSERT_TRUE(graph) << seed.name << ": " << graph.error().message;
    for (const Node& node : graph->nodes) missing.erase(node.op->name);
  }
  EXPECT_THAT(missing, IsEmpty());
}

TEST(PlanSeeds, become_plans_and_engines) {
  const Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = 1});
  ASSERT_TRUE(backend);
  std::set<std::string> names;
  for (const PlanSeed& seed : plan_seeds()) {
    EXPECT_TRUE(names.insert(seed.name).second) << "two seeds are called " << seed.name;
    PlanFile plan;
    Result<Graph> graph = parse_graph(seed.graph);
    ASSERT_TRUE(graph) << seed.name << ": " << graph.error().message;
    plan.graph = *std::move(graph);
    plan.profile = seed.profile;
    const Result<std::vector<std::byte>> bytes = plan_bytes(plan);
    ASSERT_TRUE(bytes) << seed.name << ": " << bytes.error().message;
    EXPECT_LT(bytes->size(), size_t{32} << 10) << seed.name << ": mutants would seldom stay below the longest input";
    const Result<PlanFile> read = read_plan(*bytes, std::make_shared<std::vector<std::byte>>(*bytes), "octet test");
    ASSERT_TRUE(read) << seed.name << ": " << read.error().message;
    const Result<std::shared_ptr<const Engine>> engine = Engine::build(plan.graph, *backend);
    EXPECT_TRUE(engine) << seed.name << ": " << engine.error().message;
  }
}

}  // namespace
}  // namespace octet
