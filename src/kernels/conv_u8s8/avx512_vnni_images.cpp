// u8 x s8 convolution for AVX512-VNNI of 3x3 windows on images of 4 x 4 pixels.

#include "kernels/conv_u8s8/image_isa.h"
#include "kernels/conv_u8s8/zmm_accumulate_isa.h"
#include "kernels/conv_u8s8/zmm_store_isa.h"

namespace octet {
namespace {

/// What two input rows add to the sums of the outputs whose windows meet them.
template <int first_row>
inline __attribute__((always_inline)) void add_rows(const uint8_t* x, int64_t pixel_bytes, const char* weights,
                                                    __m512i (&acc)[k_image_pixels]) {
  const int64_t third = 3 * pixel_bytes;
  __m512i in[8];
#pragma GCC unroll 2
  for (int y = 0; y < 2; ++y) {
    const uint8_t* const row = x + (first_row + y) * 4 * pixel_bytes;
    in[4 * y] = broadcast_4(row), in[4 * y + 1] = broadcast_4(row + pixel_bytes);
    in[4 * y + 2] = broadcast_4(row + 2 * pixel_bytes), in[4 * y + 3] = broadcast_4(row + third);
  }
#pragma GCC unroll 9
  for (int tap = 0; tap < k_image_taps; ++tap) {
    const __m512i w = _mm512_load_si512(weights + 64 * tap);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const int oy = first_row + i / 4 + 1 - tap / 3, ox = i % 4 + 1 - tap % 3;
      if (oy < 0 || oy > 3 || ox < 0 || ox > 3) continue;
      acc[4 * oy + ox] = _mm512_dpbusd_epi32(acc[4 * oy + ox], in[i], w);
    }
  }
}

template <Form form>
void run_image(const ConvU8S8Run& run, int64_t pixel_bytes) {
  __m512i acc[k_image_pixels];
#pragma GCC unroll 16
  for (int i = 0; i < k_image_pixels; ++i) acc[i] = _mm512_loadu_si512(run.bias + i * run.side_bias_step);
  const uint8_t* x = run.x;
  const char *weights = static_cast<const char*>(run.weights), *prefetch = run.prefetch;
  for (int64_t d = 0; d < run.dwords; ++d) {
#pragma GCC unroll 9
    for (int tap = 0; tap < k_image_taps; ++tap) _mm_prefetch(prefetch + 64 * tap, _MM_HINT_T1);
    add_rows<0>(x, pixel_bytes, weights, acc);
    add_rows<2>(x, pixel_bytes, weights, acc);
    x += 4, weights += 64 * k_image_taps, prefetch += run.prefetch_step;
  }
  const __m512 upper = _mm512_set1_ps(static_cast<float>(run.hi - run.y_zero_point));
#pragma GCC unroll 4
  for (int first = 0; first < k_image_pixels; first += 4) {
    __m512 f[4];
    uint8_t* y[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i sum[1] = {acc[first + i]};
      __m512 one[1];
      scale<1, form, CodeClamp::any>(run, run.multiplier, sum, residual_of<form>(run, first + i), upper, one);
      f[i] = one[0];
      y[i] = static_cast<uint8_t*>(run.y) + run.y_pixels[first + i] * run.y_step;
    }
    store_four<CodeClamp::any, false>(run, f, y);
  }
}

void run_any_image(const ConvU8S8Run& run, int64_t pixel_bytes) {
  return run.residual ? run_image<Form::u8_residual>(run, pixel_bytes) : run_image<Form::u8>(run, pixel_bytes);
}

}  // namespace

const ConvU8S8ImageKernel conv_u8s8_avx512_vnni_images = {run_any_image, 16, "avx512_vnni 16x16 images"};

}  // namespace octet
