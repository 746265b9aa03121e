#include "backends/cpu/program.h"

#include <chrono>

#include "backends/cpu/constants.h"
#include "backends/cpu/transfer.h"
#include "base/file.h"
#include "kernels/conventions.h"

namespace octet::cpu {

namespace {

struct OpStep {
  std::string_view op;
  const StepDef* step;
};
constexpr OpStep k_steps[] = {
#define OCTET_STEP(op, step) {#op, &step},
#include "backends/cpu/steps.def"
#undef OCTET_STEP
};

size_t align_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

size_t index_in(const std::vector<ValueId>& list, ValueId v) {
  return static_cast<size_t>(std::find(list.begin(), list.end(), v) - list.begin());
}

bool any_supported(const std::vector<Tactic>& tactics) {
  return std::any_of(tactics.begin(), tactics.end(), [](const Tactic& t) { return t.refused.empty(); });
}

using Clock = std::chrono::steady_clock;

}  // namespace

std::vector<const StepDef*> steps_for(std::string_view op) {
  std::vector<const StepDef*> found;
  for (const OpStep& entry : k_steps) {
    if (entry.op == op) found.push_back(entry.step);
  }
  found.push_back(&reference_step);
  return found;
}

std::vector<Tactic> tactics_for(const StepQuery& query) {
  std::vector<Tactic> found;
  for (const StepDef* step : steps_for(query.node.op->name)) {
    const std::string family(step->family);
    std::string refused = step->refuse(query);
    if (step == &reference_step && refused.empty() && any_supported(found)) refused = "there is a fast way";
    if (!refused.empty()) {
      found.push_back({family + " " + std::string(name(query.isa)), std::move(refused), 0});
    } else if (!step->variants) {
      found.push_back({family + " " + std::string(name(query.isa)), "", step->cost_us(query)});
    } else {
      for (StepVariant& variant : step->variants(query))
        found.push_back({family + " " + variant.name, std::move(variant.refused), variant.cost_us});
    }
  }
  return found;
}

double streaming_cost_us(const StepQuery& query) {
  double bytes = 0;
  for (const std::vector<ValueId>* values : {&query.node.inputs, &query.node.outputs}) {
    for (const ValueId v : *values) {
      if (v != k_absent) bytes += static_cast<double>(layout_of(query.graph, v).bytes());
    }
  }
  return 1 + bytes / 10e3;
}

Operand StepBuilder::value(ValueId v) const {
  const Graph& graph = plan_.graph;
  const Slot& slot = plan_.slots[static_cast<size_t>(v)];
  Operand operand{layout_of(graph, v), {}};
  if (slot.bytes > 0) {
    operand.place = {Place::Kind::arena, slot.offset};
  } else if (borrows_input(graph, v)) {
    operand.place = {Place::Kind::input, index_in(graph.inputs, v)};
    operand.layout = dense_layout(operand.layout.dtype, operand.layout.dims);
  } else if (writes_output(graph, v)) {
    operand.place = {Place::Kind::output, index_in(graph.outputs, v)};
  }
  return operand;
}

Result<Operand> StepBuilder::constant(const Tensor& tensor) {
  Operand operand{layout_of(tensor.dtype(), tensor.dims()), {}};
  AlignedBytes bytes = to_backend_layout(tensor, operand.layout);
  if (!bytes)
    return Error{ErrorCode::out_of_memory,
                 "no memory for a constant of " + std::to_string(operand.layout.bytes()) + " bytes"};
  operand.place = {Place::Kind::constant, 0, bytes.get()};
  constants_.push_back(std::move(bytes));
  return operand;
}

Result<Operand> StepBuilder::input(const StepQuery& query, size_t i) {
  if (const std::optional<Tensor> tensor = constant_of(query.graph, query.id(i))) return constant(*tensor);
  return value(query.id(i));
}

Operand StepBuilder::output(const StepQuery& query, size_t i) const { return value(query.node.outputs[i]); }

Result<std::unique_ptr<const Program>> CpuProgram::make(std::shared_ptr<const Plan> plan, Isa isa, int threads) {
  auto program = std::make_unique<CpuProgram>();
  program->plan_ = std::move(plan);
  if (Result<Done> done = program->prepare_transfers(isa); !done) return done.error();
  for (const Step& step : program->plan_->steps) {
    if (Result<Done> done = program->prepare_step(step, isa, threads); !done) return done.error();
  }
  for (const PreparedStep& step : program->bring_in_) program->account(step, threads);
  for (const PreparedStep& step : program->take_out_) program->account(step, threads);
  program->arena_bytes_ = program->plan_->arena_bytes;
  program->plan_.reset();
  return std::unique_ptr<const Program>(std::move(program));
}

size_t CpuProgram::context_bytes() const { return align_up(arena_bytes_) + workspace_bytes_; }

void CpuProgram::account(const PreparedStep& step, int threads) {
  packed_bytes_ += step.packed_bytes;
  const size_t bytes = align_up(step.scratch_bytes) * static_cast<size_t>(threads) + align_up(step.shared_bytes);
  workspace_bytes_ = std::max(workspace_bytes_, bytes);
}

Result<Done> CpuProgram::prepare_step(const Step& step, Isa isa, int threads) {
  const Graph& graph = plan_->graph;
  const Node& node = graph.node(step.node);
  StepQuery query{{graph, node}, isa, threads};
  const std::string_view tactic = step.tactic;
  const size_t family_end = std::min(tactic.find(' '), tactic.size());
  const StepDef* chosen = nullptr;
  for (const StepDef* def : steps_for(node.op->name)) {
    if (def->family == tactic.substr(0, family_end)) chosen = def;
  }
  const std::vector<Tactic> known = tactics_for(query);
  const bool supported =
      std::any_of(known.begin(), known.end(), [&](const Tactic& t) { return t.name == tactic && t.refused.empty(); });
  if (chosen && chosen->variants && supported) query.variant = tactic.substr(family_end + 1);
  if (!chosen || !supported)
    return query.error("the plan names tactic '" + step.tactic + "', which this back end does not have for the step",
                       ErrorCode::bad_argument);
  StepBuilder builder(*plan_, constants_);
  Result<PreparedStep> prepared = chosen->prepare(query, builder);
  if (!prepared) return prepared.error();
  ProgramStep made{*std::move(prepared), {}};
  account(made.prepared, threads);
  for (const ValueId v : node.inputs) {
    if (const Tensor* constant = v == k_absent ? nullptr : graph.constant(v)) release_mapped_pages(constant->bytes());
  }
  for (const ValueId v : node.outputs) {
    if (v == k_absent || is_constant(graph, v)) continue;
    const Operand operand = builder.value(v);
    if (operand.place.kind == Place::Kind::nowhere) continue;
    const int offset = domain_shift(operand.layout.dtype);
    const DType stored = offset ? DType::u8 : operand.layout.dtype;
    made.taps.push_back(
        {graph.value(v).name, {stored, operand.layout.dims, operand.layout.strides, nullptr}, operand.place, offset});
  }
  steps_.push_back(std::move(made));
  return Done{};
}

Result<Done> CpuProgram::prepare_transfers(Isa isa) {
  StepBuilder builder(*plan_, constants_);
  const Graph& graph = plan_->graph;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Operand to = builder.value(graph.inputs[i]);
    if (to.place.kind == Place::Kind::arena) bring_in_.push_back(bring_in(i, to, isa));
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    if (Result<Done> done = prepare_output(i, builder, isa); !done) return done.error();
  }
  return Done{};
}

