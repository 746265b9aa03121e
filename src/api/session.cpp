#include "octet/session.h"

#include <chrono>

#include "api/best_precision.h"
#include "api/state.h"
#include "backends/open.h"
#include "base/isa.h"
#include "ir/metadata.h"
#include "ir/op.h"
#include "passes/passes.h"
#include "runtime/tune.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Port port_of(const Value& value) {
  Port port{value.name, *known_dims(*value.shape), numpy_name(value.dtype), 0};
  port.bytes = static_cast<size_t>(*element_count(port.dims)) * size_of(value.dtype);
  return port;
}

/// The model to run: the float one as it is, or its Q/DQ form.
Result<Model> model_to_run(const Model& model, const SessionSpec& spec, Session::State& state);

/// Multiply-accumulates of one step in millions.
double mmac_of(const Graph& graph, const Node& node) {
  const bool conv = is_op(node, "FusedConv") || is_op(node, "QuantConv") || is_op(node, "Conv");
  const bool gemm =
      is_op(node, "FusedGemm") || is_op(node, "QuantGemm") || is_op(node, "Gemm") || is_op(node, "MatMul");
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
                                                     int_attribute(node, "transB", 0) != 0);
  const auto k = static_cast<double>(transposed ? wd->back() : (*wd)[wd->size() - 2 < wd->size() ? wd->size() - 2 : 0]);
  return outputs * k / 1e6;
}

}  // namespace

Result<Done> Session::State::run(std::span<const std::byte* const> in, std::span<std::byte* const> out,
                                 const RunHooks& hooks) {
  if (in.size() != inputs.size() || out.size() != outputs.size())
    return Error{ErrorCode::bad_argument, "the network has " + std::to_string(inputs.size()) + " inputs and " +
                                              std::to_string(outputs.size()) + " outputs, given were " +
                                              std::to_string(in.size()) + " and " + std::to_string(out.size())};
  for (size_t i = 0; i < in.size(); ++i) io.inputs[i].data = const_cast<std::byte*>(in[i]);
  for (size_t i = 0; i < out.size(); ++i) io.outputs[i].data = out[i];
  return context->run(io, hooks);
}

namespace {

Result<Model> model_to_run(const Model& model, const SessionSpec& spec, Session::State& state) {
  state.precision = "fp32";
  if (model.is_quantized()) {
    state.precision = "int8";
    if (spec.precision != "int8" && spec.precision != "best")
      state.notes.push_back(model.path() + " holds Q/DQ nodes: it runs in INT8 where they ask for it");
    return model;
  }
  if (spec.precision == "fp32") return model;
  if (spec.precision == "fp16" && spec.device == "cuda") {
    state.precision = "fp16";
    return model;
  }
  if ((spec.precision == "bf16" || spec.precision == "fp16") && spec.device == "cpu") {
    state.notes.push_back("--precision " + spec.precision +
                          " runs as FP32: this build has no BF16 or FP16 kernels for a CPU");
    return model;
  }
  if (spec.precision != "int8" && spec.precision != "best")
    return Error{ErrorCode::bad_argument,
                 "--precision " + spec.precision + ": --device " + spec.device + " has fp32 and int8"};
  state.precision = "int8";
  if (const Result<Done> ok = check_quantize_spec(model, spec.quantization); !ok) return ok.error();
  const auto start = Clock::now();
  Result<Ranges> ranges = Error{ErrorCode::internal, ""};
  if (!spec.ranges.empty()) {
    ranges = Ranges::load(spec.ranges, model, spec.quantization.force);
  } else if (!spec.calibration.data.path.empty()) {
    ranges = calibrate(model, spec.calibration);
  } else {
    return Error{ErrorCode::bad_argument,
                 "--precision " + spec.precision + " on the float model " + model.path() +
                     " needs ranges: give --calib-data PATH (sample images) or --ranges FILE (from 'octet calibrate')"};
  }
  if (!ranges) return ranges.error();
  Result<Quantized> quantized = quantize(model, *ranges, spec.quantization);
  if (!quantized) return quantized.error();
  state.times.calibrate_s = seconds_since(start);
  for (const auto* notes : {&ranges->notes, &quantized->notes})
    for (const std::string& note : *notes) state.notes.push_back(note);
  return quantized->model;
}

}  // namespace

namespace {

/// The tactics by measurement, when the specification asks for it.
Result<TacticChoice> choose_tactics(const Graph& graph, Backend& backend, const SessionSpec& spec,
                                    Session::State& state) {
  if (spec.optimization_level < 3) return TacticChoice();
  TimingCache cache;
  if (!spec.timing_cache.empty()) {
    Result<TimingCache> loaded = TimingCache::load(spec.timing_cache);
    if (!loaded) return loaded.error();
    cache = *std::move(loaded);
  }
  const size_t known = cache.size();
  Result<TuningReport> report = tune(graph, backend, {.level = spec.optimization_level, .cache = &cache});
  if (!report) return report.error();
  if (!spec.timing_cache.empty() && cache.size() > known) {
    if (Result<Done> saved = cache.save(spec.timing_cache); !saved) return saved.error();
  }
  state.notes.push_back(report->summary());
  state.tuning_log = report->log();
  state.times.tune_s = report->seconds;
  return std::move(report->choice);
}

}  // namespace

