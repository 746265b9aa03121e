#include "cli/trtexec/options.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "cli/near_name.h"
#include "cli/trtexec/flags.h"

namespace octet::cli::trtexec {
namespace {

const std::string k_home_prefix = "~/";
constexpr double k_largest_float = std::numeric_limits<float>::max();

std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return home && path.starts_with(k_home_prefix) ? std::string(home) + path.substr(1) : path;
}

bool one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* w) { return word == w; });
}

// ---- flags of a common form ----

void read_shapes(CommandLine& line, const std::string& flag, const std::string& text, Shapes& to) {
  for (const std::string& element : split(text, ',')) {
    const auto pair = split_name(element);
    if (!pair) return line.fail("--" + flag + ": " + pair.error().message);
    const Result<Dims> dims = parse_dims(pair->second);
    if (!dims) return line.fail("--" + flag + " " + pair->first + ": " + dims.error().message);
    if (!to.emplace(pair->first, *dims).second)
      return line.fail("--" + flag + ": '" + pair->first + "' is given twice");
  }
}

/// The shape flags from here to the next --profile.
void read_one_profile(CommandLine& line, size_t from, ProfileFlags& to) {
  const std::pair<const char*, Shapes*> kinds[] = {
      {"minShapes", &to.smallest}, {"optShapes", &to.best}, {"maxShapes", &to.largest}};
  for (size_t i = from; i < line.left().size() && line.left()[i].name != "--profile";) {
    const auto kind = std::find_if(std::begin(kinds), std::end(kinds),
                                   [&](const auto& k) { return line.left()[i].name == "--" + std::string(k.first); });
    if (kind == std::end(kinds)) {
      ++i;
      continue;
    }
    const Argument argument = line.left()[i];
    line.erase(i);
    if (!kind->second->empty()) line.fail(argument.name + " is given twice for one --profile");
    read_shapes(line, kind->first, argument.value, *kind->second);
  }
}

void take_shapes(CommandLine& line, const char* flag, Shapes& to) {
  std::string text;
  if (line.take(flag, text)) read_shapes(line, flag, text, to);
}

void read_files(CommandLine& line, const std::string& flag, const std::string& text, Files& to) {
  for (const std::string& element : split(text, ',')) {
    const auto pair = split_name(element);
    if (!pair) return line.fail("--" + flag + ": " + pair.error().message);
    to[pair->first] = pair->second;
  }
}

// ---- groups of flags ----

void read_precision(CommandLine& line, Options& o) {
  BuildFlags& b = o.build;
  b.fp16 = line.take_switch("fp16");
  b.bf16 = line.take_switch("bf16");
  b.int8 = line.take_switch("int8");
  b.best = line.take_switch("best");
  b.strongly_typed = line.take_switch("stronglyTyped");
  b.no_tf32 = line.take_switch("noTF32");
  line.take("calib", b.calib);
  if (b.strongly_typed && b.best) line.fail("--best cannot go with --stronglyTyped: types come from the graph");
  const bool builds = b.load_engine.empty();  // otherwise note_ignored_build_flags has said it
  if (b.strongly_typed && builds) {
    const auto drop = [&](bool& flag, const char* mode, const char* builder_flag) {
      if (flag)
        o.warnings.push_back("Invalid usage, setting " + std::string(mode) +
                             " mode is not allowed if graph is strongly typed. Disabling BuilderFlag::" + builder_flag +
                             ".");
      flag = false;
    };
    drop(b.fp16, "fp16", "kFP16");
    drop(b.bf16, "bf16", "kBF16");
    drop(b.int8, "int8", "kINT8");
  }
  if (b.best) b.int8 = true;
  if (!b.calib.empty() && !b.int8) {
    if (builds) o.warnings.push_back("--calib=" + b.calib + " has no effect without --int8");
    b.calib.clear();
  }
}

