// Groups of a few channels: several run at a time, and all together may be as few as a stem's channels.

#include <gtest/gtest.h>

#include "kernels/conv_u8s8_data.h"

namespace octet {
namespace {

/// By every variant of every ISA.
void expect_judged(const ConvCase& c, uint32_t seed) {
  ConvU8S8Data data(c, seed);
  data.desc.x_zero_point = 93;
  data.describe();
  const std::vector<uint8_t> want = data.run_layer<uint8_t>(*ConvU8S8::make(data.desc, Isa::scalar), 1);
  for (const Isa isa : {Isa::avx2, Isa::avx_vnni, Isa::avx512_vnni, Isa::amx}) {
    if (!has_isa(isa)) continue;
    for (const ConvVariant& v : conv_u8s8_variants(data.desc, 1, isa, 1)) {
      if (!v.refused.empty()) continue;
      ASSERT_EQ(data.run_layer<uint8_t>(*ConvU8S8::make(data.desc, isa, v.name), 2), want) << c << ", " << v.name;
    }
  }
}

TEST(ConvU8S8Groups, of_few_channels_equal_the_judge_by_every_variant) {
  uint32_t seed = 900;
  for (const int64_t groups : {2, 3, 4, 5, 8})
    for (const int64_t group_ic : {1, 2, 3})
      for (const int64_t group_oc : {1, 2})
        for (const int64_t width : {4, 7, 8, 14, 16})
          ASSERT_NO_FATAL_FAILURE(expect_judged(
              {2, 4, width, groups * group_ic, groups * group_oc, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, groups}, seed++));
}

TEST(ConvU8S8Groups, of_few_channels_under_other_windows_equal_the_judge_by_every_variant) {
  uint32_t seed = 2000;
  for (const int64_t groups : {2, 4})
    for (const int64_t group_ic : {1, 2})
      for (const int64_t size : {1, 2, 5})
        for (const int64_t stride : {1, 2})
          for (const int64_t dilation : {1, 2})
            ASSERT_NO_FATAL_FAILURE(expect_judged({1, 9, 16, groups * group_ic, groups, size, size, stride, stride,
                                                   dilation, dilation, size / 2, size / 2, size / 2, size / 2, groups},
                                                  seed++));
}

}  // namespace
}  // namespace octet
