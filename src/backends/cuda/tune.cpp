#include "backends/cuda/tune.h"

#include <algorithm>
#include <optional>
#include <span>

#include "base/hash.h"

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

namespace {

/// After some errors no kernel runs any more in this process; after others the next one does.
bool is_device_lost() { return cudaDeviceSynchronize() != cudaSuccess; }

/// What steps share a measurement by: the work, and the ways to do it. An index into one list means nothing in another.
std::string kind_of(const PreparedStep& step) {
  if (step.key.empty()) return "";
  std::string names;
  for (const Choice& choice : step.choices) names += choice.name + "\n";
  return step.key + "of " + to_hex(hash_bytes(std::as_bytes(std::span(names.data(), names.size()))));
}

int repeats_for(const PreparedStep& step) {
  const double least = step.choices[step.cheapest()].cost_us;
  return std::max(1, std::min(12, static_cast<int>(600 / std::max(least, 1.0))));
}

}  // namespace

/// Microseconds of one launch, as the cache rounds them, so that a choice made now and one made from it are the same.
Result<float> Tuner::time_choice(const PreparedStep& step, size_t choice, int repeats) {
  const std::string& name = step.choices[choice].name;
  const std::string layer = "cuda " + step.key;
  const bool is_kept = times_ && !step.key.empty();
  if (is_kept)
    if (const std::optional<double> us = times_->find(device_, layer, name)) return static_cast<float>(*us);
  const Result<Launch> launch = stage_();
  if (!launch) return launch.error();
  const Result<float> ms = time_in_a_row(step.choices[choice].run, *launch, repeats);
  if (!ms) return ms.error();
  const double us = static_cast<double>(*ms) * 1000 / repeats;
  if (!is_kept) return static_cast<float>(us);
  times_->insert(device_, layer, name, us);
  return static_cast<float>(*times_->find(device_, layer, name));
}

void Tuner::refuse(const std::string& choice, const Error& why) {
  std::string text = choice + ": " + why.message;
  if (std::find(refusals_.begin(), refusals_.end(), text) == refusals_.end()) refusals_.push_back(std::move(text));
}

Result<std::vector<size_t>> Tuner::fastest(const PreparedStep& step) {
  const std::string kind = kind_of(step);
  if (!kind.empty())
    if (const auto found = known_.find(kind); found != known_.end()) return found->second;
  // What the estimate thinks far off is not timed.
  const double least = step.choices[step.cheapest()].cost_us;
  const int repeats = repeats_for(step);
  std::vector<std::pair<float, size_t>> timed;
  std::optional<Error> failed;  // of a choice that does not run: the others do
  for (size_t c = 0; c < step.choices.size(); ++c) {
    if (step.choices[c].cost_us > 4 * least) continue;
    const Result<float> us = time_choice(step, c, repeats);
    if (!us && is_device_lost()) return us.error();
    if (!us) failed = us.error(), refuse(step.choices[c].name, us.error());
    if (us) timed.emplace_back(*us, c);
  }
  if (timed.empty() && failed) return *failed;
  std::stable_sort(timed.begin(), timed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  constexpr size_t k_most = 8;
  constexpr float k_behind = 1.5f;
  std::vector<size_t> best;
  for (const auto& [us, c] : timed)
    if (best.size() < k_most && us <= k_behind * timed[0].first) best.push_back(c);
  if (!kind.empty()) known_[kind] = best;
  return best;
}

Result<float> Tuner::fastest_us(const PreparedStep& step) {
  if (step.choices.empty()) return 0.0f;
  const Result<std::vector<size_t>> ranked = fastest(step);
  if (!ranked) return ranked.error();
  return time_choice(step, ranked->at(0), repeats_for(step));
}

Result<Done> Tuner::try_kinds(const Kinds& kinds, const std::vector<std::vector<size_t>>& ranked,
                              std::vector<size_t>& chosen, const Enqueue& run_all, float& whole_ms) {
  constexpr int k_repeats = 4;
  constexpr float k_small_ms = 1.5f, k_gain = 0.998f;
  const Result<Launch> launch = stage_();
  if (!launch) return launch.error();
  Result<float> least = time_in_a_row(run_all, *launch, k_repeats);
  if (!least) return least.error();
  whole_ms = *least / k_repeats;
  if (whole_ms > k_small_ms) return Done{};
  for (const auto& [key, members] : kinds) {
    const size_t first = members[0];
    for (const size_t c : std::vector<size_t>(ranked[first].begin() + 1, ranked[first].end())) {
      const size_t before = chosen[first];
      for (const size_t i : members) chosen[i] = c;
      const Result<float> ms = time_in_a_row(run_all, *launch, k_repeats);
      if (!ms && is_device_lost()) return ms.error();
      if (!ms) refuse(key, ms.error());
      if (ms && *ms < *least * k_gain) {
        *least = *ms;
      } else {
        for (const size_t i : members) chosen[i] = before;
      }
    }
  }
  whole_ms = *least / k_repeats;
  return Done{};
}

Result<Done> Tuner::tune_together(const std::vector<PreparedStep>& steps,
                                  const std::vector<std::vector<size_t>>& ranked, std::vector<size_t>& chosen,
                                  const Enqueue& run_all) {
  Kinds kinds;
  std::string all;  // everything that the verdict depends on
  for (size_t i = 0; i < steps.size(); ++i) {
    all += steps[i].key + "\t" + (steps[i].choices.empty() ? "" : steps[i].choices[chosen[i]].name);
    for (const size_t c : ranked[i]) all += "\t" + steps[i].choices[c].name;
    all += "\n";
    if (ranked[i].size() > 1)
      kinds[steps[i].key.empty() ? "step " + std::to_string(i) : kind_of(steps[i])].push_back(i);
  }
  if (kinds.empty()) return Done{};
  // The verdict has its place among the times: the layer is the kind within this network, the tactic what was chosen.
  const std::string network =
      "cuda network " + to_hex(hash_bytes(std::as_bytes(std::span(all.data(), all.size())))) + ", ";
  size_t known = 0;
  for (const auto& [key, members] : kinds) {
    std::optional<double> least;
    for (const size_t c : ranked[members[0]]) {
      const std::optional<double> us =
          times_ ? times_->find(device_, network + key, steps[members[0]].choices[c].name) : std::nullopt;
      if (!us || (least && *us >= *least)) continue;
      least = us;
      for (const size_t i : members) chosen[i] = c;
    }
    known += least ? 1 : 0;
  }
  if (known == kinds.size()) return Done{};
  for (const auto& [key, members] : kinds)
    for (const size_t i : members) chosen[i] = ranked[i][0];
  float whole_ms = 0;
  if (Result<Done> done = try_kinds(kinds, ranked, chosen, run_all, whole_ms); !done || !times_) return done;
  for (const auto& [key, members] : kinds)
    times_->insert(device_, network + key, steps[members[0]].choices[chosen[members[0]]].name,
                   static_cast<double>(whole_ms) * 1000);
  return Done{};
}

}  // namespace octet::cuda
