#pragma once
// Chooses among a step's ways by timing them where they will run.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backends/cuda/step.h"
#include "plan/timing_cache.h"

namespace octet::cuda {

/// Milliseconds of `repeats` launches in a row, as one graph: a stream alone would measure the host. Best of three.
Result<float> time_in_a_row(const Enqueue& enqueue, const Launch& launch, int repeats);

/// Where to measure; asked for when the first time is taken, so that a warm cache allocates nothing.
using Stage = std::function<Result<Launch>()>;

class Tuner {
 public:
  /// times: found there = not measured again, measured = added; null: none. device: what a time holds for.
  Tuner(TimingCache* times, std::string device, Stage stage)
      : times_(times), device_(std::move(device)), stage_(std::move(stage)) {}

  /// Indices of the fastest choices of the step, in a row of its own, fastest first and none far behind it. Steps of
  /// the same key with the same choices are measured once. One that
  /// does not run is left out. Errors: none runs, or the device is lost.
  Result<std::vector<size_t>> fastest(const PreparedStep& step);
  /// Those that do not run: "name: why".
  const std::vector<std::string>& refusals() const { return refusals_; }
  /// Microseconds of the fastest choice, 0 where there is nothing to do. Errors: as above.
  Result<float> fastest_us(const PreparedStep& step);

  /// Of a small network most time goes by between kernels: what is fastest alone need not be so behind another one.
  /// Tries the choices that `ranked` lists for each kind of step (its key and choices) in the whole run and keeps what
  /// makes that faster. chosen: by step, changed in place. run_all enqueues the whole run by it.
  Result<Done> tune_together(const std::vector<PreparedStep>& steps, const std::vector<std::vector<size_t>>& ranked,
                             std::vector<size_t>& chosen, const Enqueue& run_all);

 private:
  using Kinds = std::map<std::string, std::vector<size_t>>;  // steps by kind

  void refuse(const std::string& choice, const Error& why);
  Result<float> time_choice(const PreparedStep& step, size_t choice, int repeats);
  Result<Done> try_kinds(const Kinds& kinds, const std::vector<std::vector<size_t>>& ranked,
                         std::vector<size_t>& chosen, const Enqueue& run_all, float& whole_ms);

  TimingCache* times_;
  std::string device_;
  Stage stage_;
  std::map<std::string, std::vector<size_t>> known_;
  std::vector<std::string> refusals_;
};

}  // namespace octet::cuda
