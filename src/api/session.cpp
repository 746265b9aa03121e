#include "octet/session.h"

#include <algorithm>
#include <chrono>

#include "api/state.h"
#include "api/tuned_tactics.h"
#include "backends/open.h"
#include "base/isa.h"
#include "ir/metadata.h"
#include "ir/op.h"
#include "passes/passes.h"
#include "runtime/load_plan.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Port port_of(const Value& value) {
  Port port{value.name, *known_dims(*value.shape), numpy_name(value.dtype), 0};
  port.bytes = static_cast<size_t>(*element_count(port.dims)) * size_of(value.dtype);
  return port;
}

}  // namespace

double mmac_of(const Graph& graph, const Node& node) {
  const bool conv =
      is_op(node, "FusedConv") || is_op(node, "QuantConv") || is_op(node, "Bf16Conv") || is_op(node, "Conv");
  const bool gemm = is_op(node, "FusedGemm") || is_op(node, "QuantGemm") || is_op(node, "Bf16Gemm") ||
                    is_op(node, "Gemm") || is_op(node, "MatMul");
  if (!conv && !gemm) return 0;
  const std::optional<Shape>& w = graph.value(node.inputs[1]).shape;
  const std::optional<Shape>& y = graph.value(node.outputs[0]).shape;
  const std::optional<Dims> wd = w ? known_dims(*w) : std::nullopt;
  const std::optional<Dims> yd = y ? known_dims(*y) : std::nullopt;
  if (!wd || !yd || wd->empty() || (*wd)[0] == 0) return 0;
  const auto outputs = static_cast<double>(element_count(*yd).value_or(0));
  const auto weights = static_cast<double>(element_count(*wd).value_or(0));
  if (conv) return outputs * weights / static_cast<double>((*wd)[0]) / 1e6;
  const bool transposed = !is_op(node, "MatMul") && (is_op(node, "FusedGemm") || is_op(node, "QuantGemm") ||
                                                     is_op(node, "Bf16Gemm") || int_attribute(node, "transB", 0) != 0);
  const auto k = static_cast<double>(transposed ? wd->back() : (*wd)[wd->size() - 2 < wd->size() ? wd->size() - 2 : 0]);
  return outputs * k / 1e6;
}

Result<Done> Session::State::bind(std::span<const std::byte* const> in, std::span<std::byte* const> out) {
  if (in.size() != inputs.size() || out.size() != outputs.size())
    return Error{ErrorCode::bad_argument, "the network has " + std::to_string(inputs.size()) + " inputs and " +
                                              std::to_string(outputs.size()) + " outputs, given were " +
                                              std::to_string(in.size()) + " and " + std::to_string(out.size())};
  for (size_t i = 0; i < in.size(); ++i) io.inputs[i].data = const_cast<std::byte*>(in[i]);
  for (size_t i = 0; i < out.size(); ++i) io.outputs[i].data = out[i];
  return Done{};
}

Result<Done> Session::State::run(std::span<const std::byte* const> in, std::span<std::byte* const> out,
                                 const RunHooks& hooks) {
  const Result<Done> bound = bind(in, out);
  return bound ? context->run(io, hooks) : bound;
}

