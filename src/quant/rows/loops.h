// The row family as loops that the compiler turns into vectors of the ISA it is told; included by each ISA file inside
// its unnamed namespace (no #pragma once, no headers here: see src/kernels/README.md). `lo > r ? lo : r` gives r where
// r is NaN. ivdep: y is x or does not overlap it, so no iteration waits for another.

template <bool each>
void quantize_loop(const float* x, size_t n, const float* s, float lo, float hi, float* y) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) {
    float r = __builtin_rintf(x[i] * s[each ? i : 0]);
    r = lo > r ? lo : r;
    y[i] = hi < r ? hi : r;
  }
}

void quantize(const float* x, size_t n, const float* s, bool each, float lo, float hi, float* y) {
  each ? quantize_loop<true>(x, n, s, lo, hi, y) : quantize_loop<false>(x, n, s, lo, hi, y);
}

template <bool each>
void fake_loop(const float* x, size_t n, const float* s, const float* d, float lo, float hi, float* y) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) {
    float r = __builtin_rintf(x[i] * s[each ? i : 0]);
    r = lo > r ? lo : r;
    y[i] = (hi < r ? hi : r) / d[each ? i : 0];
  }
}

void fake_quantize(const float* x, size_t n, const float* s, const float* d, bool each, float lo, float hi, float* y) {
  each ? fake_loop<true>(x, n, s, d, lo, hi, y) : fake_loop<false>(x, n, s, d, lo, hi, y);
}

template <bool each>
void pass_loop(const float* x, const float* dy, size_t n, const float* lo, const float* hi, float* y) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) {
    const bool inside = (x[i] >= lo[each ? i : 0]) & (x[i] <= hi[each ? i : 0]);
    y[i] = inside ? dy[i] : 0.0f;
  }
}

void pass_within(const float* x, const float* dy, size_t n, const float* lo, const float* hi, bool each, float* y) {
  each ? pass_loop<true>(x, dy, n, lo, hi, y) : pass_loop<false>(x, dy, n, lo, hi, y);
}

template <bool each>
void clip_loop(const float* x, size_t n, const float* lo, const float* hi, float* y) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) {
    const float top = hi[each ? i : 0], bottom = lo[each ? i : 0];
    const float r = top < x[i] ? top : x[i];
    y[i] = bottom > r ? bottom : r;
  }
}

void clip(const float* x, size_t n, const float* lo, const float* hi, bool each, float* y) {
  each ? clip_loop<true>(x, n, lo, hi, y) : clip_loop<false>(x, n, lo, hi, y);
}

void affine(const float* x, size_t n, float step, float zero, float lo, float hi, float* y) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) {
    float r = __builtin_rintf(x[i] / step) - zero;
    r = lo > r ? lo : r;
    y[i] = ((hi < r ? hi : r) + zero) * step;
  }
}

inline uint32_t bits_of(float x) {
  uint32_t u;
  __builtin_memcpy(&u, &x, 4);
  return u;
}
inline float float_of(uint32_t u) {
  float x;
  __builtin_memcpy(&x, &u, 4);
  return x;
}

/// |v| in its binade has 3 bits after the leading one, so its grid is 2^(exponent-3), at least 2^-9: a power of two,
/// and dividing by it is exact. 448 first: nothing above it exists.
inline float e4m3_of(float v) {
  const uint32_t sign = bits_of(v) & 0x80000000u;
  const float a = float_of(bits_of(v) & 0x7fffffffu);
  const float top = 448.0f < a ? 448.0f : a;
  const uint32_t binade = bits_of(top) & 0x7f800000u;
  const uint32_t exponent = binade > (121u << 23) ? binade : (121u << 23);
  const float step = float_of(exponent - (3u << 23));
  const float inverse = float_of((254u << 23) - exponent + (3u << 23));
  return float_of(bits_of(__builtin_rintf(top * inverse) * step) | sign);
}

template <bool each>
void e4m3_loop(const float* x, size_t n, const float* s, float* y) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) {
    const float scale = s[each ? i : 0];
    const float value = e4m3_of(x[i] * scale) / scale;
    y[i] = (bits_of(x[i]) & 0x7fffffffu) < (103u << 23) ? 0.0f : value;  // 2^-24
  }
}

void e4m3(const float* x, size_t n, const float* s, bool each, float* y) {
  const float one = 1.0f;  // times and over 1 changes nothing
  (each && s) ? e4m3_loop<true>(x, n, s, y) : e4m3_loop<false>(x, n, s ? s : &one, y);
}

uint32_t abs_max(const float* x, size_t n) {
  int32_t most = 0;
  for (size_t i = 0; i < n; ++i) {
    const int32_t a = (int32_t)(bits_of(x[i]) & 0x7fffffffu);
    most = a > most ? a : most;
  }
  return (uint32_t)most;
}

bool any_negative(const float* x, size_t n) {
  int32_t found = 0;
  for (size_t i = 0; i < n; ++i) found |= x[i] < 0.0f ? 1 : 0;
  return found != 0;
}

void from_bf16(const uint16_t* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = float_of((uint32_t)x[i] << 16);
}

void to_bf16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; ++i) {
    const uint32_t u = bits_of(x[i]);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    y[i] = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
  }
}

template <class Code>
void to_code(const float* x, size_t n, Code* y) {
  for (size_t i = 0; i < n; ++i) {
    const float whole = x[i] == x[i] ? x[i] : 0.0f;
    y[i] = (Code)(int32_t)whole;
  }
}
