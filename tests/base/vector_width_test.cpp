#include "base/vector_width.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(VectorWidth, is_half_where_the_data_path_has_256_bits_and_the_leaf_is_amds) {
  EXPECT_TRUE(is_half_width_avx512(0x80000028, 0b0110));   // Zen 4
  EXPECT_FALSE(is_half_width_avx512(0x80000028, 0b1110));  // 512 bits as well
  EXPECT_FALSE(is_half_width_avx512(0x80000028, 0b1010));
  EXPECT_FALSE(is_half_width_avx512(0x80000028, 0b0011));        // 128 bits
  EXPECT_TRUE(is_half_width_avx512(0x8000001a, 0b0100));         // the last leaf itself
  EXPECT_FALSE(is_half_width_avx512(0x80000019, 0b0100));        // a leaf that is not there says what another one does
  EXPECT_FALSE(is_half_width_avx512(0x80000008, ~0u - 0b1000));  // Intel's last one
}

}  // namespace
}  // namespace octet