namespace {

/// The mix of precisions that is fastest by measurement; chosen: the quantized form of model.
Result<Graph> best_graph(const Model& model, const Model& chosen, const Binding& binding,
                         const std::set<std::string>& skip, Backend& backend, Session::State& state) {
  Graph floating = model.state().graph;
  remove_quantization(floating);
  Result<BestPrecision> best = choose_best_precision(chosen.state().graph, floating, binding, skip, backend);
  if (!best) return best.error();
  state.precision = best->precision;
  state.notes.insert(state.notes.begin(), best->notes.begin(), best->notes.end());
  std::string names;
  for (const std::string& name : best->float_layers) names += " " + name;
  if (!names.empty())
    state.notes.push_back("a file with these layers in float: octet quantize ... --keep-float" + names);
  return std::move(best->graph);
}

}  // namespace

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::build(const Model& model, const SessionSpec& spec) {
  auto state = std::make_unique<State>();
  const Result<Model> chosen = model_to_run(model, spec, *state);
  if (!chosen) return chosen.error();
  const std::map<std::string, std::string>& metadata = chosen->metadata();
  if (const auto at = metadata.find(k_meta_preprocess); at != metadata.end())
    state->calibration_preprocess = at->second;
  state->uncalibrated = chosen->is_uncalibrated();
  if (state->uncalibrated && model.is_quantized())
    state->notes.push_back(model.path() + " is UNCALIBRATED: its ranges come from noise; accuracy means nothing");
  const auto start = Clock::now();
  BackendOptions options{.threads = spec.threads};
  if (state->precision == "fp16") options.device.floats = DType::f16;
  const Result<std::shared_ptr<Backend>> backend = open_backend(spec.device, options);
  if (!backend) return backend.error();
  std::set<std::string> skip = spec.skip_passes;
  skip.insert(model.state().skip_passes.begin(), model.state().skip_passes.end());
  const Binding binding = {.batch = spec.batch > 0 ? spec.batch : 1, .shapes = spec.shapes};
  Result<Graph> graph = spec.precision == "best" ? best_graph(model, *chosen, binding, skip, **backend, *state)
                                                 : lower(chosen->state().graph, binding, skip);
  if (!graph) return within(model.path(), graph.error());
  for (const Node& node : graph->nodes)
    state->ends_in_softmax |= is_op(node, "Softmax") && node.outputs[0] == graph->outputs[0];
  const Result<TacticChoice> choice = choose_tactics(*graph, **backend, spec, *state);
  if (!choice) return within(model.path(), choice.error());
  Result<std::shared_ptr<const Engine>> engine = Engine::build(std::move(*graph), *backend, *choice);
  if (!engine) return within(model.path(), engine.error());
  state->engine = *engine;
  Result<Context> context = Context::make(state->engine);
  if (!context) return context.error();
  state->context = std::make_unique<Context>(std::move(*context));
  const Graph& planned = state->engine->plan().graph;
  for (const ValueId id : planned.inputs) state->inputs.push_back(port_of(planned.value(id)));
  for (const ValueId id : planned.outputs) state->outputs.push_back(port_of(planned.value(id)));
  const auto view_of = [&](ValueId id) {
    const Value& value = planned.value(id);
    return TensorView::dense(value.dtype, *known_dims(*value.shape), nullptr);
  };
  for (const ValueId id : planned.inputs) state->io.inputs.push_back(view_of(id));
  for (const ValueId id : planned.outputs) state->io.outputs.push_back(view_of(id));
  state->threads = spec.threads;
  state->times.build_s = seconds_since(start);
  return Session(std::move(state));
}

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
size_t Session::arena_bytes() const { return state_->engine->plan().arena_bytes; }
const SessionTimes& Session::times() const { return state_->times; }
const std::string& Session::tuning_log() const { return state_->tuning_log; }
const std::vector<std::string>& Session::notes() const { return state_->notes; }
const std::string& Session::calibration_preprocess() const { return state_->calibration_preprocess; }
bool Session::is_uncalibrated() const { return state_->uncalibrated; }
bool Session::ends_in_softmax() const { return state_->ends_in_softmax; }

std::vector<LayerInfo> Session::layers() const {
  std::vector<LayerInfo> layers;
  const Plan& plan = state_->engine->plan();
  for (const Step& step : plan.steps) {
    const Node& node = plan.graph.node(step.node);
    const Value& y = plan.graph.value(node.outputs[0]);
    layers.push_back({node.name.empty() ? y.name : node.name, std::string(node.op->name), y.name,
                      y.shape ? to_string(*y.shape) : "?", std::string(name(y.dtype)), step.tactic,
                      mmac_of(plan.graph, node)});
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