Result<Done> CpuProgram::prepare_output(size_t index, StepBuilder& builder, Isa isa) {
  const Graph& graph = plan_->graph;
  const ValueId v = graph.outputs[index];
  if (writes_output(graph, v)) return Done{};
  const Place to{Place::Kind::output, index};
  if (const std::optional<Tensor> tensor = constant_of(graph, v)) {
    AlignedBytes bytes = allocate_aligned(tensor->size_bytes());
    if (!bytes) return Error{ErrorCode::out_of_memory, "no memory for output '" + graph.value(v).name + "'"};
    std::copy_n(tensor->bytes().data(), tensor->size_bytes(), bytes.get());
    take_out_.push_back(copy_bytes({Place::Kind::constant, 0, bytes.get()}, to, tensor->size_bytes()));
    constants_.push_back(std::move(bytes));
    return Done{};
  }
  const size_t input = index_in(graph.inputs, v);
  if (input < graph.inputs.size()) {
    const Layout dense = layout_of(graph, v);
    take_out_.push_back(copy_bytes({Place::Kind::input, input}, to, dense_layout(dense.dtype, dense.dims).bytes()));
    return Done{};
  }
  take_out_.push_back(take_out(builder.value(v), index, isa));
  return Done{};
}

Result<Done> CpuProgram::run(std::byte* arena, const Bindings& io, const RunHooks& hooks, ThreadPool& pool) const {
  std::optional<Error> error;
  std::byte* const workspace = arena + align_up(arena_bytes_);
  if (hooks.step_seconds) hooks.step_seconds->resize(steps_.size());
  const auto run_one = [&](const PreparedStep& step) {
    if (step.run) step.run(RunContext(arena, io, workspace, align_up(step.scratch_bytes), pool, error));
  };
  Clock::time_point start = hooks.step_seconds ? Clock::now() : Clock::time_point();
  const auto count_time = [&](size_t step) {
    if (!hooks.step_seconds || step >= steps_.size()) return;
    const Clock::time_point now = Clock::now();
    (*hooks.step_seconds)[step] += std::chrono::duration<double>(now - start).count();
    start = now;
  };
  for (const PreparedStep& step : bring_in_) run_one(step);
  for (size_t i = 0; i < steps_.size(); ++i) {
    run_one(steps_[i].prepared);
    if (error) return *error;
    count_time(i);
    if (!hooks.tap && !hooks.value_tap) continue;
    const RunContext context(arena, io, workspace, 0, pool, error);
    for (const Tapped& tapped : steps_[i].taps) {
      TensorView view = tapped.view;
      view.data = context.at<std::byte>(tapped.place);
      if (hooks.tap && view.dtype == DType::f32) hooks.tap(tapped.name, view);
      if (hooks.value_tap) hooks.value_tap(tapped.name, view, tapped.offset);
    }
    if (hooks.step_seconds) start = Clock::now();
  }
  for (const PreparedStep& step : take_out_) run_one(step);
  if (!steps_.empty()) count_time(steps_.size() - 1);
  return Done{};
}

}  // namespace octet::cpu
