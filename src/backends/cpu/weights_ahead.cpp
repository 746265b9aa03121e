#include "backends/cpu/weights_ahead.h"

#include <algorithm>

namespace octet::cpu {
namespace {

/// Of L2, what weights that wait for their use and all that is touched before it may take.
constexpr double k_cache_share = 0.625;
/// Brought near in any case, of the next step that has weights: a layer's first bytes are needed at once.
constexpr size_t k_first_bytes = 128 << 10;

class Planner {
 public:
  Planner(std::span<const AheadStep> steps, size_t room) : steps_(steps), room_(room), plans_(steps.size()) {}

  std::vector<WeightsAhead> plan() {
    for (size_t i = 0; i < steps_.size(); ++i)
      if (steps_[i].spare > 0) bring(i);
    return std::move(plans_);
  }

 private:
  /// What step i brings, in order: as much as it has time for and as L2 has room for.
  void bring(size_t i) {
    const size_t own = steps_[i].weights.size() - plans_[i].own_near;
    const auto spare = static_cast<size_t>(steps_[i].spare);
    size_t time = steps_[i].repeats ? 0 : spare - std::min(spare, own), between = 0;
    bool is_first = true;
    for (size_t k = i + 1; k < steps_.size(); ++k) {
      const AheadStep& step = steps_[k];
      between += step.touched;
      if (step.weights.empty()) continue;
      if (step.repeats || steps_[i].repeats) {  // near in one of the turns
        plans_[i].parts.push_back({step.weights, 0, std::min(step.weights.size(), k_first_bytes)});
        return;
      }
      size_t& near = plans_[k].own_near;
      const size_t missing = step.weights.size() - near, held = std::min(room_, between + near);
      const size_t least = is_first ? k_first_bytes - std::min(k_first_bytes, near) : 0;
      const size_t now = std::min({missing, std::max(time, least), room_ - held}) / 64 * 64;
      const size_t taken = now + 63 >= missing ? missing : now;
      if (taken > 0) plans_[i].parts.push_back({step.weights, near, near + taken});
      near += taken;
      time -= std::min(time, taken);
      between += step.weights.size();
      if (near < step.weights.size() || between >= room_) return;
      is_first = false;
    }
  }

  std::span<const AheadStep> steps_;
  size_t room_;
  std::vector<WeightsAhead> plans_;
};

}  // namespace

std::vector<WeightsAhead> plan_weights_ahead(std::span<const AheadStep> steps, size_t cache_bytes) {
  const auto room = static_cast<size_t>(k_cache_share * static_cast<double>(cache_bytes));
  size_t all = 0, most_touched = 0;
  for (const AheadStep& step : steps) all += step.weights.size(), most_touched = std::max(most_touched, step.touched);
  if (all + most_touched > room) return Planner(steps, room).plan();
  std::vector<WeightsAhead> plans(steps.size());  // everything stays near from run to run
  for (size_t i = 0; i < steps.size(); ++i) plans[i].own_near = steps[i].weights.size();
  return plans;
}

}  // namespace octet::cpu
