// All repairs together: order, names, idempotence, real files.
#include <cstdlib>

#include "base/file.h"
#include "onnx/onnx.h"
#include "repair/repairing.h"

namespace octet {
namespace {

TEST(Repair, an_unknown_name_is_refused_with_the_known_ones) {
  Graph graph = broken("graph (x: f32[2]) -> (y) { y = Relu(x) }");
  const Result<std::vector<RepairRow>> rows = repair(graph, {.skip = {"polish"}, .float_biases = false});
  ASSERT_FALSE(rows);
  EXPECT_THAT(rows.error().message,
              ::testing::StartsWith("there is no repair called 'polish'; the repairs are written_dequantize, "));
}

TEST(Repair, a_float_graph_stays) {
  const char* const text =
      R"(graph (x: f32[N,2]) -> (y) { const w: f32[3,2] = {1,2,3,4,5,6} const b: f32[3] = {1,2,3} g = Gemm(x, w, b, transB=1) y = Relu(g) })";
  Graph graph = broken(text);
  const Result<std::vector<RepairRow>> rows = repair(graph);
  ASSERT_TRUE(rows);
  EXPECT_TRUE(rows->empty());
  EXPECT_EQ(print(graph), print(broken(text)));
}

class RealFiles : public testing::TestWithParam<const char*> {};

TEST_P(RealFiles, are_mended_once_and_for_all) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<OnnxModel> model = read_onnx(std::string(root) + "/models/" + GetParam() + ".onnx", {.verify = false});
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(repair(model->graph));
  const Result<Done> ok = verify(model->graph);
  ASSERT_TRUE(ok) << ok.error().message;
  const std::string once = print(model->graph, {.elide_constants = true});
  const Result<std::vector<RepairRow>> again = repair(model->graph);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->size(), 0u) << again->front().repair << " " << again->front().node;
  EXPECT_EQ(print(model->graph, {.elide_constants = true}), once);
}

INSTANTIATE_TEST_SUITE_P(Models, RealFiles,
                         testing::Values("resnet18_cifar10_eager_int8", "mobilenet_v2_cifar10_fakequant_qdq",
                                         "mobilenet_v2_cifar10_int8_qlinear", "resnet20_cifar10_ort_qdq_s8",
                                         "mobilenet_v2_imagenet_ort_qdq"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace octet