Result<Done> Session::State::submit(std::span<const std::byte* const> in, std::span<std::byte* const> out,
                                    const RunHooks& hooks) {
  const Result<Done> bound = bind(in, out);
  return bound ? context->submit(io, hooks) : bound;
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

namespace {

/// Views of all inputs and outputs that lack their addresses only.
Bindings views_of(const Graph& planned) {
  const auto view_of = [&](ValueId id) {
    const Value& value = planned.value(id);
    return TensorView::dense(value.dtype, *known_dims(*value.shape), nullptr);
  };
  Bindings io;
  for (const ValueId id : planned.inputs) io.inputs.push_back(view_of(id));
  for (const ValueId id : planned.outputs) io.outputs.push_back(view_of(id));
  return io;
}

/// A first context of the engine, and what the session tells of it.
Result<Done> start(Session::State& state, const Result<std::shared_ptr<const Engine>>& engine,
                   const SessionSpec& spec) {
  if (!engine) return within(state.path, engine.error());
  state.engine = *engine;
  Result<Context> context = Context::make(state.engine);
  if (!context) return context.error();
  state.context = std::make_unique<Context>(std::move(*context));
  const Graph& planned = state.engine->plan().graph;
  for (const Node& node : planned.nodes)
    state.ends_in_softmax |= is_op(node, "Softmax") && node.outputs[0] == planned.outputs[0];
  for (const ValueId id : planned.inputs) state.inputs.push_back(port_of(planned.value(id)));
  for (const ValueId id : planned.outputs) state.outputs.push_back(port_of(planned.value(id)));
  state.io = views_of(planned);
  state.threads = spec.threads;
  return Done{};
}

}  // namespace

Result<Session> Session::build(const Model& model, const SessionSpec& spec) {
  auto state = std::make_unique<State>();
  state->path = model.path();
  Result<PreparedModel> prepared = prepare_model(model, spec);
  if (!prepared) return prepared.error();
  state->precision = prepared->precision;
  state->times.calibrate_s = prepared->calibrate_s;
  const std::map<std::string, std::string>& metadata = prepared->model.metadata();
  if (const auto at = metadata.find(k_meta_preprocess); at != metadata.end())
    state->calibration_preprocess = at->second;
  state->uncalibrated = prepared->model.is_uncalibrated();
  if (state->uncalibrated && model.is_quantized())
    prepared->notes.push_back(model.path() + " is UNCALIBRATED: its ranges come from noise; accuracy means nothing");
  const auto start_time = Clock::now();
  std::set<std::string> skip = spec.skip_passes;
  skip.insert(model.state().skip_passes.begin(), model.state().skip_passes.end());
  const Binding binding = {.batch = spec.batch > 0 ? spec.batch : 1,
                           .shapes = spec.shapes,
                           .picture = picture_of(spec.calibration.data.preprocess)};
  Result<Graph> graph = graph_to_run(model, *prepared, spec, binding, skip);
  if (!graph) return within(model.path(), graph.error());
  state->precision = prepared->precision;
  state->uncalibrated = state->uncalibrated && has_codes(*graph);
  const Result<std::shared_ptr<Backend>> backend = backend_for(spec, state->precision);
  if (!backend) return backend.error();
  state->notes = std::move(prepared->notes);
  Result<TunedTactics> tuned = tuned_tactics(*graph, **backend, spec);
  if (!tuned) return within(model.path(), tuned.error());
  state->notes.insert(state->notes.end(), tuned->notes.begin(), tuned->notes.end());
  state->tuning_log = prepared->log + tuned->log;
  state->times.tune_s = tuned->seconds;
  if (const Result<Done> started = start(*state, Engine::build(std::move(*graph), *backend, tuned->choice), spec);
      !started)
    return started.error();
  state->tuning_log += refusal_lines(state->engine->program());
  if (const Result<Done> kept = keep_times(*tuned, spec); !kept) return kept.error();
  state->times.build_s = seconds_since(start_time);
  Session session(std::move(state));
  if (spec.batch_if_free) return session;
  const std::string stays = batch_note(model, spec.batch, session.state().engine->plan().graph);
  std::vector<std::string>& notes = session.state().notes;
  if (!stays.empty()) notes.insert(notes.begin(), stays);
  return session;
}

namespace {

/// The shapes of the specification's profile, completed by its best ones. Errors: no such profile, shapes outside it.
Result<WantedShapes> shapes_in_profile(const EngineFile& file, const SessionSpec& spec) {
  WantedShapes wanted{.batch = spec.batch, .shapes = spec.shapes};
  if (spec.profile < 0) return wanted;
  const std::vector<std::map<std::string, ShapeRange>> profiles = file.profiles();
  const std::string number = std::to_string(spec.profile);
  if (static_cast<size_t>(spec.profile) >= profiles.size())
    return Error{ErrorCode::bad_argument, "Selected profile index " + number +
                                              " exceeds the number of profiles that the engine holds (" +
                                              std::to_string(profiles.size()) + ")."};
  for (const auto& [input, range] : profiles[static_cast<size_t>(spec.profile)]) {
    Dims& dims = wanted.shapes.emplace(input, range.best).first->second;
    if (spec.batch > 0 && !dims.empty() && !spec.shapes.contains(input)) dims[0] = spec.batch;
    bool fits = dims.size() == range.best.size();
    for (size_t d = 0; fits && d < dims.size(); ++d) fits = range.smallest[d] <= dims[d] && dims[d] <= range.largest[d];
    if (!fits)
      return Error{ErrorCode::bad_argument, file.path() + ": shape " + to_string(dims) + " of input '" + input +
                                                "' is outside profile " + number + ", which has " +
                                                to_string(range.smallest) + " to " + to_string(range.largest)};
  }
  return wanted;
}

/// Activations of a context at the largest shapes of the plan, or of the profile. 0: its own are enough.
Result<size_t> reserved_bytes(const EngineFile& file, const SessionSpec& spec, const Backend& backend) {
  const PlanFile& plan = file.state().plan;
  if (spec.gpu.allocation == "runtime" || !backend.runs_beside_the_host() || plan.profile.fixed()) return size_t{0};
  std::vector<Dims> largest = plan.profile.largest;
  if (spec.gpu.allocation == "profile") {
    const std::map<std::string, ShapeRange> profile =
        file.profiles()[static_cast<size_t>(std::max<int64_t>(spec.profile, 0))];
    for (size_t i = 0; i < largest.size(); ++i)
      if (const auto own = profile.find(plan.graph.value(plan.graph.inputs[i]).name); own != profile.end())
        largest[i] = own->second.largest;
  }
  Result<Graph> graph = at_shapes(plan, largest);
  if (!graph) return graph.error();
  const Result<std::shared_ptr<const Plan>> planned = make_plan(*std::move(graph), backend);
  if (!planned) return planned.error();
  return (*planned)->arena_bytes;
}

}  // namespace

Result<Session> Session::load(const EngineFile& file, const SessionSpec& spec) {
  const auto start_time = Clock::now();
  const PlanFile& plan = file.state().plan;
  auto state = std::make_unique<State>();
  state->path = file.path();
  state->precision = file.precision();
  state->notes = file.notes();
  state->calibration_preprocess = provenance_value(plan.provenance, "preprocess");
  state->uncalibrated = file.is_uncalibrated();
  state->formats = file.formats();
  if (spec.precision == "int8" && !file.precision().starts_with("int8"))
    return Error{ErrorCode::bad_argument, file.path() + " was built in " + file.precision() +
                                              ", --precision int8 was asked for: build it with --precision int8"};
  const Result<std::shared_ptr<Backend>> backend = backend_for(spec, state->precision);
  if (!backend) return backend.error();
  if (state->precision.ends_with("fp16") && !(*backend)->runs_beside_the_host())
    state->notes.push_back("the float layers of this plan are FP16 on a GPU; here they run in FP32");
  const Result<WantedShapes> wanted = shapes_in_profile(file, spec);
  if (!wanted) return wanted.error();
  const Result<size_t> reserved = reserved_bytes(file, spec, **backend);
  if (!reserved) return reserved.error();
  state->reserved_bytes = *reserved;
  (*backend)->reserve(*reserved);
  const Result<std::shared_ptr<const Engine>> engine = load_engine(plan, *backend, *wanted, state->notes);
  if (const Result<Done> started = start(*state, engine, spec); !started) return started.error();
  if (state->precision.ends_with("bf16") && bf16_note(state->engine->plan().graph).empty())
    state->precision.replace(state->precision.size() - 4, 4, "fp32");
  // Weights used in place stay; the rest of the file is not needed any more.
  if (file.state().file && state->engine->program().borrowed_steps() == 0) file.state().file->drop_pages();
  state->times = file.times();
  state->times.load_s += seconds_since(start_time);
  return Session(std::move(state));
}

Result<Session> Session::open(const std::string& path, const SessionSpec& spec, const LoadOptions& options) {
  if (EngineFile::is_engine_file(path)) {
    const Result<EngineFile> file = EngineFile::load(path);
    if (!file) return file.error();
    return load(*file, spec);
  }
  const Result<Model> model = Model::load(path, options);
  if (!model) return model.error();
  return build(*model, spec);
}

Result<Session> Session::another() const {
  auto state = std::make_unique<State>();
  Result<Context> context = Context::make(state_->engine);
  if (!context) return context.error();
  state->path = state_->path;
  state->engine = state_->engine;
  state->context = std::make_unique<Context>(std::move(*context));
  state->io = views_of(state_->engine->plan().graph);
  state->inputs = state_->inputs;
  state->outputs = state_->outputs;
  state->precision = state_->precision;
  state->threads = state_->threads;
  state->notes = state_->notes;
  state->times = state_->times;
  state->calibration_preprocess = state_->calibration_preprocess;
  state->uncalibrated = state_->uncalibrated;
  state->reserved_bytes = state_->reserved_bytes;
  state->ends_in_softmax = state_->ends_in_softmax;
  return Session(std::move(state));
}

const std::string& Session::path() const { return state_->path; }
const std::vector<Port>& Session::inputs() const { return state_->inputs; }
const std::vector<Port>& Session::outputs() const { return state_->outputs; }

int64_t Session::batch() const {
  return state_->inputs.empty() || state_->inputs[0].dims.empty() ? 1 : state_->inputs[0].dims[0];
}

std::string Session::description() const { return state_->engine->backend().description(); }

std::string Session::isa() const {
  if (state_->engine->backend().name() != "cpu") return "none";
  const Result<Isa> isa = chosen_isa();
  return isa ? std::string(name(*isa)) : "none";
}

int Session::threads() const { return state_->threads; }
std::string Session::precision() const { return state_->precision; }
size_t Session::packed_bytes() const { return state_->engine->program().packed_bytes(); }
size_t Session::context_bytes() const { return std::max(state_->engine->program().context_bytes(), arena_bytes()); }
size_t Session::arena_bytes() const { return std::max(state_->engine->plan().arena_bytes, state_->reserved_bytes); }
const SessionTimes& Session::times() const { return state_->times; }
const std::string& Session::tuning_log() const { return state_->tuning_log; }
const std::vector<std::string>& Session::notes() const { return state_->notes; }
const std::string& Session::calibration_preprocess() const { return state_->calibration_preprocess; }
bool Session::is_uncalibrated() const { return state_->uncalibrated; }
bool Session::ends_in_softmax() const { return state_->ends_in_softmax; }

std::vector<LayerInfo> Session::layers() const {
  std::vector<LayerInfo> layers;
  const Plan& plan = state_->engine->plan();
  const Program& program = state_->engine->program();
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    const Node& node = plan.graph.node(step.node);
    const bool elsewhere = program.step_note(i) == k_in_next_step;
    const Value& y = plan.graph.value(node.outputs[0]);
    layers.push_back({node.name.empty() ? y.name : node.name, std::string(node.op->name), y.name,
                      y.shape ? to_string(*y.shape) : "?", std::string(name(y.dtype)),
                      elsewhere ? k_in_next_step : step.tactic, mmac_of(plan.graph, node)});
  }
  return layers;
}

Result<Done> Session::run(std::span<const std::byte* const> inputs, std::span<std::byte* const> outputs) {
  return state_->run(inputs, outputs, {});
}

Result<Done> Session::run_profiled(std::span<const std::byte* const> inputs, std::span<std::byte* const> outputs,
                                   std::vector<double>& layer_seconds) {
  RunHooks hooks;
  hooks.step_seconds = &layer_seconds;
  return state_->run(inputs, outputs, hooks);
}

}  // namespace octet
