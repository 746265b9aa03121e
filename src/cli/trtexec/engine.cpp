#include "cli/trtexec/engine.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "cli/trtexec/refit.h"
#include "cli/trtexec/shapes.h"
#include "octet/cache.h"
#include "octet/tasks.h"

namespace octet::cli::trtexec {
namespace {

using Clock = std::chrono::steady_clock;

/// Noise from which ranges are taken when there are no others; ranges of noise are stamped into the plan.
constexpr const char* k_noise = "synthetic:16";

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Of a repair that changed answers.
bool is_lossy_repair(const std::string& note) { return note.starts_with("repair ") && !note.ends_with(", lossless"); }
/// Of a part of a plan that is damaged or there twice.
bool is_left_out(const std::string& note) { return note.starts_with("ignored: "); }
/// Of a node whose answers ONNX does not define.
bool is_undefined(const std::string& note) {
  return note.find("its bias holds a NaN") != std::string::npos ||
         note.find("(Dropout): training_mode") != std::string::npos;
}

void say_notes(const std::vector<std::string>& notes, const Log& log) {
  for (const std::string& note : notes) {
    if (note.find("UNCALIBRATED") != std::string::npos || is_lossy_repair(note) || is_undefined(note) ||
        is_left_out(note)) {
      log.warning("[octet] " + note);
    } else if (note.find(" codes, scale ") != std::string::npos) {  // of inputs and outputs: a user has to know
      log.info("[octet] " + note);
    } else {
      log.verbose("[octet] " + note);
    }
  }
}

Result<Model> parse_model(const std::string& path, const Log& log) {
  log.info("Start parsing network model.");
  const auto start = Clock::now();
  if (const Result<Done> ok = refuse_tensorrt_plan(path); !ok) return ok.error();
  if (EngineFile::is_engine_file(path))
    return Error{ErrorCode::bad_argument, "--onnx=" + path + ": this is a plan of octet; use --loadEngine=" + path};
  Result<Model> model = Model::load(path);
  if (!model) return Error{model.error().code, "Failed to parse onnx file: " + model.error().message};
  log.info("[octet] ----------------------------------------------------------------\n[octet] Input filename:   " +
           path + "\n[octet] ----------------------------------------------------------------");
  say_notes(model->notes(), log);
  log.info("Finished parsing network model. Parse time: " + number(seconds_since(start)));
  return model;
}

/// What --layerPrecisions and --layerOutputTypes ask of an INT8 build; a later rule wins.
struct LayerTypes {
  std::set<std::string> kept;          // layers that compute in float
  std::set<std::string> float_values;  // outputs of layers that end in float, however they compute
};

/// Layers whose name fits the pattern: the joined one of layer files, that of a node of the ONNX file that is part of
/// it, or its product's. details: of the same layers. Errors: none fits.
Result<std::vector<const LayerInfo*>> layers_named(const std::vector<LayerInfo>& layers,
                                                   const std::vector<LayerDetail>& details, const std::string& pattern,
                                                   const char* flag) {
  std::vector<const LayerInfo*> found;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::vector<std::string>& parts = details[i].origins;
    if (matches(pattern, layers[i].name) || matches(pattern, details[i].joined_name) ||
        std::any_of(parts.begin(), parts.end(), [&](const std::string& part) { return matches(pattern, part); }))
      found.push_back(&layers[i]);
  }
  if (!found.empty()) return found;
  return Error{ErrorCode::bad_argument,
               std::string(flag) + ": no layer has the name " + pattern + "; --dumpLayerInfo lists the names"};
}

Result<LayerTypes> layer_types(const Model& model, const BuildFlags& build) {
  LayerTypes types;
  if (build.layer_precisions.empty() && build.layer_outputs.empty()) return types;
  const Result<Session> session = Session::build(model, {});
  if (!session) return session.error();
  const std::vector<LayerInfo> layers = session->layers();
  const std::vector<LayerDetail> details = layer_details(*session);
  for (const auto& [flag, rules, to] : {std::tuple("--layerPrecisions", &build.layer_precisions, &types.kept),
                                        std::tuple("--layerOutputTypes", &build.layer_outputs, &types.float_values)})
    for (const auto& [pattern, type] : *rules) {
      const Result<std::vector<const LayerInfo*>> found = layers_named(layers, details, pattern, flag);
      if (!found) return found.error();
      for (const LayerInfo* layer : *found) {
        const std::string& name = to == &types.kept ? layer->name : layer->output;
        if (type == "int8") {
          to->erase(name);
        } else {
          to->insert(name);
        }
      }
    }
  return types;
}

bool names_type(const BuildFlags& build, std::initializer_list<const char*> types) {
  const auto is_one = [&](const auto& rule) {
    return std::any_of(types.begin(), types.end(), [&](const char* type) { return rule.second == type; });
  };
  return std::any_of(build.layer_precisions.begin(), build.layer_precisions.end(), is_one) ||
         std::any_of(build.layer_outputs.begin(), build.layer_outputs.end(), is_one);
}

/// Precision of the layers that are not INT8: one for all of a network. Types that cannot be had are said.
std::string float_precision(const BuildFlags& build, bool on_gpu, const Log& log) {
  const auto mapped = [&](const char* to, std::initializer_list<const char*> types) {
    for (const auto& [flag, rules] : {std::pair("--layerPrecisions", &build.layer_precisions),
                                      std::pair("--layerOutputTypes", &build.layer_outputs)})
      for (const auto& [pattern, type] : *rules)
        if (std::find(types.begin(), types.end(), type) != types.end())
          log.warning(std::string(flag) + " " + pattern + ":" + type + ": mapped to " + to);
  };
  const bool asks_half = names_type(build, {"fp16", "bf16"}), asks_full = names_type(build, {"fp32", "int32"});
  if (!on_gpu && (build.bf16 || build.fp16) && !asks_full) return build.bf16 ? "bf16" : "fp16";
  if (!on_gpu) {
    mapped("fp32", {"fp16", "bf16", "int32"});
    if (build.bf16 || build.fp16)
      log.warning("--layerPrecisions or --layerOutputTypes ask for fp32: no layer runs in " +
                  std::string(build.bf16 ? "BF16" : "FP16 or BF16") + ", float layers have one type");
    return "fp32";
  }
  mapped("fp32", {"int32"});
  const std::string full = build.no_tf32 ? "fp32" : "tf32";
  if (asks_half && asks_full) {
    mapped("fp32, as float layers of a network have one type and others ask for fp32", {"fp16", "bf16"});
    return full;
  }
  if (asks_full) {
    if (build.fp16 || build.bf16) log.warning("--layerPrecisions asks for fp32: no layer runs in FP16");
    return full;
  }
  mapped("fp16", {"bf16"});
  return asks_half || build.fp16 || build.bf16 || build.best ? "fp16" : full;
}

/// --calib: a file that cannot be read, or ranges of another network.
Result<Done> check_calib(const std::string& path, const Model& model) {
  const std::string flag = "--calib=" + path + ": ";
  const Result<CalibrationCache> cache = CalibrationCache::load(path);
  if (!cache) return Error{cache.error().code, "--calib=" + cache.error().message};  // which names the file
  const CacheCheck check = cache->check(model);
  if (check.fits) return Done{};
  return Error{ErrorCode::bad_argument, flag + check.reason + ": give the ranges of " + model.path() +
                                            " ('octet calibrate' finds them), or leave --calib out"};
}

/// Codes that --inputIOFormats or --outputIOFormats ask of a network that has none.
Result<Done> check_codes(const BuildSpec& spec, const Model& model) {
  if (spec.session.precision == "int8" || spec.session.precision == "best") return Done{};
  for (const auto& [name, format] : spec.formats) {
    if (format.dtype != "int8" && format.dtype != "uint8") continue;
    const std::vector<TensorInfo> inputs = model.inputs();
    const bool is_input =
        std::any_of(inputs.begin(), inputs.end(), [&](const TensorInfo& input) { return input.name == name; });
    return Error{ErrorCode::bad_argument, std::string(is_input ? "--inputIOFormats=" : "--outputIOFormats=") +
                                              format.dtype + ": tensor '" + name +
                                              "': the network does not quantize it, so it has no " + format.dtype +
                                              " codes: build it with --int8, or give it in its own type"};
  }
  return Done{};
}

/// Where the ranges of an INT8 build come from, said once.
Result<Done> choose_ranges(const Model& model, const BuildFlags& build, const ResolvedShapes& shapes, BuildSpec& spec,
                           const Log& log) {
  const bool on_gpu = is_gpu(spec.session.device);
  const std::string floats = float_precision(build, on_gpu, log);
  spec.session.gpu.floats = floats;
  const bool from_noise = build.int8 && !model.is_quantized() && build.calib.empty();
  if (!build.opt_shapes_calib.empty() && !from_noise)
    log.warning("--optShapesCalib has no effect: ranges do not come from random numbers here");
  if (model.is_quantized()) {
    spec.session.precision = "int8";
    if (!build.int8 && !build.strongly_typed)
      log.warning("The model has Q/DQ nodes and --int8 is not given: it is built in INT8 where they ask for it");
    if (!build.calib.empty())
      log.warning("--calib=" + build.calib +
                  ": Calibrator won't be used in explicit precision mode. Use quantization "
                  "aware training to generate network with Quantize/Dequantize nodes.");
    if (!build.layer_precisions.empty() || !build.layer_outputs.empty())
      log.warning(
          "--layerPrecisions and --layerOutputTypes move no layer to or from INT8 in a model with Q/DQ nodes: the "
          "graph "
          "is the law");
    return Done{};
  }
  if (!build.int8) {
    spec.session.precision = floats;
    return Done{};
  }
  // Several types allowed: on a GPU the fastest for each layer by measurement.
  const bool measured = on_gpu && (build.fp16 || build.bf16 || build.best) && floats == "fp16";
  spec.session.precision = measured ? "best" : "int8";
  if (measured) spec.session.gpu.floats = build.no_tf32 ? "fp32" : "tf32";  // beside FP16
  Result<LayerTypes> types = layer_types(model, build);
  if (!types) return types.error();
  spec.session.quantization.keep_float = std::move(types->kept);
  spec.session.quantization.float_values = std::move(types->float_values);
  if (!build.calib.empty()) {
    if (const Result<Done> fits = check_calib(build.calib, model); !fits) return fits.error();
    spec.session.ranges = build.calib;
    log.info("INT8 ranges from " + build.calib);
    return Done{};
  }
  const Result<std::map<std::string, Dims>> calibrated = calibration_shapes(model.inputs(), build, shapes);
  if (!calibrated) return calibrated.error();
  spec.session.calibration.shapes = *calibrated;
  for (const auto& [input, dims] : *calibrated) {
    if (!dims.empty()) spec.session.calibration.batch = dims[0];
    log.info("Ranges are found at shape " + dims_text(dims) + " of input " + input);
  }
  spec.session.calibration.data.path = k_noise;
  spec.session.calibration.method = "max";
  spec.session.quantization.method = "max";
  return Done{};
}

/// The one line about ranges of noise, after the build: only then it is known whether a layer needed them.
void say_noise(const EngineFile& file, std::vector<std::string>& notes, const Log& log) {
  std::erase_if(notes, [](const std::string& note) { return note.find("UNCALIBRATED") != std::string::npos; });
  if (file.is_uncalibrated()) {
    log.warning(
        "--int8 without Q/DQ nodes and without --calib: ranges come from 16 samples of random numbers (largest "
        "value seen). Times are those of INT8, answers mean nothing: the plan is stamped UNCALIBRATED.");
  } else {
    log.warning("--int8: no layer of this network is left in INT8, so it is a plan in " + file.precision());
  }
}

/// The order of channels that there is and comes first in "hwc+chw"; -1 where there is none. A GPU has more.
int channels_together(const std::string& orders, bool on_gpu) {
  for (const std::string& order : split(orders, '+')) {
    if (order == "chw") return 0;
    if (order == "hwc") return 1;
    if (on_gpu && order == "chw4") return 4;
    if (on_gpu && order == "chw32") return 32;
  }
  return -1;
}

/// "int8:hwc+chw" of --inputIOFormats for one tensor.
Result<IoFormat> io_format(const std::string& flag, const std::string& text, const TensorInfo& tensor, bool on_gpu) {
  const std::string own = tensor.dtype.starts_with("float") ? "fp" + tensor.dtype.substr(5) : tensor.dtype;
  const size_t colon = text.find(':');
  const std::string type = colon == std::string::npos ? own : text.substr(0, colon);
  const int together = channels_together(text.substr(colon == std::string::npos ? 0 : colon + 1), on_gpu);
  const bool codes = own == "fp32" && (type == "int8" || type == "uint8");
  const bool half = on_gpu && own == "fp32" && type == "fp16";
  if (together < 0 || (type != own && !codes && !half)) {
    const std::string types = own != "fp32" ? own : on_gpu ? "fp32 or fp16" : "fp32";
    return Error{ErrorCode::bad_argument,
                 flag + "=" + text + ": tensor '" + tensor.name + "' is given and taken as " + types +
                     (own == "fp32" ? ", or as the int8 or uint8 codes that the network makes of it," : "") +
                     (on_gpu ? " in chw, hwc, chw4 or chw32" : " in chw or hwc (fp16, chw4 and chw32: on a GPU)") +
                     ": ask for one of these"};
  }
  return IoFormat{.dtype = codes ? type : half ? "float16" : "", .channels_together = together};
}

Result<Done> read_formats(const std::string& flag, const std::vector<std::string>& formats,
                          const std::vector<TensorInfo>& tensors, bool on_gpu, std::map<std::string, IoFormat>& to) {
  if (formats.empty()) return Done{};
  const std::string direction = flag == "--inputIOFormats" ? "inputs" : "outputs";
  if (formats.size() != 1 && formats.size() != tensors.size())
    return Error{ErrorCode::bad_argument, "The number of " + flag.substr(2) + " must match network's " + direction +
                                              " or be one for broadcasting."};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Result<IoFormat> format = io_format(flag, formats[formats.size() == 1 ? 0 : i], tensors[i], on_gpu);
    if (!format) return format.error();
    if (!(*format == IoFormat())) to[tensors[i].name] = *format;
  }
  return Done{};
}

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// --timingCacheFile if it is there to be made or is octet's; a foreign one is left alone.
std::string usable_timing_cache(const BuildFlags& build, const Log& log) {
  if (build.timing_cache.empty() || build.no_timing_cache) return "";
  const std::string text = file_text(build.timing_cache);
  if (text.empty() || text.starts_with("octet timing cache")) return build.timing_cache;
  log.warning("--timingCacheFile=" + build.timing_cache +
              " is not a timing cache of octet: it is neither read nor written");
  return "";
}

