// A plan's steps prepared for the GPU: kernels and packed weights for each, rows of steps for one kernel, the choice
// among them, and what was not chosen freed again.
#include <algorithm>
#include <set>

#include "backends/cuda/fused_steps.h"
#include "backends/cuda/program.h"
#include "backends/cuda/tune.h"

namespace octet::cuda {
namespace {

/// Rows of steps that one kernel runs, by how the names of their choices begin.
struct RowKind {
  std::string_view names;
  Result<FusedSteps> (*fuse)(const Plan&, size_t, DType, StepBuilder&);
  bool always = true;  // where a row is possible; else where it is the faster
};
constexpr RowKind k_rows[] = {{"block", fuse_block, false}, {"chain", fuse_chain, false},
                              {"stem", fuse_stem},          {"joined", fuse_residual},
                              {"gemv", fuse_end},           {"half stem", fuse_half_stem, false}};

/// The choice for a row of this kind from plan.steps[first] on that the plan names; empty: none.
std::string named_choice(const Plan& plan, size_t first, std::string_view names) {
  constexpr size_t k_longest = 3;
  for (size_t i = first; i < std::min(plan.steps.size(), first + k_longest); ++i)
    if (std::string choice = choice_of(plan.steps[i].tactic); !choice.empty() && choice.starts_with(names))
      return choice;
  return "";
}

/// The row of this kind from here, with what is wanted of its choices, or with all where it does not have that.
Result<FusedSteps> fuse(const RowKind& kind, const Plan& plan, size_t first, const std::string& wanted, DType floats,
                        StepBuilder& builder) {
  builder.want(wanted);
  builder.take_moved();
  Result<FusedSteps> fused = kind.fuse(plan, first, floats, builder);
  if (fused && !wanted.empty() && (fused->steps == 0 || fused->prepared.choices.empty())) {
    if (!kind.always) return FusedSteps{};
    builder.want("");
    builder.take_moved();
    fused = kind.fuse(plan, first, floats, builder);
  }
  if (fused) fused->moved = builder.take_moved();
  return fused;
}

/// Whether the plan names a choice for one of the steps that a row may have: then nothing is left to measure there.
bool is_named(const Plan& plan, size_t first) { return !named_choice(plan, first, "").empty(); }

}  // namespace

Result<std::unique_ptr<const Program>> CudaProgram::make(std::shared_ptr<const Plan> plan, const Device& device,
                                                         const ProgramOptions& options) {
  auto program = std::make_unique<CudaProgram>();
  program->plan_ = std::move(plan);
  program->floats_ = options.floats;
  program->as_graph_ = options.graph;
  program->managed_ = options.managed;
  program->poison_ = options.poison;
  program->wait_ = options.wait;
  program->offsets_.emplace(*program->plan_);
  Draft draft;
  while (draft.steps.size() < program->plan_->steps.size())
    if (Result<Done> done = program->prepare_next(options, device, draft); !done) return done.error();
  if (Result<Done> done = program->prepare_transfers(device); !done) return done.error();
  if (Result<Done> done = program->choose(draft, options); !done) return done.error();
  return std::unique_ptr<const Program>(std::move(program));
}

/// Adds the next step, or the next row of steps that one kernel runs, to steps_ and the draft.
Result<Done> CudaProgram::prepare_next(const ProgramOptions& options, const Device& device, Draft& draft) {
  const size_t first = draft.steps.size();
  StepBuilder builder(*plan_, device, options.floats, constants_, *offsets_);
  for (const RowKind& kind : k_rows) {
    const bool is_tested = !options.tile.empty();
    if (is_tested && !options.tile.starts_with(kind.names)) continue;
    const std::string named = is_tested ? options.tile : named_choice(*plan_, first, kind.names);
    if (!kind.always && named.empty() && (!options.tune || is_named(*plan_, first))) continue;
    // A test's tile is one of many that the row has to have.
    Result<FusedSteps> fused =
        fuse(kind, *plan_, first, is_tested && kind.always ? "" : named, options.floats, builder);
    if (!fused) return fused.error();
    if (fused->steps == 0) continue;
    if (kind.always || !named.empty()) return add_row(*std::move(fused), options, builder, draft);
    draft.rows.emplace_back(first, *std::move(fused));
  }
  const Step& step = plan_->steps[first];
  builder.want(options.tile.empty() ? choice_of(step.tactic) : "");
  Result<PreparedStep> made = prepare_step(step, options, builder);
  if (made && made->choices.empty() && builder.is_one_wanted()) {  // of a plan that is run at another shape
    builder.want("");
    made = prepare_step(step, options, builder);
  }
  if (!made) return made.error();
  add_step(step, builder);
  draft.steps.push_back(std::move(*made));
  return Done{};
}

Result<Done> CudaProgram::add_row(FusedSteps fused, const ProgramOptions& options, StepBuilder& builder, Draft& draft) {
  offsets_->kept.insert(fused.moved.begin(), fused.moved.end());
  if (fused.takes_input != k_absent) taken_inputs_.insert(fused.takes_input);
  for (size_t i = 0; i < fused.steps; ++i) {
    const Step& step = plan_->steps[draft.steps.size()];
    Result<Choice> alone = prepare_alone(step, options, builder, draft);
    if (!alone) return alone.error();
    add_step(step, builder);
    steps_.back().alone = std::move(*alone);
    steps_.back().joined = true;
    steps_.back().note = k_in_next_step;
    draft.steps.emplace_back();
  }
  draft.steps.back() = std::move(fused.prepared);
  draft.steps.back().wanted = choice_of(plan_->steps[draft.steps.size() - 1].tactic);
  draft.steps.back().is_row = true;
  return Done{};
}

/// A step as taps need it, by a kernel that takes little to prepare.
Result<Choice> CudaProgram::prepare_alone(const Step& step, const ProgramOptions& options, StepBuilder& builder,
                                          Draft& draft) {
  builder.want("");
  Step plain = step;
  if (family_of(step.tactic) == "conv_u8s8") plain.tactic = "direct_u8s8";
  Result<PreparedStep> made = prepare_step(plain, options, builder);
  if (!made) return made.error();
  for (const Choice& choice : made->choices) draft.optional.insert(choice.reads.begin(), choice.reads.end());
  const size_t cheapest = made->cheapest();
  return cheapest < made->choices.size() ? std::move(made->choices[cheapest]) : Choice{};
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
  for (const std::string& refusal : prepared->refusals) add_refusal(refusal);
  host_bytes_ = std::max(host_bytes_, prepared->host_bytes);
  return prepared;
}

void CudaProgram::add_refusal(const std::string& refusal) {
  if (std::find(refusals_.begin(), refusals_.end(), refusal) == refusals_.end()) refusals_.push_back(refusal);
}

Result<Done> CudaProgram::prepare_transfers(const Device& device) {
  const Graph& graph = plan_->graph;
  StepBuilder builder(*plan_, device, floats_, constants_, *offsets_);
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Operand to = builder.value(graph.inputs[i]);
    if (to.place.kind != Place::Kind::arena) continue;
    Result<Enqueue> made = convert(to, {dense_layout(to.layout.dtype, to.layout.dims), {Place::Kind::input, i}});
    if (!made) return made.error();
    bring_in_.push_back({graph.inputs[i], std::move(*made)});
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

Result<Done> CudaProgram::choose(Draft& draft, const ProgramOptions& options) {
  std::vector<PreparedStep>& steps = draft.steps;
  const auto add_reads = [&](const PreparedStep& step) {
    for (const Choice& choice : step.choices) {
      draft.optional.insert(choice.reads.begin(), choice.reads.end());
      room_.include(choice.room);
    }
  };
  for (const PreparedStep& step : steps) add_reads(step);
  for (const auto& [first, row] : draft.rows) add_reads(row.prepared);
  draft.chosen.assign(steps.size(), 0);
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::vector<Choice>& choices = steps[i].choices;
    draft.chosen[i] = std::min(steps[i].cheapest(), choices.empty() ? 0 : choices.size() - 1);
    bool named = false;
    for (size_t c = 0; c < choices.size(); ++c) {
      if (choices[c].name == options.tile) draft.chosen[i] = c;
      if (steps[i].wanted.empty() || choices[c].name != steps[i].wanted) continue;
      draft.chosen[i] = c, named = true;
    }
    // A plan that is run at another shape may name what the layer does not have there.
    if (!named) steps[i].wanted.clear();
  }
  if (options.tune && options.tile.empty())
    if (Result<Done> done = tune(draft, options); !done) return done;
  free_unused(draft);
  offsets_->settle(*plan_);
  room_ = {};
  for (size_t i = 0; i < steps.size(); ++i) {
    packed_bytes_ += steps[i].packed_bytes;
    room_.include(steps_[i].alone.room);
    if (steps[i].choices.empty()) continue;
    Choice& choice = steps[i].choices[draft.chosen[i]];
    room_.include(choice.room);
    steps_[i].run = std::move(choice.run);
    steps_[i].note = choice.name;
    const bool has_name = steps[i].choices.size() > 1 || steps[i].is_row || !steps[i].wanted.empty();
    if (has_name && !choice.name.empty()) steps_[i].tactic += " " + choice.name;
  }
  return Done{};
}

Result<Done> CudaProgram::tune(Draft& draft, const ProgramOptions& options) {
  std::vector<PreparedStep>& steps = draft.steps;
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
  if (Result<Done> done = try_rows(tuner, draft); !done) return done;
  std::vector<std::vector<size_t>> ranked(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!is_open(steps[i])) continue;
    Result<std::vector<size_t>> fastest = tuner.fastest(steps[i]);
    if (!fastest) return fastest.error();
    ranked[i] = *std::move(fastest);
    draft.chosen[i] = ranked[i][0];
  }
  const Enqueue run_all = [&](const Launch& launch) {
    if (const cudaError_t status = enqueue_inputs(launch); status != cudaSuccess) return status;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].choices.empty()) continue;
      if (const cudaError_t status = steps[i].choices[draft.chosen[i]].run(launch); status != cudaSuccess)
        return status;
    }
    for (const Enqueue& part : take_out_)
      if (const cudaError_t status = part(launch); status != cudaSuccess) return status;
    return cudaSuccess;
  };
  const Result<Done> done = tuner.tune_together(steps, ranked, draft.chosen, run_all);
  for (const std::string& refusal : tuner.refusals()) add_refusal(refusal);
  return done;
}