void read_layer_types(CommandLine& line, Options& o) {
  BuildFlags& b = o.build;
  line.take("precisionConstraints", b.precision_constraints);
  if (!one_of(b.precision_constraints, {"none", "prefer", "obey"}))
    line.fail("--precisionConstraints=" + b.precision_constraints + ": none, prefer or obey is expected");
  for (const std::string flag : {"layerPrecisions", "layerOutputTypes"}) {
    std::vector<std::string> elements;
    if (!line.take_list(flag, elements)) continue;
    for (const std::string& element : elements) {
      const auto pair = split_name(element);
      if (!pair) return line.fail("--" + flag + ": " + pair.error().message);
      const std::vector<std::string> types = split(pair->second, '+');
      for (const std::string& type : types)
        if (!one_of(type, {"fp32", "fp16", "bf16", "int8", "int32"}))
          return line.fail("--" + std::string(flag) + " " + pair->first + ":" + type +
                           ": fp32, fp16, bf16, int32 or int8 is expected");
      (flag == "layerPrecisions" ? b.layer_precisions : b.layer_outputs).emplace_back(pair->first, types[0]);
    }
  }
  if (!b.load_engine.empty()) {
    // note_ignored_build_flags has said it.
  } else if (b.layer_precisions.empty() && b.layer_outputs.empty()) {
    if (b.precision_constraints != "none")
      o.warnings.push_back("--precisionConstraints without --layerPrecisions or --layerOutputTypes has no effect");
  } else if (b.precision_constraints == "none") {
    o.warnings.push_back(
        "--layerPrecisions and --layerOutputTypes have no effect without --precisionConstraints=prefer or obey");
    b.layer_precisions.clear();
    b.layer_outputs.clear();
  }
  std::vector<std::string> devices;
  if (line.take_list("layerDeviceTypes", devices))
    for (const std::string& element : devices) {
      const auto pair = split_name(element);
      if (!pair) return line.fail("--layerDeviceTypes: " + pair.error().message);
      if (pair->second != "GPU") return line.fail("--layerDeviceTypes " + element + ": only GPU is there, no DLA");
    }
}

/// The number of a profile among those of --profile.
void read_profile_index(CommandLine& line, const std::string& flag, size_t count, size_t& to) {
  int64_t index = 0;
  if (!line.take(flag, index, 0)) return;
  if (static_cast<size_t>(index) >= count)
    return line.fail("--" + flag + "=" + std::to_string(index) + ": Selected profile index " + std::to_string(index) +
                     " exceeds the number of profiles that the engine holds.");
  to = static_cast<size_t>(index);
}

/// Only the optimal shapes count, as in trtexec.
void read_calibration_shapes(CommandLine& line, Options& o) {
  read_profile_index(line, "calibProfile", o.build.profiles.size(), o.build.calibration_profile);
  Shapes low, high;
  take_shapes(line, "minShapesCalib", low);
  take_shapes(line, "optShapesCalib", o.build.opt_shapes_calib);
  take_shapes(line, "maxShapesCalib", high);
  const bool has_low = !low.empty(), has_best = !o.build.opt_shapes_calib.empty(), has_high = !high.empty();
  if (has_low != has_high || (has_low && !has_best))
    line.fail("--minShapesCalib, --optShapesCalib, --maxShapesCalib: give --optShapesCalib alone, or all three");
}

/// --profile=0 --minShapes=... --optShapes=... --profile=1 --minShapes=... Shapes before the first belong to it, too.
void read_profiles(CommandLine& line, Options& o) {
  std::vector<ProfileFlags>& profiles = o.build.profiles;
  for (size_t next = 0; const std::optional<size_t> at = line.find("profile"); ++next) {
    const std::string text = line.left()[*at].value;
    const Result<int64_t> index = parse_whole(text, 0);
    if (!index || static_cast<size_t>(*index) != next)
      return line.fail("--profile=" + text + ": profiles are numbered from 0 on without gaps, " + std::to_string(next) +
                       " is expected here");
    line.erase(*at);
    if (next > 0) profiles.emplace_back();
    read_one_profile(line, *at, profiles[next]);
  }
  read_one_profile(line, 0, profiles[0]);
}

void read_build_shapes(CommandLine& line, Options& o) {
  read_profiles(line, o);
  take_shapes(line, "shapes", o.inference.shapes);
  read_calibration_shapes(line, o);
  line.take_list("inputIOFormats", o.build.input_formats);
  line.take_list("outputIOFormats", o.build.output_formats);
}

