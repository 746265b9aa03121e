#include "cli/options.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "cli/terminal.h"
#include "octet/measure.h"

namespace octet::cli {

namespace {

std::optional<int64_t> whole_number(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  return !text.empty() && *end == '\0' && errno == 0 ? std::optional<int64_t>(value) : std::nullopt;
}

}  // namespace

CLI::Validator at_least(int64_t low) {
  return CLI::Validator(
      [low](std::string& text) {
        const std::optional<int64_t> value = whole_number(text);
        return value && *value >= low
                   ? std::string()
                   : "'" + text + "': a whole number of at least " + std::to_string(low) + " is expected";
      },
      "");
}

CLI::Validator whole_within(int64_t low, int64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        const std::optional<int64_t> value = whole_number(text);
        return value && *value >= low && *value <= high ? std::string()
                                                        : "'" + text + "': a whole number from " + std::to_string(low) +
                                                              " to " + std::to_string(high) + " is expected";
      },
      "");
}

CLI::Validator memory_size() {
  return CLI::Validator(
      [](std::string& text) {
        const Result<size_t> bytes = parse_bytes("", text);
        return bytes && *bytes > 0 ? std::string()
                                   : "'" + text + "': a size like 1GiB, 64M or 4096 is expected, at least a byte";
      },
      "");
}

CLI::Validator thread_count() {
  return CLI::Validator(
      [](std::string& text) {
        char* end = nullptr;
        const long value = std::strtol(text.c_str(), &end, 10);
        const bool whole = !text.empty() && *end == '\0';
        return whole && value >= 0 && value <= 1024
                   ? std::string()
                   : "'" + text + "': a number of threads from 0 (all usable) to 1024 is expected";
      },
      "");
}

CLI::Validator file_name() {
  return CLI::Validator(
      [](std::string& text) { return text.empty() ? "'': the name of a file is expected" : std::string(); }, "");
}

CLI::Validator device_name() {
  return CLI::Validator(
      [](std::string& text) {
        return is_device_name(text) ? std::string() : "'" + text + "': " + device_names() + " is expected";
      },
      "");
}

CLI::Validator within_range(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool number = !text.empty() && *end == '\0';
        if (number && value >= low && value <= high) return std::string();
        char message[160];
        std::snprintf(message, sizeof message, "a number from %g to %g is expected", low, high);
        return "'" + text + "': " + message;
      },
      "");
}

void OutputFlags::add(CLI::App& sub) {
  const char* log = std::getenv("OCTET_LOG");
  quiet = log && std::strcmp(log, "quiet") == 0;
  verbose = log && std::strcmp(log, "verbose") == 0;
  sub.add_flag("--json", json, "one JSON object on stdout");
  sub.add_flag("--quiet", quiet, "no progress, no notes");
  sub.add_flag("--verbose", verbose, "all notes of reader, passes and placement");
}

void OutputFlags::print_notes(const std::vector<std::string>& notes) const {
  if (quiet) return;
  constexpr size_t k_shown = 5;
  const size_t shown = verbose ? notes.size() : std::min(notes.size(), k_shown);
  for (size_t i = 0; i < shown; ++i) show(stderr, "note: " + notes[i] + "\n");
  if (shown < notes.size()) std::fprintf(stderr, "note: %zu more (--verbose shows them)\n", notes.size() - shown);
}

void OutputFlags::print_notes(const Session& session) const {
  print_notes(session.notes());
  if (verbose && !quiet) show(stderr, session.tuning_log());
}

void DataFlags::add(CLI::App& sub, bool required) {
  auto* path = sub.add_option("--data", data.path,
                              "image, folder of images, CIFAR-10 .bin, .npy, .npz, shapes:N or synthetic:N");
  if (required) path->required();
  data.preprocess.clear();  // left to the network (octet/ranges.h)
  sub.add_option(
      "--preprocess", data.preprocess,
      "imagenet, cifar10, opencv224, none, or a spec like resize=256,crop=224,rgb,norm=imagenet; by default, "
      "pictures take the one that a plan or quantized file was calibrated with, else none");
  sub.add_option("--limit", data.limit, "only the first N samples in order of name (0 = all)")->check(at_least(0));
  sub.add_option("--shuffle", data.shuffle_seed, "take a random subset with this seed instead of the first N")
      ->check(at_least(0));
}

