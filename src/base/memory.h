#pragma once
// How much memory this process may still take: the machine's and its control group's.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace octet {

/// What can be taken without swapping: MemAvailable of the kernel, cut down to what the cgroup limits leave; 0 where
/// nothing says.
int64_t free_memory_bytes();

/// The least that a memory limit leaves to a process whose /proc/self/cgroup reads `memberships`, under the cgroup
/// mount at `root` ("/sys/fs/cgroup"). Understands v2 (memory.max) and v1 (memory.limit_in_bytes); walks up to the
/// root, because each ancestor binds. File pages that the kernel would drop count as free. Nothing where no limit is.
std::optional<int64_t> cgroup_free_memory(const std::string& root, std::string_view memberships);

}  // namespace octet
