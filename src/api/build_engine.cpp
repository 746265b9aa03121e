// A plan from a model: ranges, formats and passes, then the parts for this machine.

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "api/io_formats.h"
#include "api/layer_counts.h"
#include "api/profiles.h"
#include "api/state.h"
#include "api/tuned_tactics.h"
#include "backends/open.h"
#include "base/hash.h"
#include "data/dataset.h"
#include "ir/metadata.h"
#include "ir/op.h"
#include "ir/text.h"
#include "octet/engine_file.h"
#include "quant/ranges.h"
#include "runtime/load_plan.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

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
  if ((table.model_hash.empty() || table.data_hash.empty()) && !spec.session.quantization.force)
    return Error{ErrorCode::bad_argument,
                 "--cache " + spec.cache +
                     " does not say which model and data it was made from, as a calibration cache of TensorRT or ONNX "
                     "Runtime does not: --cache takes what octet wrote there; give this file as --ranges " +
                     spec.cache};
  if (table.model_hash != model.hash() && !spec.session.quantization.force)
    return stale("model", table.model_hash, model.hash());
  const DataOptions& data = spec.session.calibration.data;
  if (data.path.empty() || table.data_hash.empty()) return ranges;
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
    if (!(format == IoFormat()))
      text += " format=" + name + ":" + format_text(format, prepared.model.state().graph, name);
  if (spec.workspace_bytes > 0) text += " workspace=" + std::to_string(spec.workspace_bytes);
  if (!spec.packed) text += " no-packed";
  if (spec.refittable) text += " refit";
  return text;
}

