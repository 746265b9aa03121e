// The program that `octet bench --emit-program` writes.

#include <cstdio>

#include "octet/engine_file.h"
#include "octet/tasks.h"

namespace octet {
namespace {

/// As a C++ string literal.
std::string literal(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

/// A plan says its precision itself.
std::string settings(const SessionSpec& s, bool plan) {
  const SessionSpec otherwise;
  std::string text = "  octet::SessionSpec spec;\n";
  if (!plan) text += "  spec.precision = " + literal(s.precision) + ";\n";
  text += "  spec.device = " + literal(s.device) + ";\n  spec.threads = " + std::to_string(s.threads) +
          ";\n  spec.batch = " + std::to_string(s.batch) + ";\n";
  for (const auto& [input, dims] : s.shapes) {
    text += "  spec.shapes[" + literal(input) + "] = {";
    for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
    text += "};\n";
  }
  if (!s.ranges.empty()) text += "  spec.ranges = " + literal(s.ranges) + ";\n";
  if (!s.calibration.data.path.empty())
    text += "  spec.calibration.data.path = " + literal(s.calibration.data.path) +
            ";\n  spec.calibration.data.preprocess = " + literal(s.calibration.data.preprocess) +
            ";\n  spec.calibration.data.limit = " + std::to_string(s.calibration.data.limit) +
            ";\n  spec.calibration.method = " + literal(s.calibration.method) + ";\n";
  if (!s.quantization.method.empty()) text += "  spec.quantization.method = " + literal(s.quantization.method) + ";\n";
  for (const std::string& name : s.quantization.keep_float)
    text += "  spec.quantization.keep_float.insert(" + literal(name) + ");\n";
  if (s.optimization_level != otherwise.optimization_level)
    text += "  spec.optimization_level = " + std::to_string(s.optimization_level) + ";\n";
  if (!s.timing_cache.empty()) text += "  spec.timing_cache = " + literal(s.timing_cache) + ";\n";
  return text;
}

constexpr const char* k_head =
    R"(// Measures a network as octet bench does, in a loop of its own. Build: find_package(octet), link octet::octet.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "octet/measure.h"

int fail(const octet::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

int main() {
)";

constexpr const char* k_loop = R"(  using Clock = std::chrono::steady_clock;
  const auto ms_since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  const auto query = [&] { return session->run(buffers->run_inputs(), buffers->run_outputs()); };
  for (const auto start = Clock::now(); ms_since(start) < warmup_ms;)
    if (const auto ran = query(); !ran) return fail(ran.error());
  std::vector<double> ms;
  const auto measured = Clock::now();
  while (ms.size() < iterations || ms_since(measured) < duration_ms) {
    const auto start = Clock::now();
    if (const auto ran = query(); !ran) return fail(ran.error());
    ms.push_back(ms_since(start));
  }
  std::sort(ms.begin(), ms.end());
  std::printf("%s, %zu queries, median %g ms\n", session->description().c_str(), ms.size(), ms[ms.size() / 2]);
  return 0;
}
)";

}  // namespace

std::string bench_program(const std::string& model, const SessionSpec& session, const BenchSpec& spec) {
  std::string text = k_head + settings(session, EngineFile::is_engine_file(model));
  text += "  auto session = octet::Session::open(" + literal(model) +
          ", spec);\n  if (!session) return fail(session.error());\n"
          "  auto buffers = octet::TensorBuffers::make(*session);\n  if (!buffers) return fail(buffers.error());\n";
  for (const auto& [input, file] : spec.inputs)
    text += "  if (const auto loaded = buffers->load(" + literal(input) + ", " + literal(file) +
            "); !loaded) return fail(loaded.error());\n";
  text += "  const double warmup_ms = " + number(spec.warmup_ms) + ", duration_ms = " + number(spec.duration_s * 1000) +
          ";\n  const size_t iterations = " + std::to_string(std::max<int64_t>(spec.iterations, 1)) + ";\n";
  return text + k_loop;
}

}  // namespace octet