void CalibrationFlags::add(CLI::App& sub) {
  sub.add_option("--calib-data", data.path, "sample images from which INT8 ranges are found");
  sub.add_option("--calib-limit", data.limit, "samples used for calibration (0 = all)")
      ->capture_default_str()
      ->check(at_least(0));
  sub.add_option("--method", method, "max, entropy, percentile, mse or auto")
      ->capture_default_str()
      ->check(CLI::IsMember({"max", "entropy", "percentile", "mse", "auto"}));
  sub.add_option("--percentile", percentile, "for --method percentile")
      ->capture_default_str()
      ->check(within_range(0, 100));
  sub.add_option(
      "--ranges", ranges,
      "ranges from 'octet calibrate', or a calibration cache of TensorRT or ONNX Runtime, instead of --calib-data");
  sub.add_flag("--force", force, "take ranges that do not fit the model; recorded in the file");
  sub.add_option("--target", target, "octet, or tensorrt (s8 symmetric activations only)")
      ->capture_default_str()
      ->check(CLI::IsMember({"octet", "tensorrt"}));
  sub.add_option("--keep-float", keep_float, "names of nodes that stay float");
}

namespace {

constexpr int64_t k_largest_batch = 1 << 20;  // beyond any use, and within what shapes count

}  // namespace

void SessionFlags::add(CLI::App& sub, const std::string& default_precision) {
  app = &sub;
  precision = default_precision;
  sub.add_option(
         "--precision", precision,
         "fp32, int8, best (measured: INT8 where it is faster), bf16 (on a CPU that has it), fp16 or tf32 (on a GPU); "
         "with Q/DQ nodes: of the layers that they leave float")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "tf32", "fp16", "bf16", "int8", "best"}));
  sub.add_option("--device", device,
                 device_names() + ": N counts the GPUs from 0 on; ref are slow, plain reference kernels")
      ->capture_default_str()
      ->check(device_name());
  sub.add_option("--threads", threads, "threads, 0 = all usable")->capture_default_str()->check(thread_count());
  sub.add_option("--batch", batch,
                 "batch of a network whose leading dimension is free or can be made so (default: eval 8, else 1)")
      ->check(whole_within(1, k_largest_batch));
  sub.add_option("--shapes", shapes, "input shapes, e.g. input:1x3x224x224");
  sub.add_option("--skip-pass", skip_passes, "leave a pass out (names: octet inspect --passes)");
  auto* level = sub.add_option("--builderOptimizationLevel", optimization_level,
                               "0 to 2: tactics by the static cost model; 3 to 5: by measurement, longer each time")
                    ->capture_default_str()
                    ->check(CLI::Range(0, 5));
  sub.add_flag("--tune", tune, "time the candidate tactics of every layer: --builderOptimizationLevel 3")
      ->excludes(level);
  sub.add_option("--timing-cache,--timingCacheFile", timing_cache,
                 "file of measured times, read and updated when tuning; with all times in it nothing is measured");
  add_no_repair(sub, no_repair);
  calibration.data.limit = 512;
  calibration.add(sub);
}

namespace {

/// "1x3x224x224"; nothing when it is no shape.
std::optional<Dims> parse_dims(const std::string& text) {
  Dims dims;
  for (size_t at = 0; at < text.size();) {
    char* end = nullptr;
    const char* begin = text.c_str() + at;
    if (*begin < '0' || *begin > '9') return std::nullopt;
    dims.push_back(std::strtoll(begin, &end, 10));
    at += static_cast<size_t>(end - begin);
    if (at < text.size() && (text[at++] != 'x' || at == text.size())) return std::nullopt;
  }
  return element_count(dims) ? std::optional(dims) : std::nullopt;
}

}  // namespace

Result<std::pair<std::string, ShapeRange>> parse_shape_range(const std::string& text) {
  // Names may hold colons, so shapes are taken from the right, as trtexec does.
  std::vector<Dims> shapes;
  std::string name = text;
  while (shapes.size() < 3) {
    const size_t colon = name.rfind(':');
    if (colon == std::string::npos || colon == 0) break;
    const std::optional<Dims> dims = parse_dims(name.substr(colon + 1));
    if (!dims) break;
    shapes.insert(shapes.begin(), *dims);
    name = name.substr(0, colon);
  }
  for (const Dims& dims : shapes)
    if (std::find(dims.begin(), dims.end(), 0) != dims.end())
      return Error{ErrorCode::bad_argument, "--shapes " + text +
                                                ": an extent of 0 leaves no elements, so there is nothing to run: give "
                                                "extents from 1"};
  if (shapes.size() == 1) return std::pair(name, ShapeRange{shapes[0], shapes[0], shapes[0]});
  if (shapes.size() == 3) return std::pair(name, ShapeRange{shapes[0], shapes[1], shapes[2]});
  return Error{ErrorCode::bad_argument,
               "--shapes " + text + ": expected NAME:1x3x224x224, or for a build NAME:MIN:OPT:MAX"};
}

