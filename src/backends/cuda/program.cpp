#include "backends/cuda/program.h"

#include <cuda_fp16.h>

#include <algorithm>
#include <cstring>

#include "backends/cuda/fused_steps.h"
#include "backends/cuda/tune.h"

namespace octet::cuda {
namespace {

struct OpStep {
  std::string_view op;
  const StepDef* step;
};
constexpr OpStep k_steps[] = {
#define OCTET_STEP(op, step) {#op, &step},
#include "backends/cuda/steps.def"
#undef OCTET_STEP
};

/// The first row of steps that one kernel can run from here; with a tile for tests, the rows that have such tiles.
Result<FusedSteps> fuse_steps(const Plan& plan, size_t first, DType floats, const std::string& tile,
                              StepBuilder& builder) {
  constexpr struct {
    std::string_view tiles;
    Result<FusedSteps> (*fuse)(const Plan&, size_t, DType, StepBuilder&);
  } k_rows[] = {{"stem", fuse_stem}, {"joined", fuse_residual}, {"gemv", fuse_end}};
  for (const auto& row : k_rows) {
    if (!tile.empty() && !tile.starts_with(row.tiles)) continue;
    Result<FusedSteps> fused = row.fuse(plan, first, floats, builder);
    if (!fused || fused->steps > 0) return fused;
  }
  return FusedSteps{};
}

}  // namespace

std::vector<const StepDef*> steps_for(std::string_view op) {
  std::vector<const StepDef*> found;
  for (const OpStep& entry : k_steps)
    if (entry.op == op) found.push_back(entry.step);
  found.push_back(&reference_step);
  return found;
}

Launch CudaWorkspace::launch() const {
  return {stream.get(),
          static_cast<std::byte*>(arena.get()),
          &inputs,
          &outputs,
          static_cast<int32_t*>(partial.get()),
          static_cast<int32_t*>(arrived.get()),
          static_cast<std::byte*>(host.get()),
          &host_calls};
}

Result<Done> CudaWorkspace::host_result() const {
  for (const auto& [step, call] : host_calls)
    if (call->error) return *call->error;
  return Done{};
}

TacticChoice CudaProgram::choice() const {
  TacticChoice made(plan_->graph.nodes.size());
  for (size_t i = 0; i < steps_.size(); ++i) made[static_cast<size_t>(plan_->steps[i].node)] = steps_[i].tactic;
  return made;
}

Result<std::unique_ptr<const Program>> CudaProgram::make(std::shared_ptr<const Plan> plan, const Device& device,
                                                         const ProgramOptions& options) {
  auto program = std::make_unique<CudaProgram>();
  program->plan_ = std::move(plan);
  program->floats_ = options.floats;
  program->as_graph_ = options.graph;
  program->managed_ = options.managed;
  program->poison_ = options.poison;
  program->wait_ = options.wait;
  program->moved_.end = (program->plan_->arena_bytes + 255) / 256 * 256;
  std::vector<PreparedStep> steps;
  while (steps.size() < program->plan_->steps.size())
    if (Result<Done> done = program->prepare_steps(steps.size(), options, device, steps); !done) return done.error();
  if (Result<Done> done = program->prepare_transfers(device); !done) return done.error();
  if (Result<Done> done = program->choose(steps, options); !done) return done.error();
  return std::unique_ptr<const Program>(std::move(program));
}

Result<Done> CudaProgram::prepare_steps(size_t first, const ProgramOptions& options, const Device& device,
                                        std::vector<PreparedStep>& prepared) {
  StepBuilder builder(*plan_, device, options.floats, constants_, moved_);
  Result<FusedSteps> fused = fuse_steps(*plan_, first, options.floats, options.tile, builder);
  if (fused && fused->steps == 0) {
    Result<PreparedStep> made = prepare_step(plan_->steps[first], options, builder);
    if (!made) return made.error();
    add_step(plan_->steps[first], builder);
    packed_bytes_ += made->packed_bytes;
    prepared.push_back(std::move(*made));
    return Done{};
  }
  if (!fused) return fused.error();
  for (size_t i = 0; i < fused->steps; ++i) {
    const Step& step = plan_->steps[first + i];
    Result<PreparedStep> alone = prepare_step(step, options, builder);
    if (!alone) return alone.error();
    add_step(step, builder);
    const size_t cheapest = alone->cheapest();
    if (cheapest < alone->choices.size()) steps_.back().alone = std::move(alone->choices[cheapest].run);
    steps_.back().joined = true;
    steps_.back().note = k_in_next_step;
    prepared.emplace_back();
  }
  packed_bytes_ += fused->prepared.packed_bytes;
  prepared.back() = std::move(fused->prepared);
  prepared.back().wanted = choice_of(plan_->steps[first + fused->steps - 1].tactic);
  return Done{};
}

/// An entry of steps_ with what taps are shown of it.
void CudaProgram::add_step(const Step& step, const StepBuilder& builder) {
  const Graph& graph = plan_->graph;
  ProgramStep made;
  made.tactic = family_of(step.tactic);
  for (const ValueId v : graph.node(step.node).outputs) {
    if (v == k_absent || is_constant(graph, v)) continue;
    made.taps.push_back({graph.value(v).name, builder.value(v)});
  }
  steps_.push_back(std::move(made));
}

Result<PreparedStep> CudaProgram::prepare_step(const Step& step, const ProgramOptions& options, StepBuilder& builder) {
  const Graph& graph = plan_->graph;
  const Node& node = graph.node(step.node);
  const StepQuery query{{graph, node}, options.floats, options.tf32};
  const StepDef* chosen = nullptr;
  for (const StepDef* def : steps_for(node.op->name))
    if (def->family == family_of(step.tactic)) chosen = def;
  if (!chosen)
    return query.error("the plan names tactic '" + step.tactic + "', which this back end does not have for the op",
                       ErrorCode::bad_argument);
  Result<PreparedStep> prepared =
      is_constant(graph, node.outputs[0]) ? PreparedStep{} : chosen->prepare(query, builder);
  if (!prepared) return prepared.error();
  prepared->wanted = choice_of(step.tactic);
  partial_sums_ = std::max(partial_sums_, prepared->partial_sums);
  tiles_ = std::max(tiles_, prepared->tiles);
  host_bytes_ = std::max(host_bytes_, prepared->host_bytes);
  return prepared;
}

Result<Done> CudaProgram::prepare_transfers(const Device& device) {
  const Graph& graph = plan_->graph;
  StepBuilder builder(*plan_, device, floats_, constants_, moved_);
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Operand to = builder.value(graph.inputs[i]);
    if (to.place.kind != Place::Kind::arena) continue;
    Result<Enqueue> made = convert(to, {dense_layout(to.layout.dtype, to.layout.dims), {Place::Kind::input, i}});
    if (!made) return made.error();
    bring_in_.push_back(std::move(*made));
  }
  fixed_outputs_.resize(graph.outputs.size());
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const ValueId v = graph.outputs[i];
    if (writes_output(graph, v, floats_)) continue;
    if (const std::optional<Tensor> tensor = constant_of(graph, v)) {
      fixed_outputs_[i] = *tensor;
      continue;
    }
    const Operand from = builder.value(v);
    Result<Enqueue> made = convert({dense_layout(from.layout.dtype, from.layout.dims), {Place::Kind::output, i}}, from);
    if (!made) return made.error();
    take_out_.push_back(std::move(*made));
  }
  return Done{};
}

