#include "base/weight_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace octet {
namespace {

TEST(WeightMemory, lies_side_by_side_at_cache_lines) {
  const WeightBytes first = allocate_weights(100), second = allocate_weights(64), third = allocate_weights(0);
  ASSERT_TRUE(first && second && third);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first.get()) % 64, 0u);
  EXPECT_EQ(second.get() - first.get(), 128);
  EXPECT_EQ(third.get() - second.get(), 64);
}

TEST(WeightMemory, keeps_what_others_do_not_free) {
  const WeightBytes before = allocate_weights(5000);
  std::fill_n(before.get(), 5000, std::byte{1});
  WeightBytes freed = allocate_weights(3 << 20);
  std::fill_n(freed.get(), 3 << 20, std::byte{2});
  const WeightBytes behind = allocate_weights(5000);
  std::fill_n(behind.get(), 5000, std::byte{3});
  freed.reset();
  EXPECT_EQ(std::count(before.get(), before.get() + 5000, std::byte{1}), 5000);
  EXPECT_EQ(std::count(behind.get(), behind.get() + 5000, std::byte{3}), 5000);
}

TEST(WeightMemory, gives_the_place_of_the_last_piece_again) {
  const WeightBytes kept = allocate_weights(64);
  const std::byte* const place = allocate_weights(1 << 20).get();  // freed at once
  EXPECT_EQ(allocate_weights(1 << 20).get(), place);
}

TEST(WeightMemory, holds_pieces_larger_than_a_region) {
  constexpr size_t k_bytes = size_t{100} << 20;
  const WeightBytes large = allocate_weights(k_bytes);
  ASSERT_TRUE(large);
  large[0] = large[k_bytes - 1] = std::byte{1};
}

TEST(WeightMemory, says_when_there_is_none) {
  EXPECT_FALSE(allocate_weights(SIZE_MAX));
  EXPECT_FALSE(allocate_weights(size_t{1} << 60));
}

TEST(WeightMemory, serves_threads_side_by_side) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int round = 0; round < 200; ++round) {
        const size_t bytes = static_cast<size_t>(64 * (1 + (round * 7 + t) % 50));
        const WeightBytes mine = allocate_weights(bytes);
        std::fill_n(mine.get(), bytes, static_cast<std::byte>(t));
        std::this_thread::yield();
        ASSERT_EQ(std::count(mine.get(), mine.get() + bytes, static_cast<std::byte>(t)), static_cast<int64_t>(bytes));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace octet
