#pragma once
// How many CPUs this process may keep busy: affinity mask and cgroup quota.

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

/// "AMD EPYC 9B14 family 25 model 17 stepping 1" from /proc/cpuinfo; "unknown CPU" where that cannot be read.
std::string cpu_model();

}  // namespace octet