Result<EngineFile> build(const Options& o, const std::string& device, ResolvedShapes& shapes, const Log& log) {
  const Result<Model> model = parse_model(o.build.onnx, log);
  if (!model) return model.error();
  BuildSpec spec;
  for (const auto& [flag, formats, tensors] :
       {std::tuple("--inputIOFormats", &o.build.input_formats, model->inputs()),
        std::tuple("--outputIOFormats", &o.build.output_formats, model->outputs())})
    if (const Result<Done> ok = read_formats(flag, *formats, tensors, is_gpu(device), spec.formats); !ok)
      return ok.error();
  Result<ResolvedShapes> resolved = resolve_shapes(model->inputs(), o.build, o.inference.shapes, log);
  if (!resolved) return resolved.error();
  shapes = *resolved;
  for (auto& [name, dims] : shapes.run)
    if (const auto format = spec.formats.find(name); format != spec.formats.end())
      dims = dims_in_format(dims, format->second);
  spec.session.device = device;
  spec.session.gpu = o.inference.gpu;
  spec.session.threads = static_cast<int>(o.system.cpu_threads);
  spec.session.shapes = shapes.best;
  spec.session.calibration.threads = spec.session.threads;
  spec.profile = shapes.profile;
  spec.profiles = shapes.profiles;
  spec.refittable = o.build.refit;
  spec.workspace_bytes = static_cast<size_t>(o.build.workspace_bytes);
  // trtexec prints its default level as -1 and means 3.
  spec.session.optimization_level = static_cast<int>(o.build.optimization_level < 0 ? 3 : o.build.optimization_level);
  spec.session.timing_rounds = static_cast<int>(o.build.timing_rounds);
  spec.session.timing_cache = usable_timing_cache(o.build, log);
  const std::string known_times = file_text(spec.session.timing_cache);
  if (const Result<Done> ok = choose_ranges(*model, o.build, shapes, spec, log); !ok) return ok.error();
  if (const Result<Done> ok = check_codes(spec, *model); !ok) return ok.error();
  const auto start = Clock::now();
  Result<EngineFile> file = build_engine(*model, spec);
  if (!file) return file.error();
  std::vector<std::string> notes = file->notes();
  std::erase_if(notes, is_lossy_repair);  // said when the file was parsed
  if (spec.session.calibration.data.path == k_noise) say_noise(*file, notes, log);
  say_notes(notes, log);
  log.verbose(file->tuning_log());
  if (o.build.error_on_cache_miss && file_text(spec.session.timing_cache) != known_times)
    return Error{ErrorCode::bad_argument,
                 "--errorOnTimingCacheMiss: " + o.build.timing_cache +
                     " did not hold the times of all tactics of this network; they are in it now"};
  log.info("Engine built in " + number(seconds_since(start)) + " sec.");
  log.info("Created engine with size: " + number(static_cast<double>(file->size_bytes()) / 1048576) + " MiB");
  return file;
}

