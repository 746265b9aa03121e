// What steps bring near of later steps' weights: every byte once, in the order of use, no more than L2 has room for.
#include "backends/cpu/weights_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace octet::cpu {
namespace {

/// Weights that nobody reads.
const std::vector<std::byte>& nobodys() {
  static const std::vector<std::byte> all(4 << 20);
  return all;
}
using ByWorker = std::vector<std::span<const std::byte>>;
/// Each worker reads all of them.
ByWorker weights(size_t bytes, size_t workers = 1) { return {workers, std::span(nobodys()).first(bytes)}; }
/// Each has a part of its own.
ByWorker shares(size_t bytes, size_t workers) {
  ByWorker made;
  for (size_t w = 0; w < workers; ++w) {
    const size_t begin = bytes * w / workers;
    made.push_back(std::span(nobodys()).subspan(begin, bytes * (w + 1) / workers - begin));
  }
  return made;
}
constexpr size_t k_cache = 2 << 20, k_room = k_cache * 5 / 8, k_first = 128 << 10;

/// Where it lies in what the worker reads.
struct Place {
  size_t first, end;
};
Place place_of(const WeightsPart& part, size_t worker, const AheadStep& of) {
  const std::span<const std::byte> own = part.by_worker[worker];
  const auto first = static_cast<size_t>(own.data() - of.weights[worker].data());
  return {first, first + own.size()};
}
size_t most_bytes(const AheadStep& step) {
  size_t most = 0;
  for (const auto& own : step.weights) most = std::max(most, own.size());
  return most;
}

std::vector<AheadStep> random_steps(std::mt19937& random, size_t workers) {
  std::vector<AheadStep> steps(1 + random() % 20);
  for (AheadStep& step : steps) {
    const size_t bytes = random() % (random() % 3 ? 300000 : 3000000);
    if (random() % 4) step.weights = random() % 2 ? weights(bytes, workers) : shares(bytes, workers);
    if (most_bytes(step) > 0 && random() % 4) step.spare = static_cast<int64_t>(random() % 1000000);
    step.touched = random() % 200000;
  }
  return steps;
}

TEST(WeightsAhead, each_byte_is_brought_once_and_in_order_by_steps_that_have_time) {
  std::mt19937 random(7);
  for (int turn = 0; turn < 300; ++turn) {
    const size_t workers = 1 + random() % 3;
    const std::vector<AheadStep> steps = random_steps(random, workers);
    const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, workers * k_cache, workers);
    ASSERT_EQ(plans.size(), steps.size());
    size_t all = 0;
    for (const AheadStep& step : steps) all += most_bytes(step);
    for (size_t worker = 0; worker < workers; ++worker) {
      std::vector<size_t> near(steps.size(), 0);
      for (size_t i = 0; i < steps.size(); ++i) {
        const auto bytes_of = [&](size_t k) { return steps[k].weights.empty() ? 0 : steps[k].weights[worker].size(); };
        if (all > k_cache) {
          EXPECT_EQ(std::min(plans[i].own_near, bytes_of(i)), near[i]);
        }
        if (steps[i].spare == 0) {
          EXPECT_TRUE(plans[i].parts.empty());
        }
        size_t k = i;
        int64_t brought = 0;
        for (const WeightsPart& part : plans[i].parts) {
          ASSERT_EQ(part.by_worker.size(), workers);
          if (part.by_worker[worker].empty()) continue;  // another reads a little more
          for (++k; k < steps.size() && near[k] == bytes_of(k); ++k) {
          }
          ASSERT_LT(k, steps.size());
          const Place place = place_of(part, worker, steps[k]);
          EXPECT_EQ(place.first, near[k]);
          EXPECT_LE(place.end, bytes_of(k));
          near[k] = place.end, brought += static_cast<int64_t>(place.end - place.first);
        }
        const auto each = static_cast<int64_t>(workers);
        EXPECT_LE(brought, std::max(steps[i].spare, static_cast<int64_t>(k_first)) / each) << "step " << i;
        size_t waiting = 0;
        for (k = i + 1; k < steps.size(); ++k) waiting += near[k];
        EXPECT_LE(waiting, k_room);
      }
    }
  }
}

