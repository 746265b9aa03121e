#include "cli/trtexec/trtexec.h"

#include <cstdio>
#include <fstream>

#include "cli/trtexec/echo.h"
#include "cli/trtexec/inference.h"
#include "cli/trtexec/refit.h"
#include "octet/files.h"
#include "octet/tasks.h"
#include "octet/version.h"

namespace octet::cli::trtexec {
namespace {

/// "0.1.0" -> "v000100", two digits for each number.
std::string version_tag() {
  std::string tag = "v";
  for (const std::string& part : split(k_version, '.')) tag += (part.size() < 2 ? "0" : "") + part;
  return tag;
}

std::string banner(const std::string& verdict, const std::string& called, const std::vector<std::string>& words) {
  std::string text = "&&&& " + verdict + " octet.trtexec [octet " + version_tag() + "] # " + called;
  for (const std::string& word : words) text += " " + word;
  return text;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "CPU";
}

void say_options(const Options& o, const std::string& device, const Log& log) {
  log.info(echo_text(o));
  for (const Flag* flag : o.to_say) {
    const Verdict verdict = is_gpu(device) ? flag->gpu : flag->cpu;
    if (verdict == Verdict::honoured) continue;
    const std::string text = "--" + std::string(flag->name) + ": " + (verdict == Verdict::mapped ? "" : "no effect: ") +
                             std::string(flag->text);
    if (verdict == Verdict::warned || flag->name == "fp16") {
      log.warning(text);
    } else {
      log.info(text);
    }
  }
  for (const std::string& note : o.notes) log.info(note);
  for (const std::string& warning : o.warnings) log.warning(warning);
}

/// Before the build and the measurement: files that cannot be written in the end.
Result<Done> check_files(const Options& o) {
  const std::vector<std::string> inputs = {o.build.onnx, o.build.load_engine, o.build.calib, o.inference.refit_from};
  const auto named = [](const std::string& flag, const std::string& path, const Result<Done>& ok) -> Result<Done> {
    if (ok) return Done{};
    return Error{ok.error().code, flag + "=" + path + ": " + ok.error().message};
  };
  const ReportingFlags& r = o.reporting;
  for (const auto& [flag, path] : {std::pair("--exportTimes", r.export_times),
                                   {"--exportOutput", r.export_output},
                                   {"--exportProfile", r.export_profile},
                                   {"--exportLayerInfo", r.export_layers}})
    if (const Result<Done> ok = named(flag, path, check_report(path, inputs)); !ok) return ok;
  const std::string& plan = o.build.save_engine;
  if (const Result<Done> ok = named("--saveEngine", plan, check_output(plan, inputs)); !ok) return ok;
  if (const Result<Done> ok = check_apart({{"--saveEngine", plan},
                                           {"--timingCacheFile", o.build.timing_cache},
                                           {"--exportTimes", r.export_times},
                                           {"--exportOutput", r.export_output},
                                           {"--exportProfile", r.export_profile},
                                           {"--exportLayerInfo", r.export_layers}});
      !ok)
    return ok;
  for (const auto& [tensor, path] : o.inference.save_debug)
    if (const Result<Done> ok = named("--saveDebugTensors", tensor + ":" + path, check_output(path, inputs)); !ok)
      return ok;
  return Done{};
}

/// The header, which is enough for the version; then what can be read of the rest.
Result<Done> tell_version(const std::string& path, const Log& log) {
  if (const Result<Done> ok = refuse_tensorrt_plan(path); !ok) return ok;
  const Result<PlanVersion> version = EngineFile::version(path);
  if (!version) return version.error();
  log.info("Plan was created with " + version->writer);
  log.info("Plan format " + std::to_string(version->format) + ", arithmetic version " +
           std::to_string(version->arithmetic));
  const Result<EngineFile> file = EngineFile::load(path);
  if (!file) {
    log.warning("What follows the header cannot be read: " + file.error().message);
    return Done{};
  }
  log.info("File: " + std::to_string(file->size_bytes()) + " bytes, hash " + file->hash());
  log.info("Quantization: " +
           std::string(!file->precision().starts_with("int8") ? "none"
                       : file->is_uncalibrated()              ? "placeholder ranges (UNCALIBRATED)"
                                                              : "calibrated or from Q/DQ nodes") +
           "; " + file->layer_counts());
  for (const auto& [key, value] : file->provenance())
    if (key != "notes" && key != "profiles") log.info("  " + key + ": " + value);
  log.info("Runs on every CPU and GPU that octet knows; beside that it holds:");
  for (const std::string& part : file->device_parts()) log.info("  " + part);
  return Done{};
}

Result<Done> work(const Options& o, const Log& log) {
  std::string warning;
  const Result<std::string> device = chosen_device(o.system, warning);
  say_options(o, device ? *device : "cpu", log);
  if (!device) return device.error();
  if (!warning.empty()) log.warning(warning);
  const bool on_gpu = is_gpu(*device);
  log.info("=== Device Information ===\nSelected Device: " +
           (on_gpu ? "CUDA device " + std::to_string(gpu_ordinal(*device)) : cpu_name()) + " (--device=" + *device +
           ")\n" + version_text());
  log.info(std::string("octet version: ") + k_version + "\nLoading standard plugins");
  if (o.system.plan_version_only) return tell_version(o.build.load_engine, log);
  if (const Result<Done> ok = check_files(o); !ok) return ok;
  const Result<Engine> engine = make_engine(o, *device, log);
  if (!engine) return engine.error();
  if (const Result<Done> done = report_layers(o, *engine, log); !done) return done;
  if (o.inference.time_refit)
    if (const Result<Done> done = time_refit(o, engine->file, engine->spec, log); !done) return done;
  if (o.inference.time_deserialize) return time_loads(o, *engine, log);
  if (o.build.skip_inference) {
    log.info("Skipped inference phase since --skipInference is added.");
    return Done{};
  }
  return run_inference(o, *engine, log);
}

}  // namespace

int run(const std::string& called, const std::vector<std::string>& words) {
  const Parsed parsed = parse_options(words);
  const Options& o = parsed.options;
  const Log log(o.reporting.verbose);
  if (o.system.help) {
    std::fputs(help_text().c_str(), stdout);
    return 0;
  }
  if (o.system.describe && parsed.errors.empty()) {
    std::fputs(describe_text().c_str(), stdout);
    return 0;
  }
  log.bare(banner("RUNNING", called, words));
  if (!parsed.errors.empty()) {
    std::fputs(help_text().c_str(), stdout);
    for (const std::string& error : parsed.errors) log.error(error);
    log.bare(banner("FAILED", called, words));
    return 1;
  }
  const Result<Done> done = work(o, log);
  if (!done) log.error(done.error().message);
  log.bare(banner(done ? "PASSED" : "FAILED", called, words));
  return done ? 0 : 1;
}

}  // namespace octet::cli::trtexec
