#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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

// Opening a named pipe for reading waits for a writer unless told otherwise; the alarm ends the test where it does.
TEST(MappedFile, a_named_pipe_is_refused_at_once) {
  const std::string path = testing::TempDir() + "octet_pipe";
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  ::alarm(20);
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  ::alarm(0);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, path + ": not a regular file");
  std::filesystem::remove(path);
}

// A rename asks only for the folder's permission: quantize MODEL -o MODEL used to replace the model it had read.
TEST(WriteFile, an_input_of_the_command_is_not_replaced) {
  const std::string path = testing::TempDir() + "octet_input.bin";
  ASSERT_TRUE(write_file_atomically(path, "the weights"));
  {
    const Result<std::shared_ptr<const MappedFile>> input = MappedFile::open(path);
    ASSERT_TRUE(input);
    const Result<Done> written = write_file_atomically(path, "something else");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().message,
              path + ": cannot be replaced: it is an input of this command; give another output name");
  }
  EXPECT_EQ(*read_text_file(path), "the weights");
  EXPECT_TRUE(write_file_atomically(path, "once it is closed")) << "an update in place stays possible";
  std::filesystem::remove(path);
}

TEST(WriteFile, a_write_protected_file_is_not_replaced) {
  const std::string path = testing::TempDir() + "octet_protected.bin";
  ASSERT_TRUE(write_file_atomically(path, "the weights"));
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  const Result<Done> written = write_file_atomically(path, "something else");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, path + ": cannot be replaced: it is write-protected; give another output name");
  EXPECT_EQ(*read_text_file(path), "the weights");
  std::filesystem::remove(path);
}

TEST(WriteFile, a_replaced_file_keeps_its_mode_and_a_link_stays_a_link) {
  namespace fs = std::filesystem;
  const std::string folder = testing::TempDir() + "octet_write_modes/";
  fs::remove_all(folder);
  fs::create_directory(folder);
  ASSERT_TRUE(write_file_atomically(folder + "real", "old"));
  fs::permissions(folder + "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", folder + "link");
  ASSERT_TRUE(write_file_atomically(folder + "link", "new"));
  EXPECT_TRUE(fs::is_symlink(folder + "link"));
  EXPECT_EQ(*read_text_file(folder + "real"), "new");
  EXPECT_EQ(fs::status(folder + "real").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2);  // no temporary is left
  fs::remove_all(folder);
}

TEST(MayWrite, says_what_a_write_would_say) {
  const std::string folder = testing::TempDir();
  EXPECT_TRUE(may_write(folder + "/octet_not_there_yet"));
  EXPECT_TRUE(may_write("octet_not_there_yet"));
  EXPECT_FALSE(std::filesystem::exists("octet_not_there_yet"));
  const Result<Done> nowhere = may_write(folder + "/octet_no_such_folder/file");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::io);
  EXPECT_FALSE(may_write(folder));
}

}  // namespace
}  // namespace octet