/// Whether a row ends within another that is one kernel in any case.
bool CudaProgram::cuts_a_row(size_t first, const FusedSteps& row) const {
  return steps_[first + row.steps - 1].note == k_in_next_step;
}

/// One kernel for a row of steps where it takes less time than they do otherwise, one by one or in other rows: the
/// cheapest way from each step to the end, the last one first.
Result<Done> CudaProgram::try_rows(Tuner& tuner, Draft& draft) {
  const size_t count = draft.steps.size();
  std::vector<float> alone_us(count, 0.0f), rest_us(count + 1, 0.0f);
  std::vector<FusedSteps*> best(count, nullptr);
  std::map<size_t, std::vector<std::pair<float, FusedSteps*>>> rows;  // by first step
  for (auto& [first, row] : draft.rows) {
    for (size_t i = first; i < first + row.steps; ++i) {
      const Result<float> us = tuner.fastest_us(draft.steps[i]);
      if (!us) return us.error();
      alone_us[i] = *us;
    }
    const Result<float> us = tuner.fastest_us(row.prepared);
    if (us && !cuts_a_row(first, row)) rows[first].emplace_back(*us, &row);
    // A kernel that does not run is not chosen, and the tuner keeps why; on a lost device the next one says so.
  }
  for (size_t i = count; i-- > 0;) {
    rest_us[i] = alone_us[i] + rest_us[i + 1];
    for (const auto& [us, row] : rows[i])
      if (const float way = us + rest_us[i + row->steps]; way < rest_us[i]) rest_us[i] = way, best[i] = row;
  }
  for (size_t i = 0; i < count; i += best[i] ? best[i]->steps : 1)
    if (best[i]) use_row(i, *best[i], draft);
  return Done{};
}

