#pragma once
// trtexec's command line as values.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/trtexec/command_line.h"
#include "cli/trtexec/flags.h"
#include "octet/measure.h"

namespace octet::cli::trtexec {

using Dims = std::vector<int64_t>;
using Shapes = std::map<std::string, Dims>;        // by tensor name or pattern
using Files = std::map<std::string, std::string>;  // tensor -> file

/// One of --profile, or the only one.
struct ProfileFlags {
  Shapes smallest, best, largest;
  bool empty() const { return smallest.empty() && best.empty() && largest.empty(); }
};

struct BuildFlags {
  std::string onnx, save_engine, load_engine;
  bool skip_inference = false, strongly_typed = false;
  bool fp16 = false, bf16 = false, int8 = false, best = false;
  bool no_tf32 = false;
  std::string calib;
  std::string precision_constraints = "none";
  std::vector<std::pair<std::string, std::string>> layer_precisions, layer_outputs;  // pattern, type; later ones win
  std::vector<ProfileFlags> profiles = {{}};                                         // at least one
  size_t calibration_profile = 0;
  Shapes opt_shapes_calib;
  std::vector<std::string> input_formats, output_formats;
  int64_t workspace_bytes = 0;
  LayerVerbosity verbosity = LayerVerbosity::names;
  int64_t optimization_level = -1;
  int64_t timing_rounds = 0;  // 0 = by level
  bool refit = false;
  std::vector<std::string> debug_tensors;  // empty = all that a layer makes
  std::string timing_cache;
  bool no_timing_cache = false, error_on_cache_miss = false;
};

struct RefPair {
  Files inputs, outputs;
};

struct InferenceFlags {
  MeasureSpec measure;
  Shapes shapes;
  int64_t profile = -1;  // of the plan's; -1 = not given
  GpuSpec gpu;           // floats are the build's to say
  int64_t streams = 1;
  bool time_deserialize = false, time_refit = false, separate_profile = false;
  std::string refit_from;
  Files save_debug;                         // tensor -> raw file
  std::vector<std::string> save_all_debug;  // formats
  std::vector<RefPair> pairs = {{}};        // at least one
  std::string algorithm = "l0";
  double atol = 1e-5, rtol = 1e-5, threshold = 0;
  bool has_references() const { return !pairs[0].outputs.empty(); }
};

struct ReportingFlags {
  bool verbose = false;
  int64_t runs_per_average = 10;
  std::vector<float> percents = {90, 95, 99};
  bool dump_output = false, dump_raw = false, dump_profile = false, dump_layers = false, dump_shapes = false;
  bool dump_refit = false;
  std::string export_times, export_output, export_profile, export_layers;
  bool wants_profile() const { return dump_profile || !export_profile.empty(); }
};

struct SystemFlags {
  std::string device;  // "cpu", "ref", a number, or empty = the first CUDA device if there is one, else the CPU
  int64_t cpu_threads = 1, compat = 0;
  bool plan_version_only = false, help = false, describe = false;
};

struct Options {
  BuildFlags build;
  InferenceFlags inference;
  ReportingFlags reporting;
  SystemFlags system;
  /// Flags given that are not plainly honoured on every device, in the order of the table, to be said in the log.
  std::vector<const Flag*> to_say;
  std::vector<std::string> warnings, notes;  // of reading itself
};

struct Parsed {
  Options options;
  std::vector<std::string> errors;  // each names its flag; the run fails when there is one
};
/// words: without the program's name.
Parsed parse_options(const std::vector<std::string>& words);

}  // namespace octet::cli::trtexec
