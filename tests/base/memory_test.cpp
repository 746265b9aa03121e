// Free memory by the limits of control groups.

#include "base/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace octet {
namespace {

/// A cgroup file system in a temporary folder.
class CgroupMemory : public testing::Test {
 protected:
  CgroupMemory()
      : root_(std::filesystem::temp_directory_path() / ("octet_cgroup_memory_" + std::to_string(getpid()))) {}
  ~CgroupMemory() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::optional<int64_t> left(const std::string& memberships) {
    return cgroup_free_memory(root_.string(), memberships);
  }

 private:
  std::filesystem::path root_;
};

TEST_F(CgroupMemory, is_unlimited_when_no_file_says_otherwise) {
  EXPECT_EQ(left("0::/\n"), std::nullopt);
  EXPECT_EQ(left("nonsense\n"), std::nullopt);
  write("pod/memory.max", "max\n");
  write("pod/memory.current", "500\n");
  EXPECT_EQ(left("0::/pod\n"), std::nullopt);
}

TEST_F(CgroupMemory, is_the_limit_without_what_is_taken_and_cannot_be_dropped) {
  write("pod/memory.max", "1000\n");
  write("pod/memory.current", "700\n");
  EXPECT_EQ(left("0::/pod\n"), 300);
  write("pod/memory.stat", "anon 100\ninactive_file 250\nactive_file 10\n");
  EXPECT_EQ(left("0::/pod\n"), 550);
  write("pod/memory.current", "1200\n");
  write("pod/memory.stat", "");
  EXPECT_EQ(left("0::/pod\n"), 0);
}

TEST_F(CgroupMemory, is_bound_by_each_ancestor) {
  write("memory.max", "5000\n");
  write("memory.current", "4950\n");
  write("pod/app/memory.max", "1000\n");
  write("pod/app/memory.current", "100\n");
  EXPECT_EQ(left("0::/pod/app\n"), 50);
}

TEST_F(CgroupMemory, reads_version_1) {
  write("memory/docker/memory.limit_in_bytes", "4096\n");
  write("memory/docker/memory.usage_in_bytes", "1096\n");
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("memory/memory.usage_in_bytes", "1\n");
  EXPECT_EQ(left("7:cpu,cpuacct:/docker\n4:memory:/docker\n"), 3000);
}

TEST(FreeMemory, is_something_here) { EXPECT_GT(free_memory_bytes(), 1 << 20); }

}  // namespace
}  // namespace octet
