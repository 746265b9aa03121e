#include "backends/cpu/weights_ahead.h"

#include <algorithm>
#include <cstdint>

namespace octet::cpu {
namespace {

/// Of L2, what weights that wait for their use and all that is touched before it may take.
constexpr double k_cache_share = 0.625;
/// Brought near in any case, of the next step that has weights: a layer's first bytes are needed at once.
constexpr size_t k_first_bytes = 128 << 10;

/// Of the worker that reads most.
size_t bytes_of(const AheadStep& step) {
  size_t most = 0;
  for (const std::span<const std::byte> own : step.weights) most = std::max(most, own.size());
  return most;
}

/// Bytes are one worker's: each has its own part of the time, of what is touched, and a cache of its own.
class Planner {
 public:
  Planner(std::span<const AheadStep> steps, size_t room, size_t workers)
      : steps_(steps), room_(room), workers_(workers), first_(k_first_bytes / workers), plans_(steps.size()) {}

  std::vector<WeightsAhead> plan() {
    for (size_t i = 0; i < steps_.size(); ++i)
      if (steps_[i].spare > 0) bring(i);
    return std::move(plans_);
  }

 private:
  /// What step i brings, in order: as much as it has time for and as L2 has room for.
  void bring(size_t i) {
    const size_t own = bytes_of(steps_[i]) - plans_[i].own_near;
    const size_t spare = static_cast<size_t>(steps_[i].spare) / workers_;
    size_t time = steps_[i].repeats ? 0 : spare - std::min(spare, own), between = 0;
    bool is_first = true;
    for (size_t k = i + 1; k < steps_.size(); ++k) {
      const AheadStep& step = steps_[k];
      between += step.touched / workers_;
      const size_t bytes = bytes_of(step);
      if (bytes == 0) continue;
      if (step.repeats || steps_[i].repeats) {  // near in one of the turns
        plans_[i].parts.push_back(part(step, 0, std::min(bytes, first_)));
        return;
      }
      size_t& near = plans_[k].own_near;
      const size_t missing = bytes - near, held = std::min(room_, between + near);
      const size_t least = is_first ? first_ - std::min(first_, near) : 0;
      const size_t now = std::min({missing, std::max(time, least), room_ - held}) / 64 * 64;
      const size_t taken = now + 63 >= missing ? missing : now;
      if (taken > 0) plans_[i].parts.push_back(part(step, near, near + taken));
      near += taken;
      time -= std::min(time, taken);
      between += bytes;
      if (near < bytes || between >= room_) return;
      is_first = false;
    }
  }

  /// Bytes [first, end) of what each worker reads.
  static WeightsPart part(const AheadStep& step, size_t first, size_t end) {
    WeightsPart made;
    for (const std::span<const std::byte> own : step.weights)
      made.by_worker.push_back(own.first(std::min(end, own.size())).subspan(std::min(first, own.size())));
    return made;
  }

  std::span<const AheadStep> steps_;
  size_t room_, workers_, first_;
  std::vector<WeightsAhead> plans_;
};

}  // namespace

std::vector<WeightsAhead> plan_weights_ahead(std::span<const AheadStep> steps, size_t cache_bytes, size_t workers) {
  const auto room = static_cast<size_t>(k_cache_share * static_cast<double>(cache_bytes)) / workers;
  size_t all = 0, most_touched = 0;
  for (const AheadStep& step : steps)
    all += bytes_of(step), most_touched = std::max(most_touched, step.touched / workers);
  if (all + most_touched > room) return Planner(steps, room, workers).plan();
  std::vector<WeightsAhead> plans(steps.size());  // everything stays near from run to run
  for (WeightsAhead& plan : plans) plan.own_near = SIZE_MAX;
  return plans;
}

}  // namespace octet::cpu