void read_memory(CommandLine& line, Options& o) {
  int64_t mib = 0;
  const bool has_workspace = line.take("workspace", mib, 0);
  if (has_workspace) o.build.workspace_bytes = mib << 20;
  std::vector<std::string> pools;
  if (!line.take_list("memPoolSize", pools)) return;
  for (const std::string& element : pools) {
    const auto pair = split_name(element);
    if (!pair) return line.fail("--memPoolSize: " + pair.error().message);
    if (!one_of(pair->first, {"workspace", "dlaSRAM", "dlaLocalDRAM", "dlaGlobalDRAM", "tacticSharedMem"}))
      return line.fail("--memPoolSize: Unknown memory pool: " + pair->first +
                       "; workspace, dlaSRAM, dlaLocalDRAM, dlaGlobalDRAM and tacticSharedMem are known");
    const Result<int64_t> bytes = parse_size(pair->second, 1 << 20);
    if (!bytes) return line.fail("--memPoolSize " + pair->first + ": " + bytes.error().message);
    if (pair->first != "workspace") continue;
    if (has_workspace) return line.fail("--workspace and --memPoolSize=workspace are the same limit: give one of them");
    o.build.workspace_bytes = *bytes;
  }
}

void read_tuning(CommandLine& line, Options& o) {
  line.take("builderOptimizationLevel", o.build.optimization_level, 0, 5);
  for (const char* flag : {"minTiming", "avgTiming"}) {
    int64_t rounds = 0;
    if (!line.take(flag, rounds, 1)) continue;
    o.build.timing_rounds = std::max(o.build.timing_rounds, std::min<int64_t>(rounds, 10000));
  }
  line.take("timingCacheFile", o.build.timing_cache);
  o.build.no_timing_cache = line.take_switch("noBuilderCache");
  o.build.error_on_cache_miss = line.take_switch("errorOnTimingCacheMiss");
  if (o.build.error_on_cache_miss && o.build.timing_cache.empty())
    line.fail("--errorOnTimingCacheMiss needs --timingCacheFile=FILE");
  if (o.build.error_on_cache_miss && o.build.no_timing_cache)
    line.fail("--errorOnTimingCacheMiss and --noBuilderCache contradict each other");
  std::vector<std::string> sources;
  if (line.take_list("tacticSources", sources))
    for (const std::string& source : sources) {
      const std::string name = source.empty() ? "" : source.substr(1);
      if (source.empty() || (source[0] != '+' && source[0] != '-'))
        return line.fail("--tacticSources=" + source + ": Tactic source must be prefixed with + or -");
      if (!one_of(name, {"CUBLAS", "CUBLAS_LT", "CUDNN", "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"}))
        return line.fail("--tacticSources: Unknown tactic source: " + name);
    }
  std::string sparsity;
  if (line.take("sparsity", sparsity) && !one_of(sparsity, {"disable", "enable"}))
    line.fail(sparsity == "force" ? "--sparsity=force would rewrite the weights: prune before you export"
                                  : "--sparsity=" + sparsity + ": disable, enable or force is expected");
}

void read_verbosity(CommandLine& line, Options& o) {
  if (line.find("nvtxMode") && line.find("profilingVerbosity"))
    line.fail("--nvtxMode is the old name of --profilingVerbosity: give one of them");
  for (const char* flag : {"nvtxMode", "profilingVerbosity"}) {
    std::string word;
    if (!line.take(flag, word)) continue;
    if (word == "default" || word == "verbose")
      o.warnings.push_back("--" + std::string(flag) + "=" + word + " has been deprecated by --profilingVerbosity=" +
                           (word == "default" ? "layer_names_only" : "detailed") + ".");
    if (one_of(word, {"layer_names_only", "default"}))
      o.build.verbosity = LayerVerbosity::names;
    else if (one_of(word, {"detailed", "verbose"}))
      o.build.verbosity = LayerVerbosity::detailed;
    else if (word == "none")
      o.build.verbosity = LayerVerbosity::none;
    else
      line.fail("--" + std::string(flag) + "=" + word + ": layer_names_only, detailed or none is expected");
  }
}

void read_build(CommandLine& line, Options& o) {
  BuildFlags& b = o.build;
  line.take("onnx", b.onnx);
  b.onnx = expand_home(b.onnx);
  line.take("saveEngine", b.save_engine);
  line.take("loadEngine", b.load_engine);
  if (!b.save_engine.empty() && !b.load_engine.empty())
    line.fail("Incompatible load and save engine options selected (--loadEngine, --saveEngine)");
  b.skip_inference = line.take_switch("skipInference");
  b.skip_inference |= line.take_switch("buildOnly");
  read_precision(line, o);
  read_layer_types(line, o);
  read_build_shapes(line, o);
  read_memory(line, o);
  read_tuning(line, o);
  read_verbosity(line, o);
  b.refit = line.take_switch("refit");
  line.take_list("markDebug", b.debug_tensors);
  if (line.take_switch("markUnfusedTensorsAsDebugTensors")) b.debug_tensors.clear();
}

