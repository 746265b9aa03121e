#include "base/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace octet {
namespace {

constexpr size_t k_bytes = 300 * 1024;  // dozens of pages, so that whole ones lie inside any part of it

std::vector<std::byte> pattern() {
  std::vector<std::byte> bytes(k_bytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 131 >> 3);
  return bytes;
}

TEST(MappedFile, bytes_are_the_files_again_after_their_pages_were_released) {
  const std::string path = testing::TempDir() + "octet_release_pages.bin";
  const std::vector<std::byte> expected = pattern();
  ASSERT_TRUE(write_file_atomically(path, expected));
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  ASSERT_TRUE(file);
  const std::span<const std::byte> bytes = (*file)->bytes();
  ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));
  release_mapped_pages(bytes.subspan(7, k_bytes - 20));
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));
  std::filesystem::remove(path);
}

TEST(MappedFile, releasing_memory_that_is_no_files_leaves_it_alone) {
  const std::vector<std::byte> expected = pattern();
  const std::vector<std::byte> own = expected;
  release_mapped_pages(own);
  EXPECT_EQ(own, expected);
}

TEST(MappedFile, releasing_past_the_end_of_a_mapping_does_nothing) {
  const std::string path = testing::TempDir() + "octet_release_past.bin";
  ASSERT_TRUE(write_file_atomically(path, pattern()));
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  ASSERT_TRUE(file);
  release_mapped_pages({(*file)->bytes().data(), k_bytes * 64});
  EXPECT_EQ((*file)->bytes()[k_bytes - 1], pattern()[k_bytes - 1]);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace octet