void CudaProgram::use_row(size_t first, FusedSteps& row, Draft& draft) {
  offsets_->kept.insert(row.moved.begin(), row.moved.end());
  if (row.takes_input != k_absent) taken_inputs_.insert(row.takes_input);
  for (size_t i = first; i < first + row.steps; ++i) {
    PreparedStep& step = draft.steps[i];
    if (!steps_[i].joined && !step.choices.empty()) steps_[i].alone = step.choices[step.cheapest()];
    steps_[i].joined = true;
    steps_[i].note = k_in_next_step;
    step = PreparedStep{};
  }
  PreparedStep& last = draft.steps[first + row.steps - 1];
  last = std::move(row.prepared);
  last.is_row = true;
  draft.chosen[first + row.steps - 1] = last.cheapest();
}

/// Device memory that only kernels read which were not chosen.
void CudaProgram::free_unused(const Draft& draft) {
  std::set<const void*> used;
  const auto add = [&](const Choice& choice) { used.insert(choice.reads.begin(), choice.reads.end()); };
  for (size_t i = 0; i < draft.steps.size(); ++i) {
    const std::vector<Choice>& choices = draft.steps[i].choices;
    if (!choices.empty()) add(choices[draft.chosen[i]]);
    add(steps_[i].alone);
  }
  std::erase_if(constants_, [&](const DeviceBytes& bytes) {
    return draft.optional.contains(bytes.get()) && !used.contains(bytes.get());
  });
}

}  // namespace octet::cuda
