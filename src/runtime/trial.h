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
  /// One run with the steps apart (RunHooks::steps_apart); seconds of each.
  Result<std::vector<double>> step_seconds();
  /// One run; seconds of the whole, or of a device its seconds without transfers.
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

/// Median milliseconds of whole runs, and the standard error of that median (from the quartiles, 1.25 times a mean's).
struct WholeTime {
  double ms = 0, error_ms = 0;
};
/// Half the width of the interval in which two medians cannot be told apart.
double noise_ms(const WholeTime& a, const WholeTime& b);
/// The trials run in turns, `rounds` times each after two rounds of warm-up, or until most_seconds have passed (at
/// least 5 rounds).
Result<std::vector<WholeTime>> time_in_turns(const std::vector<Trial*>& trials, int rounds, double most_seconds);

}  // namespace octet
