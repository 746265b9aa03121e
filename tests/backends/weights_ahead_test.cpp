// What steps bring near of later steps' weights: every byte once, in the order of use, no more than L2 has room for.
#include "backends/cpu/weights_ahead.h"

#include <gtest/gtest.h>

#include <random>

namespace octet::cpu {
namespace {

/// Weights that nobody reads.
std::span<const std::byte> weights(size_t bytes) {
  static const std::vector<std::byte> all(4 << 20);
  return {all.data(), bytes};
}
constexpr size_t k_cache = 2 << 20, k_room = k_cache * 5 / 8, k_first = 128 << 10;

std::vector<AheadStep> random_steps(std::mt19937& random) {
  std::vector<AheadStep> steps(1 + random() % 20);
  for (AheadStep& step : steps) {
    if (random() % 4) step.weights = weights(random() % (random() % 3 ? 300000 : 3000000));
    if (!step.weights.empty() && random() % 4) step.spare = static_cast<int64_t>(random() % 1000000);
    step.touched = random() % 200000;
  }
  return steps;
}

TEST(WeightsAhead, each_byte_is_brought_once_and_in_order_by_steps_that_have_time) {
  std::mt19937 random(7);
  for (int turn = 0; turn < 300; ++turn) {
    const std::vector<AheadStep> steps = random_steps(random);
    const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache);
    ASSERT_EQ(plans.size(), steps.size());
    size_t all = 0;
    for (const AheadStep& step : steps) all += step.weights.size();
    std::vector<size_t> near(steps.size(), 0);
    for (size_t i = 0; i < steps.size(); ++i) {
      if (all > k_cache) {
        EXPECT_EQ(plans[i].own_near, near[i]);
      }
      if (steps[i].spare == 0) {
        EXPECT_TRUE(plans[i].parts.empty());
      }
      size_t k = i;
      int64_t brought = 0;
      for (const WeightsPart& part : plans[i].parts) {
        for (++k; k < steps.size() && (steps[k].weights.empty() || near[k] == steps[k].weights.size()); ++k) {
        }
        ASSERT_LT(k, steps.size());
        EXPECT_EQ(part.weights.size(), steps[k].weights.size());
        EXPECT_EQ(part.first, near[k]);
        EXPECT_LE(part.end, part.weights.size());
        EXPECT_GT(part.end, part.first);
        near[k] = part.end, brought += static_cast<int64_t>(part.end - part.first);
      }
      EXPECT_LE(brought, std::max(steps[i].spare, static_cast<int64_t>(k_first))) << "step " << i;
      size_t waiting = 0;
      for (k = i + 1; k < steps.size(); ++k) waiting += near[k];
      EXPECT_LE(waiting, k_room);
    }
  }
}

TEST(WeightsAhead, of_a_network_that_stays_in_l2_are_near_already) {
  const std::vector<AheadStep> steps = {{weights(100000), 50000, 1000}, {}, {weights(300), 7000, 1000}};
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache);
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(plans[i].own_near, steps[i].weights.size());
    EXPECT_TRUE(plans[i].parts.empty());
  }
}

TEST(WeightsAhead, of_a_large_layer_come_during_the_layers_before_it) {
  const std::vector<AheadStep> steps = {{weights(40000), 400000, 0},
                                        {weights(40000), 400000, 0},
                                        {},
                                        {weights(3000000), 900000, 0},
                                        {weights(200000), 0, 0}};
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache);
  ASSERT_EQ(plans[0].parts.size(), 2u);
  EXPECT_EQ(plans[0].parts[0].end, 40000u);
  EXPECT_EQ(plans[0].parts[1].first, 0u);
  ASSERT_EQ(plans[1].parts.size(), 1u);
  EXPECT_EQ(plans[1].parts[0].first, plans[0].parts[1].end);
  EXPECT_EQ(plans[1].parts[0].end, plans[3].own_near);
  EXPECT_NEAR(static_cast<double>(plans[3].own_near), 360000 + 400000 - 40000 + 0.0, 64);
  // The large one has no time for another's, but for the first.
  ASSERT_EQ(plans[3].parts.size(), 1u);
  EXPECT_EQ(plans[3].parts[0].end, k_first);
}

TEST(WeightsAhead, are_no_more_than_l2_has_room_for_beside_what_is_touched_before_their_use) {
  const std::vector<AheadStep> steps = {{weights(64), 9000000, 0}, {{}, 0, 1000000}, {weights(3000000), 0, 200000}};
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache);
  EXPECT_EQ(plans[2].own_near, (k_room - 1200000) / 64 * 64);
}

TEST(WeightsAhead, of_steps_that_take_turns_are_the_first_of_the_next_ones_in_every_turn) {
  std::vector<AheadStep> steps = {
      {weights(500000), 900000, 0}, {weights(500000), 900000, 0}, {weights(3000000), 900000, 0}};
  steps[0].repeats = steps[1].repeats = true;
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache);
  for (const size_t i : {0, 1}) {
    ASSERT_EQ(plans[i].parts.size(), 1u);
    EXPECT_EQ(plans[i].parts[0].weights.size(), steps[i + 1].weights.size());
    EXPECT_EQ(plans[i].parts[0].first, 0u);
    EXPECT_EQ(plans[i].parts[0].end, k_first);
  }
  for (const WeightsAhead& plan : plans) EXPECT_EQ(plan.own_near, 0u);
}

}  // namespace
}  // namespace octet::cpu
