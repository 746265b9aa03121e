// 8 columns to a register, tiles of 4 x 16.
#include <immintrin.h>

#include "kernels/matmul_f32/narrow_isa.h"
#include "kernels/matmul_f32/tile_isa.h"
#include "kernels/requantize_avx2.h"

namespace octet {
namespace {

struct Ymm {
  using Register = __m256;
  static constexpr int64_t width = 8;
  static Register zero() { return _mm256_setzero_ps(); }
  static Register load(const float* x) { return _mm256_loadu_ps(x); }
  static Register splat(float x) { return _mm256_set1_ps(x); }
  static Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register mul(Register a, Register b) { return _mm256_mul_ps(a, b); }
  static Register load_part(const float* x, int64_t n) {
    return n >= width ? load(x) : _mm256_maskload_ps(x, first_8(n));
  }
  static Register permute(Register x, const int32_t* from) {
    return _mm256_permutevar8x32_ps(x, _mm256_load_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static void store(float* y, Register x, int64_t room) {
    if (room >= width) return _mm256_storeu_ps(y, x);
    _mm256_maskstore_ps(y, first_8(room), x);
  }
};

}  // namespace

const MatMulF32Kernels matmul_f32_avx2 = {product<Ymm, 4>, narrow<Ymm>, "avx2"};

}  // namespace octet
