#include "backends/cuda/tune.h"

#include <algorithm>

namespace octet::cuda {

Result<float> time_in_a_row(const Enqueue& enqueue, const Launch& launch, int repeats) {
  Result<GraphExec> graph = capture(launch.stream, [&](cudaStream_t) {
    for (int i = 0; i < repeats; ++i)
      if (const cudaError_t status = enqueue(launch); status != cudaSuccess) return status;
    return cudaSuccess;
  });
  if (!graph) return graph.error();
  Result<Event> before = make_event(), after = make_event();
  if (!before || !after) return before ? after.error() : before.error();
  float best = 1e30f;
  for (int i = 0; i < 4; ++i) {
    float ms = 0;
    cudaError_t status = cudaEventRecord(before->get(), launch.stream);
    if (status == cudaSuccess) status = cudaGraphLaunch(graph->get(), launch.stream);
    if (status == cudaSuccess) status = cudaEventRecord(after->get(), launch.stream);
    if (status == cudaSuccess) status = cudaEventSynchronize(after->get());
    if (status == cudaSuccess) status = cudaEventElapsedTime(&ms, before->get(), after->get());
    if (Result<Done> ok = check(status, "timing a layer"); !ok) return ok.error();
    if (i > 0) best = std::min(best, ms);
  }
  return best;
}

Result<std::vector<size_t>> Tuner::fastest(const PreparedStep& step, const Launch& launch) {
  if (!step.key.empty())
    if (const auto found = known_.find(step.key); found != known_.end()) return found->second;
  // What the estimate thinks far off is not timed.
  double least = 1e30;
  for (const Choice& c : step.choices) least = std::min(least, c.cost_us);
  const int repeats = std::max(1, std::min(12, static_cast<int>(600 / std::max(least, 1.0))));
  std::vector<std::pair<float, size_t>> timed;
  for (size_t c = 0; c < step.choices.size(); ++c) {
    if (step.choices[c].cost_us > 4 * least) continue;
    const Result<float> ms = time_in_a_row(step.choices[c].run, launch, repeats);
    if (!ms) return ms.error();
    timed.emplace_back(*ms, c);
  }
  std::stable_sort(timed.begin(), timed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  constexpr size_t k_most = 5;
  constexpr float k_behind = 1.5f;
  std::vector<size_t> best;
  for (const auto& [ms, c] : timed)
    if (best.size() < k_most && ms <= k_behind * timed[0].first) best.push_back(c);
  if (!step.key.empty()) known_[step.key] = best;
  return best;
}

Result<Done> tune_together(const std::vector<PreparedStep>& steps, const std::vector<std::vector<size_t>>& ranked,
                           std::vector<size_t>& chosen, const Enqueue& run_all, const Launch& launch) {
  constexpr int k_repeats = 4;
  constexpr float k_small_ms = 1.5f, k_gain = 0.998f;
  Result<float> least = time_in_a_row(run_all, launch, k_repeats);
  if (!least) return least.error();
  if (*least > k_small_ms * k_repeats) return Done{};
  std::map<std::string, std::vector<size_t>> kinds;
  for (size_t i = 0; i < steps.size(); ++i)
    if (ranked[i].size() > 1) kinds[steps[i].key.empty() ? "step " + std::to_string(i) : steps[i].key].push_back(i);
  for (const auto& [key, members] : kinds) {
    const size_t first = members[0];
    for (const size_t c : std::vector<size_t>(ranked[first].begin() + 1, ranked[first].end())) {
      const size_t before = chosen[first];
      for (const size_t i : members) chosen[i] = c;
      const Result<float> ms = time_in_a_row(run_all, launch, k_repeats);
      if (!ms) return ms.error();
      if (*ms < *least * k_gain) {
        *least = *ms;
      } else {
        for (const size_t i : members) chosen[i] = before;
      }
    }
  }
  return Done{};
}

}  // namespace octet::cuda
