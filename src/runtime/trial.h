#pragma once
// A network prepared for a measurement: its own plan, two workspaces used in turns, random inputs.

#include <memory>
#include <vector>

#include "base/aligned.h"
#include "plan/backend.h"

namespace octet {

class Trial {
 public:
  /// choice: tactic by node, empty = the static choice everywhere. The back end must outlive the trial.
  static Result<Trial> make(Graph graph, Backend& backend, const TacticChoice& choice);
  /// One run; seconds of each step.
  Result<std::vector<double>> step_seconds();
  /// One run; seconds of the whole.
  Result<double> run_seconds();
  size_t packed_bytes() const { return program_->packed_bytes(); }

 private:
  Workspace& next_workspace() { return *workspaces_[static_cast<size_t>(runs_++ % 2)]; }

  Backend* backend_ = nullptr;
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<const Program> program_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;
  std::vector<AlignedBytes> buffers_;
  Bindings io_;
  int64_t runs_ = 0;
};

}  // namespace octet
