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

namespace octet::cli::trtexec {

const std::string& scratch() {
  struct Folder {
    std::string path = std::filesystem::temp_directory_path() / ("octet_trtexec_" + std::to_string(::getpid()));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() { std::filesystem::remove_all(path); }
  };
  static const Folder folder;
  return folder.path;
}

std::string at(const std::string& name) { return scratch() + "/" + name; }

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

nlohmann::json json_of(const std::string& path) { return nlohmann::json::parse(read(path)); }

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::vector<float> floats_of(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

Ran shell(const std::string& line) {
  const std::string err = at("stderr");
  Ran ran;
  FILE* pipe = ::popen(("cd " + scratch() + " && " + line + " 2>" + err).c_str(), "r");
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) ran.out.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  ran.err = read(err);
  return ran;
}

const std::string k_model = "--onnx=" OCTET_DEMO_MODEL;

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
