#include "octet/engine_file.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "api/io_formats.h"
#include "api/profiles.h"
#include "api/state.h"
#include "backends/open.h"
#include "base/hash.h"
#include "data/dataset.h"
#include "ir/metadata.h"
#include "ir/op.h"
#include "ir/text.h"
#include "octet/version.h"
#include "quant/ranges.h"
#include "runtime/load_plan.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string own_name() { return std::string("octet ") + k_version; }

std::string file_name(const std::string& path) { return std::filesystem::path(path).filename().string(); }

// ---- calibration cache ----

/// The ranges of a cache file when it was made from this model and data; an Error says what differs.
Result<Ranges> ranges_from_cache(const Model& model, const BuildSpec& spec) {
  Result<Ranges> ranges = Ranges::load(spec.cache, model, spec.session.quantization.force);
  if (!ranges) return ranges.error();
  const CalibrationTable& table = *ranges->table;
  const auto stale = [&](const std::string& what, const std::string& was, const std::string& is) {
    return Error{ErrorCode::bad_argument, "--cache " + spec.cache + " is stale: it was made with " + what + " " + was +
                                              ", this build has " + is +
                                              "; remove it to calibrate again, or name another file"};
  };
  if (!table.model_hash.empty() && table.model_hash != model.hash() && !spec.session.quantization.force)
    return stale("model", table.model_hash, model.hash());
  const DataOptions& data = spec.session.calibration.data;
  if (data.path.empty() || table.data_hash.empty()) return ranges;  // a foreign cache does not say its data
  const Result<Preprocess> preprocess = parse_preprocess(data.preprocess);
  if (!preprocess) return preprocess.error();
  if (table.preprocess != to_string(*preprocess))
    return stale("--preprocess", table.preprocess, to_string(*preprocess));
  DatasetOptions options{.preprocess = data.preprocess, .limit = data.limit, .shuffle = {}};
  if (data.shuffle_seed >= 0) options.shuffle = static_cast<uint64_t>(data.shuffle_seed);
  const Result<std::unique_ptr<Dataset>> samples = open_dataset(data.path, options);
  if (!samples) return samples.error();
  if (table.data_hash != (*samples)->hash())
    return stale("data", table.data_hash, (*samples)->hash() + " (" + data.path + ")");
  return ranges;
}

/// The session's spec with its ranges settled: from the cache, or calibrated and then written to the cache.
Result<SessionSpec> with_cache(const Model& model, const BuildSpec& spec, std::vector<std::string>& notes) {
  SessionSpec session = spec.session;
  if (spec.cache.empty() || model.is_quantized() || (session.precision != "int8" && session.precision != "best") ||
      !session.ranges.empty())
    return session;
  if (!std::filesystem::exists(spec.cache)) {
    if (session.calibration.data.path.empty())
      return Error{ErrorCode::bad_argument,
                   "--cache " + spec.cache + " does not exist yet: give --calib-data PATH to make it"};
    if (const Result<Done> ok = check_quantize_spec(model, session.quantization); !ok) return ok.error();
    const Result<Ranges> ranges = calibrate(model, session.calibration);
    if (!ranges) return ranges.error();
    if (const Result<Done> saved = ranges->save(spec.cache); !saved) return saved.error();
    notes.push_back("calibrated " + std::to_string(ranges->samples()) + " samples, wrote " + spec.cache);
  } else {
    const Result<Ranges> ranges = ranges_from_cache(model, spec);
    if (!ranges) return ranges.error();
    notes.push_back("ranges from " + spec.cache + " (" + std::to_string(ranges->samples()) +
                    " samples), not calibrated again");
  }
  session.ranges = spec.cache;
  return session;
}

// ---- shapes ----

std::string range_text(const ShapeRange& range) {
  return to_string(range.smallest) + ", " + to_string(range.best) + ", " + to_string(range.largest);
}

Result<Done> check_range(const std::string& input, const ShapeRange& range) {
  bool ok = range.smallest.size() == range.best.size() && range.best.size() == range.largest.size();
  for (size_t d = 0; ok && d < range.best.size(); ++d)
    ok = range.smallest[d] <= range.best[d] && range.best[d] <= range.largest[d];
  if (ok) return Done{};
  return Error{ErrorCode::bad_argument, "the profile of input '" + input + "' is " + range_text(range) +
                                            ": expected smallest <= best <= largest, extent by extent"};
}