/// say: its notes, which a build has said already.
Result<EngineFile> load(const std::string& path, bool say, const Log& log) {
  const auto start = Clock::now();
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{ErrorCode::io, "Error opening engine file: " + path};
  if (const Result<Done> ok = refuse_tensorrt_plan(path); !ok) return ok.error();
  Result<EngineFile> engine = EngineFile::load(path);
  if (!engine) return Error{engine.error().code, "Engine deserialization failed: " + engine.error().message};
  if (say) say_notes(engine->notes(), log);
  log.info("Engine deserialized in " + number(seconds_since(start)) + " sec.");
  return engine;
}

/// --refitFromOnnx, with tactics chosen as a build chooses them.
Result<EngineFile> refit(const Options& o, const EngineFile& plan, SessionSpec spec, const Log& log) {
  const auto start = Clock::now();
  spec.optimization_level = static_cast<int>(o.build.optimization_level < 0 ? 3 : o.build.optimization_level);
  spec.timing_rounds = static_cast<int>(o.build.timing_rounds);
  spec.timing_cache = usable_timing_cache(o.build, log);
  Result<EngineFile> made = refitted(plan, o.inference.refit_from, spec);
  if (!made) return Error{made.error().code, "--refitFromOnnx: " + made.error().message};
  say_notes(made->notes(), log);
  log.verbose(made->tuning_log());
  log.info("Engine refitted from " + o.inference.refit_from + " in " + number(seconds_since(start)) + " sec.");
  return made;
}

}  // namespace

