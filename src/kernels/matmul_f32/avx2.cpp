// 8 columns to a register, tiles of 4 x 16.
#include <immintrin.h>

#include "kernels/matmul_f32/tile_isa.h"

namespace octet {
namespace {

struct Ymm {
  using Register = __m256;
  static constexpr int64_t width = 8;
  static Register zero() { return _mm256_setzero_ps(); }
  static Register load(const float* x) { return _mm256_loadu_ps(x); }
  static Register splat(float x) { return _mm256_set1_ps(x); }
  static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static void store(float* y, Register x, int64_t room) {
    if (room >= width) return _mm256_storeu_ps(y, x);
    alignas(32) float all[width];
    _mm256_store_ps(all, x);
    for (int64_t i = 0; i < room; ++i) y[i] = all[i];
  }
};

}  // namespace

const MatMulF32Kernels matmul_f32_avx2 = {product<Ymm, 4>, "avx2"};

}  // namespace octet
