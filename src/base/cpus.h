#pragma once
// How many CPUs this process may keep busy (affinity mask and cgroup quota), and what caches they have.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

/// CPUs in the affinity mask of this process, cut down to the cgroup quota; at least 1. OCTET_THREADS has no say here.
int allowed_cpus();

/// The numbers of the CPUs that the calling thread may run on, in order; empty when the kernel does not say.
std::vector<int> affinity_mask();

/// The tightest CPU quota, in CPUs, that binds a process whose /proc/self/cgroup reads `memberships`, under the cgroup
/// mount at `root` ("/sys/fs/cgroup"). Understands v2 (cpu.max) and v1 (cpu.cfs_quota_us); walks up to the root,
/// because an outer group binds too. Nothing when there is no quota.
std::optional<double> cgroup_cpu_quota(const std::string& root, std::string_view memberships);

struct CacheSizes {
  size_t l2_bytes = size_t{1} << 20;
  size_t l3_bytes = 0;           // of one L3; 0 = none, or the system does not say
  int l2_cpus = 1, l3_cpus = 1;  // that share it, threads of a core counted one by one
};

/// As the kernel says it in `folder` (/sys/devices/system/cpu/cpuN/cache). What it does not say keeps its default.
CacheSizes cache_sizes(const std::string& folder);

/// Of the first CPU that this process may run on. L2 is libc's word where the kernel says nothing; L3 is not, since
/// some versions of glibc add up all L3s of a package.
CacheSizes cache_sizes();

/// "AMD EPYC 9B14 family 25 model 17 stepping 1" from /proc/cpuinfo; "unknown CPU" where that cannot be read.
std::string cpu_model();

}  // namespace octet
