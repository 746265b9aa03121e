#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::vector<std::string> models;
  BenchSpec spec;
  SessionFlags session;
  OutputFlags output;
  std::string precision2, preprocess = "none";
};

void print_report(const PerformanceReport& report, const Flags& f) {
  std::printf("%s: %s, %s, batch %lld\n", report.model.c_str(), report.precision.c_str(), report.device.c_str(),
              static_cast<long long>(report.batch));
  std::fputs(to_text(report, f.output.verbose).c_str(), stdout);
  if (f.spec.profile) std::printf("\n%s", profile_text(report).c_str());
  if (report.roofline) std::printf("\n%s", to_text(*report.roofline).c_str());
}

int bench_models(const Flags& f) {
  std::vector<std::string> models = f.models;
  if (models.size() == 1 && !f.precision2.empty()) models.push_back(models[0]);
  std::vector<Session> sessions;
  for (size_t i = 0; i < models.size(); ++i) {
    Result<SessionSpec> spec = f.session.spec(f.preprocess, f.output);
    if (!spec) return fail(spec.error());
    if (i == 1 && !f.precision2.empty()) spec->precision = f.precision2;
    Result<Session> session = f.session.open(models[i], *spec);
    if (!session) return fail(session.error());
    f.output.print_notes(*session);
    sessions.push_back(std::move(*session));
  }
  if (sessions.size() == 1) {
    const Result<PerformanceReport> report = bench(sessions[0], models[0], f.spec);
    if (!report) return fail(report.error());
    if (f.output.json) {
      std::printf("%s\n", to_json(*report).c_str());
    } else {
      print_report(*report, f);
    }
    return 0;
  }
  const auto pair = bench_paired(sessions[0], models[0], sessions[1], models[1], f.spec);
  if (!pair) return fail(pair.error());
  if (f.output.json) {
    std::printf("{\"first\": %s,\n\"second\": %s}\n", to_json(pair->first).c_str(), to_json(pair->second).c_str());
    return 0;
  }
  print_report(pair->first, f);
  print_report(pair->second, f);
  std::printf("\n%s", speedup_text(pair->first, pair->second).c_str());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->models, "one or two ONNX files or plans; two alternate query by query")
      ->required()
      ->expected(1, 2)
      ->type_name("[MODEL2]");
  sub.add_option("--iterations", f->spec.iterations, "at least N measured queries")
      ->capture_default_str()
      ->check(at_least(1));
  sub.add_option("--duration", f->spec.duration_s, "at least S seconds after the warm-up")
      ->capture_default_str()
      ->check(within_range(0, 1e6));
  sub.add_option("--warm-up", f->spec.warmup_ms, "milliseconds of warm-up")
      ->capture_default_str()
      ->check(within_range(0, 1e9));
  sub.add_flag("--profile", f->spec.profile,
               "time per layer from further runs, held against the machine's peak measured beside them");
  sub.add_option("--preprocess", f->preprocess, "for --calib-data")->capture_default_str();
  sub.add_option("--precision2", f->precision2,
                 "precision of the second model; with one file: pair it with itself in this precision")
      ->check(CLI::IsMember({"fp32", "int8", "best"}));
  f->session.add(sub, "fp32");
  f->output.add(sub);
  return [f] { return bench_models(*f); };
}

}  // namespace

extern const Command bench_command;
const Command bench_command = {"bench", "trtexec's performance summary; two models are measured in turns",
                               "octet bench m.onnx --precision2 int8 --calib-data train/ --preprocess imagenet", add};

}  // namespace octet::cli
