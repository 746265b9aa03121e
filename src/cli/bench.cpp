#include <cstdio>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/files.h"
#include "octet/measure.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::vector<std::string> models;
  BenchSpec spec;
  SessionFlags session;
  OutputFlags output;
  std::string precision2, preprocess = "none";
  std::vector<std::string> inputs;
  std::string check_file, program_file, trace_file;
  double check_tolerance = -1;  // by precision
};

void print_report(const PerformanceReport& report, const Flags& f) {
  std::printf("%s: %s, %s, batch %lld\n", report.model.c_str(), report.precision.c_str(), report.device.c_str(),
              static_cast<long long>(report.batch));
  show(stdout, to_text(report, f.output.verbose));
  if (f.spec.profile) show(stdout, "\n" + profile_text(report));
  if (report.roofline) show(stdout, "\n" + to_text(*report.roofline));
}

/// --loadInputs NAME:FILE, split at the last colon.
Result<Done> read_inputs(Flags& f) {
  for (const std::string& text : f.inputs) {
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0)
      return Error{ErrorCode::bad_argument, "--loadInputs " + text + ": expected NAME:FILE (.npy, or raw bytes)"};
    f.spec.inputs[text.substr(0, colon)] = text.substr(colon + 1);
  }
  return Done{};
}

/// What the flags ask for beside the figures; 1 when the outputs are not as expected.
int extras(const Flags& f, Session& session, const PerformanceReport& report, const std::string& model,
           const SessionSpec& spec) {
  if (!f.program_file.empty()) {
    const Result<Done> written = write_text_file(f.program_file, bench_program(model, spec, f.spec));
    if (!written) return fail(written.error());
  }
  if (!f.trace_file.empty()) {
    constexpr size_t k_runs = 50;  // what a viewer shows with ease
    const Result<Done> written =
        write_text_file(f.trace_file, chrome_trace_json(report.profile, model + ", " + report.device, k_runs));
    if (!written) return fail(written.error());
  }
  if (f.check_file.empty()) return 0;
  // Float layers of two back ends differ by rounding (docs/numerics.md); INT8 is compared with a float reference.
  const double by_precision = report.precision == "fp32" ? 2e-5 : 0.1;
  const double tolerance = f.check_tolerance < 0 ? by_precision : f.check_tolerance;
  const Result<OutputCheck> check = check_outputs(session, f.check_file, f.spec, tolerance);
  if (!check) return fail(check.error());
  const bool random = f.spec.inputs.size() < session.inputs().size();
  const std::string what = "--check-outputs: " + model + " in " + report.precision + " on " +
                           (random ? "random inputs (--loadInputs NAME:FILE gives those of the expected output)\n"
                                   : "the inputs of --loadInputs\n");
  std::fputs((what + to_text(*check)).c_str(), f.output.json ? stderr : stdout);
  return check->passed() ? 0 : 1;
}

/// An expected output that cannot be read or has another size, before the measurement.
Result<Done> check_expected(const Flags& f, const Session& session) {
  if (f.check_file.empty() || session.outputs().size() != 1) return Done{};  // check_outputs() refuses several
  const Result<TensorBuffers> buffers = TensorBuffers::make(session);
  if (!buffers) return buffers.error();
  const auto expected = buffers->read_output(session.outputs()[0].name, f.check_file);
  if (!expected) return Error{expected.error().code, "--check-outputs: " + expected.error().message};
  return Done{};
}

/// What contradicts itself before anything is read.
Result<Done> check_flags(const Flags& f, size_t models) {
  if (!f.program_file.empty() && (models > 1 || f.spec.streams > 1))
    return Error{ErrorCode::bad_argument,
                 "--emit-program writes a program that runs one model on one stream: leave the second model, "
                 "--precision2 and --streams out"};
  if (const Result<Done> ok = check_apart({{"--emit-program", f.program_file}, {"--export-trace", f.trace_file}}); !ok)
    return ok;
  for (const std::string& file : {f.program_file, f.trace_file})
    if (const Result<Done> ok = check_output(file, f.models); !ok) return ok;
  if (models > 1 && f.spec.streams > 1)
    return Error{ErrorCode::bad_argument, "two models take turns on one stream: leave --streams out"};
  return Done{};
}

