#include "kernels/implicit_gemm/pixel_classes.h"

#include <gtest/gtest.h>

#include <string>

namespace octet {
namespace {

TEST(TapBands, leave_out_the_kernel_positions_that_meet_padding_only) {
  const auto text = [](const WindowAxis& axis) {
    std::string all;
    for (const TapBand& b : tap_bands(axis))
      all += std::to_string(b.begin) + "-" + std::to_string(b.end) + ":" + std::to_string(b.k_begin) + "-" +
             std::to_string(b.k_end) + " ";
    return all;
  };
  EXPECT_EQ(text({4, 4, 3, 1, 1, 1}), "0-1:1-3 1-3:0-3 3-4:0-2 ");
  EXPECT_EQ(text({1, 1, 3, 1, 1, 1}), "0-1:1-2 ");
  EXPECT_EQ(text({8, 4, 3, 2, 1, 1}), "0-1:1-3 1-4:0-3 ");
  EXPECT_EQ(text({5, 3, 3, 1, 0, 1}), "0-3:0-3 ");
  EXPECT_EQ(text({2, 6, 3, 1, 3, 1}), "0-1:3-3 1-2:2-3 2-3:1-3 3-4:0-2 4-5:0-1 5-6:0-0 ");
}

}  // namespace
}  // namespace octet
