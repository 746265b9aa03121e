#include "backends/cpu/program.h"

#include <atomic>
#include <chrono>

#include "backends/cpu/constants.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/row_chains.h"
#include "backends/cpu/transfer.h"
#include "backends/cpu/weights_ahead.h"
#include "base/file.h"
#include "kernels/conventions.h"
#include "plan/arena.h"

namespace octet::cpu {

namespace {

struct OpStep {
  std::string_view op;
  const StepDef* step;
};
constexpr OpStep k_steps[] = {
#define OCTET_STEP(op, step) {#op, &(step)},
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
  found.push_back(&nothing_step);
  found.push_back(&reference_step);
  return found;
}

std::vector<Tactic> tactics_for(const StepQuery& query, const StepDef* only) {
  const bool without_elements = is_without_elements(query);
  std::vector<Tactic> found;
  for (const StepDef* step : steps_for(query.node.op->name)) {
    const std::string family(step->family);
    const bool is_fast = step != &nothing_step && step != &reference_step;
    if (step == &nothing_step && !without_elements) continue;
    if (is_fast && only && only != &reference_step && step != only) continue;
    std::string refused = is_fast && without_elements ? "a tensor has no elements" : step->refuse(query);
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
  Operand operand{neighbours_.layout(graph, v), {}};
  if (slot.bytes > 0) {
    const std::optional<JoinedPlace> joined = neighbours_.joined(v);
    const int64_t first = joined ? joined->channel : 0;
    operand.place = {Place::Kind::arena, slot.offset + static_cast<size_t>(first) * operand.layout.element_bytes};
  } else if (borrows_input(graph, v)) {
    operand.place = {Place::Kind::input, index_in(graph.inputs, v)};
    operand.layout = dense_layout(operand.layout.dtype, operand.layout.dims);
  } else if (writes_output(graph, v)) {
    operand.place = {Place::Kind::output, index_in(graph.outputs, v)};
  }
  if (part_ && !part_->image_bytes.empty()) operand.place.image_bytes = part_->image_bytes[static_cast<size_t>(v)];
  if (part_ && !part_->worker_bytes.empty()) operand.place.worker_bytes = part_->worker_bytes[static_cast<size_t>(v)];
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

std::string_view StepBuilder::variant_of(NodeId node) const {
  const std::string_view tactic = plan_.steps[static_cast<size_t>(node)].tactic;  // step n is node n
  return tactic.substr(std::min(tactic.find(' '), tactic.size() - 1) + 1);
}

int StepBuilder::workers(const StepQuery& query) const { return part_ && part_->by_worker ? 1 : query.threads; }

Result<Operand> StepBuilder::input(const StepQuery& query, size_t i) {
  if (const std::optional<Tensor> tensor = constant_of(query.graph, query.id(i))) return constant(*tensor);
  return value(query.id(i));
}

Operand StepBuilder::output(const StepQuery& query, size_t i) const { return value(query.node.outputs[i]); }

void find_next_weights(std::span<ProgramStep> steps) {
  constexpr size_t k_soon = 4;  // steps
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i].next_weights = {};
    for (size_t next = i + 1; next < std::min(i + 1 + k_soon, steps.size()) && steps[i].next_weights.empty(); ++next)
      if (!steps[next].prepared.for_taps) steps[i].next_weights = steps[next].prepared.packed.bytes;
  }
}

/// Weights that a layer has others bring near. Steps of a part that is run several times are told nothing of each
/// other.
void CpuProgram::plan_ahead(size_t cache_bytes) {
  std::vector<AheadStep> all(steps_.size());
  for (const ProgramPart& part : parts_)
    for (size_t i = part.first; i < part.last; ++i) {
      const PreparedStep& step = steps_[i].prepared;
      if (!step.run || step.for_taps) continue;
      all[i] = {step.read_by, step.spare_bytes, steps_[i].touched, part.turns > 1};
      for (size_t worker = 0; step.read_by.empty() && worker < threads_; ++worker)
        all[i].weights.push_back(
            worker_share(step.packed.bytes, static_cast<int64_t>(worker), static_cast<int64_t>(threads_)));
    }
  std::vector<WeightsAhead> plans = plan_weights_ahead(all, cache_bytes, threads_);
  for (size_t i = 0; i < steps_.size(); ++i) steps_[i].ahead = std::move(plans[i]);
}

CpuProgram::CpuProgram(std::vector<ProgramStep> steps, std::vector<ProgramPart> parts, int threads)
    : steps_(std::move(steps)), parts_(std::move(parts)), threads_(static_cast<size_t>(threads)) {
  find_next_weights(steps_);
  for (const ProgramStep& step : steps_) account(step.prepared);
  list_items();
}

Result<std::unique_ptr<const Program>> CpuProgram::make(std::shared_ptr<const Plan> plan, Isa isa, int threads,
                                                        size_t cache_bytes) {
  auto program = std::make_unique<CpuProgram>();
  const Arrangement arrangement = arrange(plan, cache_bytes, isa, threads);
  program->plan_ = std::move(plan);
  program->threads_ = static_cast<size_t>(threads);
  for (const SubBatch& part : arrangement.parts) {
    if (Result<Done> done = program->prepare_part(part, isa, threads); !done) return done.error();
  }
  if (Result<Done> done = program->prepare_transfers(arrangement, isa); !done) return done.error();
  for (const PreparedStep& step : program->bring_in_) program->account(step);
  for (const PreparedStep& step : program->take_out_) program->account(step);
  find_next_weights(program->steps_);
  program->plan_ahead(cache_bytes);
  program->list_items();
  program->arena_bytes_ = arrangement.arena_bytes;
  if (program->borrowed_steps_ > 0) program->packed_owner_ = program->plan_->packed->owner;
  program->plan_.reset();
  return std::unique_ptr<const Program>(std::move(program));
}

std::vector<PackedWeights> CpuProgram::packed() const {
  std::vector<PackedWeights> all;  // step n is node n: make_plan keeps the order of the graph
  for (const ProgramStep& step : steps_) all.push_back(step.prepared.packed);
  return all;
}

size_t CpuProgram::scratch_distance() const { return scratch_bytes_ + (threads_ > 1 ? k_between_workers : 0); }

size_t CpuProgram::scratch_offset() const { return align_up(arena_bytes_) + (threads_ > 1 ? k_between_workers : 0); }

size_t CpuProgram::context_bytes() const {
  return scratch_offset() + scratch_distance() * threads_ + align_up(shared_bytes_);
}

void CpuProgram::account(const PreparedStep& step) {
  packed_bytes_ += step.packed_bytes;
  scratch_bytes_ = std::max(scratch_bytes_, align_up(step.scratch_bytes));
  shared_bytes_ = std::max(shared_bytes_, step.shared_bytes);
}

/// All turns of all parts in running order, and where the workers can go in step.
void CpuProgram::list_items() {
  const auto add = [this](const ProgramItem& item, bool in_team) {
    if (stretches_.empty() || stretches_.back().in_team != in_team)
      stretches_.push_back({items_.size(), items_.size(), in_team});
    items_.push_back(item);
    stretches_.back().last = items_.size();
  };
  for (size_t p = 0; p < parts_.size(); ++p) {
    const ProgramPart& part = parts_[p];
    if (part.by_worker) {
      add({p, 0, true}, true);
      continue;
    }
    for (size_t turn = 0; turn < part.turns; ++turn)
      for (size_t i = part.first; i < part.last; ++i) {
        const PreparedStep& step = steps_[i].prepared;
        if (step.run && (!step.for_taps || step.can_run_apart)) add({i, turn * part.images, false}, step.in_team);
      }
  }
}

Result<Done> CpuProgram::prepare_part(const SubBatch& part, Isa isa, int threads) {
  for (size_t s = part.first; s < part.last; ++s) {
    if (Result<Done> done = prepare_step(part.plan->steps[s], part, isa, threads); !done) return done.error();
  }
  parts_.push_back(
      {part.first, part.last, static_cast<size_t>(part.images), static_cast<size_t>(part.turns), part.by_worker});
  return Done{};
}

Result<Done> CpuProgram::prepare_step(const Step& step, const SubBatch& part, Isa isa, int threads) {
  const Graph& graph = part.plan->graph;
  const Node& node = graph.node(step.node);
  StepQuery query{{graph, node}, isa, threads};
  const std::string_view tactic = step.tactic;
  const size_t family_end = std::min(tactic.find(' '), tactic.size());
  const StepDef* chosen = nullptr;
  for (const StepDef* def : steps_for(node.op->name)) {
    if (def->family == tactic.substr(0, family_end)) chosen = def;
  }
  const Graph& whole = plan_->graph;  // whose batch the tactic was chosen for
  const std::vector<Tactic> known = tactics_for(StepQuery{{whole, whole.node(step.node)}, isa, threads}, chosen);
  const bool supported =
      std::any_of(known.begin(), known.end(), [&](const Tactic& t) { return t.name == tactic && t.refused.empty(); });
  if (chosen && chosen->variants && supported) query.variant = tactic.substr(family_end + 1);
  if (!chosen || !supported)
    return query.error("the plan names tactic '" + step.tactic + "', which this back end does not have for the step",
                       ErrorCode::bad_argument);
  if (plan_->packed && static_cast<size_t>(step.node) < plan_->packed->steps.size())
    query.packed = &plan_->packed->steps[static_cast<size_t>(step.node)];
  StepBuilder builder(*part.plan, *part.neighbours, constants_, &part);
  Result<PreparedStep> prepared = chosen->prepare(query, builder);
  if (!prepared) return prepared.error();
  if (Result<Done> done = chain_rows(query, builder, *prepared); !done) return done.error();
  ProgramStep made{*std::move(prepared), {}, {}};
  for (const std::vector<ValueId>* values : {&node.inputs, &node.outputs})
    for (const ValueId v : *values)
      if (v != k_absent && !is_constant(graph, v)) made.touched += part.neighbours->layout(graph, v).bytes();
  account(made.prepared);
  borrowed_steps_ += made.prepared.borrows;
  for (const ValueId v : node.inputs) {
    if (const Tensor* constant = v == k_absent ? nullptr : graph.constant(v)) release_mapped_pages(constant->bytes());
  }
  for (const ValueId v : node.outputs) {
    if (v == k_absent || is_constant(graph, v)) continue;
    const Operand operand = builder.value(v);
    if (operand.place.kind == Place::Kind::nowhere) continue;
    const Layout layout = part.neighbours->layout(whole, v);  // of the whole batch, whatever the step sees
    const int offset = domain_shift(layout.dtype);
    const DType stored = offset ? DType::u8 : layout.dtype;
    made.taps.push_back({graph.value(v).name, {stored, layout.dims, layout.strides, nullptr}, operand.place, offset});
  }
  steps_.push_back(std::move(made));
  return Done{};
}

Result<Done> CpuProgram::prepare_transfers(const Arrangement& arrangement, Isa isa) {
  StepBuilder builder(*arrangement.whole, *arrangement.neighbours, constants_);
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

struct CpuProgram::Running {
  std::byte* arena;
  std::byte* workspace;
  const Bindings& io;
  const RunHooks& hooks;
  size_t scratch_bytes;
  std::optional<Error>& error;
  Clock::time_point& start;             // the caller's
  std::vector<double>& worker_seconds;  // of a profiled run: by worker and step, in parts that go by worker
  Crew crew;

  RunContext context(size_t first_image = 0, const ProgramStep* told = nullptr) const {
    return RunContext(arena, io, workspace, scratch_bytes, crew, error, first_image,
                      told ? told->next_weights : std::span<const std::byte>(),
                      told && told->prepared.spare_bytes > 0 ? &told->ahead : nullptr);
  }
  Running with(const Crew& other) const {
    return {arena, workspace, io, hooks, scratch_bytes, error, start, worker_seconds, other};
  }
  bool is_caller() const { return !crew.team || crew.team->worker() == 0; }
  /// Adds the time since the last call to the step.
  void count_time(size_t step) const {
    if (!hooks.step_seconds || step >= hooks.step_seconds->size() || !is_caller()) return;
    const Clock::time_point now = Clock::now();
    (*hooks.step_seconds)[step] += std::chrono::duration<double>(now - start).count();
    start = now;
  }
};

bool CpuProgram::run_step(const Running& now, const PreparedStep& step, size_t first_image,
                          const ProgramStep* told) const {
  const bool has_taps = now.hooks.tap || now.hooks.value_tap;
  const bool apart = has_taps || now.hooks.steps_apart;
  if (!step.run || (step.for_taps && !has_taps && !(apart && step.can_run_apart))) return false;
  (apart && step.run_alone ? step.run_alone : step.run)(now.context(first_image, told));
  return true;
}

void CpuProgram::run_item(const Running& now, const ProgramItem& item) const {
  if (item.is_part) return run_by_worker(now, parts_[item.index]);
  const ProgramStep& step = steps_[item.index];
  if (!run_step(now, step.prepared, item.first_image, &step) || !now.hooks.step_seconds) return;
  if (now.crew.team) now.crew.team->settle();
  now.count_time(item.index);
}

/// A turn is a chunk: the worker that takes it runs all steps for the turn's images.
void CpuProgram::run_by_worker(const Running& now, const ProgramPart& part) const {
  const bool is_timed = !now.worker_seconds.empty();
  now.crew.team->loop(static_cast<int64_t>(part.turns), [&](int64_t turn, int worker) {
    const Running own = now.with({now.crew.pool, nullptr, worker});
    double* const seconds =
        is_timed ? now.worker_seconds.data() + static_cast<size_t>(worker) * steps_.size() : nullptr;
    for (size_t i = part.first; i < part.last; ++i) {
      const Clock::time_point start = is_timed ? Clock::now() : Clock::time_point();
      run_step(own, steps_[i].prepared, static_cast<size_t>(turn) * part.images, &steps_[i]);
      if (is_timed) seconds[i] += std::chrono::duration<double>(Clock::now() - start).count();
    }
  });
  if (!is_timed || !now.is_caller()) return;
  now.crew.team->settle();
  for (size_t i = part.first; i < part.last; ++i)
    for (size_t worker = 0; worker < threads_; ++worker)
      (*now.hooks.step_seconds)[i] += now.worker_seconds[worker * steps_.size() + i] / static_cast<double>(threads_);
  now.start = Clock::now();
}

void CpuProgram::run_stretch(const Running& now, const ProgramStretch& stretch) const {
  const auto walk = [&](const Running& own) {
    for (size_t i = stretch.first; i < stretch.last && !own.error; ++i) run_item(own, items_[i]);
  };
  if (!stretch.in_team || threads_ == 1) return walk(now);
  if (!now.hooks.step_seconds) {
    now.crew.pool.run_team([&](TeamWalk& team) { walk(now.with({now.crew.pool, &team})); });
    return;
  }
  // Times are the caller's: the others wait for it to begin, or they could be through before.
  std::atomic<bool> caller_walks{false};
  now.crew.pool.run_team([&](TeamWalk& team) {
    if (team.worker() == 0) {
      caller_walks.store(true, std::memory_order_release);
      caller_walks.notify_all();
    } else {
      caller_walks.wait(false, std::memory_order_acquire);
    }
    walk(now.with({now.crew.pool, &team}));
  });
}

/// Shows what a step has made. copies: by tap, where the value's own place holds a part of the batch.
void CpuProgram::show(const Running& now, const ProgramStep& step, const std::vector<AlignedBytes>* copies) const {
  for (size_t t = 0; t < step.taps.size(); ++t) {
    const Tapped& tapped = step.taps[t];
    TensorView view = tapped.view;
    view.data = copies ? (*copies)[t].get() : now.context().at<std::byte>(tapped.place);
    if (now.hooks.tap && view.dtype == DType::f32) now.hooks.tap(tapped.name, view);
    if (now.hooks.value_tap) now.hooks.value_tap(tapped.name, view, tapped.offset);
  }
  if (now.hooks.step_seconds) now.start = Clock::now();
}

/// Shows the images that one turn of a cut part has made, where they lie.
void CpuProgram::show_turn(const Running& now, const ProgramStep& step, const ProgramPart& part, size_t turn) const {
  for (const Tapped& tapped : step.taps) {
    TensorView view = tapped.view;
    if (view.dtype != DType::f32) continue;
    view.dims[0] /= static_cast<int64_t>(part.turns);
    view.data = now.context(turn * part.images).at<std::byte>(tapped.place);
    now.hooks.part_tap(tapped.name, view, static_cast<int64_t>(turn * part.images), static_cast<int64_t>(part.images));
  }
  if (now.hooks.step_seconds) now.start = Clock::now();
}

/// Taps see whole batches: what the turns of a cut part make is gathered first, unless they take it in parts.
void CpuProgram::run_part_with_taps(const Running& now, const ProgramPart& part) const {
  const bool in_parts = now.hooks.part_tap && !now.hooks.value_tap;
  std::vector<std::vector<AlignedBytes>> copies(part.last - part.first);
  const auto image_bytes = [](const TensorView& v) { return static_cast<size_t>(v.strides[0]) * size_of(v.dtype); };
  // From behind the last element to where the next image would begin: of joined values that is others' memory.
  const auto behind_last = [&](const TensorView& v) {
    int64_t last = 0;
    for (size_t d = 1; d < v.dims.size(); ++d) last += (v.dims[d] - 1) * v.strides[d];
    return image_bytes(v) - static_cast<size_t>(last + 1) * size_of(v.dtype);
  };
  for (size_t turn = 0; turn < part.turns; ++turn)
    for (size_t i = part.first; i < part.last && !now.error; ++i) {
      const ProgramStep& step = steps_[i];
      run_step(now, step.prepared, turn * part.images);
      now.count_time(i);
      if (part.images == 0) {
        if (!now.error) show(now, step, nullptr);
        continue;
      }
      if (in_parts) {
        if (!now.error) show_turn(now, step, part, turn);
        continue;
      }
      std::vector<AlignedBytes>& gathered = copies[i - part.first];
      for (size_t t = 0; t < step.taps.size(); ++t) {
        const Tapped& tapped = step.taps[t];
        const size_t bytes = image_bytes(tapped.view) * part.images;
        if (turn == 0) gathered.push_back(allocate_aligned(bytes * part.turns + k_tail_bytes));
        if (!gathered[t])
          return now.context().fail({ErrorCode::out_of_memory, "no memory to show '" + tapped.name + "'"});
        const std::byte* from = now.context(turn * part.images).at<std::byte>(tapped.place);
        std::copy_n(from, bytes - behind_last(tapped.view), gathered[t].get() + turn * bytes);
      }
    }
  for (size_t i = part.first; i < part.last && part.images > 0 && !in_parts && !now.error; ++i)
    show(now, steps_[i], &copies[i - part.first]);
}

Result<Done> CpuProgram::run(std::byte* arena, const Bindings& io, const RunHooks& hooks, ThreadPool& pool) const {
  std::optional<Error> error;
  if (hooks.step_seconds) hooks.step_seconds->resize(steps_.size());
  std::vector<double> worker_seconds(hooks.step_seconds ? threads_ * steps_.size() : 0);
  Clock::time_point start = hooks.step_seconds ? Clock::now() : Clock::time_point();
  const Running now{arena, arena + scratch_offset(), io,        hooks, scratch_distance(), error,
                    start, worker_seconds,           Crew{pool}};
  for (const PreparedStep& step : bring_in_) run_step(now, step, 0);
  if (hooks.tap || hooks.value_tap) {
    for (const ProgramPart& part : parts_) {
      run_part_with_taps(now, part);
      if (error) return *error;
    }
  } else {
    for (const ProgramStretch& stretch : stretches_) {
      run_stretch(now, stretch);
      if (error) return *error;
    }
  }
  for (const PreparedStep& step : take_out_) run_step(now, step, 0);
  if (!steps_.empty()) now.count_time(steps_.size() - 1);
  return Done{};
}

}  // namespace octet::cpu
