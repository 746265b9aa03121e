// A build that is killed at any moment leaves the engine that was there, or the new one, never a broken file.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string_view>
#include <thread>

#include "octet/engine_file.h"

extern char** environ;

namespace octet {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// table: of times, for a build that measures; empty = the static choice.
pid_t start_build(const fs::path& out, const fs::path& table = {}) {
  const std::string program = OCTET_PROGRAM, model = OCTET_DEMO_MODEL, to = out.string();
  std::vector<std::string> words = {program,        "build",           model,     "--precision", "int8",
                                    "--calib-data", "shapes-train:32", "--quiet", "-o",          to};
  if (!table.empty()) words.insert(words.end(), {"--tune", "--timing-cache", table.string()});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t silent;
  posix_spawn_file_actions_init(&silent);
  posix_spawn_file_actions_addopen(&silent, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&silent, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, program.c_str(), &silent, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&silent);
  return pid;
}

int wait_for(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  return status;
}

// Half of the rounds begin without an engine, half with an older one under the same name. The moments are spread over
// a whole build's time, and ten fall into its last tenth, where the file is written.
TEST(KilledBuild, leaves_no_broken_engine_at_fifty_moments) {
  const fs::path folder = fs::path(testing::TempDir()) / ("octet_kill_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const fs::path out = folder / "e.plan";
  const Clock::time_point start = Clock::now();
  ASSERT_EQ(wait_for(start_build(out)), 0);
  const double whole = std::chrono::duration<double>(Clock::now() - start).count();
  const std::string complete = bytes_of(out);
  const std::string older = bytes_of(OCTET_COMPAT_PLAN);
  ASSERT_NE(complete, older);
  std::mt19937 random(20);
  int killed = 0, finished = 0;
  for (int round = 0; round < 50; ++round) {
    fs::remove(out);
    const bool had_one = round % 2 == 1;
    if (had_one) std::ofstream(out, std::ios::binary) << older;
    const double share = static_cast<double>(random()) / static_cast<double>(random.max());
    const double moment = whole * (round % 5 == 0 ? 0.9 + 0.2 * share : 1.1 * share);
    const pid_t pid = start_build(out);
    std::this_thread::sleep_for(std::chrono::duration<double>(moment));
    kill(pid, SIGKILL);
    const int status = wait_for(pid);
    WIFSIGNALED(status) ? ++killed : ++finished;
    if (!fs::exists(out)) {
      EXPECT_FALSE(had_one) << "the older engine is gone";
      continue;
    }
    const std::string found = bytes_of(out);
    EXPECT_TRUE(found == complete || (had_one && found == older)) << found.size() << " bytes after " << moment << " s";
    const Result<EngineFile> engine = EngineFile::load(out.string());
    EXPECT_TRUE(engine) << engine.error().message;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
      if (entry.path() != out) fs::remove(entry.path());  // a temporary file of the killed build
  }
  EXPECT_GT(killed, 10) << finished << " builds were quicker than their end";
  fs::remove_all(folder);
}

/// Whether every line of a table is whole: the head, then device, layer, tactic and a number between tabs.
bool is_whole_table(const std::string& text) {
  constexpr std::string_view k_head = "octet timing cache 1\n";
  if (!text.starts_with(k_head) || text.back() != '\n') return false;
  std::istringstream lines(text.substr(k_head.size()));
  for (std::string line; std::getline(lines, line);) {
    if (std::count(line.begin(), line.end(), '\t') != 3) return false;
    const std::string number = line.substr(line.rfind('\t') + 1);
    if (number.size() < 5 || number[number.size() - 4] != '.') return false;  // microseconds with three decimals
  }
  return true;
}

// The table is written shortly before the engine: most moments fall there. What an older table knew is not lost.
TEST(KilledBuild, leaves_no_broken_timing_table) {
  const fs::path folder = fs::path(testing::TempDir()) / ("octet_kill_table_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const fs::path out = folder / "e.plan", table = folder / "times.txt";
  const Clock::time_point start = Clock::now();
  ASSERT_EQ(wait_for(start_build(out, table)), 0);
  double whole = std::chrono::duration<double>(Clock::now() - start).count();
  ASSERT_TRUE(is_whole_table(bytes_of(table)));
  EXPECT_FALSE(is_whole_table(bytes_of(table).substr(0, bytes_of(table).size() - 3))) << "the check sees a broken one";
  const std::string older = "octet timing cache 1\nanother device\ta layer\ta tactic\t1.000\n";
  std::mt19937 random(21);
  int killed = 0;
  for (int round = 0; round < 16; ++round) {
    fs::remove(table);
    const bool had_one = round % 2 == 1;
    if (had_one) std::ofstream(table, std::ios::binary) << older;
    const double share = static_cast<double>(random()) / static_cast<double>(random.max());
    const pid_t pid = start_build(out, table);
    std::this_thread::sleep_for(std::chrono::duration<double>(whole * (0.7 + 0.35 * share)));
    kill(pid, SIGKILL);
    const bool was_killed = WIFSIGNALED(wait_for(pid));
    killed += was_killed ? 1 : 0;
    whole *= was_killed ? 1.05 : 0.7;  // the first build may have taken longer than those after it
    EXPECT_TRUE(EngineFile::load(out.string())) << "the first build's engine, or a new one";
    if (!fs::exists(table)) {
      EXPECT_FALSE(had_one) << "the older table is gone";
      continue;
    }
    const std::string found = bytes_of(table);
    EXPECT_TRUE(is_whole_table(found)) << found.size() << " bytes";
    EXPECT_TRUE(!had_one || found.find("another device\ta layer\ta tactic\t1.000\n") != std::string::npos);
  }
  EXPECT_GT(killed, 3);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace octet
