// What is written is read back; the reader is tested against foreign files in checkpoint_test.cpp.

#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "checkpoint/checkpoint.h"

namespace octet {
namespace {

TEST(WriteSafetensors, comes_back_with_names_dtypes_dims_and_bytes) {
  const std::string path = testing::TempDir() + "written.safetensors";
  const float floats[] = {1.5f, -0.0f, 3e38f, 1e-40f, 5, 6};
  const int64_t numbers[] = {-1};
  std::map<std::string, Tensor> tensors = {
      {"layer1.0.weight", Tensor::from<float>(DType::f32, {2, 3}, floats)},
      {"empty", Tensor::from<float>(DType::f32, {0, 4}, {})},
      {"epoch", Tensor::from<int64_t>(DType::s64, {}, numbers)},
      {"with \"quotes\"", Tensor::from<uint8_t>(DType::u8, {3}, std::array<uint8_t, 3>{1, 2, 3})}};
  ASSERT_TRUE(write_safetensors(path, tensors));
  const Result<Checkpoint> read = read_checkpoint(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->format, "safetensors");
  EXPECT_EQ(read->tensors, tensors);
  std::filesystem::remove(path);
}

TEST(WriteSafetensors, a_dtype_that_the_format_lacks_is_said) {
  const Result<Done> done = write_safetensors(
      testing::TempDir() + "no.safetensors", {{"w", Tensor::from<uint8_t>(DType::s4, {1}, std::array<uint8_t, 1>{1})}});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("tensor 'w' is s4"), std::string::npos);
}

}  // namespace
}  // namespace octet