/// --refPair=N --loadInputs=... --loadRefOutputs=... --refPair=M ...
void read_pairs(CommandLine& line, InferenceFlags& inference) {
  if (!line.find("refPair")) {
    std::string text;
    if (line.take("loadInputs", text)) read_files(line, "loadInputs", text, inference.pairs[0].inputs);
    if (line.take("loadRefOutputs", text)) read_files(line, "loadRefOutputs", text, inference.pairs[0].outputs);
    if (!inference.pairs[0].outputs.empty() && inference.pairs[0].inputs.empty())
      line.fail("--loadRefOutputs requires --loadInputs to be specified.");
    return;
  }
  std::map<int64_t, RefPair> pairs;
  while (const std::optional<size_t> at = line.find("refPair")) {
    const Result<int64_t> number = parse_whole(line.left()[*at].value, 0);
    if (!number) return line.fail("--refPair=" + number.error().message);
    const int64_t index = *number;
    line.erase(*at);
    RefPair pair;
    while (*at < line.left().size() &&
           (line.left()[*at].name == "--loadInputs" || line.left()[*at].name == "--loadRefOutputs")) {
      const Argument argument = line.left()[*at];
      line.erase(*at);
      const bool is_input = argument.name == "--loadInputs";
      read_files(line, argument.name.substr(2), argument.value, is_input ? pair.inputs : pair.outputs);
    }
    if (pair.inputs.empty() || pair.outputs.empty())
      return line.fail("--refPair=" + std::to_string(index) +
                       ": Each --refPair must have both --loadInputs and --loadRefOutputs.");
    if (!pairs.emplace(index, std::move(pair)).second)
      return line.fail("--refPair=" + std::to_string(index) + " is given twice");
  }
  inference.pairs.clear();
  for (auto& [index, pair] : pairs) inference.pairs.push_back(std::move(pair));
}

void read_accuracy(CommandLine& line, Options& o) {
  InferenceFlags& inference = o.inference;
  read_pairs(line, inference);
  line.take("accuracyAlgorithm", inference.algorithm);
  if (!one_of(inference.algorithm, {"l0", "l1", "l2", "lInf", "cos"}))
    line.fail("--accuracyAlgorithm: Unknown accuracyAlgorithm: " + inference.algorithm + "; l0, l1, l2, lInf or cos");
  const bool atol = line.take("atol", inference.atol, 0, k_largest_float);
  const bool rtol = line.take("rtol", inference.rtol, 0, k_largest_float);
  if (inference.algorithm != "l0" && (atol || rtol))
    line.fail(std::string(atol ? "--atol" : "--rtol") + " is only valid for L0 accuracy algorithm.");
  line.take("accuracyThreshold", inference.threshold, 0, k_largest_float);
  if (inference.has_references() && inference.threshold <= 0)
    line.fail("--accuracyThreshold (with a positive value) is required when --loadRefOutputs or --refPair is set.");
  if (inference.has_references() && o.build.skip_inference)
    line.fail("--loadRefOutputs/--refPair cannot be used with --skipInference.");
}

void read_refit(CommandLine& line, Options& o) {
  line.take("refitFromOnnx", o.inference.refit_from);
  o.inference.time_refit = line.take_switch("timeRefit");
  if (!o.inference.refit_from.empty() && o.build.load_engine.empty())
    line.fail("--refitFromOnnx needs --loadEngine=FILE");
  if (o.inference.time_refit && o.build.onnx.empty()) line.fail("--timeRefit needs the network's weights: --onnx=FILE");
}

void read_debug_tensors(CommandLine& line, Options& o) {
  std::string text;
  if (line.take("saveDebugTensors", text)) read_files(line, "saveDebugTensors", text, o.inference.save_debug);
  line.take_list("saveAllDebugTensors", o.inference.save_all_debug);
  for (const std::string& format : o.inference.save_all_debug)
    if (!one_of(format, {"summary", "numpy", "string", "raw"}))
      line.fail("--saveAllDebugTensors=" + format + ": summary, numpy, string or raw is expected");
}

