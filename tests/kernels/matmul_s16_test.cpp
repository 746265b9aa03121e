#include "kernels/matmul_s16/matmul_s16.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace octet {
namespace {

const MatMulS16Kernels k_all[] = {
#define OCTET_KERNEL(entry, kernels) kernels,
#include "kernels/matmul_s16/kernels.def"
#undef OCTET_KERNEL
};

void expect_equal(int64_t rows, int64_t pairs, int64_t count, bool extreme) {
  std::mt19937 random(static_cast<unsigned>(rows * 100 + pairs + count));
  std::uniform_int_distribution<int> code(-255, 255);
  const auto fill = [&](std::vector<int16_t>& v) {
    for (int16_t& x : v) x = static_cast<int16_t>(extreme ? (code(random) < 0 ? -255 : 255) : code(random));
  };
  std::vector<int16_t> a(static_cast<size_t>(rows * pairs * 2)), b(static_cast<size_t>(pairs * 32 * count));
  fill(a);
  fill(b);
  const int64_t columns = 16 * count, pitch = columns + 4;
  for (const Isa isa : available_isas()) {
    const MatMulS16Kernels kernels = matmul_s16_kernels(isa);
    std::vector<int32_t> sums(static_cast<size_t>(rows * pitch), 7);
    kernels.panels(a.data(), b.data(), pairs, rows, count, sums.data(), pitch);
    for (int64_t m = 0; m < rows; ++m) {
      for (int64_t j = 0; j < pitch; ++j) {
        int64_t sum = j < columns ? 0 : 7;  // behind the panels nothing is written
        for (int64_t k = 0; j < columns && k < 2 * pairs; ++k)
          sum += int64_t{a[static_cast<size_t>(m * 2 * pairs + k)]} *
                 b[static_cast<size_t>(((j / 16 * pairs + k / 2) * 16 + j % 16) * 2 + k % 2)];
        ASSERT_EQ(sums[static_cast<size_t>(m * pitch + j)], sum) << kernels.name << " row " << m << " column " << j;
      }
    }
  }
}

TEST(MatMulS16, every_isa_gives_the_exact_sums) {
  for (const int64_t rows : {1, 3, 4, 7, 8, 9, 17, 64})
    for (const int64_t pairs : {0, 1, 2, 7, 16, 33})
      for (const int64_t count : {1, 2, 3, 4}) expect_equal(rows, pairs, count, false);
}

TEST(MatMulS16, holds_the_largest_sums) {
  expect_equal(9, 16000, 2, true);  // 32000 * 255 * 255 < 2^31
}

// Codes as they are, with any zero points, at any distance of rows; extreme codes, and tails of rows and panels.
TEST(MatMulS16, quads_of_codes_give_the_exact_sums_of_centred_ones) {
  std::mt19937 random(8);
  std::uniform_int_distribution<int> code(0, 255);
  int tried = 0;
  for (const Isa isa : available_isas()) {
    const MatMulS16Kernels kernels = matmul_s16_kernels(isa);
    if (!kernels.multiply_quads) continue;
    for (const auto& [za, zb] : {std::pair(0, 128), std::pair(128, 128), std::pair(17, 0), std::pair(255, 255)})
      for (const int64_t rows : {1, 7, 8, 17})
        for (const int64_t quads : {1, 2, 8, 16, 33})
          for (const int64_t panels : {1, 2, 3})
            for (const bool is_extreme : {false, true}) {
              const int64_t k = 4 * quads, n = 16 * panels, a_step = k + 5, b_step = n + 3, pitch = n + 4;
              std::vector<uint8_t> a(static_cast<size_t>(rows * a_step)), b(static_cast<size_t>(k * b_step));
              for (std::vector<uint8_t>* v : {&a, &b})
                for (uint8_t& c : *v) c = static_cast<uint8_t>(is_extreme ? code(random) / 128 * 255 : code(random));
              std::vector<int8_t> packed(static_cast<size_t>(k * n));
              for (int64_t p = 0; p < panels; ++p)
                kernels.pack_quads(b.data() + 16 * p, b_step, quads, packed.data() + p * quads * 64);
              std::vector<uint8_t> transposed(static_cast<size_t>(n * (k + 3)));
              for (int64_t i = 0; i < k; ++i)
                for (int64_t j = 0; j < n; ++j)
                  transposed[static_cast<size_t>(j * (k + 3) + i)] = b[static_cast<size_t>(i * b_step + j)];
              std::vector<int8_t> from_columns(packed.size());
              for (int64_t p = 0; p < panels; ++p)
                kernels.pack_quad_columns(transposed.data() + 16 * p * (k + 3), k + 3, quads,
                                          from_columns.data() + p * quads * 64);
              ASSERT_EQ(from_columns, packed) << quads << " quads, " << panels << " panels";
              std::vector<int32_t> sums(static_cast<size_t>(rows * pitch), 7);
              kernels.multiply_quads(
                  {a.data(), a_step, rows, quads, packed.data(), panels, za, zb, sums.data(), pitch});
              for (int64_t m = 0; m < rows; ++m)
                for (int64_t j = 0; j < pitch; ++j) {
                  int64_t sum = j < n ? 0 : 7;
                  for (int64_t i = 0; j < n && i < k; ++i)
                    sum +=
                        (a[static_cast<size_t>(m * a_step + i)] - za) * (b[static_cast<size_t>(i * b_step + j)] - zb);
                  ASSERT_EQ(sums[static_cast<size_t>(m * pitch + j)], sum)
                      << name(isa) << " " << rows << " x " << k << " x " << n << " row " << m << " column " << j;
                  ++tried;
                }
            }
  }
  if (tried == 0) GTEST_SKIP() << "not applicable: no ISA here multiplies codes as they are";
}

TEST(MatMulS16, codes_of_sums_are_the_scalar_ones_and_nothing_is_written_beside_them) {
  std::mt19937 random(5);
  std::uniform_int_distribution<int32_t> small(-40000, 40000), any(INT32_MIN, INT32_MAX);
  for (const int64_t n : {1, 7, 16, 31, 32, 33, 48, 64, 65, 100, 130})
    for (const bool is_large : {false, true}) {
      const int64_t rows = 5, pitch = (n + 15) / 16 * 16, step = n + 3;
      std::vector<int32_t> sums(static_cast<size_t>(rows * pitch));
      for (int32_t& s : sums) s = is_large ? any(random) : small(random) / 64 * 32;  // ties among them
      const SumsToCodes to{is_large ? 3.7f : 0x1p-6f, 131, 3, 250};
      const auto codes = [&](Isa isa) {
        std::vector<uint8_t> y(static_cast<size_t>(rows * step), 77);
        matmul_s16_kernels(isa).quantize_rows(sums.data(), rows, n, pitch, to, y.data(), step);
        return y;
      };
      const std::vector<uint8_t> expected = codes(Isa::scalar);
      for (int64_t i = 0; i < rows * step; ++i) ASSERT_TRUE(i % step < n || expected[static_cast<size_t>(i)] == 77);
      for (const Isa isa : available_isas()) ASSERT_EQ(codes(isa), expected) << name(isa) << " n " << n;
    }
}

TEST(MatMulS16, lists_a_set_for_every_isa_that_has_one) {
  EXPECT_STREQ(k_all[std::size(k_all) - 1].name, "matmul_s16 scalar");
}

}  // namespace
}  // namespace octet