Result<Done> refuse_tensorrt_plan(const std::string& path) {
  char magic[4] = {};
  if (std::ifstream file(path, std::ios::binary); file) file.read(magic, 4);
  if (std::string(magic, 4) != "ftrt") return Done{};
  return Error{ErrorCode::bad_argument, path + ": this is a TensorRT plan; octet builds from ONNX, see --onnx"};
}

Result<std::string> chosen_device(const SystemFlags& system, std::string& warning) {
  if (system.device == "cpu" || system.device == "ref") return system.device;
  const std::string number = system.device.empty() ? "0" : system.device;
  const std::string gpu = gpu_device(number);
  const Result<Done> there = check_device(gpu);
  if (there) return gpu;
  if (is_device_built_in(gpu_device())) {  // trtexec's own words, and the reason
    if (has_device(gpu_device())) return Error{ErrorCode::device, "Cannot find device ID " + number + "!"};
    return Error{ErrorCode::device, "Cannot find any available devices (GPUs)! (--device=cpu runs without one): " +
                                        check_device(gpu_device()).error().message};
  }
  if (number != "0") warning = "--device=" + number + ": this build has no CUDA; the CPU is used, as with --device=cpu";
  return std::string("cpu");
}

namespace {

/// The profile to run, of those that the plan has.
void choose_profile(const Options& o, const EngineFile& file, SessionSpec& spec, const Log& log) {
  const size_t count = file.profiles().size();
  spec.profile = o.inference.profile;
  if (spec.profile >= 0 || count == 1) return;
  spec.profile = 0;
  log.warning("The engine holds " + std::to_string(count) +
              " optimization profiles and --useProfile is not given: profile 0 is used");
}

}  // namespace