void refuse_both(CommandLine& line, const char* one, const char* other) {
  if (line.find(one) && line.find(other))
    line.fail("--" + std::string(one) + " and --" + other + " contradict each other");
}

void read_used_profile(CommandLine& line, Options& o) {
  if (o.build.load_engine.empty()) {
    size_t index = 0;
    const bool given = line.find("useProfile").has_value();
    read_profile_index(line, "useProfile", o.build.profiles.size(), index);
    if (given) o.inference.profile = static_cast<int64_t>(index);
    return;
  }
  line.take("useProfile", o.inference.profile, 0);  // of the plan, which is not read yet
}

/// How long and how often. The limits are far beyond use and well within what the clocks count.
void read_loop(CommandLine& line, MeasureSpec& m) {
  constexpr double k_seconds = 1e6, k_ms = 1e9;
  line.take("iterations", m.iterations, 0);
  std::string duration;
  if (line.take("duration", duration)) {
    const Result<double> seconds = parse_number(duration, -1, k_seconds);
    if (!seconds || (*seconds < 0 && *seconds != -1))
      line.fail("--duration=" + duration + ": a number of seconds from 0 to 1000000, or -1 (endless), is expected");
    if (seconds) m.duration_s = *seconds;
  }
  line.take("warmUp", m.warmup_ms, 0, k_ms);
  line.take("sleepTime", m.sleep_ms, 0, k_ms);
  line.take("idleTime", m.idle_ms, 0, k_ms);
}

/// Of a GPU; version 11 turned two defaults around.
void read_gpu(CommandLine& line, Options& o) {
  GpuSpec& gpu = o.inference.gpu;
  const bool is_11 = o.system.compat == 11;
  const bool with_graph = line.take_switch("useCudaGraph"), without_graph = line.take_switch("noCudaGraph");
  gpu.graph = with_graph || (is_11 && !without_graph);
  const bool spin = line.take_switch("useSpinWait"), no_spin = line.take_switch("noSpinWait");
  gpu.wait = spin || (is_11 && !no_spin) ? "spin" : "block";
  gpu.managed = line.take_switch("useManagedMemory");
  gpu.allocation = "static";
  line.take("allocationStrategy", gpu.allocation);
  if (!one_of(gpu.allocation, {"static", "profile", "runtime"}))
    line.fail("--allocationStrategy=" + gpu.allocation + ": static, profile or runtime is expected");
}

void read_inference(CommandLine& line, Options& o) {
  refuse_both(line, "useSpinWait", "noSpinWait");
  refuse_both(line, "useCudaGraph", "noCudaGraph");
  if (line.find("streams") && line.find("infStreams"))
    line.fail("--streams is the old name of --infStreams: give one of them");
  InferenceFlags& inference = o.inference;
  MeasureSpec& m = inference.measure;
  read_loop(line, m);
  constexpr int64_t k_most_streams = 1024;
  if (line.take("streams", inference.streams, 1, k_most_streams))
    o.warnings.push_back("--streams flag has been deprecated, use --infStreams flag instead.");
  line.take("infStreams", inference.streams, 1, k_most_streams);
  const bool without = line.take_switch("noDataTransfers"), with = line.take_switch("includeDataTransfers");
  if (with && without) line.fail("--noDataTransfers and --includeDataTransfers contradict each other");
  m.transfers = with || (!without && o.system.compat != 11);
  if (without && o.system.compat == 11)
    o.warnings.push_back("--noDataTransfers is the default of version 11 and needs not be given.");
  m.threads = line.take_switch("threads");
  m.overlap = !line.take_switch("exposeDMA");
  read_gpu(line, o);
  inference.time_deserialize = line.take_switch("timeDeserialize");
  inference.separate_profile = line.take_switch("separateProfileRun") || o.system.compat == 11;
  read_used_profile(line, o);
  read_accuracy(line, o);
  read_refit(line, o);
  read_debug_tensors(line, o);
}

