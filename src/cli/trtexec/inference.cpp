#include "cli/trtexec/inference.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/trtexec/debug_tensors.h"
#include "cli/trtexec/shapes.h"
#include "octet/files.h"

namespace octet::cli::trtexec {
namespace {

/// Contexts with their buffers; the first is the one whose outputs are reported.
struct Bench {
  std::vector<Session> sessions;
  std::vector<TensorBuffers> buffers;

  std::vector<Stream> streams() {
    std::vector<Stream> all;
    for (size_t i = 0; i < sessions.size(); ++i) all.push_back({&sessions[i], &buffers[i]});
    return all;
  }
};

std::string milliseconds(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", ms);
  return text;
}

/// Tensor of the pair whose name or pattern fits; null when none does.
const std::string* file_of(const Files& files, const std::string& tensor) {
  if (const auto exact = files.find(tensor); exact != files.end()) return &exact->second;
  for (const auto& [pattern, file] : files)
    if (matches(pattern, tensor)) return &file;
  return nullptr;
}

Result<Done> check_tensor_names(const Files& files, const std::vector<Port>& ports, const char* flag) {
  for (const auto& [pattern, file] : files) {
    std::string known;
    bool found = false;
    for (const Port& port : ports) {
      found |= matches(pattern, port.name);
      known += (known.empty() ? "'" : ", '") + port.name + "'";
    }
    if (!found)
      return Error{ErrorCode::bad_argument,
                   std::string(flag) + ": there is no tensor '" + pattern + "'; the network has " + known};
  }
  return Done{};
}

/// say: the first stream's, as trtexec says each input once.
Result<Done> fill_inputs(TensorBuffers& buffers, const Files& files, bool say, const Log& log) {
  for (const Port& port : buffers.inputs()) {
    const std::string* file = file_of(files, port.name);
    if (file) {
      if (const Result<Done> loaded = buffers.load(port.name, *file); !loaded) return loaded.error();
    }
    if (!say) continue;
    log.info(file ? "Using values loaded from " + *file + " for input " + port.name
                  : "Using random values for input " + port.name);
    log.info("Input binding for " + port.name + " with dimensions " + dims_text(port.dims) + " is created.");
  }
  return Done{};
}

/// How the queries are run, so that figures can be told apart.
void say_gpu(const Options& o, const Log& log) {
  const GpuSpec& gpu = o.inference.gpu;
  log.info(std::string("Query: ") +
           (gpu.graph ? "one CUDA graph" : "kernels launched one by one (--useCudaGraph captures them)") + ", " +
           (!o.inference.measure.transfers ? "no transfers"
            : o.inference.measure.overlap
                ? "transfers overlap the compute of the query before (--exposeDMA separates them)"
                : "transfers are exposed: one query at a time") +
           (gpu.managed ? ", managed memory" : "") + ", the host waits " +
           (gpu.wait == "spin" ? "spinning" : "asleep (--useSpinWait)"));
}

/// The files of all pairs, before a measurement that a wrong one would spoil.
Result<Done> check_pairs(const Options& o, const Session& session, const Log& log) {
  for (const RefPair& pair : o.inference.pairs) {
    if (const Result<Done> ok = check_tensor_names(pair.inputs, session.inputs(), "--loadInputs"); !ok) return ok;
    if (const Result<Done> ok = check_tensor_names(pair.outputs, session.outputs(), "--loadRefOutputs"); !ok) return ok;
  }
  if (!o.inference.has_references()) return Done{};
  Result<TensorBuffers> buffers = TensorBuffers::make(session);
  if (!buffers) return buffers.error();
  for (const RefPair& pair : o.inference.pairs) {
    if (const Result<Done> filled = fill_inputs(*buffers, pair.inputs, false, log); !filled) return filled;
    for (const Port& port : session.outputs())
      if (const std::string* file = file_of(pair.outputs, port.name))
        if (const auto reference = buffers->read_output(port.name, *file); !reference)
          return Error{reference.error().code, "--loadRefOutputs: " + reference.error().message};
  }
  return Done{};
}

Result<Bench> set_up(const Options& o, const Engine& engine, const Log& log) {
  Bench bench;
  Result<Session> first = Session::load(engine.file, engine.spec);
  if (!first) return first.error();
  bench.sessions.push_back(std::move(*first));
  for (int64_t i = 1; i < o.inference.streams; ++i) {
    Result<Session> more = bench.sessions[0].another();
    if (!more) return more.error();
    bench.sessions.push_back(std::move(*more));
  }
  if (const Result<Done> ok = check_pairs(o, bench.sessions[0], log); !ok) return ok.error();
  for (const Session& session : bench.sessions) {
    Result<TensorBuffers> buffers = TensorBuffers::make(session);
    if (!buffers) return buffers.error();
    const bool say = bench.buffers.empty();
    if (const Result<Done> filled = fill_inputs(*buffers, o.inference.pairs[0].inputs, say, log); !filled)
      return filled.error();
    bench.buffers.push_back(std::move(*buffers));
  }
  if (const Result<Done> ok = check_debug_tensors(o, {&bench.sessions[0], &bench.buffers[0]}); !ok) return ok.error();
  for (const Port& port : bench.sessions[0].outputs())
    log.info("Output binding for " + port.name + " with dimensions " + dims_text(port.dims) + " is created.");
  const Session& session = bench.sessions[0];
  log.info("Context: " + session.description() + ", activations " + milliseconds(session.arena_bytes() / 1048576.0) +
           " MiB, packed weights " + milliseconds(session.packed_bytes() / 1048576.0) + " MiB");
  if (is_gpu(engine.spec.device)) say_gpu(o, log);
  return bench;
}

// ---- references ----

/// Runs each pair and compares; all losses are said before the verdict.
Result<Done> check_references(const Options& o, Bench& bench, const Log& log) {
  if (!o.inference.has_references()) return Done{};
  bool failed = false;
  for (const RefPair& pair : o.inference.pairs) {
    TensorBuffers& buffers = bench.buffers[0];
    if (const Result<Done> filled = fill_inputs(buffers, pair.inputs, false, log); !filled) return filled.error();
    const Result<Done> ran = bench.sessions[0].run(buffers.run_inputs(), buffers.run_outputs());
    if (!ran) return ran.error();
    for (size_t i = 0; i < buffers.outputs().size(); ++i) {
      const Port& port = buffers.outputs()[i];
      const std::string* file = file_of(pair.outputs, port.name);
      if (!file) continue;
      const Result<std::vector<std::byte>> reference = buffers.read_output(port.name, *file);
      if (!reference) return reference.error();
      const InferenceFlags& f = o.inference;
      const Result<double> loss =
          output_loss(f.algorithm, port.dtype, std::as_const(buffers).output(i), *reference, f.atol, f.rtol);
      if (!loss) return loss.error();
      char text[96];
      std::snprintf(text, sizeof text, " (%s): %f", f.algorithm.c_str(), *loss);
      std::string line = "Accuracy loss for tensor " + port.name + text;
      if (!(*loss <= f.threshold)) {  // a NaN fails
        std::snprintf(text, sizeof text, " [FAIL: > threshold %f]", f.threshold);
        line += text;
        failed = true;
      }
      log.info(line);
    }
  }
  if (!failed) return Done{};
  return Error{ErrorCode::bad_argument,
               "Accuracy validation FAILED: one or more tensors exceeded --accuracyThreshold."};
}

// ---- reports ----

void say_lines(const std::vector<ReportLine>& lines, const Log& log) {
  for (const ReportLine& line : lines) {
    if (line.kind == LineKind::info) log.info(line.text);
    if (line.kind == LineKind::warning) log.warning(line.text);
    if (line.kind == LineKind::verbose) log.verbose(line.text);
  }
}

Result<Done> report_times(const Options& o, const std::vector<QueryTrace>& trace, bool with_summary, bool on_gpu,
                          const Log& log) {
  const double warmup_ms = o.inference.measure.warmup_ms;
  if (with_summary) {
    SummaryOptions s{.warmup_ms = warmup_ms,
                     .runs_per_average = static_cast<int>(o.reporting.runs_per_average),
                     .percents = o.reporting.percents,
                     .streams = static_cast<int>(o.inference.streams),
                     .on_gpu = on_gpu};
    if (o.system.compat == 11) s.unstable_percent = 2.5;
    say_lines(summary_lines(trace, s), log);
  } else {
    log.info(
        "The e2e network timing is not reported since it is inaccurate due to the extra synchronizations when the "
        "profiler is enabled.");
    log.info(
        "To show e2e network timing report, add --separateProfileRun to profile layer timing in a separate run or "
        "remove --dumpProfile to disable the profiler.");
  }
  if (o.reporting.export_times.empty()) return Done{};
  const std::span<const QueryTrace> measured = std::span(trace).subspan(first_measured(trace, warmup_ms));
  return write_report_file(o.reporting.export_times, times_json(measured));
}

/// NAME.input.1.3.32.32.fp32.raw
std::string raw_name(const Port& port, const char* direction) {
  std::string name = file_name(port.name) + "." + direction;
  for (const int64_t extent : port.dims) name += "." + std::to_string(extent);
  const std::string type = port.dtype.starts_with("float") ? "fp" + port.dtype.substr(5) : port.dtype;
  return name + "." + type + ".raw";
}

/// Row-major in the network's own order, whatever the order in memory.
std::vector<std::byte> in_network_order(std::span<const std::byte> bytes, const Dims& dims, const IoFormat& format) {
  if (bytes.empty() || element_count(dims) == 0) return {};
  const auto n = static_cast<size_t>(dims[0]), c = static_cast<size_t>(dims[1]),
             pixels = static_cast<size_t>(dims[2] * dims[3]);
  const size_t together = format.channels_together == 1 ? c : static_cast<size_t>(format.channels_together);
  const size_t groups = (c + together - 1) / together, all = n * groups * pixels * together;
  const size_t element = all > 0 ? bytes.size() / all : 0;
  std::vector<std::byte> ordered(n * c * pixels * element);
  for (size_t i = 0; i < n * c * pixels && element > 0; ++i) {
    const size_t image = i / (c * pixels), channel = i / pixels % c, pixel = i % pixels;
    const size_t from = ((image * groups + channel / together) * pixels + pixel) * together + channel % together;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from * element), element,
                ordered.begin() + static_cast<std::ptrdiff_t>(i * element));
  }
  return ordered;
}

