// 16 columns to a register, tiles of 8 x 32.
#include <immintrin.h>

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
  static void store(float* y, Register x, int64_t room) {
    if (room >= width) return _mm512_storeu_ps(y, x);
    if (room > 0) _mm512_mask_storeu_ps(y, static_cast<__mmask16>((1u << room) - 1), x);
  }
};

}  // namespace

const MatMulF32Kernels matmul_f32_avx512_vnni = {product<Zmm, 8>, "avx512_vnni"};

}  // namespace octet
