// What is written is read back; the reader is tested against foreign files in checkpoint_test.cpp.

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>

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
  EXPECT_TRUE(read->summed);
  std::filesystem::remove(path);
}

std::vector<std::byte> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// Wherever in the file it is: in a header (where it may only move a blank), or in any tensor.
TEST(WriteSafetensors, no_flipped_bit_changes_what_is_read_without_an_error) {
  const std::string path = testing::TempDir() + "flipped.safetensors";
  const float floats[] = {1.5f, -2, 3, 4, 5, 6};
  const int64_t numbers[] = {7, -1};
  const std::map<std::string, Tensor> tensors = {{"conv1.weight", Tensor::from<float>(DType::f32, {2, 3}, floats)},
                                                 {"epoch", Tensor::from<int64_t>(DType::s64, {2}, numbers)}};
  ASSERT_TRUE(write_safetensors(path, tensors));
  const std::vector<std::byte> whole = bytes_of(path);
  std::filesystem::remove(path);
  ASSERT_GT(whole.size(), 40u);
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::vector<std::byte> flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const Result<Checkpoint> read = read_checkpoint(flipped, "f.safetensors");
    if (!read) continue;
    EXPECT_EQ(read->tensors, tensors) << "bit " << bit;
  }
  std::vector<std::byte> one = whole;
  one[one.size() - 1] ^= std::byte{1};  // of "epoch", the last tensor
  const Result<Checkpoint> read = read_checkpoint(one, "f.safetensors");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("f.safetensors: tensor 'epoch': it is not what was written"), std::string::npos)
      << read.error().message;
}

TEST(WriteSafetensors, a_dtype_that_the_format_lacks_is_said) {
  const Result<Done> done = write_safetensors(
      testing::TempDir() + "no.safetensors", {{"w", Tensor::from<uint8_t>(DType::s4, {1}, std::array<uint8_t, 1>{1})}});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("tensor 'w' is s4"), std::string::npos);
}

}  // namespace
}  // namespace octet