Result<Engine> make_engine(const Options& o, const std::string& device, const Log& log) {
  SessionSpec spec;
  spec.device = device;
  spec.gpu = o.inference.gpu;
  spec.threads = static_cast<int>(o.system.cpu_threads);
  if (!o.build.load_engine.empty()) {
    Result<EngineFile> file = load(o.build.load_engine, true, log);
    if (!file) return file.error();
    const Result<std::map<std::string, Dims>> shapes = resolve_run_shapes(file->inputs(), o.inference.shapes);
    if (!shapes) return shapes.error();
    if (!o.inference.refit_from.empty()) {
      file = refit(o, *file, spec, log);
      if (!file) return file.error();
    }
    spec.shapes = *shapes;
    choose_profile(o, *file, spec, log);
    return Engine{*std::move(file), spec};
  }
  ResolvedShapes shapes;
  Result<EngineFile> file = build(o, device, shapes, log);
  if (!file) return file.error();
  spec.shapes = shapes.run;
  choose_profile(o, *file, spec, log);
  if (o.build.save_engine.empty()) return Engine{*std::move(file), spec};
  if (const Result<Done> saved = file->save(o.build.save_engine); !saved) return saved.error();
  Result<EngineFile> read_back = load(o.build.save_engine, false, log);
  if (!read_back) return read_back.error();
  return Engine{*std::move(read_back), spec};
}

}  // namespace octet::cli::trtexec