Result<Done> report_outputs(const Options& o, const Engine& engine, TensorBuffers& buffers, const Log& log) {
  const std::map<std::string, IoFormat> formats = engine.file.formats();
  std::vector<std::vector<std::byte>> ordered(buffers.outputs().size());
  std::vector<NamedValues> outputs;
  for (size_t i = 0; i < buffers.outputs().size(); ++i) {
    const Port& port = buffers.outputs()[i];
    outputs.push_back({port.name, port.dims, port.dtype, buffers.output(i)});
    const auto format = formats.find(port.name);
    if (format == formats.end() || format->second.channels_together == 0) continue;
    outputs.back().dims = dims_in_network(port.dims, format->second);
    ordered[i] = in_network_order(buffers.output(i), outputs.back().dims, format->second);
    outputs.back().bytes = ordered[i];
  }
  if (o.reporting.dump_output) {
    log.info("Output Tensors:");
    for (const NamedValues& output : outputs) {
      log.info(output.name + ": (" + dims_text(output.dims) + ")");
      log.info(values_text(output, " "));
    }
  }
  if (o.reporting.dump_raw) {
    const auto write = [](const Port& port, const char* direction, std::span<const std::byte> bytes) {
      return write_binary_file(raw_name(port, direction), bytes);
    };
    for (size_t i = 0; i < buffers.inputs().size(); ++i)
      if (const Result<Done> done = write(buffers.inputs()[i], "input", buffers.input(i)); !done) return done;
    for (size_t i = 0; i < buffers.outputs().size(); ++i)
      if (const Result<Done> done = write(buffers.outputs()[i], "output", buffers.output(i)); !done) return done;
  }
  if (o.reporting.export_output.empty()) return Done{};
  return write_report_file(o.reporting.export_output, outputs_json(outputs));
}

