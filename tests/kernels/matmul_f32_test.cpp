#include "kernels/matmul_f32/matmul_f32.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

/// One product: a as it lies or transposed, rows of b padded to 16 with what must not count.
struct Case {
  int64_t rows, n, k;
  bool a_is_transposed;
  Buffer<float> a, b;

  Case(int64_t r, int64_t columns, int64_t depth, bool transposed, Random& random)
      : rows(r),
        n(columns),
        k(depth),
        a_is_transposed(transposed),
        a(static_cast<size_t>(r * depth)),
        b(static_cast<size_t>(pitch() * depth), std::nanf("")) {
    random.fill(a.data(), a.size());
    for (int64_t i = 0; i < k; ++i) random.fill(b.data() + i * pitch(), static_cast<size_t>(n));
  }
  int64_t pitch() const { return (n + 15) / 16 * 16; }
  float at_a(int64_t m, int64_t i) const { return a[static_cast<size_t>(a_is_transposed ? i * rows + m : m * k + i)]; }
  MatMulF32Args args(Buffer<float>& y, int64_t y_row) const {
    return {.a = a.data(),
            .a_row = a_is_transposed ? 1 : k,
            .a_column = a_is_transposed ? rows : 1,
            .b = b.data(),
            .b_row = pitch(),
            .y = y.data(),
            .y_row = y_row,
            .rows = rows,
            .n = n,
            .k = k};
  }
};

TEST(MatMulF32, every_isa_gives_the_scalar_bits_and_nothing_behind_a_row) {
  Random random(1);
  for (int64_t rows : {1, 2, 3, 7, 8, 9, 15, 21})
    for (int64_t n = 1; n <= 70; ++n)
      for (int64_t k : {0, 1, 2, 33}) {
        const Case c(rows, n, k, n % 2 == 0, random);
        const int64_t y_row = n + 3;  // the gap keeps what it holds
        const auto size = static_cast<size_t>(rows * y_row);
        Buffer<float> want(size, 5.0f);
        matmul_f32_scalar.product(c.args(want, y_row));
        for (const Isa isa : available_isas()) {
          Buffer<float> have(size, 5.0f);
          matmul_f32_kernels(isa).product(c.args(have, y_row));
          ASSERT_TRUE(have.is_guard_intact());
          ASSERT_EQ(test::bits(have.values()), test::bits(want.values()))
              << name(isa) << " rows " << rows << " n " << n << " k " << k;
        }
      }
}

TEST(MatMulF32, is_the_product_to_the_rounding_of_k_sums) {
  Random random(2);
  const Case c(9, 37, 100, true, random);
  Buffer<float> y(static_cast<size_t>(c.rows * c.n));
  matmul_f32_scalar.product(c.args(y, c.n));
  for (int64_t m = 0; m < c.rows; ++m)
    for (int64_t i = 0; i < c.n; ++i) {
      double want = 0, size = 0;
      for (int64_t k = 0; k < c.k; ++k) {
        const double term =
            static_cast<double>(c.at_a(m, k)) * static_cast<double>(c.b[static_cast<size_t>(k * c.pitch() + i)]);
        want += term, size += std::fabs(term);
      }
      // Each of k roundings is at most 2^-24 of a partial sum.
      EXPECT_NEAR(static_cast<double>(y[static_cast<size_t>(m * c.n + i)]), want, size * 100 * 0x1p-24);
    }
}

TEST(MatMulF32, narrow_rows_have_the_scalar_bits_and_the_product_to_the_rounding_of_k_sums) {
  Random random(3);
  for (int32_t k = 1; k <= k_most_narrow; ++k)
    for (int32_t n = 1; n <= k_most_narrow; ++n)
      for (int64_t rows : {0, 1, 2, 3, 5, 16, 17, 64, 65, 131}) {
        Buffer<float> x(static_cast<size_t>(rows * k));  // guarded: nothing behind it is read as a number
        std::vector<float> w(static_cast<size_t>(n * k)), bias(static_cast<size_t>(n)), factor(static_cast<size_t>(n));
        random.fill(x.data(), x.size());
        for (std::vector<float>* v : {&w, &bias, &factor}) random.fill(v->data(), v->size());
        for (const float* const times :
             {static_cast<const float*>(nullptr), static_cast<const float*>(factor.data())}) {
          NarrowRowsF32 args{.x = x.data(),
                             .y = nullptr,
                             .rows = rows,
                             .k = k,
                             .n = n,
                             .weights = w.data(),
                             .bias = bias.data(),
                             .factor = times};
          Buffer<float> want(static_cast<size_t>(rows * n), 5.0f);
          args.y = want.data();
          matmul_f32_scalar.narrow(args);
          for (int64_t m = 0; m < rows; ++m)
            for (int32_t i = 0; i < n; ++i) {
              double sum = static_cast<double>(bias[static_cast<size_t>(i)]), size = std::fabs(sum);
              for (int32_t j = 0; j < k; ++j) {
                const double term = static_cast<double>(x[static_cast<size_t>(m * k + j)]) *
                                    static_cast<double>(w[static_cast<size_t>(i * k + j)]);
                sum += term, size += std::fabs(term);
              }
              const double f = times ? static_cast<double>(factor[static_cast<size_t>(i)]) : 1.0;
              ASSERT_NEAR(static_cast<double>(want[static_cast<size_t>(m * n + i)]), sum * f,
                          size * std::fabs(f) * (k + 1) * 0x1p-24);
            }
          for (const Isa isa : available_isas()) {
            Buffer<float> have(static_cast<size_t>(rows * n), 5.0f);
            args.y = have.data();
            matmul_f32_kernels(isa).narrow(args);
            ASSERT_TRUE(have.is_guard_intact());
            ASSERT_EQ(test::bits(have.values()), test::bits(want.values()))
                << name(isa) << " rows " << rows << " n " << n << " k " << k;
          }
        }
      }
}

TEST(MatMulF32, names_the_isa_that_runs) {
  for (const Isa isa : available_isas()) EXPECT_EQ(matmul_f32_kernels(isa).name, float_isa_of(isa));
}

}  // namespace
}  // namespace octet
