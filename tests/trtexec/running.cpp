#include "running.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>

#include "ir/text.h"
#include "onnx/onnx.h"

namespace octet::cli::trtexec {

const std::string& scratch() {
  static const ScratchFolder folder("trtexec");
  return folder.path();
}

std::string at(const std::string& name) { return scratch() + "/" + name; }

nlohmann::json json_of(const std::string& path) { return nlohmann::json::parse(read(path)); }

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::vector<float> floats_of(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

std::map<std::string, std::set<std::string>>& flags_passed() {
  static std::map<std::string, std::set<std::string>> passed;
  return passed;
}

void note_flags(const std::string& line) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  if (!test || line.find("trtexec") == std::string::npos) return;
  std::set<std::string>& flags = flags_passed()[std::string(test->test_suite_name()) + "." + test->name()];
  for (size_t at = line.find(" --"); at != std::string::npos; at = line.find(" --", at + 1))
    flags.insert(line.substr(at + 3, line.find_first_of(" =\n", at + 3) - at - 3));
}

/// The line without the flag that tools/check_flag_effects.py takes away, with its value.
std::string without_lost_flag(const std::string& line) {
  const char* lost = std::getenv("OCTET_TEST_LOSES_FLAG");
  if (!lost || line.find("trtexec") == std::string::npos) return line;
  return std::regex_replace(line, std::regex(" --" + std::string(lost) + "(=[^ \\n]*)?(?=[ \\n]|$)"), " ");
}

Ran shell(const std::string& line) {
  note_flags(line);
  return run_line("cd " + scratch() + " && " + without_lost_flag(line), at("stderr"));
}

const std::string k_model = "--onnx=" OCTET_DEMO_MODEL;

bool stands_for(const nlohmann::json& entry, const std::string& layer) {
  return entry["Metadata"].get<std::string>().find("[ONNX Layer: " + layer + "]") != std::string::npos;
}

Ran trtexec(const std::string& words) { return shell(std::string(OCTET_PROGRAM) + " trtexec " + words); }

Ran quick(const std::string& flags, const std::string& model) {
  return trtexec(model + " --iterations=3 --duration=0 --warmUp=0 --builderOptimizationLevel=0 " + flags);
}

const std::string& plan() {
  static const std::string path = [] {
    EXPECT_EQ(quick("--int8 --saveEngine=shared.plan --skipInference").status, 0);
    return at("shared.plan");
  }();
  return path;
}

const std::string& picture_model() {
  static const std::string model = [] {
    const Result<Graph> graph = parse_graph(
        "graph picture (x: f32[1,6,5,4]) -> (y) {\n  const k: f32[] = {0.25}\n  m = Mul(x, k) @mul\n  y = Add(x, m) "
        "@add\n}\n");
    EXPECT_TRUE(graph && write_onnx_file(at("picture.onnx"), *graph));
    std::vector<float> values;
    for (int i = 0; i < 6 * 5 * 4; ++i) values.push_back(static_cast<float>(i * 37 % 128 - 64) / 64);
    write(at("picture.bin"), floats(values));
    return "--onnx=" + at("picture.onnx");
  }();
  return model;
}

double number_after(const std::string& log, const std::string& text) {
  const size_t found = log.find(text);
  EXPECT_NE(found, std::string::npos) << text;
  return found == std::string::npos ? -1 : std::atof(log.c_str() + found + text.size());
}

int64_t measured(const std::string& log) { return static_cast<int64_t>(number_after(log, "Timing trace has ")); }

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace octet::cli::trtexec
