// 16 columns to a register, tiles of 8 x 32.
#include <immintrin.h>

#include "kernels/matmul_f32/narrow_isa.h"
#include "kernels/matmul_f32/tile_isa.h"

namespace octet {
namespace {

struct Zmm {
  using Register = __m512;
  static constexpr int64_t width = 16;
  static Register zero() { return _mm512_setzero_ps(); }
  static Register load(const float* x) { return _mm512_loadu_ps(x); }
  static Register splat(float x) { return _mm512_set1_ps(x); }
  static Register fma(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register mul(Register a, Register b) { return _mm512_mul_ps(a, b); }
  static Register load_part(const float* x, int64_t n) {
    return n >= width ? load(x) : _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), x);
  }
  static Register permute(Register x, const int32_t* from) { return _mm512_permutexvar_ps(_mm512_load_si512(from), x); }
  static void store(float* y, Register x, int64_t room) {
    if (room >= width) return _mm512_storeu_ps(y, x);
    if (room > 0) _mm512_mask_storeu_ps(y, static_cast<__mmask16>((1u << room) - 1), x);
  }
};

}  // namespace

const MatMulF32Kernels matmul_f32_avx512_vnni = {product<Zmm, 8>, narrow<Zmm>, "avx512_vnni"};

}  // namespace octet
