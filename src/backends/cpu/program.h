#pragma once
// A plan prepared for the CPU: closures over packed weights, in running order.

#include <memory>
#include <span>
#include <vector>

#include "backends/cpu/step.h"
#include "backends/cpu/sub_batch.h"
#include "kernels/implicit_gemm/weights_ahead.h"
#include "plan/backend.h"

namespace octet::cpu {

/// One value that a step makes, for taps: the view lacks its address only; offset as RunHooks::value_tap has it.
struct Tapped {
  std::string name;
  TensorView view;
  Place place;
  int offset = 0;
};

struct ProgramStep {
  PreparedStep prepared;
  std::vector<Tapped> taps;
  std::span<const std::byte> next_weights;  // of the step after this one, or of one soon behind it
  WeightsAhead ahead = {};                  // of a step with spare_bytes
  size_t touched = 0;                       // bytes of its inputs and outputs
};

/// Tells each step what to bring near: the packed weights of the next one that runs and has some, if that is soon. What
/// another step does is not run, and its own weights are not read then.
void find_next_weights(std::span<ProgramStep> steps);

/// Steps [first, last) that run `turns` times, each time for the next `images` images (sub_batch.h).
struct ProgramPart {
  size_t first = 0, last = 0;
  size_t images = 0, turns = 1;
  bool by_worker = false;
};

/// What comes next in a run: a step for images from first_image on, or a part whose turns the workers share.
struct ProgramItem {
  size_t index = 0, first_image = 0;
  bool is_part = false;
};

/// Items [first, last), through which all workers go in step, or which the caller runs one by one.
struct ProgramStretch {
  size_t first = 0, last = 0;
  bool in_team = false;
};

class CpuProgram : public Program {
 public:
  /// cache_bytes: L2 of all threads together.
  static Result<std::unique_ptr<const Program>> make(std::shared_ptr<const Plan> plan, Isa isa, int threads,
                                                     size_t cache_bytes);
  /// Of steps that are prepared already, in running order, and of parts that are all of them.
  CpuProgram(std::vector<ProgramStep> steps, std::vector<ProgramPart> parts, int threads);
  CpuProgram() = default;

  size_t packed_bytes() const override { return packed_bytes_; }
  size_t borrowed_steps() const override { return borrowed_steps_; }
  std::vector<PackedWeights> packed() const override;
  std::string step_note(size_t step) const override { return steps_[step].prepared.for_taps ? k_in_next_step : ""; }
  std::optional<size_t> step_done_by(size_t step) const override {
    const NodeId by = steps_[step].prepared.done_by;  // step n is node n
    return by < 0 ? std::nullopt : std::optional(static_cast<size_t>(by));
  }
  std::span<const ProgramStep> steps() const { return steps_; }
  /// Bytes of the memory that run() takes: the plan's arena, then scratch of each thread.
  size_t context_bytes() const override;
  /// arena: 64-byte aligned, context_bytes().
  /// Errors: what a reference kernel refuses while it runs.
  Result<Done> run(std::byte* arena, const Bindings& io, const RunHooks& hooks, ThreadPool& pool) const;

 private:
  void list_items();
  void plan_ahead(size_t cache_bytes);
  Result<Done> prepare_part(const SubBatch& part, Isa isa, int threads);
  Result<Done> prepare_step(const Step& step, const SubBatch& part, Isa isa, int threads);
  Result<Done> prepare_transfers(const Arrangement& arrangement, Isa isa);
  Result<Done> prepare_output(size_t index, StepBuilder& builder, Isa isa);
  void account(const PreparedStep& step);
  /// From one worker's scratch to the next one's, and in front of the first.
  size_t scratch_distance() const;
  size_t scratch_offset() const;

  struct Running;
  /// False of a step that had nothing to do. told: what it brings near; null = nothing.
  bool run_step(const Running& now, const PreparedStep& step, size_t first_image,
                const ProgramStep* told = nullptr) const;
  void run_item(const Running& now, const ProgramItem& item) const;
  void run_by_worker(const Running& now, const ProgramPart& part) const;
  void run_stretch(const Running& now, const ProgramStretch& stretch) const;
  void run_part_with_taps(const Running& now, const ProgramPart& part) const;
  void show(const Running& now, const ProgramStep& step, const std::vector<AlignedBytes>* copies) const;
  void show_turn(const Running& now, const ProgramStep& step, const ProgramPart& part, size_t turn) const;

  std::shared_ptr<const Plan> plan_;  // while steps are prepared; then let go, with the weights that are packed by now
  std::shared_ptr<const void> packed_owner_;  // of what steps use in place
  size_t arena_bytes_ = 0, borrowed_steps_ = 0;
  std::vector<AlignedBytes> constants_;
  std::vector<PreparedStep> bring_in_, take_out_;
  std::vector<ProgramStep> steps_;
  std::vector<ProgramPart> parts_;
  std::vector<ProgramItem> items_;
  std::vector<ProgramStretch> stretches_;
  size_t packed_bytes_ = 0, scratch_bytes_ = 0, shared_bytes_ = 0, threads_ = 1;
};

/// All rows of steps.def for this op, in order, then the reference step.
std::vector<const StepDef*> steps_for(std::string_view op);
/// Every tactic for the node: families refused as a whole, and each way of the others. only: all that is asked about is
/// this family, so that others need not look at the weights; null = every family.
std::vector<Tactic> tactics_for(const StepQuery& query, const StepDef* only = nullptr);

}  // namespace octet::cpu
