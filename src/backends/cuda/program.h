#pragma once
// A plan prepared for a GPU: packed weights in its memory and what to enqueue, in running order.

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "backends/cuda/fused_steps.h"
#include "backends/cuda/step.h"
#include "backends/cuda/tune.h"
#include "plan/backend.h"
#include "plan/timing_cache.h"

namespace octet::cuda {

/// What a context owns: arena, the caller's values in device memory, staging, and the whole run as one graph.
struct CudaWorkspace : Workspace {
  Stream stream;
  DeviceBytes arena, partial, arrived, scratch;
  const std::vector<size_t>* offsets = nullptr;  // of the program
  std::vector<DeviceBytes> inputs, outputs;
  std::vector<PinnedBytes> staged_inputs, staged_outputs;
  PinnedBytes host;  // of steps that run on the host
  mutable HostCalls host_calls;
  /// Before and after the transfers in, before and after the steps, after the transfers out.
  std::vector<Event> marks;
  Event end;        // of a run, to wait for
  GraphExec graph;  // null where kernels are launched one by one
  /// For profiles, once asked for: the steps up to each, so often in a row; null where a step adds nothing.
  std::vector<GraphExec> prefixes;
  int prefix_row = 1;

  Launch launch() const;
  /// The first error of a step that ran on the host.
  Result<Done> host_result() const;
};

/// One value that a step makes, for taps.
struct Tapped {
  std::string name;
  Operand operand;
};

struct ProgramStep {
  Enqueue run;          // empty = nothing to do
  Choice alone;         // where one kernel runs a row of steps: this step by itself, for taps
  bool joined = false;  // part of such a row
  std::string note;     // the tile that was chosen
  std::string tactic;   // the same for plans: family and choice
  std::vector<Tapped> taps;
};

struct ProgramOptions : DeviceOptions {
  std::shared_ptr<TimingCache> times;  // measured ones, and where new ones go; null = none
  std::string timing_key;              // what they hold for
  std::string tile;                    // see cuda_backend.h
  bool poison = false;                 // likewise
};

class CudaProgram : public Program {
 public:
  static Result<std::unique_ptr<const Program>> make(std::shared_ptr<const Plan> plan, const Device& device,
                                                     const ProgramOptions& options);
  size_t packed_bytes() const override { return packed_bytes_; }
  size_t context_bytes() const override;
  std::string step_note(size_t step) const override { return steps_[step].note; }
  TacticChoice choice() const override;
  std::vector<std::string> refusals() const override { return refusals_; }
  /// least_arena: bytes of activations that the workspace has at least.
  Result<std::unique_ptr<Workspace>> make_workspace(size_t least_arena) const;
  /// One run, in two halves; origin: what the times' starts count from, null = they are not asked for.
  Result<Done> submit(CudaWorkspace& workspace, const Bindings& io, const RunHooks& hooks) const;
  Result<Done> finish(CudaWorkspace& workspace, const Bindings& io, const RunHooks& hooks, cudaEvent_t origin) const;

 private:
  /// Steps being prepared, by step; a row of steps that one kernel runs is the last one's.
  struct Draft {
    std::vector<PreparedStep> steps;
    /// Rows that one kernel may run in place of single steps, where that is the faster.
    std::vector<std::pair<size_t, FusedSteps>> rows;
    std::vector<size_t> chosen;
    std::set<const void*> optional;  // device memory that not all choices read
  };

  // prepare.cpp
  Result<Done> prepare_next(const ProgramOptions& options, const Device& device, Draft& draft);
  Result<Done> add_row(FusedSteps fused, const ProgramOptions& options, StepBuilder& builder, Draft& draft);
  Result<PreparedStep> prepare_step(const Step& step, const ProgramOptions& options, StepBuilder& builder);
  Result<Choice> prepare_alone(const Step& step, const ProgramOptions& options, StepBuilder& builder, Draft& draft);
  void add_step(const Step& step, const StepBuilder& builder);
  void add_refusal(const std::string& refusal);
  Result<Done> prepare_transfers(const Device& device);
  Result<Done> choose(Draft& draft, const ProgramOptions& options);
  Result<Done> tune(Draft& draft, const ProgramOptions& options);
  Result<Done> try_rows(Tuner& tuner, Draft& draft);
  bool cuts_a_row(size_t first, const FusedSteps& row) const;
  void use_row(size_t first, FusedSteps& row, Draft& draft);
  void free_unused(const Draft& draft);

  Result<std::unique_ptr<CudaWorkspace>> allocate(size_t least_arena) const;
  Result<Done> allocate_io(CudaWorkspace& workspace) const;
  cudaError_t enqueue(const Launch& launch) const;
  /// all: for steps that run by themselves, too.
  cudaError_t enqueue_inputs(const Launch& launch, bool all = false) const;
  cudaError_t bring_inputs(CudaWorkspace& workspace, const Bindings& io) const;
  cudaError_t fetch_outputs(CudaWorkspace& workspace) const;
  cudaError_t wait(CudaWorkspace& workspace) const;
  Result<Done> read_times(CudaWorkspace& workspace, const RunHooks& hooks, cudaEvent_t origin) const;
  Result<Done> run_steps(CudaWorkspace& workspace, const RunHooks& hooks) const;
  Result<Done> capture_prefixes(CudaWorkspace& workspace) const;
  Result<Done> time_steps(CudaWorkspace& workspace, const RunHooks& hooks) const;
  Result<Done> show(const CudaWorkspace& workspace, const ProgramStep& step, const RunHooks& hooks) const;

  std::shared_ptr<const Plan> plan_;  // shared with the engine and the back end's other programs
  DType floats_ = DType::f32;
  bool as_graph_ = true, managed_ = false, poison_ = false;
  DeviceWait wait_ = DeviceWait::driver;
  std::vector<DeviceBytes> constants_;
  /// What brings a graph's input into the back end's layout.
  struct BringIn {
    ValueId input;
    Enqueue run;
  };
  std::vector<BringIn> bring_in_;
  std::set<ValueId> taken_inputs_;  // those that a row of steps reads as the caller has them, and nobody else reads
  std::vector<Enqueue> take_out_;
  std::vector<ProgramStep> steps_;
  std::vector<Tensor> fixed_outputs_;  // by output: the elements of one that does not depend on the inputs
  std::optional<ArenaOffsets> offsets_;
  std::vector<std::string> refusals_;  // what was tried and does not run
  size_t packed_bytes_ = 0, host_bytes_ = 0;
  Room room_;
};

/// All rows of steps.def for this op, in order; last what runs any op.
std::vector<const StepDef*> steps_for(std::string_view op);

}  // namespace octet::cuda
