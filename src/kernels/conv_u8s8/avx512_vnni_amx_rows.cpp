// What AMX leaves to AVX512: gathering the rows of a panel, and everything behind the sums.

#include "kernels/conv_u8s8/amx_isa.h"
#include "kernels/conv_u8s8/zmm_isa.h"

namespace octet {
namespace {

template <int C>
inline __attribute__((always_inline)) void load_sums(const ConvU8S8Run& tile, const int32_t* sums, int r,
                                                     __m512i (&acc)[C]) {
#pragma GCC unroll 2
  for (int v = 0; v < C; ++v)
    acc[v] = _mm512_add_epi32(_mm512_load_si512(sums + r * k_amx_block_channels + 16 * v),
                              _mm512_loadu_si512(tile.bias + 16 * v));
}

template <int C, Form form>
void finish(const ConvU8S8Run& tile, const int32_t* sums, const int32_t* sum_rows) {
  const __m512 upper = _mm512_set1_ps(static_cast<float>(tile.hi - tile.y_zero_point));
  const int rows = tile.row_count;
  if constexpr (is_f32(form)) {
    for (int r = 0; r < rows; ++r) {
      __m512i acc[C];
      __m512 f[C];
      load_sums<C>(tile, sums, sum_rows[r], acc);
      scale<C, form>(tile, acc, residual_of<form>(tile, r), upper, f);
      store_floats<C>(tile, f, static_cast<float*>(tile.y) + tile.y_pixels[r] * tile.y_step);
    }
  } else {
    constexpr int k_step = C == 2 ? 2 : 4;
    uint8_t* const y = static_cast<uint8_t*>(tile.y);
    for (int first = 0; first < rows; first += k_step) {
      __m512 f[k_step][C];
      uint8_t* out[k_step];
#pragma GCC unroll 4
      for (int i = 0; i < k_step; ++i) {
        const int r = first + i < rows ? first + i : rows - 1;  // the last pixel may be stored several times
        __m512i acc[C];
        load_sums<C>(tile, sums, sum_rows[r], acc);
        scale<C, form>(tile, acc, residual_of<form>(tile, r), upper, f[i]);
        out[i] = y + tile.y_pixels[r] * tile.y_step;
      }
      if constexpr (C == 2) {
        store_two(tile, f[0], f[1], out[0], out[1]);
      } else {
        const __m512 four[4] = {f[0][0], f[1][0], f[2][0], f[3][0]};
        store_four(tile, four, out);
      }
    }
  }
}

template <int C>
void finish_form(const ConvU8S8Run& run, const int32_t* sums, const int32_t* sum_rows) {
  if (run.f32_output)
    return run.residual ? finish<C, Form::f32_residual>(run, sums, sum_rows)
                        : finish<C, Form::f32>(run, sums, sum_rows);
  return run.residual ? finish<C, Form::u8_residual>(run, sums, sum_rows) : finish<C, Form::u8>(run, sums, sum_rows);
}

}  // namespace

void conv_amx_finish(const ConvU8S8Run& run, const int32_t* sums, const int32_t* sum_rows) {
  return run.channels > 16 ? finish_form<2>(run, sums, sum_rows) : finish_form<1>(run, sums, sum_rows);
}

void conv_amx_gather(const ConvAmxGather& row) {
  uint8_t* to = row.to;
  for (int64_t s = 0; s < row.segments; ++s, to += row.bytes) {
    const uint8_t* const from = row.rows[s * row.row_step] + row.first_position;
    for (int64_t k = 0; k < row.bytes; k += 64) _mm512_storeu_si512(to + k, _mm512_loadu_si512(from + k));
  }
}

}  // namespace octet
