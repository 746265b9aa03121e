#include "kernels/implicit_gemm/compact_rows.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/conv_u8s8_data.h"
#include "kernels/implicit_gemm/pixel_classes.h"

namespace octet {
namespace {

/// Every way to run the layer on the best ISA, those of lesser ISAs among them; the whole buffers.
void expect_judged(const ConvCase& c) {
  ConvU8S8Data data(c);
  data.describe();
  const std::vector<uint8_t> want = data.run_layer<uint8_t>(*ConvU8S8::make(data.desc, Isa::scalar), 1);
  const Isa isa = available_isas().back();
  for (const int threads : {1, 2, 3})
    for (const ConvVariant& variant : conv_u8s8_variants(data.desc, c.batch, isa, threads)) {
      if (!variant.refused.empty()) continue;
      EXPECT_EQ(data.run_layer<uint8_t>(*ConvU8S8::make(data.desc, isa, variant.name), threads), want)
          << variant.name << ", " << threads << " threads, " << c;
    }
}

TEST(CompactRows, the_last_codes_of_four_kernel_rows_of_a_stem_are_one_dword) {
  const auto dwords = [](const ConvCase& c) {
    return PixelClasses(c.geometry(), true, true, true).classes()[0].dwords;
  };
  EXPECT_EQ(dwords(square(32, 3, 16, 7, 2, 3)), 7 * 5 + 2);
  EXPECT_EQ(dwords(square(32, 3, 16, 7, 1, 3)), 7 * 6) << "a pixel's three bytes have no room for four";
  EXPECT_EQ(dwords(square(32, 4, 16, 7, 2, 3)), 7 * 7) << "nothing is left over";
  EXPECT_EQ(dwords(square(32, 3, 16, 3, 2, 1)), 3 * 3) << "short rows";
  EXPECT_EQ(dwords(square(40, 3, 16, 7, 2, 3, 2)), 7 * 6) << "rows apart";
  std::vector<ConvCase> cases = {square(56, 3, 64, 7, 2, 3, 1, 1, 2), square(7, 3, 9, 7, 2, 0),
                                 square(8, 3, 9, 7, 4, 3)};
  for (const int64_t kh : {2, 3, 4, 5, 8, 9})
    for (const int64_t stride_h : {1, 2, 4})
      for (const int64_t stride_w : {2, 3, 5}) {
        cases.push_back({2, 13, 37, 3, 20, kh, 7, stride_h, stride_w, 1, 1, 1, 3, 2, 0, 1});
        EXPECT_EQ(dwords(cases.back()), kh * 5 + (kh + 3) / 4) << cases.back();
      }
  cases.push_back({1, 12, 90, 1, 33, 6, 21, 2, 16, 1, 1, 2, 5, 2, 5, 1});
  EXPECT_EQ(dwords(cases.back()), 6 * 5 + 2);
  for (const ConvCase& c : cases) expect_judged(c);
}

}  // namespace
}  // namespace octet
