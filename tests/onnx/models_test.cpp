// Real models: every float model is read, inferred, verified and survives a round trip unchanged; foreign quantized
// ones are read or refused with one clear error.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "onnx/reading.h"

namespace octet::test {
namespace {

using testing::HasSubstr;

std::vector<std::filesystem::path> models() {
  std::set<std::filesystem::path> sorted;
  const char* root = std::getenv("OCTET_DATA");
  if (!root) return {};
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(root) / "models"))
    if (entry.path().extension() == ".onnx") sorted.insert(entry.path());
  return {sorted.begin(), sorted.end()};
}

TEST(RealModels, are_read_and_survive_a_round_trip_unless_they_quantize_dynamically) {
  if (!std::getenv("OCTET_DATA")) GTEST_SKIP() << "OCTET_DATA is not set";
  size_t count = 0;
  for (const std::filesystem::path& path : models()) {
    SCOPED_TRACE(path.filename().string());
    const Result<OnnxModel> model = read_onnx(path.string());
    const std::string stem = path.stem().string();
    if (!model) {
      EXPECT_TRUE(stem.ends_with("_ort_dynamic")) << model.error().message;
      EXPECT_EQ(model.error().code, ErrorCode::unsupported);
      EXPECT_THAT(model.error().message, HasSubstr("nodes cannot be read"));
      continue;
    }
    ++count;
    const Result<std::vector<std::byte>> written = write_onnx(model->graph);
    ASSERT_TRUE(written) << written.error().message;
    const Result<OnnxModel> again = read(*written);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(print(again->graph) == print(model->graph)) << "the round trip changed the graph";
    EXPECT_TRUE(*write_onnx(again->graph) == *written) << "the second writing gave other bytes";
  }
  EXPECT_GE(count, 15u);
}

TEST(RealModels, keep_weights_as_views_of_the_mapped_file_where_they_lie_aligned) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  const auto file = MappedFile::open(std::string(root) + "/models/resnet20_cifar10.onnx");
  ASSERT_TRUE(file);
  const Result<OnnxModel> model = read_onnx((*file)->bytes(), *file);
  ASSERT_TRUE(model);
  const std::byte* begin = (*file)->bytes().data();
  size_t views = 0;
  for (const Value& value : model->graph.values) {
    if (!value.constant || value.constant->size() == 0) continue;
    const std::byte* data = value.constant->bytes().data();
    views += data >= begin && data < begin + (*file)->bytes().size();
  }
  EXPECT_GT(views, 0u);
}

}  // namespace
}  // namespace octet::test
