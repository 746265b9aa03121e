#include "plan/arena.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace octet {
namespace {

std::vector<ArenaRange> random_ranges(uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<ArenaRange> ranges(60);
  for (ArenaRange& range : ranges) {
    range.bytes = random() % 5000;
    range.used_at(static_cast<int32_t>(random() % 50));
    range.used_at(range.first + static_cast<int32_t>(random() % 6));
  }
  return ranges;
}

using LayOut = size_t (*)(std::span<ArenaRange* const>);

size_t lay_out(LayOut way, std::vector<ArenaRange>& ranges) {
  std::vector<ArenaRange*> pointers;
  for (ArenaRange& range : ranges) pointers.push_back(&range);
  return way(pointers);
}

TEST(Arena, ranges_of_one_time_do_not_overlap_in_either_way) {
  for (const LayOut way : {&lay_out_arena, &lay_out_arena_in_lanes})
    for (uint32_t seed = 0; seed < 20; ++seed) {
      std::vector<ArenaRange> ranges = random_ranges(seed);
      const size_t bytes = lay_out(way, ranges);
      for (const ArenaRange& a : ranges) {
        EXPECT_EQ(a.offset % 64, 0u);
        EXPECT_LE(a.offset + a.bytes, bytes);
        for (const ArenaRange& b : ranges) {
          const bool same_time = &a != &b && a.first <= b.last && b.first <= a.last;
          const bool apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
          EXPECT_TRUE(!same_time || apart || a.bytes == 0 || b.bytes == 0) << "seed " << seed;
        }
      }
    }
}

TEST(Arena, a_chain_in_lanes_has_two_of_them_and_each_value_in_the_middle) {
  std::vector<ArenaRange> chain(8);
  for (size_t i = 0; i < chain.size(); ++i) {
    chain[i].bytes = 64 * (10 + 6 * (i % 5));
    chain[i].used_at(static_cast<int32_t>(i));
    chain[i].used_at(static_cast<int32_t>(i) + 1);
  }
  const size_t bytes = lay_out(&lay_out_arena_in_lanes, chain);
  EXPECT_LE(bytes, 2 * 64 * 34 + k_between_workers);
  const auto middle = [](const ArenaRange& r) { return static_cast<int64_t>(r.offset + r.bytes / 2); };
  for (size_t i = 2; i < chain.size(); ++i) EXPECT_LE(std::abs(middle(chain[i]) - middle(chain[i - 2])), 64) << i;
  for (size_t i = 0; i < chain.size(); i += 2)  // of the first lane
    for (size_t k = 1; k < chain.size(); k += 2)
      EXPECT_GE(chain[k].offset, chain[i].offset + chain[i].bytes + k_between_workers) << i << " and " << k;
}

TEST(Arena, no_step_uses_it_and_it_is_left_alone) {
  std::vector<ArenaRange> ranges(1);
  ranges[0].bytes = 100;
  EXPECT_EQ(lay_out(&lay_out_arena, ranges), 0u);
  EXPECT_EQ(lay_out(&lay_out_arena_in_lanes, ranges), 0u);
}

}  // namespace
}  // namespace octet
