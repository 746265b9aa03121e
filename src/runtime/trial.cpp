#include "runtime/trial.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "ir/op.h"

namespace octet {
namespace {

/// Numbers in [-1, 1] for floats, any byte for codes, zero for indices.
void fill(std::byte* data, DType dtype, size_t bytes) {
  uint64_t state = 0x9e3779b97f4a7c15ull;
  const auto next = [&state] { return state = state * 6364136223846793005ull + 1442695040888963407ull; };
  std::memset(data, 0, bytes);
  if (dtype == DType::f32) {
    for (size_t i = 0; i < bytes / sizeof(float); ++i)
      reinterpret_cast<float*>(data)[i] = static_cast<float>(static_cast<double>(next() >> 40) / 8388608.0 - 1.0);
  } else if (size_of(dtype) == 1) {
    for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(next() >> 56);
  }
}

}  // namespace

Result<Trial> Trial::make(Graph graph, Backend& backend, const TacticChoice& choice) {
  Trial trial;
  trial.backend_ = &backend;
  Result<std::shared_ptr<const Plan>> plan = make_plan(std::move(graph), backend, choice);
  if (!plan) return plan.error();
  trial.plan_ = *std::move(plan);
  Result<std::unique_ptr<const Program>> program = backend.prepare(trial.plan_);
  if (!program) return program.error();
  trial.program_ = *std::move(program);
  for (int i = 0; i < 2; ++i) {
    Result<std::unique_ptr<Workspace>> workspace = backend.make_workspace(*trial.program_);
    if (!workspace) return workspace.error();
    trial.workspaces_.push_back(*std::move(workspace));
  }
  const Graph& g = trial.plan_->graph;
  const auto bind = [&](ValueId v, std::vector<TensorView>& views) {
    const Value& value = g.value(v);
    const Dims dims = *known_dims(*value.shape);
    const size_t bytes = static_cast<size_t>(element_count(dims).value_or(0)) * size_of(value.dtype);
    trial.buffers_.push_back(allocate_aligned(bytes));
    if (!trial.buffers_.back()) return false;
    fill(trial.buffers_.back().get(), value.dtype, bytes);
    views.push_back(TensorView::dense(value.dtype, dims, trial.buffers_.back().get()));
    return true;
  };
  bool has_memory = true;
  for (const ValueId v : g.inputs) has_memory = has_memory && bind(v, trial.io_.inputs);
  for (const ValueId v : g.outputs) has_memory = has_memory && bind(v, trial.io_.outputs);
  if (!has_memory) return Error{ErrorCode::out_of_memory, "no memory to time tactics with"};
  return trial;
}

Result<std::vector<double>> Trial::step_seconds() {
  std::vector<double> seconds;
  RunHooks hooks;
  hooks.step_seconds = &seconds;
  hooks.steps_apart = true;
  if (Result<Done> ran = backend_->run(*program_, next_workspace(), io_, hooks); !ran) return ran.error();
  return seconds;
}

Result<double> Trial::run_seconds() {
  constexpr int k_row = 10;  // of a device: a single run would be lost in the cost of starting it
  DeviceTimes device;
  device.compute = 0;
  device.repeats = k_row;
  RunHooks hooks;
  hooks.device_times = &device;
  const auto start = std::chrono::steady_clock::now();
  if (Result<Done> ran = backend_->run(*program_, next_workspace(), io_, hooks); !ran) return ran.error();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return device.compute > 0 ? device.compute : seconds;
}

double noise_ms(const WholeTime& a, const WholeTime& b) {
  return 2 * std::sqrt(a.error_ms * a.error_ms + b.error_ms * b.error_ms);
}

Result<std::vector<WholeTime>> time_in_turns(const std::vector<Trial*>& trials, int rounds, double most_seconds) {
  std::vector<std::vector<double>> ms(trials.size());
  const auto start = std::chrono::steady_clock::now();
  for (int round = -2; round < rounds; ++round) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (round >= 5 && seconds > most_seconds) break;
    for (size_t t = 0; t < trials.size(); ++t) {
      Result<double> run = trials[t]->run_seconds();
      if (!run) return run.error();
      if (round >= 0) ms[t].push_back(*run * 1e3);
    }
  }
  std::vector<WholeTime> times;
  for (std::vector<double>& side : ms) {
    std::sort(side.begin(), side.end());
    const size_t n = side.size();
    const double deviation = (side[n * 3 / 4] - side[n / 4]) / 1.35;  // of a normal distribution with these quartiles
    times.push_back({side[n / 2], 1.25 * deviation / std::sqrt(static_cast<double>(n))});
  }
  return times;
}

}  // namespace octet