void read_reporting(CommandLine& line, Options& o) {
  ReportingFlags& r = o.reporting;
  r.verbose = line.take_switch("verbose");
  line.take("avgRuns", r.runs_per_average, 1);
  std::vector<std::string> percents;
  if (line.take_list("percentile", percents)) {
    r.percents.clear();
    for (const std::string& text : percents) {
      const Result<double> p = parse_number(text, 0, 100);
      if (!p) return line.fail("--percentile: Percentile " + text + " is not in [0,100]");
      r.percents.push_back(static_cast<float>(*p));
    }
  }
  r.dump_output = line.take_switch("dumpOutput");
  r.dump_raw = line.take_switch("dumpRawBindingsToFile");
  r.dump_profile = line.take_switch("dumpProfile");
  r.dump_layers = line.take_switch("dumpLayerInfo");
  r.dump_shapes = line.take_switch("dumpOptimizationProfile");
  r.dump_refit = line.take_switch("dumpRefit");
  line.take("exportTimes", r.export_times);
  line.take("exportOutput", r.export_output);
  line.take("exportProfile", r.export_profile);
  line.take("exportLayerInfo", r.export_layers);
}

void read_system(CommandLine& line, Options& o) {
  SystemFlags& s = o.system;
  line.take("device", s.device);
  if (!s.device.empty() && !one_of(s.device, {"cpu", "ref"}) &&
      s.device.find_first_not_of("0123456789") != std::string::npos)
    line.fail("--device=" + s.device + ": a device number, cpu or ref is expected");
  constexpr int64_t k_most_threads = 1024;  // of a thread pool
  line.take("cpuThreads", s.cpu_threads, 0, k_most_threads);
  line.take("compat", s.compat, 8, 11);
  s.plan_version_only = line.take_switch("getPlanVersionOnly");
  s.describe = line.take_switch("describe");
}

// ---- flags that are only said ----

/// Refused flags become the error; what is not plainly honoured is remembered for the log.
void check_known(CommandLine& line, Options& o) {
  for (const Flag& flag : all_flags()) {
    if (!line.find(flag.name)) continue;
    if (flag.cpu == Verdict::refused)
      line.fail("--" + std::string(flag.name) + " cannot be honoured: " + std::string(flag.text));
    if (flag.cpu != Verdict::honoured || flag.gpu != Verdict::honoured) o.to_say.push_back(&flag);
  }
}

/// Build flags on the command line of a plan that is loaded, a line for each: trtexec ignores them without a word.
void note_ignored_build_flags(CommandLine& line, Options& o) {
  if (!line.find("loadEngine")) return;
  const bool builds_again = line.find("refitFromOnnx") || line.find("timeRefit");
  for (const Flag& flag : all_flags()) {
    const bool counts =
        one_of(std::string(flag.name), {"loadEngine", "saveEngine", "skipInference", "buildOnly", "profilingVerbosity",
                                        "nvtxMode", "markDebug", "markUnfusedTensorsAsDebugTensors"}) ||
        (builds_again && one_of(std::string(flag.name), {"builderOptimizationLevel", "timingCacheFile", "avgTiming",
                                                         "refit", "minTiming", "noBuilderCache"}));
    if (flag.group != "build" || counts || flag.cpu == Verdict::silent || !line.find(flag.name)) continue;
    o.notes.push_back("--" + std::string(flag.name) + ": no effect: a plan is loaded, not built (--loadEngine)");
    std::erase(o.to_say, &flag);
  }
  if (line.find("onnx") && !line.find("timeRefit"))
    o.notes.push_back("--onnx: no effect: a plan is loaded, not built (--refitFromOnnx takes a file's weights)");
}

/// Outputs of a query that never runs.
void refuse_outputs_of_nothing(CommandLine& line, const Options& o) {
  const MeasureSpec& m = o.inference.measure;
  if (m.iterations > 0 || m.duration_s != 0 || m.warmup_ms > 0 || o.build.skip_inference) return;
  const ReportingFlags& r = o.reporting;
  for (const auto& [flag, given] :
       {std::pair("--dumpOutput", r.dump_output), std::pair("--dumpRawBindingsToFile", r.dump_raw),
        std::pair("--exportOutput", !r.export_output.empty())})
    if (given)
      line.fail(std::string(flag) +
                ": with --iterations=0 --duration=0 --warmUp=0 no query runs, so there are no outputs: "
                "ask for an iteration");
}