TEST(WeightsAhead, of_a_network_that_stays_in_l2_are_near_already) {
  const std::vector<AheadStep> steps = {{weights(100000), 50000, 1000}, {}, {weights(300), 7000, 1000}};
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache, 1);
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_GE(plans[i].own_near, most_bytes(steps[i]));
    EXPECT_TRUE(plans[i].parts.empty());
  }
}

// In two caches of half the size a network stays whose workers read a half each, and not one that both read whole.
TEST(WeightsAhead, stay_where_what_each_worker_reads_fits_its_own_cache) {
  const std::vector<AheadStep> halves = {{shares(600000, 2), 500000, 0}, {shares(600000, 2), 500000, 0}};
  for (const WeightsAhead& plan : plan_weights_ahead(halves, k_cache, 2)) EXPECT_TRUE(plan.parts.empty());
  const std::vector<AheadStep> wholes = {{weights(600000, 2), 500000, 0}, {weights(600000, 2), 500000, 0}};
  const std::vector<WeightsAhead> plans = plan_weights_ahead(wholes, k_cache, 2);
  ASSERT_EQ(plans[0].parts.size(), 1u);
  EXPECT_EQ(plans[1].own_near, k_first / 2) << "each worker's, of which the other brings nothing";
}

TEST(WeightsAhead, of_a_large_layer_come_during_the_layers_before_it) {
  const std::vector<AheadStep> steps = {{weights(40000), 400000, 0},
                                        {weights(40000), 400000, 0},
                                        {},
                                        {weights(3000000), 900000, 0},
                                        {weights(200000), 0, 0}};
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache, 1);
  ASSERT_EQ(plans[0].parts.size(), 2u);
  EXPECT_EQ(place_of(plans[0].parts[0], 0, steps[1]).end, 40000u);
  EXPECT_EQ(place_of(plans[0].parts[1], 0, steps[3]).first, 0u);
  ASSERT_EQ(plans[1].parts.size(), 1u);
  EXPECT_EQ(place_of(plans[1].parts[0], 0, steps[3]).first, place_of(plans[0].parts[1], 0, steps[3]).end);
  EXPECT_EQ(place_of(plans[1].parts[0], 0, steps[3]).end, plans[3].own_near);
  EXPECT_NEAR(static_cast<double>(plans[3].own_near), 360000 + 400000 - 40000 + 0.0, 64);
  // The large one has no time for another's, but for the first.
  ASSERT_EQ(plans[3].parts.size(), 1u);
  EXPECT_EQ(place_of(plans[3].parts[0], 0, steps[4]).end, k_first);
}

TEST(WeightsAhead, are_no_more_than_l2_has_room_for_beside_what_is_touched_before_their_use) {
  const std::vector<AheadStep> steps = {{weights(64), 9000000, 0}, {{}, 0, 1000000}, {weights(3000000), 0, 200000}};
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache, 1);
  EXPECT_EQ(plans[2].own_near, (k_room - 1200000) / 64 * 64);
}

TEST(WeightsAhead, of_steps_that_take_turns_are_the_first_of_the_next_ones_in_every_turn) {
  std::vector<AheadStep> steps = {
      {weights(500000), 900000, 0}, {weights(500000), 900000, 0}, {weights(3000000), 900000, 0}};
  steps[0].repeats = steps[1].repeats = true;
  const std::vector<WeightsAhead> plans = plan_weights_ahead(steps, k_cache, 1);
  for (const size_t i : {0, 1}) {
    ASSERT_EQ(plans[i].parts.size(), 1u);
    EXPECT_EQ(place_of(plans[i].parts[0], 0, steps[i + 1]).first, 0u);
    EXPECT_EQ(place_of(plans[i].parts[0], 0, steps[i + 1]).end, k_first);
  }
  for (const WeightsAhead& plan : plans) EXPECT_EQ(plan.own_near, 0u);
}

}  // namespace
}  // namespace octet::cpu
