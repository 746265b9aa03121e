#include "base/cpus.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace octet {
namespace {

/// A cgroup file system in a temporary folder.
class CgroupQuota : public testing::Test {
 protected:
  CgroupQuota() : root_(std::filesystem::temp_directory_path() / ("octet_cgroup_" + std::to_string(getpid()))) {}
  ~CgroupQuota() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::optional<double> quota(const std::string& memberships) { return cgroup_cpu_quota(root_.string(), memberships); }

 private:
  std::filesystem::path root_;
};

TEST_F(CgroupQuota, is_absent_when_no_file_says_otherwise) {
  EXPECT_EQ(quota("0::/\n"), std::nullopt);
  EXPECT_EQ(quota(""), std::nullopt);
  EXPECT_EQ(quota("nonsense without colons\n"), std::nullopt);
}

TEST_F(CgroupQuota, reads_cpu_max_of_version_2) {
  write("pod/app/cpu.max", "250000 100000\n");
  EXPECT_EQ(quota("0::/pod/app\n"), 2.5);
}

TEST_F(CgroupQuota, takes_max_as_no_limit) {
  write("pod/cpu.max", "max 100000\n");
  EXPECT_EQ(quota("0::/pod\n"), std::nullopt);
}

TEST_F(CgroupQuota, is_the_tightest_on_the_way_to_the_root) {
  write("cpu.max", "800000 100000\n");
  write("pod/cpu.max", "150000 100000\n");
  write("pod/app/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota("0::/pod/app\n"), 1.5);
  EXPECT_EQ(quota("0::/\n"), 8.0);
}

TEST_F(CgroupQuota, reads_version_1_in_the_combined_and_in_the_bare_mount) {
  write("cpu,cpuacct/job/cpu.cfs_quota_us", "300000\n");
  write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("7:memory:/other\n4:cpu,cpuacct:/job\n"), 3.0);
  write("cpu/job/cpu.cfs_quota_us", "50000\n");
  write("cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("4:cpuacct,cpu:/job\n"), 0.5);
}

TEST_F(CgroupQuota, takes_minus_one_of_version_1_as_no_limit) {
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("1:cpu:/\n"), std::nullopt);
}

TEST_F(CgroupQuota, ignores_other_controllers) {
  write("cpuset/cpu.cfs_quota_us", "100000\n");
  write("cpuset/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota("3:cpuset:/\n2:cpuacct:/\n"), std::nullopt);
}

TEST(AllowedCpus, are_at_least_one) { EXPECT_GE(allowed_cpus(), 1); }

}  // namespace
}  // namespace octet