Result<Done> CudaProgram::choose(std::vector<PreparedStep>& steps, const ProgramOptions& options) {
  std::vector<size_t> chosen(steps.size(), 0);
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::vector<Choice>& choices = steps[i].choices;
    chosen[i] = std::min(steps[i].cheapest(), choices.empty() ? 0 : choices.size() - 1);
    bool named = false;
    for (size_t c = 0; c < choices.size(); ++c) {
      if (choices[c].name == options.tile) chosen[i] = c;
      if (steps[i].wanted.empty() || choices[c].name != steps[i].wanted) continue;
      chosen[i] = c, named = true;
    }
    // A plan that is run at another shape may name what the layer does not have there.
    if (!named) steps[i].wanted.clear();
  }
  if (options.tune && options.tile.empty())
    if (Result<Done> done = tune(steps, options, chosen); !done) return done;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].choices.empty()) continue;
    Choice& choice = steps[i].choices[chosen[i]];
    steps_[i].run = std::move(choice.run);
    steps_[i].note = choice.name;
    if (steps[i].choices.size() > 1) steps_[i].tactic += " " + choice.name;
  }
  return Done{};
}

Result<Done> CudaProgram::tune(const std::vector<PreparedStep>& steps, const ProgramOptions& options,
                               std::vector<size_t>& chosen) const {
  const auto is_open = [](const PreparedStep& step) { return step.choices.size() > 1 && step.wanted.empty(); };
  if (std::none_of(steps.begin(), steps.end(), is_open)) return Done{};
  std::unique_ptr<CudaWorkspace> workspace;  // made when the first time is taken
  const Stage stage = [&]() -> Result<Launch> {
    if (!workspace) {
      Result<std::unique_ptr<CudaWorkspace>> made = allocate(0);
      if (!made) return made.error();
      workspace = std::move(*made);
    }
    return workspace->launch();
  };
  Tuner tuner(options.times.get(), options.timing_key, stage);
  std::vector<std::vector<size_t>> ranked(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!is_open(steps[i])) continue;
    Result<std::vector<size_t>> fastest = tuner.fastest(steps[i]);
    if (!fastest) return fastest.error();
    ranked[i] = *std::move(fastest);
    chosen[i] = ranked[i][0];
  }
  const Enqueue run_all = [&](const Launch& launch) {
    for (const Enqueue& part : bring_in_)
      if (const cudaError_t status = part(launch); status != cudaSuccess) return status;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].choices.empty()) continue;
      if (const cudaError_t status = steps[i].choices[chosen[i]].run(launch); status != cudaSuccess) return status;
    }
    for (const Enqueue& part : take_out_)
      if (const cudaError_t status = part(launch); status != cudaSuccess) return status;
    return cudaSuccess;
  };
  return tuner.tune_together(steps, ranked, chosen, run_all);
}