Result<size_t> parse_bytes(const std::string& flag, const std::string& text) {
  const Error error{ErrorCode::bad_argument, flag + " " + text + ": expected a size like 1GiB, 64M or 4096"};
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  std::string unit = end;
  if (unit.ends_with("iB")) unit = unit.substr(0, unit.size() - 2);
  if (unit.ends_with("B")) unit = unit.substr(0, unit.size() - 1);
  const std::string units = "KMGT";
  const size_t power = unit.empty()       ? 0
                       : unit.size() == 1 ? units.find(static_cast<char>(std::toupper(unit[0]))) + 1
                                          : 0;
  if (end == text.c_str() || (!unit.empty() && power == 0) || !(number >= 0)) return error;
  const double bytes = number * std::ldexp(1.0, 10 * static_cast<int>(power));
  if (!(bytes < std::ldexp(1.0, 62))) return error;
  return static_cast<size_t>(bytes);
}

Result<std::map<std::string, Dims>> parse_shapes(const std::vector<std::string>& texts) {
  std::map<std::string, Dims> shapes;
  for (const std::string& text : texts) {
    const Result<std::pair<std::string, ShapeRange>> shape = parse_shape_range(text);
    if (!shape) return shape.error();
    shapes[shape->first] = shape->second.best;
  }
  return shapes;
}

std::string SessionFlags::calibration_option() const {
  for (const char* name :
       {"--cache", "--ranges", "--calib-data", "--calib-limit", "--method", "--percentile", "--keep-float"}) {
    const CLI::Option* option = app->get_option_no_throw(name);
    if (option && option->count() > 0) return name;
  }
  return "";
}

bool SessionFlags::calibrates() const {
  const CLI::Option* second = app->get_option_no_throw("--precision2");
  const std::string precision2 = second && second->count() > 0 ? second->results().front() : "";
  const auto quantizes = [](const std::string& p) { return p == "int8" || p == "best"; };
  return quantizes(precision) || quantizes(precision2);
}

/// A plan is built already: what only a build heeds is refused, a precision has to be the plan's.
Result<Done> SessionFlags::check_plans() const {
  std::vector<std::string> plans;
  for (const char* name : {"MODEL", "PLAN"})
    if (const CLI::Option* models = app->get_option_no_throw(name))
      for (const std::string& path : models->results()) {
        if (!EngineFile::is_engine_file(path)) return Done{};
        plans.push_back(path);
      }
  if (plans.empty()) return Done{};
  for (const char* name :
       {"--cache", "--ranges", "--calib-data", "--calib-limit", "--method", "--percentile", "--keep-float", "--target",
        "--force", "--tune", "--builderOptimizationLevel", "--timing-cache", "--skip-pass", "--no-repair"}) {
    const CLI::Option* option = app->get_option_no_throw(name);
    if (option && option->count() > 0)
      return Error{ErrorCode::bad_argument, std::string(name) + " has no effect on " + plans[0] +
                                                ", a plan: that was decided when it was built; leave " + name +
                                                " out, or give the ONNX file"};
  }
  if (app->get_option("--precision")->count() == 0) return Done{};
  for (const std::string& path : plans) {
    const Result<EngineFile> file = EngineFile::load(path);
    if (!file || file->precision() == precision || file->precision().starts_with(precision + " and ")) continue;
    return Error{ErrorCode::bad_argument, path + " was built in " + file->precision() + ", --precision " + precision +
                                              " was asked for: build it with --precision " + precision +
                                              ", or leave that out"};
  }
  return Done{};
}

/// A batch beside shapes that all begin with another extent.
Result<Done> SessionFlags::check_batch() const {
  if (batch == 0 || shapes.empty()) return Done{};
  for (const std::string& text : shapes) {
    const Result<std::pair<std::string, ShapeRange>> shape = parse_shape_range(text);
    if (!shape) return shape.error();
    const ShapeRange& range = shape->second;
    if (range.best.empty() || (range.smallest[0] <= batch && batch <= range.largest[0])) return Done{};
  }
  return Error{ErrorCode::bad_argument, "--batch " + std::to_string(batch) + " and --shapes " + shapes[0] +
                                            " contradict each other: leave one of them out"};
}