Result<Done> report_profile(const Options& o, const RunProfile& profile, const Log& log) {
  if (o.reporting.dump_profile)
    for (const std::string& line : profile_lines(profile)) log.info(line);
  log.info("unattributed: " + attribution_text(profile));
  if (o.reporting.export_profile.empty()) return Done{};
  return write_report_file(o.reporting.export_profile, profile_json(profile));
}

std::vector<std::string> binding_names(const Session& session) {
  std::vector<std::string> names;
  for (const Port& port : session.inputs()) names.push_back(port.name);
  for (const Port& port : session.outputs()) names.push_back(port.name);
  return names;
}

/// --dumpRefit: layer and role.
void dump_refittable(const std::vector<LayerDetail>& layers, const Log& log) {
  constexpr const char* k_roles[] = {"Kernel", "Bias"};
  log.info("Refittable weights:");
  for (const LayerDetail& layer : layers)
    for (size_t i = 0; i < layer.constants.size() && i < std::size(k_roles); ++i)
      log.info(layer.name + " " + k_roles[i] + " (" + std::to_string(layer.constants[i].constant) + ")");
}

/// min=..., opt=..., max=... of each input in each profile.
void dump_shapes(const Engine& engine, const Log& log) {
  log.info("Optimization Profile Information:");
  const auto profiles = engine.file.profiles();
  for (size_t p = 0; p < profiles.size(); ++p)
    for (const TensorInfo& input : engine.file.inputs()) {
      const ShapeRange& range = profiles[p].at(input.name);
      log.info("Model input " + input.name + " (profile " + std::to_string(p) + "): min=" + dims_text(range.smallest) +
               ", opt=" + dims_text(range.best) + ", max=" + dims_text(range.largest));
    }
}

}  // namespace

