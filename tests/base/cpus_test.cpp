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

/// A folder of caches as the kernel shows them.
class CacheFiles : public testing::Test {
 protected:
  CacheFiles() : root_(std::filesystem::temp_directory_path() / ("octet_caches_" + std::to_string(getpid()))) {}
  ~CacheFiles() override { std::filesystem::remove_all(root_); }
  void add(int index, const std::string& level, const std::string& type, const std::string& size,
           const std::string& cpus) {
    const std::filesystem::path folder = root_ / ("index" + std::to_string(index));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "level") << level << "\n";
    std::ofstream(folder / "type") << type << "\n";
    std::ofstream(folder / "size") << size << "\n";
    std::ofstream(folder / "shared_cpu_list") << cpus << "\n";
  }
  CacheSizes sizes() { return cache_sizes(root_.string()); }

 private:
  std::filesystem::path root_;
};

TEST_F(CacheFiles, give_sizes_and_who_shares_them) {
  add(0, "1", "Data", "32K", "0-1");
  add(1, "1", "Instruction", "32K", "0-1");
  add(2, "2", "Unified", "1024K", "0,64");
  add(3, "3", "Unified", "32768K", "0-7,64-71");
  EXPECT_EQ(sizes().l2_bytes, size_t{1} << 20);
  EXPECT_EQ(sizes().l2_cpus, 2);
  EXPECT_EQ(sizes().l3_bytes, size_t{32} << 20);
  EXPECT_EQ(sizes().l3_cpus, 16);
}

TEST_F(CacheFiles, in_megabytes_and_without_an_l3) {
  add(0, "1", "Data", "48K", "3");
  add(1, "2", "Unified", "2M", "3");
  EXPECT_EQ(sizes().l2_bytes, size_t{2} << 20);
  EXPECT_EQ(sizes().l3_bytes, 0u);
  EXPECT_EQ(sizes().l3_cpus, 1);
}

TEST_F(CacheFiles, that_say_nonsense_or_nothing_leave_the_defaults) {
  const CacheSizes defaults;
  EXPECT_EQ(sizes().l2_bytes, defaults.l2_bytes);
  add(0, "2", "Unified", "", "");
  add(1, "3", "Unified", "-4K", "7-2,x");
  EXPECT_EQ(sizes().l2_bytes, defaults.l2_bytes);
  EXPECT_EQ(sizes().l3_bytes, 0u);
  add(2, "3", "Unified", "8192K", "5-");
  EXPECT_EQ(sizes().l3_bytes, size_t{8} << 20);
  EXPECT_EQ(sizes().l3_cpus, 1);
}

TEST(CacheSizes, of_this_machine_have_an_l2) {
  EXPECT_GE(cache_sizes().l2_bytes, size_t{64} << 10);
  EXPECT_GE(cache_sizes().l3_cpus, 1);
}

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