/// graph: what the plan runs.
Provenance provenance_of(const Model& model, const PreparedModel& prepared, const BuildSpec& spec, const Graph& graph) {
  Provenance p = {{"model", file_name(model.path())}, {"model_hash", model.hash()}, {"precision", prepared.precision}};
  // Ranges that no layer uses, as where every layer was left float, say nothing of the plan.
  const bool calibrated = prepared.ranges && has_codes(graph);
  if (calibrated) {
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
  if (!notes.empty() && calibrated) p.emplace_back("notes", notes);
  const std::map<std::string, std::string>& metadata = prepared.model.metadata();
  if (const auto at = metadata.find(k_meta_preprocess); at != metadata.end() && !prepared.ranges)
    p.emplace_back("preprocess", at->second);
  if (prepared.ranges && !calibrated)  // of the pictures that the network is made for, all the same
    p.emplace_back("preprocess", prepared.ranges->table->preprocess);
  if (!spec.profiles.empty()) p.emplace_back("profiles", profiles_text(spec.profiles));
  if (spec.refittable) p.emplace_back("refit", "yes");
  // Ranges that no layer uses spoil no answer.
  if ((spec.uncalibrated || prepared.model.is_uncalibrated()) && has_codes(graph))
    p.emplace_back("uncalibrated", "yes");
  return p;
}

/// "It built, but it is a float engine" is to be an error for those who ask.
Result<Done> check_share(const Model& model, const BuildSpec& spec, const Graph& graph) {
  const LayerCounts counts = count_layers(graph);
  if (counts.percent() >= spec.require_int8) return Done{};
  return Error{ErrorCode::bad_argument,
               model.path() + ": " + percent_text(counts.percent()) + " of the multiply-accumulates are in INT8 (" +
                   std::to_string(counts.integer) + " layers; " + std::to_string(counts.real + counts.bf16) +
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

Result<Done> check_spec(const BuildSpec& spec) {
  for (const auto& [name, format] : spec.formats)
    if (spec.session.precision == "best" && (format.dtype == "int8" || format.dtype == "uint8"))
      return Error{ErrorCode::unsupported,
                   "'" + name + "' is asked for as " + format.dtype +
                       " codes, but --precision best (octet trtexec on a GPU: --best, or --int8 with --fp16) may leave "
                       "it float: ask for fp32 or float16 there, or build with --precision int8 (--int8 alone)"};
  for (const auto& [input, range] : spec.profile)
    if (const Result<Done> ok = check_range(input, range); !ok) return ok.error();
  for (const std::map<std::string, ShapeRange>& profile : spec.profiles)
    for (const auto& [input, range] : profile)
      if (const Result<Done> ok = check_range(input, range); !ok) return ok.error();
  return Done{};
}

/// A build on its way: what its stages hand on.
struct Build {
  const Model& model;
  const BuildSpec& spec;
  EngineFile::State& state;  // notes, times and log of every stage
  PreparedModel prepared;
  std::shared_ptr<Backend> backend;
  PlanFile plan;

  void note(const std::vector<std::string>& notes) {
    state.notes.insert(state.notes.end(), notes.begin(), notes.end());
  }
  Error error(const Error& e) const { return within(model.path(), e); }
};

/// Ranges, Q/DQ nodes and formats: the network as it is to run, before it is lowered.
Result<Done> settle_network(Build& b, const SessionSpec& session) {
  if (b.spec.session.precision == "best") {
    const Result<Graph> chosen = graph_to_run(b.model, b.prepared, session, binding_at(b.spec, &ShapeRange::best),
                                              skipped_passes(b.prepared.model, b.spec));
    if (!chosen) return b.error(chosen.error());
  }
  b.note(b.prepared.notes);
  Graph formatted = b.prepared.model.state().graph;
  const Result<std::vector<std::string>> codes = set_io_formats(formatted, b.spec.formats);
  if (!codes) return b.error(codes.error());
  b.note(*codes);
  return Done{};
}

/// The portable part: the lowered graph, its profile and where it comes from.
Result<Done> make_portable(Build& b) {
  Result<Graph> graph = lower_at(b.prepared, b.spec, &ShapeRange::best);
  if (!graph) return graph.error();
  if (const Result<Done> enough = check_share(b.model, b.spec, *graph); !enough) return enough;
  b.prepared.precision = settled_precision(b.prepared.precision, *graph);
  settle_bf16(*graph, b.prepared.precision, b.state.notes);
  Result<std::shared_ptr<Backend>> backend = backend_for(b.spec.session, b.prepared.precision);
  if (!backend) return backend.error();
  b.backend = *std::move(backend);
  b.plan.writer = plan_writer();
  b.plan.profile = profile_of(*graph, b.spec);
  b.plan.provenance = provenance_of(b.model, b.prepared, b.spec, *graph);
  b.plan.graph = *std::move(graph);
  if (const std::string stays = batch_note(b.model, b.spec.session.batch, b.plan.graph); !stays.empty())
    b.state.notes.insert(b.state.notes.begin(), stays);
  return b.plan.profile.fixed() ? Result<Done>(Done{}) : check_profile(b.prepared, b.spec, b.plan);
}

Result<Done> check_workspace(const Build& b, size_t needed) {
  if (b.spec.workspace_bytes == 0 || needed <= b.spec.workspace_bytes) return Done{};
  return Error{ErrorCode::out_of_memory, b.model.path() + ": a context needs " + std::to_string(needed) +
                                             " bytes for activations and scratch, --workspace (octet trtexec: "
                                             "--memPoolSize=workspace:MIB) allows " +
                                             std::to_string(b.spec.workspace_bytes) +
                                             ": allow more, or build for a smaller batch"};
}

/// The parts for this machine: tactics and packed weights. The engine is made here once, so that a plan that no machine
/// like this one can run is never written.
Result<Done> add_device_parts(Build& b) {
  PlanFile& plan = b.plan;
  Result<Graph> largest = plan.profile.fixed() ? Result<Graph>(plan.graph) : at_shapes(plan, plan.profile.largest);
  if (!largest) return b.error(largest.error());
  Result<TunedTactics> tuned = tuned_tactics(plan.graph, *b.backend, b.spec.session);
  if (!tuned) return b.error(tuned.error());
  b.note(tuned->notes);
  b.state.tuning_log = b.prepared.log + tuned->log;
  b.state.times.tune_s = tuned->seconds;
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(*std::move(largest), b.backend, tuned->choice);
  if (!engine) return b.error(engine.error());
  b.state.tuning_log += refusal_lines((*engine)->program());
  Result<TacticChoice> in_full = choice_in_full(plan, b.backend, tuned->choice, *engine);
  if (!in_full) return b.error(in_full.error());
  if (!in_full->empty()) plan.tuning.push_back({b.backend->device_key(), b.backend->timing_key(), *std::move(in_full)});
  if (const Result<Done> kept = keep_times(*tuned, b.spec.session); !kept) return kept;
  if (const Result<Done> fits = check_workspace(b, (*engine)->program().context_bytes()); !fits) return fits;
  if (!b.spec.packed) return Done{};
  PackedPart part = *Engine::packed_of(*engine);
  const auto keeps = [](const PackedWeights& w) { return !w.bytes.empty(); };
  if (std::any_of(part.steps.begin(), part.steps.end(), keeps)) plan.packed.push_back(std::move(part));
  return Done{};
}

/// The file's bytes, and what is said of it.
Result<Done> write_into(Build& b) {
  Result<std::vector<std::byte>> bytes = plan_bytes(b.plan);
  b.plan.packed.clear();  // they keep the engine alive
  if (!bytes) return b.error(bytes.error());
  b.state.path = b.model.path();
  if (const auto origin = b.model.metadata().find(k_meta_model_hash); origin != b.model.metadata().end())
    b.state.float_model_hash = origin->second;
  b.state.file_bytes = bytes->size();
  b.state.bytes = *std::move(bytes);
  b.state.plan = std::move(b.plan);
  if (const std::string note = uncalibrated_note(b.state.plan); !note.empty())
    b.state.notes.insert(b.state.notes.begin(), note);
  return Done{};
}

}  // namespace

Result<EngineFile> build_engine(const Model& model, const BuildSpec& given) {
  const BuildSpec spec = in_given_order(given);
  if (const Result<Done> ok = check_spec(spec); !ok) return ok.error();
  auto state = std::make_shared<EngineFile::State>();
  const auto calibration_start = Clock::now();
  const Result<SessionSpec> session = with_cache(model, spec, state->notes);
  if (!session) return session.error();
  Result<PreparedModel> prepared = prepare_model(model, *session);
  if (!prepared) return prepared.error();
  state->times.calibrate_s = seconds_since(calibration_start);

  const auto start = Clock::now();
  Build build{model, spec, *state, *std::move(prepared), nullptr, {}};
  if (const Result<Done> done = settle_network(build, *session); !done) return done.error();
  for (Result<Done> (*stage)(Build&) : {make_portable, add_device_parts, write_into})
    if (const Result<Done> done = stage(build); !done) return done.error();
  state->times.build_s = seconds_since(start);
  return EngineFile(std::move(state));
}

}  // namespace octet