cudaError_t CudaProgram::enqueue(const Launch& launch) const {
  for (const Enqueue& part : bring_in_)
    if (const cudaError_t status = part(launch); status != cudaSuccess) return status;
  for (const ProgramStep& step : steps_)
    if (step.run)
      if (const cudaError_t status = step.run(launch); status != cudaSuccess) return status;
  for (const Enqueue& part : take_out_)
    if (const cudaError_t status = part(launch); status != cudaSuccess) return status;
  return cudaSuccess;
}

Result<Done> CudaProgram::show(const CudaWorkspace& workspace, const ProgramStep& step, const RunHooks& hooks) const {
  for (const Tapped& tapped : step.taps) {
    const Layout& layout = tapped.operand.layout;
    std::vector<std::byte> bytes(layout.bytes());
    const Result<Done> ok = check(cudaMemcpyAsync(bytes.data(), workspace.launch().at(tapped.operand.place),
                                                  bytes.size(), cudaMemcpyDeviceToHost, workspace.stream.get()),
                                  "reading a layer's output");
    if (!ok) return ok;
    if (Result<Done> done = check(cudaStreamSynchronize(workspace.stream.get()), "reading a layer's output"); !done)
      return done;
    std::vector<float> values;
    if (layout.store == Store::f16) {
      for (size_t i = 0; i < bytes.size(); i += 2) {
        __half_raw raw;
        std::memcpy(&raw.x, bytes.data() + i, 2);
        values.push_back(__half2float(__half(raw)));
      }
    }
    std::byte* data = values.empty() ? bytes.data() : reinterpret_cast<std::byte*>(values.data());
    // An s8 code is stored as u8 with 128 added.
    const DType dtype = layout.dtype == DType::s8 ? DType::u8 : layout.dtype;
    const TensorView view{dtype, layout.dims, layout.strides, data};
    if (hooks.tap && dtype == DType::f32) hooks.tap(tapped.name, view);
    if (hooks.value_tap) hooks.value_tap(tapped.name, view, domain_shift(layout.dtype));
  }
  return Done{};
}

/// Step by step instead of the graph. With taps every step runs by itself, so that each value can be shown.
Result<Done> CudaProgram::run_steps(CudaWorkspace& workspace, const RunHooks& hooks) const {
  const Launch launch = workspace.launch();
  const auto finish = [&](cudaError_t status) {
    const Result<Done> ok = check(status, "starting a kernel");
    return ok ? check(cudaStreamSynchronize(launch.stream), "running a kernel") : ok;
  };
  for (const Enqueue& part : bring_in_)
    if (Result<Done> ok = finish(part(launch)); !ok) return ok;
  const bool taps = hooks.tap || hooks.value_tap;
  for (const ProgramStep& step : steps_) {
    if (const Enqueue& run = taps && step.joined ? step.alone : step.run)
      if (Result<Done> ok = finish(run(launch)); !ok) return ok;
    if (Result<Done> ok = workspace.host_result(); !ok) return ok;
    if (taps)
      if (Result<Done> ok = show(workspace, step, hooks); !ok) return ok;
  }
  for (const Enqueue& part : take_out_)
    if (Result<Done> ok = finish(part(launch)); !ok) return ok;
  return Done{};
}

}  // namespace octet::cuda