using Pick = Dims ShapeRange::*;

Binding binding_at(const BuildSpec& spec, Pick shape) {
  Binding binding{.batch = spec.session.batch > 0 ? spec.session.batch : 1,
                  .shapes = spec.session.shapes,
                  .picture = picture_of(spec.session.calibration.data.preprocess)};
  for (const auto& [input, range] : spec.profile) binding.shapes[input] = range.*shape;
  return binding;
}

std::set<std::string> skipped_passes(const Model& model, const BuildSpec& spec) {
  std::set<std::string> skip = spec.session.skip_passes;
  skip.insert(model.state().skip_passes.begin(), model.state().skip_passes.end());
  return skip;
}

Result<Graph> lower_at(const PreparedModel& prepared, const BuildSpec& spec, Pick shape) {
  const Model& model = prepared.model;
  Graph clean = prepared.chosen ? *prepared.chosen : model.state().graph;
  if (const auto lines = set_io_formats(clean, spec.formats); !lines) return within(model.path(), lines.error());
  Result<Graph> graph = lower(clean, binding_at(spec, shape), skipped_passes(model, spec));
  if (!graph) return within(model.path(), graph.error());
  const Result<Done> shortened = shorten_floats(*graph, prepared.precision);
  if (!shortened) return within(model.path(), shortened.error());
  compact(*graph);
  return graph;
}

ShapeProfile profile_of(const Graph& graph, const BuildSpec& spec) {
  ShapeProfile profile;
  if (spec.profile.empty()) return profile;
  for (const ValueId v : graph.inputs) {
    const Value& input = graph.value(v);
    const auto given = spec.profile.find(input.name);
    const Dims own = *known_dims(*input.shape);
    profile.smallest.push_back(given == spec.profile.end() ? own : given->second.smallest);
    profile.best.push_back(own);
    profile.largest.push_back(given == spec.profile.end() ? own : given->second.largest);
  }
  return profile;
}

/// A profile is sound when lowering at its ends gives what the best shape's graph becomes at those shapes.
Result<Done> check_profile(const PreparedModel& prepared, const BuildSpec& spec, const PlanFile& plan) {
  const Model& model = prepared.model;
  for (const Pick pick : {&ShapeRange::smallest, &ShapeRange::largest}) {
    const bool low = pick == &ShapeRange::smallest;
    const Result<Graph> lowered = lower_at(prepared, spec, pick);
    if (!lowered) return lowered.error();
    const Result<Graph> reshaped = at_shapes(plan, low ? plan.profile.smallest : plan.profile.largest);
    const std::string which = low ? "smallest" : "largest";
    if (!reshaped) return within(model.path(), within("the " + which + " shape of the profile", reshaped.error()));
    if (hash_graph(*lowered) != hash_graph(*reshaped))
      return Error{ErrorCode::unsupported, model.path() + ": the network becomes another one at the " + which +
                                               " shape of the profile than at the best one (a shape is written into "
                                               "it): build one plan for each shape"};
  }
  return Done{};
}

// ---- provenance ----

std::string options_text(const BuildSpec& spec, const PreparedModel& prepared) {
  std::string text = "precision=" + spec.session.precision;
  const QuantizeSpec& quantization = spec.session.quantization;
  if (spec.session.precision == "int8" || spec.session.precision == "best") text += " target=" + quantization.target;
  for (const std::string& name : quantization.keep_float) text += " keep-float=" + name;
  for (const std::string& name : quantization.float_values) text += " float-value=" + name;
  for (const std::string& name : prepared.float_layers) text += " float=" + name;
  for (const std::string& name : spec.session.skip_passes) text += " skip-pass=" + name;
  for (const auto& [input, range] : spec.profile) text += " shapes=" + input + ":" + range_text(range);
  for (const auto& [name, format] : spec.formats)
    text += " format=" + name + ":" + format.dtype + (format.channel_last ? ":hwc" : ":chw");
  if (spec.workspace_bytes > 0) text += " workspace=" + std::to_string(spec.workspace_bytes);
  if (!spec.packed) text += " no-packed";
  if (spec.refittable) text += " refit";
  return text;
}

