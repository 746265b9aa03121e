// AVX2: 8 floats a step. The loops are shared, the flags are this file's own (src/quant/CMakeLists.txt).

#include <immintrin.h>

#include "quant/rows/rows_isa.h"

namespace octet {
namespace {
#include "quant/rows/loops.inc"

// Halves by the instructions of their own; NaN keeps the upper bits of its payload.
void widen(const uint16_t* x, float* y) {
  _mm256_storeu_ps(y, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
}
void narrow(const float* x, uint16_t* y) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT));
}

void from_f16(const uint16_t* x, size_t n, float* y) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) widen(x + i, y + i);
  if (i == n) return;
  uint16_t last_x[8] = {};
  float last_y[8];
  __builtin_memcpy(last_x, x + i, (n - i) * sizeof(uint16_t));
  widen(last_x, last_y);
  __builtin_memcpy(y + i, last_y, (n - i) * sizeof(float));
}

void to_f16(const float* x, size_t n, uint16_t* y) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) narrow(x + i, y + i);
  if (i == n) return;
  float last_x[8] = {};
  uint16_t last_y[8];
  __builtin_memcpy(last_x, x + i, (n - i) * sizeof(float));
  narrow(last_x, last_y);
  __builtin_memcpy(y + i, last_y, (n - i) * sizeof(uint16_t));
}
}  // namespace

const QuantRows quant_rows_avx2 = {quantize,
                                   fake_quantize,
                                   pass_within,
                                   clip,
                                   affine,
                                   e4m3,
                                   abs_max,
                                   any_negative,
                                   from_f16,
                                   from_bf16,
                                   to_f16,
                                   to_bf16,
                                   to_code<int8_t>,
                                   to_code<uint8_t>,
                                   to_code<int16_t>,
                                   to_code<uint16_t>,
                                   "avx2"};

}  // namespace octet