Result<Done> report_layers(const Options& o, const Engine& engine, const Log& log) {
  if (o.reporting.dump_shapes) dump_shapes(engine, log);
  const bool built_verbosely = o.reporting.verbose && o.build.load_engine.empty();
  if (!o.reporting.dump_layers && !o.reporting.dump_refit && o.reporting.export_layers.empty() && !built_verbosely)
    return Done{};
  const Result<Session> session = Session::load(engine.file, engine.spec);
  if (!session) return session.error();
  const std::vector<LayerDetail> layers = layer_details(*session);
  if (built_verbosely) {
    log.verbose("Engine Layer Information:");
    for (const LayerDetail& layer : layers) log.verbose(layer_line(layer, LayerVerbosity::detailed));
  }
  if (o.reporting.dump_refit && !engine.file.is_refittable())
    log.warning("--dumpRefit: the plan was built without --refit, none of its weights can be replaced");
  if (o.reporting.dump_refit && engine.file.is_refittable()) dump_refittable(layers, log);
  if (o.reporting.dump_layers) {
    log.info("Layer Information:");
    if (o.build.verbosity != LayerVerbosity::none)
      for (const LayerDetail& layer : layers) log.info(layer_line(layer, o.build.verbosity));
  }
  if (o.reporting.export_layers.empty()) return Done{};
  return write_report_file(o.reporting.export_layers, layers_json(layers, binding_names(*session), o.build.verbosity));
}

Result<Done> time_loads(const Options& o, const Engine& engine, const Log& log) {
  std::string path = !o.build.load_engine.empty() ? o.build.load_engine : o.build.save_engine;
  const bool own_file = path.empty();
  if (own_file) {
    path = (std::filesystem::temp_directory_path() / ("octet_time_" + std::to_string(::getpid()) + ".plan")).string();
    if (const Result<Done> saved = engine.file.save(path); !saved) return saved;
  }
  constexpr int k_warmups = 2, k_repeats = 20;
  double first = 0, total = 0;
  for (int i = 0; i < k_warmups + 1 + k_repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const Result<EngineFile> file = EngineFile::load(path);
    if (!file) return file.error();
    const Result<Session> session = Session::load(*file, engine.spec);
    if (!session) return session.error();
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    if (i == k_warmups) first = ms;
    if (i > k_warmups) total += ms;
  }
  if (own_file) std::filesystem::remove(path);
  const double average = total / k_repeats;
  log.info("First deserialization time = " + milliseconds(first) + " milliseconds");
  log.info("Total deserialization time = " + milliseconds(total) + " milliseconds in " + std::to_string(k_repeats) +
           " iterations, average time = " + milliseconds(average) + " milliseconds, bandwidth = " +
           milliseconds(static_cast<double>(engine.file.size_bytes()) / 1e6 / average) + " GB/s.");
  if (first > 2 * average)
    return Error{ErrorCode::bad_argument, "--timeDeserialize: the first load took " + milliseconds(first) +
                                              " ms, more than twice the average of " + milliseconds(average) + " ms"};
  return Done{};
}

Result<Done> run_inference(const Options& o, const Engine& engine, const Log& log) {
  Result<Bench> made = set_up(o, engine, log);
  if (!made) return Error{made.error().code, "Inference set up failed: " + made.error().message};
  Bench& bench = *made;
  const MeasureSpec& spec = o.inference.measure;
  if (spec.duration_s < 0)
    log.warning("--duration=-1 is specified, inference will run in an endless loop until aborted with CTRL-C (SIGINT)");
  log.info("Starting inference");
  const std::vector<Stream> streams = bench.streams();
  const bool together = o.reporting.wants_profile() && !o.inference.separate_profile;
  RunProfile profile;
  const Result<std::vector<QueryTrace>> trace = measure(streams, spec, together ? &profile : nullptr);
  if (!trace) return trace.error();
  if (const Result<Done> done = report_times(o, *trace, !together, is_gpu(engine.spec.device), log); !done) return done;
  if (const Result<Done> done = report_outputs(o, engine, bench.buffers[0], log); !done) return done;
  if (const Result<Done> done = save_debug_tensors(o, {&bench.sessions[0], &bench.buffers[0]}, log); !done) return done;
  if (const Result<Done> done = check_references(o, bench, log); !done) return done;
  if (!o.reporting.wants_profile()) return Done{};
  if (!together) {
    log.info("Starting inference with the layer clock");
    const Result<std::vector<QueryTrace>> again = measure(std::span(streams).first(1), spec, &profile);
    if (!again) return again.error();
  }
  return report_profile(o, profile, log);
}

}  // namespace octet::cli::trtexec
