#include "base/cpus.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

namespace octet {
namespace {

/// Files of /proc and /sys say a size of 0 and cannot be mapped, so they are read as a stream. Nothing when unreadable.
std::optional<std::string> read_kernel_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (!file) return std::nullopt;
  std::string text(16384, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return text;
}

/// The number at the start of text; nothing for "max" or no number.
std::optional<double> leading_number(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (end == copy.c_str()) return std::nullopt;
  return value;
}

/// cpu.max: "200000 100000" or "max 100000" (microseconds of CPU time per period).
std::optional<double> quota_v2(const std::string& folder) {
  const std::optional<std::string> text = read_kernel_file(folder + "/cpu.max");
  if (!text) return std::nullopt;
  const size_t space = text->find(' ');
  const std::optional<double> quota = leading_number(*text);
  if (!quota || *quota <= 0 || space == std::string::npos) return std::nullopt;
  const std::optional<double> period = leading_number(std::string_view(*text).substr(space));
  if (!period || *period <= 0) return std::nullopt;
  return *quota / *period;
}

std::optional<double> quota_v1(const std::string& folder) {
  const std::optional<std::string> quota_text = read_kernel_file(folder + "/cpu.cfs_quota_us");
  const std::optional<std::string> period_text = read_kernel_file(folder + "/cpu.cfs_period_us");
  if (!quota_text || !period_text) return std::nullopt;
  const std::optional<double> quota = leading_number(*quota_text), period = leading_number(*period_text);
  if (!quota || *quota <= 0 || !period || *period <= 0) return std::nullopt;  // -1 = no quota
  return *quota / *period;
}

void keep_smaller(std::optional<double>& best, std::optional<double> candidate) {
  if (candidate && (!best || *candidate < *best)) best = candidate;
}

bool lists_cpu_controller(std::string_view controllers) {
  while (!controllers.empty()) {
    const size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

/// "1024K", "32M"; 0 for what is no size, or beyond any cache's.
double byte_count(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const double unit = *end == 'K' ? 1024.0 : *end == 'M' ? 1024.0 * 1024 : *end == 'G' ? 1024.0 * 1024 * 1024 : 1;
  constexpr double k_most = 1e12;
  return number > 0 && number * unit < k_most ? number * unit : 0;
}

/// CPUs in a list such as "0-3,64-67".
int listed_cpus(const std::string& list) {
  int cpus = 0;
  for (const char* at = list.c_str(); *at != '\0';) {
    char* end = nullptr;
    const long first = std::strtol(at, &end, 10);
    if (end == at) break;
    const long last = *end == '-' ? std::strtol(end + 1, &end, 10) : first;
    if (last >= first && last - first < (1 << 16)) cpus += static_cast<int>(last - first + 1);
    at = *end == ',' ? end + 1 : end;
    if (at == end) break;
  }
  return cpus;
}

}  // namespace

std::vector<int> affinity_mask() {
  // The kernel's mask may be wider than cpu_set_t (1024 CPUs): grow until the call accepts the size.
  for (size_t capacity = 1024; capacity <= (1 << 16); capacity *= 2) {
    cpu_set_t* set = CPU_ALLOC(capacity);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(capacity);
    CPU_ZERO_S(bytes, set);
    std::vector<int> cpus;
    if (sched_getaffinity(0, bytes, set) == 0) {
      for (size_t cpu = 0; cpu < capacity; ++cpu)
        if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(static_cast<int>(cpu));
    }
    CPU_FREE(set);
    if (!cpus.empty()) return cpus;
  }
  return {};
}

std::optional<double> cgroup_cpu_quota(const std::string& root, std::string_view memberships) {
  std::optional<double> best;
  while (!memberships.empty()) {
    const size_t newline = std::min(memberships.find('\n'), memberships.size());
    const std::string_view line = memberships.substr(0, newline);  // "4:cpu,cpuacct:/group" or "0::/group"
    memberships.remove_prefix(std::min(newline + 1, memberships.size()));
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && !lists_cpu_controller(controllers)) continue;
    std::string group(line.substr(second + 1));
    // v1 mounts each controller in a folder of its own, by its full list ("cpu,cpuacct") or by the bare name.
    std::vector<std::string> mounts = {root};
    if (!v2) mounts = {root + "/" + std::string(controllers), root + "/cpu"};
    while (true) {
      while (!group.empty() && group.back() == '/') group.pop_back();
      for (const std::string& mount : mounts)
        keep_smaller(best, v2 ? quota_v2(mount + group) : quota_v1(mount + group));
      if (group.empty()) break;
      group.erase(std::min(group.rfind('/'), group.size()));
    }
  }
  return best;
}

int allowed_cpus() {
  const std::vector<int> mask = affinity_mask();
  int cpus = mask.empty() ? static_cast<int>(std::thread::hardware_concurrency()) : static_cast<int>(mask.size());
  if (const std::optional<std::string> memberships = read_kernel_file("/proc/self/cgroup")) {
    if (const std::optional<double> quota = cgroup_cpu_quota("/sys/fs/cgroup", *memberships)) {
      // Rounded down: one thread too many makes the scheduler stop all of them at the end of each period.
      cpus = std::min(cpus, static_cast<int>(std::min(*quota, 1e6)));
    }
  }
  return std::max(1, cpus);
}

CacheSizes cache_sizes(const std::string& folder) {
  CacheSizes sizes;
  constexpr int k_most_entries = 16;
  for (int i = 0; i < k_most_entries; ++i) {
    const std::string entry = folder + "/index" + std::to_string(i);
    const std::optional<std::string> level = read_kernel_file(entry + "/level");
    if (!level) break;
    const double bytes = byte_count(read_kernel_file(entry + "/size").value_or(""));
    if (bytes < 1 || read_kernel_file(entry + "/type").value_or("").starts_with("Instruction")) continue;
    const int cpus = std::max(1, listed_cpus(read_kernel_file(entry + "/shared_cpu_list").value_or("")));
    if (leading_number(*level) == 2) sizes.l2_bytes = static_cast<size_t>(bytes), sizes.l2_cpus = cpus;
    if (leading_number(*level) == 3) sizes.l3_bytes = static_cast<size_t>(bytes), sizes.l3_cpus = cpus;
  }
  return sizes;
}

CacheSizes cache_sizes() {
  const std::vector<int> mask = affinity_mask();
  const std::string cpu = std::to_string(mask.empty() ? 0 : mask.front());
  const std::string folder = "/sys/devices/system/cpu/cpu" + cpu + "/cache";
  CacheSizes sizes = cache_sizes(folder);
  if (!read_kernel_file(folder + "/index0/level")) {
    const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (bytes > 0) sizes.l2_bytes = static_cast<size_t>(bytes);
  }
  return sizes;
}

std::string cpu_model() {
  const std::string info = read_kernel_file("/proc/cpuinfo").value_or("");
  const auto field = [&info](std::string_view key) -> std::string {
    const size_t line = info.find("\n" + std::string(key));
    if (line == std::string::npos) return "";
    const size_t colon = info.find(": ", line), end = info.find('\n', line + 1);
    if (colon == std::string::npos || end == std::string::npos || colon > end) return "";
    return info.substr(colon + 2, end - colon - 2);
  };
  const std::string name = field("model name");
  if (name.empty()) return "unknown CPU";
  return name + " family " + field("cpu family") + " model " + field("model\t") + " stepping " + field("stepping");
}

}  // namespace octet
