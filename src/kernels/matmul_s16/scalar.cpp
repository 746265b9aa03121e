// Plain C++: the judge of the family.
#include "kernels/matmul_s16/matmul_s16_isa.h"
#include "kernels/matmul_s16/rows_isa.h"
#include "kernels/scalar_inline.h"

namespace octet {
namespace {

constexpr int64_t k_panel = 16;

void panel(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int32_t* sums, int64_t pitch) {
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t j = 0; j < k_panel; ++j) {
      uint32_t sum = 0;  // modulo 2^32, as vectors add
      for (int64_t p = 0; p < pairs; ++p) {
        const int16_t* pair = b + (p * k_panel + j) * 2;
        sum += static_cast<uint32_t>(a[2 * p] * pair[0]) + static_cast<uint32_t>(a[2 * p + 1] * pair[1]);
      }
      sums[m * pitch + j] = static_cast<int32_t>(sum);
    }
    a += 2 * pairs;
  }
}

void panels(const int16_t* a, const int16_t* b, int64_t pairs, int64_t rows, int64_t count, int32_t* sums,
            int64_t pitch) {
  for (int64_t i = 0; i < count; ++i) panel(a, b + i * k_panel * 2 * pairs, pairs, rows, sums + i * k_panel, pitch);
}

void quantize_rows(const int32_t* sums, int64_t rows, int64_t n, int64_t pitch, const SumsToCodes& to, uint8_t* y,
                   int64_t y_step) {
  for (int64_t m = 0; m < rows; ++m, sums += pitch, y += y_step)
    for (int64_t j = 0; j < n; ++j)
      y[j] = code_from_f32(static_cast<float>(sums[j]) * to.multiplier, to.zero_point, to.lo, to.hi);
}

}  // namespace

const MatMulS16Kernels matmul_s16_scalar = {panels,  centre_row, centre_pair, scale_row,          quantize_rows,
                                            nullptr, nullptr,    nullptr,     "matmul_s16 scalar"};

}  // namespace octet