/// graph: what the plan runs.
Provenance provenance_of(const Model& model, const PreparedModel& prepared, const BuildSpec& spec, const Graph& graph) {
  Provenance p = {{"model", file_name(model.path())}, {"model_hash", model.hash()}, {"precision", prepared.precision}};
  if (prepared.ranges) {
    const CalibrationTable& table = *prepared.ranges->table;
    const std::string method =
        spec.session.quantization.method.empty() ? std::string(name(table.method)) : spec.session.quantization.method;
    p.emplace_back("data", file_name(table.data));
    p.emplace_back("data_hash", table.data_hash);
    p.emplace_back("samples", std::to_string(table.samples));
    p.emplace_back("preprocess", table.preprocess);
    p.emplace_back("method", method);
    const std::string json = to_json(table);
    p.emplace_back("ranges_hash", to_hex(hash_bytes(std::as_bytes(std::span(json.data(), json.size())))));
    p.emplace_back("calibration", std::to_string(table.tensors.size()) + " tensors from " +
                                      std::to_string(table.samples) + " samples, " + method);
  }
  p.emplace_back("options", options_text(spec, prepared));
  std::string notes;
  for (const std::string& note : prepared.notes) notes += note + "\n";
  if (!notes.empty() && prepared.ranges) p.emplace_back("notes", notes);
  const std::map<std::string, std::string>& metadata = prepared.model.metadata();
  if (const auto at = metadata.find(k_meta_preprocess); at != metadata.end() && !prepared.ranges)
    p.emplace_back("preprocess", at->second);
  if (!spec.profiles.empty()) p.emplace_back("profiles", profiles_text(spec.profiles));
  if (spec.refittable) p.emplace_back("refit", "yes");
  // Ranges that no layer uses spoil no answer.
  if ((spec.uncalibrated || prepared.model.is_uncalibrated()) && has_codes(graph))
    p.emplace_back("uncalibrated", "yes");
  return p;
}

TensorInfo info_of(const Value& value, const Dims* low, const Dims* high) {
  TensorInfo info;
  info.name = value.name;
  info.dtype = numpy_name(value.dtype);
  const Dims dims = value.shape ? known_dims(*value.shape).value_or(Dims()) : Dims();
  std::string shape;
  for (size_t d = 0; d < dims.size(); ++d) {
    shape += d ? "," : "";
    const bool free = low && (*low)[d] != (*high)[d];
    shape += free ? std::to_string((*low)[d]) + ".." + std::to_string((*high)[d]) : std::to_string(dims[d]);
  }
  info.shape = "[" + shape + "]";
  return info;
}

// ---- optimization profiles ----

/// Of an input in the plan's one range of shapes.
ShapeRange range_of_input(const PlanFile& plan, size_t i) {
  const Dims own = known_dims(*plan.graph.value(plan.graph.inputs[i]).shape).value_or(Dims());
  if (plan.profile.fixed()) return {own, own, own};
  return {plan.profile.smallest[i], plan.profile.best[i], plan.profile.largest[i]};
}

/// Whether every range names an input of the plan and lies within its shapes.
bool is_within(const std::map<std::string, ShapeRange>& profile, const PlanFile& plan) {
  for (const auto& [name, range] : profile) {
    size_t i = 0;
    while (i < plan.graph.inputs.size() && plan.graph.value(plan.graph.inputs[i]).name != name) ++i;
    if (i == plan.graph.inputs.size() || !check_range(name, range)) return false;
    const ShapeRange whole = range_of_input(plan, i);
    if (range.best.size() != whole.best.size()) return false;
    for (size_t d = 0; d < whole.best.size(); ++d)
      if (range.smallest[d] < whole.smallest[d] || range.largest[d] > whole.largest[d]) return false;
  }
  return true;
}

// ---- what runs in which precision ----

struct LayerCounts {
  int integer = 0, real = 0, conversions = 0;
  double integer_macs = 0, all_macs = 0;
  double percent() const { return all_macs > 0 ? 100 * integer_macs / all_macs : 0; }
};

