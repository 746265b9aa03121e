#include "base/memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace octet {
namespace {

std::optional<std::string> text_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The whole number at the start of text; nothing for "max" and beyond 2^62 (v1's word for no limit is 2^63 - 4096).
std::optional<int64_t> bytes_in(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || value < 0 || value > int64_t{1} << 62) return std::nullopt;
  return value;
}

/// The number behind a key that starts a line: "MemAvailable:   1024 kB", "inactive_file 4096".
std::optional<int64_t> value_of(const std::string& text, std::string_view key) {
  for (size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1) {
    const std::string_view line = std::string_view(text).substr(at);
    if (line.starts_with(key)) return bytes_in(line.substr(key.size()));
  }
  return std::nullopt;
}

struct LimitFiles {
  const char *limit, *used, *droppable;  // droppable: its key in memory.stat
};
constexpr LimitFiles k_v2 = {"/memory.max", "/memory.current", "inactive_file "};
constexpr LimitFiles k_v1 = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file "};

std::optional<int64_t> left_in(const std::string& folder, const LimitFiles& files) {
  const std::optional<std::string> limit = text_of(folder + files.limit), used = text_of(folder + files.used);
  const std::optional<int64_t> most = limit ? bytes_in(*limit) : std::nullopt;
  const std::optional<int64_t> taken = used ? bytes_in(*used) : std::nullopt;
  if (!most || !taken) return std::nullopt;
  const int64_t droppable = value_of(text_of(folder + "/memory.stat").value_or(""), files.droppable).value_or(0);
  return std::max<int64_t>(0, *most - std::max<int64_t>(0, *taken - droppable));
}

bool lists_memory(std::string_view controllers) {
  return ("," + std::string(controllers) + ",").find(",memory,") != std::string::npos;
}

}  // namespace

std::optional<int64_t> cgroup_free_memory(const std::string& root, std::string_view memberships) {
  std::optional<int64_t> least;
  std::istringstream lines{std::string(memberships)};
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/group" or "0::/group"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && !lists_memory(controllers)) continue;
    const std::string mount = v2 ? root : root + "/memory";
    for (std::string group = line.substr(second + 1);; group.erase(std::min(group.rfind('/'), group.size()))) {
      while (group.ends_with('/')) group.pop_back();
      const std::optional<int64_t> left = left_in(mount + group, v2 ? k_v2 : k_v1);
      if (left && (!least || *left < *least)) least = left;
      if (group.empty()) break;
    }
  }
  return least;
}

int64_t free_memory_bytes() {
  const std::optional<int64_t> kib = value_of(text_of("/proc/meminfo").value_or(""), "MemAvailable:");
  const int64_t machine = kib.value_or(0) * 1024;
  const std::optional<std::string> memberships = text_of("/proc/self/cgroup");
  const std::optional<int64_t> group = memberships ? cgroup_free_memory("/sys/fs/cgroup", *memberships) : std::nullopt;
  return group ? std::min(machine, *group) : machine;
}

}  // namespace octet