int bench_one(const Flags& f, const std::string& model) {
  const Result<SessionSpec> spec = f.session.spec(f.preprocess, f.output);
  if (!spec) return fail(spec.error());
  Result<Session> session = f.session.open(model, *spec);
  if (!session) return fail(session.error());
  f.output.print_notes(*session);
  if (const Result<Done> ok = check_expected(f, *session); !ok) return fail(ok.error());
  const Result<PerformanceReport> report = bench(*session, model, f.spec);
  if (!report) return fail(report.error());
  if (f.output.json) {
    std::printf("%s\n", to_json(*report).c_str());
  } else {
    print_report(*report, f);
  }
  return extras(f, *session, *report, model, *spec);
}

int bench_two(const Flags& f, const std::vector<std::string>& models) {
  std::vector<SessionMaker> makers;
  std::optional<Session> second;
  SessionSpec spec;
  for (size_t i = 0; i < models.size(); ++i) {
    const Result<SessionSpec> own = f.session.spec(f.preprocess, f.output);
    if (!own) return fail(own.error());
    spec = *own;
    if (i == 1 && !f.precision2.empty()) spec.precision = f.precision2;
    Result<SessionMaker> maker = f.session.maker(models[i], spec);
    if (!maker) return fail(maker.error());
    Result<Session> session = maker->make();
    if (!session) return fail(session.error());
    f.output.print_notes(*session);
    makers.push_back(*std::move(maker));
    if (i == 1) second = *std::move(session);
  }
  if (const Result<Done> ok = check_expected(f, *second); !ok) return fail(ok.error());
  const auto pair = bench_paired(makers[0], models[0], makers[1], models[1], f.spec);
  if (!pair) return fail(pair.error());
  if (f.output.json) {
    std::printf("%s\n", paired_json(pair->first, pair->second).c_str());
    return extras(f, *second, pair->second, models[1], spec);
  }
  print_report(pair->first, f);
  print_report(pair->second, f);
  show(stdout, "\n" + speedup_text(pair->first, pair->second));
  return extras(f, *second, pair->second, models[1], spec);
}

int bench_models(Flags& f) {
  if (const Result<Done> ok = read_inputs(f); !ok) return fail(ok.error());
  f.spec.profile |= !f.trace_file.empty();
  std::vector<std::string> models = f.models;
  if (models.size() == 1 && !f.precision2.empty()) models.push_back(models[0]);
  if (const Result<Done> ok = check_flags(f, models.size()); !ok) return fail(ok.error());
  return models.size() == 1 ? bench_one(f, models[0]) : bench_two(f, models);
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
  sub.add_option("--streams,--infStreams", f->spec.streams,
                 "N contexts of one model at the same time, each on a thread of its own")
      ->capture_default_str()
      ->check(within_range(1, 256));
  sub.add_flag("--profile", f->spec.profile,
               "time per layer from further runs, held against the machine's peak measured beside them");
  sub.add_option("--loadInputs", f->inputs, "NAME:FILE, .npy or raw bytes; other inputs are random")->delimiter(',');
  sub.add_option(
      "--check-outputs", f->check_file,
      "expected output, .npy or raw bytes: says whether it is met; exit status 1 if not (of two models: the second)");
  sub.add_option("--check-tolerance", f->check_tolerance,
                 "largest difference over largest expected value (default: 2e-5 in fp32, 0.1 in int8)")
      ->check(within_range(0, 1e6));
  sub.add_option("--emit-program", f->program_file,
                 "write a C++ program that measures the same in a loop of its own; of one model, on one stream");
  sub.add_option("--export-trace", f->trace_file,
                 "write the layers of the first 50 profiled runs for Perfetto (of two models: the second)");
  sub.add_option("--preprocess", f->preprocess, "for --calib-data")->capture_default_str();
  sub.add_option("--precision2", f->precision2,
                 "precision of the second model; with one file: pair it with itself in this precision")
      ->check(CLI::IsMember({"fp32", "tf32", "fp16", "bf16", "int8", "best"}));
  f->session.add(sub, "fp32");
  f->output.add(sub);
  return [f] { return bench_models(*f); };
}

}  // namespace

extern const Command bench_command;
const Command bench_command = {"bench", "trtexec's performance summary; two models are measured in turns",
                               "octet bench m.onnx --precision2 int8 --calib-data train/ --preprocess imagenet", add};

}  // namespace octet::cli
