#include "base/ceil_div.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(CeilDiv, rounds_up_on_both_sides_of_zero) {
  for (const int64_t by : {1, 3, 4, 16})
    for (int64_t n = -50; n <= 50; ++n) {
      const int64_t up = ceil_div(n, by);
      EXPECT_TRUE(up * by >= n && up * by < n + by) << n << " / " << by;
    }
}

}  // namespace
}  // namespace octet