LayerCounts count_layers(const Graph& graph) {
  LayerCounts counts;
  for (const Node& node : graph.nodes) {
    const bool converts = is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear");
    const bool is_integer = node.op->name.starts_with("Quant") && !converts;
    const double macs = mmac_of(graph, node);
    counts.all_macs += macs;
    if (is_integer) counts.integer_macs += macs;
    if (converts) {
      ++counts.conversions;
    } else if (is_integer) {
      ++counts.integer;
    } else if (const DType y = graph.value(node.outputs[0]).dtype; y == DType::f32 || y == DType::bf16) {
      ++counts.real;
    }
  }
  return counts;
}

/// "FP16" of "int8 and fp16".
std::string upper_floats(const std::string& precision) {
  for (const auto& [ending, upper] : {std::pair("fp16", "FP16"), {"bf16", "BF16"}, {"tf32", "TF32"}})
    if (precision.ends_with(ending)) return upper;
  return "FP32";
}

std::string percent_text(double percent) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", percent);
  return text;
}

/// "It built, but it is a float engine" is to be an error for those who ask.
Result<Done> check_share(const Model& model, const BuildSpec& spec, const Graph& graph) {
  const LayerCounts counts = count_layers(graph);
  if (counts.percent() >= spec.require_int8) return Done{};
  return Error{ErrorCode::bad_argument,
               model.path() + ": " + percent_text(counts.percent()) + " of the multiply-accumulates are in INT8 (" +
                   std::to_string(counts.integer) + " layers; " + std::to_string(counts.real) +
                   " are float), --require-int8 asks for " + percent_text(spec.require_int8) +
                   ": quantize the model, or see octet inspect for the layers that stay float"};
}

/// What was chosen at the best shapes, by the tuner or by a back end that measures while it prepares. engine: of the
/// largest shapes.
Result<TacticChoice> choice_in_full(const PlanFile& plan, const std::shared_ptr<Backend>& backend,
                                    const TacticChoice& tuned, const std::shared_ptr<const Engine>& engine) {
  TacticChoice choice = engine->program().choice();
  if (choice.empty()) return tuned;
  if (plan.profile.fixed() || plan.profile.best == plan.profile.largest) return choice;
  const Result<std::shared_ptr<const Engine>> at_best = Engine::build(plan.graph, backend, tuned);
  if (!at_best) return at_best.error();
  return (*at_best)->program().choice();
}

}  // namespace

bool EngineFile::is_engine_file(const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  return file && looks_like_plan((*file)->bytes());
}

Result<EngineFile> EngineFile::load(const std::string& path) {
  const auto start = Clock::now();
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  Result<PlanFile> plan = read_plan((*file)->bytes(), *file, own_name());
  if (!plan) return within(path, plan.error());
  auto state = std::make_shared<State>();
  state->path = path;
  state->file = *file;
  state->file_bytes = (*file)->bytes().size();
  state->plan = *std::move(plan);
  if (const std::string note = uncalibrated_note(state->plan); !note.empty()) state->notes.push_back(note);
  state->notes.insert(state->notes.end(), state->plan.notes.begin(), state->plan.notes.end());
  state->times.load_s = seconds_since(start);
  return EngineFile(std::move(state));
}

Result<Done> EngineFile::save(const std::string& path) const {
  const std::span<const std::byte> bytes = state_->file ? state_->file->bytes() : std::span(state_->bytes);
  return write_file_atomically(path, bytes);
}

std::string EngineFile::hash() const {
  return to_hex(hash_bytes(state_->file ? state_->file->bytes() : std::span<const std::byte>(state_->bytes)));
}

double EngineFile::int8_percent() const { return count_layers(state_->plan.graph).percent(); }

std::string EngineFile::layer_counts() const {
  const LayerCounts counts = count_layers(state_->plan.graph);
  std::string text = std::to_string(counts.integer) + " INT8, " + std::to_string(counts.real) + " " +
                     upper_floats(precision()) + " layers, " + std::to_string(counts.conversions) +
                     (counts.conversions == 1 ? " conversion" : " conversions");
  if (counts.all_macs > 0) text += "; " + percent_text(counts.percent()) + " of MACs in INT8";
  return text;
}

