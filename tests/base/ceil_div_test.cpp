#include "base/ceil_div.h"

#include <gtest/gtest.h>

#include <limits>

namespace octet {
namespace {

TEST(CeilDiv, takes_the_ends_of_int64) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(ceil_div(most, 2), most / 2 + 1);
  EXPECT_EQ(ceil_div(most, 1), most);
  EXPECT_EQ(ceil_div(least, 1), least);
  EXPECT_EQ(ceil_div(least + 1, 2), least / 2 + 1);
}

TEST(CeilDiv, rounds_up_on_both_sides_of_zero) {
  for (const int64_t by : {1, 3, 4, 16})
    for (int64_t n = -50; n <= 50; ++n) {
      const int64_t up = ceil_div(n, by);
      EXPECT_TRUE(up * by >= n && up * by < n + by) << n << " / " << by;
    }
}

}  // namespace
}  // namespace octet