/// Reports of inference that will not take place.
void warn_of_skipped_reports(Options& o) {
  if (!o.build.skip_inference) return;
  const ReportingFlags& r = o.reporting;
  std::string without;
  for (const auto& [flag, given] :
       {std::pair("--dumpOutput", r.dump_output), std::pair("--dumpRawBindingsToFile", r.dump_raw),
        std::pair("--dumpProfile", r.dump_profile), std::pair("--exportTimes", !r.export_times.empty()),
        std::pair("--exportOutput", !r.export_output.empty()), std::pair("--exportProfile", !r.export_profile.empty()),
        std::pair("--saveDebugTensors", !o.inference.save_debug.empty()),
        std::pair("--saveAllDebugTensors", !o.inference.save_all_debug.empty())})
    if (given) without += (without.empty() ? "" : ", ") + std::string(flag);
  if (!without.empty()) o.warnings.push_back("--skipInference leaves nothing to report for " + without);
}

void drop(CommandLine& line, const Flag& flag) {
  std::string ignored;
  int64_t whole = 0;
  double ratio = 0;
  if (flag.cpu != Verdict::silent && flag.cpu != Verdict::warned) return;
  if (flag.value.empty()) {
    line.take_switch(flag.name);
  } else if (flag.value == "N") {
    line.take(flag.name, whole, -1, INT64_MAX);  // some count bytes, and -1 is the default of several
  } else if (flag.value == "R") {
    line.take(flag.name, ratio, 0, 1);
  } else {
    line.take(flag.name, ignored);
  }
}

/// Takes out what no reader asked for, because it has no effect here.
void drop_silent(CommandLine& line, const Options& o) {
  for (const Flag* flag : o.to_say) drop(line, *flag);
}

/// Flags that the asked version does not know, out of the readers' sight.
std::vector<Argument> set_aside(CommandLine& line, int64_t version) {
  std::vector<Argument> foreign;
  for (size_t i = line.left().size(); version != 0 && i-- > 0;) {
    const std::string& name = line.left()[i].name;
    const Flag* flag = name.starts_with("--") ? find_flag(std::string_view(name).substr(2)) : nullptr;
    if (!flag || flag->group == "octet" || (flag->since <= version && version <= flag->until)) continue;
    foreign.insert(foreign.begin(), line.left()[i]);
    line.erase(i);
  }
  return foreign;
}

bool asks_help(const std::vector<std::string>& words) {
  return words.empty() || std::any_of(words.begin(), words.end(), [](const std::string& w) {
           return w == "--help" || w == "-h" || w.starts_with("--help=");
         });
}

/// What trtexec does not say: the flag that a mistyped one stands for. One that is given twice stands for itself.
std::string flag_meant(const std::string& typed) {
  std::vector<std::string> names;
  for (const Flag& flag : all_flags()) names.push_back("--" + std::string(flag.name));
  const bool is_known = std::find(names.begin(), names.end(), typed) != names.end();
  return is_known || !typed.starts_with("-") ? "" : did_you_mean(near_name(typed, names));
}

}  // namespace

Parsed parse_options(const std::vector<std::string>& words) {
  Parsed parsed;
  Options& o = parsed.options;
  o.system.help = asks_help(words);
  if (o.system.help) return parsed;
  CommandLine line(words);
  read_system(line, o);
  const std::vector<Argument> foreign = set_aside(line, o.system.compat);
  check_known(line, o);
  note_ignored_build_flags(line, o);
  read_build(line, o);
  read_inference(line, o);
  read_reporting(line, o);
  refuse_outputs_of_nothing(line, o);
  warn_of_skipped_reports(o);
  drop_silent(line, o);
  if (o.system.describe) return parsed;
  const bool has_model = !o.build.onnx.empty() || !o.build.load_engine.empty();
  if (!has_model) line.fail("Model missing or format not recognized: give --onnx=FILE or --loadEngine=FILE");
  if (o.system.plan_version_only && o.build.load_engine.empty())
    line.fail("--getPlanVersionOnly needs --loadEngine=FILE");
  if (line.error()) parsed.errors.push_back(*line.error());
  if (!parsed.errors.empty() && has_model) return parsed;  // without one: its flag may be a mistyped one
  const std::string version = o.system.compat ? " (not in version " + std::to_string(o.system.compat) + ")" : "";
  for (const Argument& argument : line.left())
    parsed.errors.push_back("Unknown option: " + argument.name + " " + argument.value + flag_meant(argument.name));
  for (const Argument& argument : foreign)
    parsed.errors.push_back("Unknown option: " + argument.name + " " + argument.value + version);
  return parsed;
}

}  // namespace octet::cli::trtexec