const std::string& EngineFile::path() const { return state_->path; }
size_t EngineFile::size_bytes() const { return state_->file_bytes; }
std::string EngineFile::writer() const { return state_->plan.writer; }
bool EngineFile::is_uncalibrated() const { return provenance_value(state_->plan.provenance, "uncalibrated") == "yes"; }
const std::vector<std::pair<std::string, std::string>>& EngineFile::provenance() const {
  return state_->plan.provenance;
}
const std::vector<std::string>& EngineFile::notes() const { return state_->notes; }
const std::string& EngineFile::tuning_log() const { return state_->tuning_log; }
const SessionTimes& EngineFile::times() const { return state_->times; }
std::string EngineFile::text(bool elided) const { return print(state_->plan.graph, {.elide_constants = elided}); }

std::string EngineFile::precision() const {
  const std::string stored = provenance_value(state_->plan.provenance, "precision");
  for (const char* known :
       {"int8", "fp16", "bf16", "tf32", "int8 and fp32", "int8 and fp16", "int8 and bf16", "int8 and tf32"})
    if (stored == known) return stored;
  return "fp32";
}

bool EngineFile::is_refittable() const { return provenance_value(state_->plan.provenance, "refit") == "yes"; }

std::vector<std::map<std::string, ShapeRange>> EngineFile::profiles() const {
  const PlanFile& plan = state_->plan;
  std::vector<std::map<std::string, ShapeRange>> profiles =
      read_profiles(provenance_value(plan.provenance, "profiles"));
  const auto fits = [&](const std::map<std::string, ShapeRange>& profile) { return is_within(profile, plan); };
  if (!std::all_of(profiles.begin(), profiles.end(), fits)) profiles.clear();
  if (profiles.empty()) profiles.emplace_back();
  for (std::map<std::string, ShapeRange>& profile : profiles)
    for (size_t i = 0; i < plan.graph.inputs.size(); ++i)
      profile.emplace(plan.graph.value(plan.graph.inputs[i]).name, range_of_input(plan, i));
  return profiles;
}

std::vector<TensorInfo> EngineFile::inputs() const {
  const PlanFile& plan = state_->plan;
  std::vector<TensorInfo> infos;
  for (size_t i = 0; i < plan.graph.inputs.size(); ++i) {
    const bool fixed = plan.profile.fixed();
    infos.push_back(info_of(plan.graph.value(plan.graph.inputs[i]), fixed ? nullptr : &plan.profile.smallest[i],
                            fixed ? nullptr : &plan.profile.largest[i]));
  }
  return infos;
}

std::vector<TensorInfo> EngineFile::outputs() const {
  std::vector<TensorInfo> infos;
  for (const ValueId v : state_->plan.graph.outputs)
    infos.push_back(info_of(state_->plan.graph.value(v), nullptr, nullptr));
  return infos;
}

