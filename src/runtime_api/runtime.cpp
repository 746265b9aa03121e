#include "octet/runtime.h"

#include <algorithm>

#include "backends/open.h"
#include "base/aligned.h"
#include "base/file.h"
#include "octet/version.h"
#include "runtime/engine.h"
#include "runtime/load_plan.h"

namespace octet::runtime {
namespace {

/// The engine of the rooms below; Engine is this library's own.
using Core = octet::Engine;

std::vector<Port> ports_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<Port> ports;
  for (const ValueId v : values) {
    const Value& value = graph.value(v);
    const Dims dims = *known_dims(*value.shape);
    const size_t bytes = static_cast<size_t>(element_count(dims).value_or(0)) * size_of(value.dtype);
    ports.push_back({value.name, std::string(octet::name(value.dtype)), dims, bytes});
  }
  return ports;
}

/// Views of the ports that lack their addresses only.
std::vector<TensorView> views_of(const Graph& graph, const std::vector<ValueId>& values,
                                 const std::vector<Port>& ports) {
  std::vector<TensorView> views;
  for (size_t i = 0; i < ports.size(); ++i)
    views.push_back(TensorView::dense(graph.value(values[i]).dtype, ports[i].dims, nullptr));
  return views;
}

}  // namespace

struct Engine::State {
  std::shared_ptr<const Core> core;
  std::vector<Port> inputs, outputs;
  std::vector<std::string> notes;
  std::shared_ptr<const PlanFile> plan;  // of a plan with a profile, for engines at other shapes; else null

  static Result<std::shared_ptr<const State>> make(Result<PlanFile> plan, const Options& options) {
    if (!plan) return plan.error();
    const Result<std::shared_ptr<Backend>> backend = open_backend(options.device, {.threads = options.threads});
    if (!backend) return backend.error();
    State first;
    first.notes = plan->notes;
    if (std::string note = uncalibrated_note(*plan); !note.empty()) first.notes.push_back(std::move(note));
    return make(std::make_shared<const PlanFile>(*std::move(plan)), *backend,
                {.batch = options.batch, .shapes = options.shapes}, std::move(first));
  }

  /// from: has the notes, and for another engine at other shapes the core whose weights are shared.
  static Result<std::shared_ptr<const State>> make(std::shared_ptr<const PlanFile> plan,
                                                   const std::shared_ptr<Backend>& backend, const WantedShapes& wanted,
                                                   State from) {
    auto state = std::make_shared<State>(std::move(from));
    Result<std::shared_ptr<const Core>> core = load_engine(*plan, backend, wanted, state->notes, state->core);
    if (!core) return core.error();
    state->core = *std::move(core);
    const Graph& graph = state->core->plan().graph;
    state->inputs = ports_of(graph, graph.inputs);
    state->outputs = ports_of(graph, graph.outputs);
    if (!plan->profile.fixed()) state->plan = std::move(plan);
    return std::shared_ptr<const State>(std::move(state));
  }
};

struct Context::State {
  std::shared_ptr<const Engine::State> engine;
  octet::Context context;
  Bindings io;  // a run fills in the addresses only, so that it allocates nothing
};

Result<Engine> Engine::load(const std::string& path, const Options& options) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  const std::string self = "octet " + version();
  Result<std::shared_ptr<const State>> state = State::make(read_plan((*file)->bytes(), *file, self), options);
  if (!state) return within(path, state.error());
  // Weights used in place stay; the rest of the file is not needed any more.
  if ((*state)->core->program().borrowed_steps() == 0) (*file)->drop_pages();
  return Engine(*std::move(state));
}

Result<Engine> Engine::load(std::span<const std::byte> plan, const Options& options) {
  std::shared_ptr<std::byte[]> copy(allocate_aligned(plan.size()));
  if (!copy)
    return Error{ErrorCode::out_of_memory, "no memory for a plan of " + std::to_string(plan.size()) + " bytes"};
  std::copy(plan.begin(), plan.end(), copy.get());
  const std::string self = "octet " + version();
  const std::span<const std::byte> bytes(copy.get(), plan.size());
  Result<std::shared_ptr<const State>> state = State::make(read_plan(bytes, copy, self), options);
  if (!state) return within("plan in memory", state.error());
  return Engine(*std::move(state));
}

Result<Engine> Engine::at(int64_t batch, const std::map<std::string, std::vector<int64_t>>& shapes) const {
  const bool is_this = shapes.empty() && std::all_of(state_->inputs.begin(), state_->inputs.end(), [&](const Port& p) {
                         return batch == 0 || p.dims.empty() || p.dims[0] == batch;
                       });
  if (is_this) return *this;
  if (!state_->plan)
    return Error{ErrorCode::bad_argument,
                 "the plan was built for one shape only: build it with --shapes NAME:MIN:OPT:MAX"};
  Result<std::shared_ptr<const State>> state =
      State::make(state_->plan, state_->core->share_backend(), {.batch = batch, .shapes = shapes}, *state_);
  if (!state) return state.error();
  return Engine(*std::move(state));
}

const std::vector<Port>& Engine::inputs() const { return state_->inputs; }
const std::vector<Port>& Engine::outputs() const { return state_->outputs; }
std::string Engine::description() const { return state_->core->backend().description(); }
const std::vector<std::string>& Engine::notes() const { return state_->notes; }

Result<Context> Engine::context() const {
  Result<octet::Context> made = octet::Context::make(state_->core);
  if (!made) return made.error();
  const Graph& graph = state_->core->plan().graph;
  Bindings io{views_of(graph, graph.inputs, state_->inputs), views_of(graph, graph.outputs, state_->outputs)};
  return Context(std::unique_ptr<Context::State>(new Context::State{state_, *std::move(made), std::move(io)}));
}

Context::Context(std::unique_ptr<State> state) : state_(std::move(state)) {}
Context::Context(Context&&) noexcept = default;
Context& Context::operator=(Context&&) noexcept = default;
Context::~Context() = default;

Result<Done> Context::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  const Engine::State& engine = *state_->engine;
  if (inputs.size() != engine.inputs.size() || outputs.size() != engine.outputs.size())
    return Error{ErrorCode::bad_argument, "the plan has " + std::to_string(engine.inputs.size()) + " inputs and " +
                                              std::to_string(engine.outputs.size()) + " outputs, given were " +
                                              std::to_string(inputs.size()) + " and " + std::to_string(outputs.size())};
  Bindings& io = state_->io;
  for (size_t i = 0; i < inputs.size(); ++i)  // inputs are only read; a view has one pointer type for both
    io.inputs[i].data = static_cast<std::byte*>(const_cast<void*>(inputs[i]));
  for (size_t i = 0; i < outputs.size(); ++i) io.outputs[i].data = static_cast<std::byte*>(outputs[i]);
  return state_->context.run(io);
}

std::string version() { return k_version; }

}  // namespace octet::runtime
