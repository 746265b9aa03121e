#pragma once
// Flags that several commands share, spelled the same everywhere (docs/cli.md).

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "octet/engine_file.h"
#include "octet/model.h"
#include "octet/session.h"
#include "octet/tasks.h"

namespace octet::cli {

/// Checks with texts of octet's own: the value is a whole number of at least `low`, or finite and in [low, high].
CLI::Validator at_least(int64_t low);
/// A whole number within these ends.
CLI::Validator whole_within(int64_t low, int64_t high);
/// "1GiB", "64M", "4096": at least a byte.
CLI::Validator memory_size();
CLI::Validator within_range(double low, double high);
/// Of --threads: 0 to 1024, as many as a thread pool has.
CLI::Validator thread_count();
/// Of a file that has to be written: not the empty name that a script's unset variable leaves.
CLI::Validator file_name();
/// Of --device: cpu, ref, cuda or cuda:N.
CLI::Validator device_name();

/// --json, --quiet, --verbose.
struct OutputFlags {
  bool json = false, quiet = false, verbose = false;
  void add(CLI::App& sub);
  /// Notes go to stderr: all with --verbose, none with --quiet, else the first few and how many more.
  void print_notes(const std::vector<std::string>& notes) const;
  /// A session's notes, and with --verbose the log of its tuning.
  void print_notes(const Session& session) const;
};

/// --data, --preprocess, --limit, --shuffle.
struct DataFlags {
  DataOptions data;
  void add(CLI::App& sub, bool required);
};

/// --calib-data, --calib-limit, --method, --percentile, --ranges, --force, --target, --keep-float.
struct CalibrationFlags {
  DataOptions data;
  std::string method = "entropy", ranges, target = "octet";
  double percentile = 99.99;
  bool force = false;
  std::vector<std::string> keep_float;
  void add(CLI::App& sub);
};

/// --precision, --device, --threads, --batch, --shapes, --skip-pass, --tune, --timing-cache with the calibration flags.
struct SessionFlags {
  std::string precision, device = "cpu";
  int threads = 1;
  int64_t batch = 0;
  std::vector<std::string> shapes, skip_passes;
  bool tune = false;
  int optimization_level = 2;
  std::string timing_cache;
  bool no_repair = false;
  CalibrationFlags calibration;
  const CLI::App* app = nullptr;  // that they were added to
  void add(CLI::App& sub, const std::string& default_precision);
  /// preprocess is that of the evaluation data, which calibration shares; empty = none was given.
  /// Errors: options of a calibration where nothing is calibrated, of a build where all models are plans, of times
  /// where none are taken; a batch that contradicts the shapes.
  Result<SessionSpec> spec(const std::string& preprocess, const OutputFlags& output) const;
  /// From an ONNX file, repaired unless told otherwise, or a plan.
  Result<Session> open(const std::string& path, const SessionSpec& session_spec) const;
  /// The same again and again, of one of two models.
  Result<SessionMaker> maker(const std::string& path, const SessionSpec& session_spec) const;
  LoadOptions load_options() const;

 private:
  /// The first given option that only a calibration heeds; empty = none.
  std::string calibration_option() const;
  bool calibrates() const;
  /// Options that count nowhere, or against each other.
  Result<Done> check() const;
  Result<Done> check_plans() const;
  Result<Done> check_batch() const;
};

/// --shapes NAME:1x3x224x224 by name.
Result<std::map<std::string, Dims>> parse_shapes(const std::vector<std::string>& texts);
/// "1GiB", "64M", "4096": powers of 1024; a bare number is bytes.
Result<size_t> parse_bytes(const std::string& flag, const std::string& text);
/// "input:1x3x224x224" or, for a build, "input:1x3x224x224:8x3x224x224:32x3x224x224" (smallest, best, largest).
Result<std::pair<std::string, ShapeRange>> parse_shape_range(const std::string& text);

Result<Model> load(const std::string& path, const std::vector<std::string>& skip_passes, bool no_repair = false);
void add_no_repair(CLI::App& sub, bool& no_repair);

/// TensorRT's rules on what was written, to stderr; the exit status: 1 when one that it refuses is broken.
int report_findings(const Model& model, const OutputFlags& output);

/// A bar on a terminal, plain lines every ten percent otherwise, nothing with --quiet.
Progress progress_bar(std::string title, const OutputFlags& output);

}  // namespace octet::cli