Result<EngineFile> build_engine(const Model& model, const BuildSpec& given) {
  const BuildSpec spec = in_given_order(given);
  if (spec.session.precision == "best" && !spec.formats.empty())
    return Error{ErrorCode::unsupported,
                 "--precision best measures the network as it is: leave other formats of inputs "
                 "and outputs to a build of the file that it chooses"};
  for (const auto& [input, range] : spec.profile)
    if (const Result<Done> ok = check_range(input, range); !ok) return ok.error();
  for (const std::map<std::string, ShapeRange>& profile : spec.profiles)
    for (const auto& [input, range] : profile)
      if (const Result<Done> ok = check_range(input, range); !ok) return ok.error();
  auto state = std::make_shared<EngineFile::State>();
  const auto calibration_start = Clock::now();
  const Result<SessionSpec> session = with_cache(model, spec, state->notes);
  if (!session) return session.error();
  Result<PreparedModel> prepared = prepare_model(model, *session);
  if (!prepared) return prepared.error();
  state->times.calibrate_s = seconds_since(calibration_start);

  const auto start = Clock::now();
  if (spec.session.precision == "best") {
    const Result<Graph> chosen = graph_to_run(model, *prepared, *session, binding_at(spec, &ShapeRange::best),
                                              skipped_passes(prepared->model, spec));
    if (!chosen) return within(model.path(), chosen.error());
  }
  state->notes.insert(state->notes.end(), prepared->notes.begin(), prepared->notes.end());
  Graph formatted = prepared->model.state().graph;
  const Result<std::vector<std::string>> codes = set_io_formats(formatted, spec.formats);
  if (!codes) return within(model.path(), codes.error());
  state->notes.insert(state->notes.end(), codes->begin(), codes->end());
  Result<Graph> graph = lower_at(*prepared, spec, &ShapeRange::best);
  if (!graph) return graph.error();
  if (const Result<Done> enough = check_share(model, spec, *graph); !enough) return enough.error();
  prepared->precision = settled_precision(prepared->precision, *graph);
  if (const std::string note = bf16_note(*graph); !note.empty()) state->notes.push_back(note);
  const Result<std::shared_ptr<Backend>> backend = backend_for(spec.session, prepared->precision);
  if (!backend) return backend.error();
  PlanFile plan;
  plan.writer = own_name();
  plan.profile = profile_of(*graph, spec);
  plan.provenance = provenance_of(model, *prepared, spec, *graph);
  plan.graph = *std::move(graph);
  if (const std::string stays = batch_note(model, spec.session.batch, plan.graph); !stays.empty())
    state->notes.insert(state->notes.begin(), stays);
  if (!plan.profile.fixed())
    if (const Result<Done> sound = check_profile(*prepared, spec, plan); !sound) return sound.error();

  // The engine is made here once, so that a plan that no machine like this one can run is never written.
  Result<Graph> largest = plan.profile.fixed() ? Result<Graph>(plan.graph) : at_shapes(plan, plan.profile.largest);
  if (!largest) return within(model.path(), largest.error());
  Result<TunedTactics> tuned = tuned_tactics(plan.graph, **backend, spec.session);
  if (!tuned) return within(model.path(), tuned.error());
  state->notes.insert(state->notes.end(), tuned->notes.begin(), tuned->notes.end());
  state->tuning_log = prepared->log + tuned->log;
  state->times.tune_s = tuned->seconds;
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(*std::move(largest), *backend, tuned->choice);
  if (!engine) return within(model.path(), engine.error());
  Result<TacticChoice> in_full = choice_in_full(plan, *backend, tuned->choice, *engine);
  if (!in_full) return within(model.path(), in_full.error());
  if (!in_full->empty())
    plan.tuning.push_back({(*backend)->device_key(), (*backend)->timing_key(), *std::move(in_full)});
  if (const Result<Done> kept = keep_times(*tuned, spec.session); !kept) return kept.error();
  const size_t needed = (*engine)->program().context_bytes();
  if (spec.workspace_bytes > 0 && needed > spec.workspace_bytes)
    return Error{ErrorCode::out_of_memory, model.path() + ": a context needs " + std::to_string(needed) +
                                               " bytes for activations and scratch, --workspace (octet trtexec: "
                                               "--memPoolSize=workspace:MIB) allows " +
                                               std::to_string(spec.workspace_bytes) +
                                               ": allow more, or build for a smaller batch"};
  if (spec.packed) {
    PackedPart part = *Engine::packed_of(*engine);
    const auto keeps = [](const PackedWeights& w) { return !w.bytes.empty(); };
    if (std::any_of(part.steps.begin(), part.steps.end(), keeps)) plan.packed.push_back(std::move(part));
  }
  Result<std::vector<std::byte>> bytes = plan_bytes(plan);
  plan.packed.clear();  // they keep the engine alive
  if (!bytes) return within(model.path(), bytes.error());
  state->path = model.path();
  if (const auto origin = model.metadata().find(k_meta_model_hash); origin != model.metadata().end())
    state->float_model_hash = origin->second;
  state->file_bytes = bytes->size();
  state->bytes = *std::move(bytes);
  state->plan = std::move(plan);
  state->times.build_s = seconds_since(start);
  if (const std::string note = uncalibrated_note(state->plan); !note.empty())
    state->notes.insert(state->notes.begin(), note);
  return EngineFile(std::move(state));
}

}  // namespace octet