Result<Done> SessionFlags::check() const {
  if (const Result<Done> ok = check_plans(); !ok) return ok;
  if (const std::string option = calibration_option(); !option.empty() && !calibrates())
    return Error{ErrorCode::bad_argument, option + " has no effect with --precision " + precision +
                                              ", which takes no ranges: add --precision int8 (or best), or leave " +
                                              option + " out"};
  const bool takes_times = tune || optimization_level >= 3 || precision == "best" || is_gpu(device);
  const CLI::Option* second = app->get_option_no_throw("--precision2");
  if (!timing_cache.empty() && !takes_times && !(second && second->count() > 0 && second->results()[0] == "best"))
    return Error{ErrorCode::bad_argument, "--timing-cache " + timing_cache +
                                              " has no effect where nothing is timed: add --tune (or "
                                              "--builderOptimizationLevel 3 to 5), or leave it out"};
  return check_batch();
}

Result<SessionSpec> SessionFlags::spec(const std::string& preprocess, const OutputFlags& output) const {
  if (const Result<Done> ok = check(); !ok) return ok.error();
  SessionSpec spec;
  spec.precision = precision;
  spec.device = device;
  spec.threads = threads;
  spec.batch = batch;
  Result<std::map<std::string, Dims>> parsed = parse_shapes(shapes);
  if (!parsed) return parsed.error();
  spec.shapes = spec.calibration.shapes = *std::move(parsed);
  spec.ranges = calibration.ranges;
  spec.calibration.data = calibration.data;
  spec.calibration.data.preprocess = preprocess.empty() ? "none" : preprocess;
  spec.calibration.method = calibration.method;
  spec.calibration.percentile = calibration.percentile;
  spec.calibration.threads = threads;
  spec.calibration.progress = progress_bar("calibrating", output);
  spec.calibration.auto_progress = progress_bar("auto: trials", output);
  spec.calibration.target = calibration.target;
  spec.quantization.force = calibration.force;
  // A ranges file carries its method; the flag's default must not override it.
  spec.quantization.method = calibration.ranges.empty() ? calibration.method : "";
  spec.quantization.target = calibration.target;
  spec.quantization.keep_float = {calibration.keep_float.begin(), calibration.keep_float.end()};
  spec.skip_passes = {skip_passes.begin(), skip_passes.end()};
  spec.optimization_level = tune ? 3 : optimization_level;
  spec.timing_cache = timing_cache;
  return spec;
}

Result<Session> SessionFlags::open(const std::string& path, const SessionSpec& session_spec) const {
  return Session::open(path, session_spec, load_options());
}

Result<SessionMaker> SessionFlags::maker(const std::string& path, const SessionSpec& session_spec) const {
  return SessionMaker::open(path, session_spec, load_options());
}

LoadOptions SessionFlags::load_options() const {
  LoadOptions options;
  options.skip_passes = {skip_passes.begin(), skip_passes.end()};
  options.repair = !no_repair;
  return options;
}

Result<Model> load(const std::string& path, const std::vector<std::string>& skip_passes, bool no_repair) {
  LoadOptions options;
  options.skip_passes = {skip_passes.begin(), skip_passes.end()};
  options.repair = !no_repair;
  return Model::load(path, options);
}

void add_no_repair(CLI::App& sub, bool& no_repair) {
  sub.add_flag("--no-repair", no_repair, "take a quantized file as it is (octet repair shows what would be mended)");
}

int report_findings(const Model& model, const OutputFlags& output) {
  int status = 0;
  for (const TargetFinding& finding : model.findings()) {
    if (finding.severity == "error") status = 1;
    if (finding.severity == "error" || (finding.severity == "warning" && !output.quiet) || output.verbose)
      show(stderr, "tensorrt: " + to_text(finding) + "\n");
  }
  return status;
}

Progress progress_bar(std::string title, const OutputFlags& output) {
  if (output.quiet) return {};
  struct State {
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    int64_t shown = -1;
  };
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  return [title = std::move(title), terminal, state = std::make_shared<State>()](int64_t done, int64_t total) {
    const int64_t step = terminal ? 100 : 10;
    const int64_t now = total > 0 ? done * step / total : done / 100;
    if (now == state->shown) return;
    state->shown = now;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - state->start).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    if (terminal) {
      const auto filled = static_cast<size_t>(total > 0 ? done * 30 / total : 0);
      const std::string bar = std::string(filled, '#') + std::string(30 - filled, '.');
      std::fprintf(stderr, "\r%s [%s] %lld/%lld, %.0f/s ", title.c_str(), bar.c_str(), static_cast<long long>(done),
                   static_cast<long long>(total), rate);
      if (done == total) std::fprintf(stderr, "\n");
    } else {
      std::fprintf(stderr, "%s %lld/%lld, %.0f/s\n", title.c_str(), static_cast<long long>(done),
                   static_cast<long long>(total), rate);
    }
  };
}

}  // namespace octet::cli
