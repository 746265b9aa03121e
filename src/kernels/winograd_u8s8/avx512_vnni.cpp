// Integer Winograd F(4x4, 3x3) for AVX512-VNNI: products of s16 by vpdpwssd, which wraps.

#include "kernels/conv_u8s8/zmm_finish_isa.h"
#include "kernels/winograd_u8s8/winograd_isa.h"

namespace octet {
namespace {

constexpr int k_panel = 64, k_rows = 6;

/// B^T of six vectors of s16, modulo 2^16.
inline __attribute__((always_inline)) void transform_six(const __m512i (&d)[6], __m512i (&t)[6]) {
  const __m512i a = _mm512_sub_epi16(d[4], _mm512_slli_epi16(d[2], 2));  // d4 - 4 d2
  const __m512i b = _mm512_sub_epi16(d[3], _mm512_slli_epi16(d[1], 2));  // d3 - 4 d1
  const __m512i c = _mm512_sub_epi16(d[4], d[2]);
  const __m512i half = _mm512_sub_epi16(d[3], d[1]), e = _mm512_add_epi16(half, half);  // 2 d3 - 2 d1
  t[0] = _mm512_add_epi16(_mm512_slli_epi16(_mm512_sub_epi16(d[0], d[2]), 2), c);       // 4 d0 - 5 d2 + d4
  t[1] = _mm512_add_epi16(a, b);
  t[2] = _mm512_sub_epi16(a, b);
  t[3] = _mm512_add_epi16(c, e);
  t[4] = _mm512_sub_epi16(c, e);
  t[5] = _mm512_sub_epi16(_mm512_sub_epi16(d[5], d[3]), _mm512_add_epi16(e, e));  // 4 d1 - 5 d3 + d5
}

/// The same for an axis of two outputs, F(2, 3): d0 - d2, -3 (d1 + d2), 3 (d1 - d2), d3 - d1, so that transformed
/// weights fit as they are.
inline __attribute__((always_inline)) void transform_four(const __m512i (&d)[4], __m512i (&t)[4]) {
  const __m512i three = _mm512_set1_epi16(3);
  t[0] = _mm512_sub_epi16(d[0], d[2]);
  t[1] = _mm512_mullo_epi16(_mm512_add_epi16(d[1], d[2]), _mm512_set1_epi16(-3));
  t[2] = _mm512_mullo_epi16(_mm512_sub_epi16(d[1], d[2]), three);
  t[3] = _mm512_sub_epi16(d[3], d[1]);
}

template <int N>
inline __attribute__((always_inline)) void transform(const __m512i (&d)[N + 2], __m512i (&t)[N + 2]) {
  if constexpr (N == 4)
    transform_six(d, t);
  else
    transform_four(d, t);
}

/// The position of point i in an axis of N outputs.
template <int N>
constexpr int place(int i) {
  return N == 2 && i == 3 ? 5 : i;
}

/// by_address: WinogradInput::pixels has the inputs. H x W outputs.
template <bool by_address, int H, int W>
void transform_tile(const WinogradInput& tile) {
  const __m512i centre = _mm512_set1_epi16(static_cast<int16_t>(36 * tile.zero_point));
  const int64_t row_bytes = tile.row_bytes, pixel_bytes = tile.pixel_bytes, step = tile.step;
  const uint8_t* const* const pixels = tile.pixels;
  for (int64_t c = 0; c < tile.channels; c += 32) {
    __m512i columns[W + 2][H + 2];  // [column][row of B^T]
#pragma GCC unroll 6
    for (int x = 0; x < W + 2; ++x) {
      __m512i d[H + 2];
#pragma GCC unroll 6
      for (int y = 0; y < H + 2; ++y) {
        const uint8_t* const from = by_address ? pixels[6 * y + x] : tile.x + y * row_bytes + x * pixel_bytes;
        d[y] = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + c)));
      }
      transform<H>(d, columns[x]);
    }
    int16_t* to = tile.to + c;
#pragma GCC unroll 6
    for (int y = 0; y < H + 2; ++y) {
      __m512i d[W + 2], t[W + 2];
#pragma GCC unroll 6
      for (int x = 0; x < W + 2; ++x) d[x] = columns[x][y];
      transform<W>(d, t);
      // A constant meets the rows' sums, which are 0 but for row 1's -6: the zero point is taken out behind the sums.
      if (y == 1) t[1] = _mm512_sub_epi16(t[1], centre);
#pragma GCC unroll 6
      for (int x = 0; x < W + 2; ++x) {
        _mm512_store_si512(to, t[x]);
        to += x + 1 < W + 2 ? (place<W>(x + 1) - place<W>(x)) * step : step;
      }
      if (H == 2 && y == 2) to += 12 * step;
    }
  }
}

void input(const WinogradInput& tile) {
  if (tile.size.rows == 4 && tile.size.columns == 4)
    return tile.pixels ? transform_tile<true, 4, 4>(tile) : transform_tile<false, 4, 4>(tile);
  if (tile.size.rows == 4) return transform_tile<true, 4, 2>(tile);
  tile.size.columns == 4 ? transform_tile<true, 2, 4>(tile) : transform_tile<true, 2, 2>(tile);
}

inline __m512i broadcast_pair(const int16_t* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, 4);
  return _mm512_set1_epi32(pair);
}

/// Lines of the next position's weights that a step brings near.
template <int C>
constexpr int k_ahead = (C + 1) / 2;

/// Sums of R tiles.
template <int R, int C>
__attribute__((noinline)) void run_block(const WinogradProducts& p, const int16_t* a, const int16_t* weights,
                                         const char* ahead, int32_t* sums) {
  __m512i acc[R][C];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) acc[r][v] = _mm512_setzero_si512();
  const int16_t* row[R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) row[r] = a + r * p.row;
  for (int64_t k = 0; k < p.pairs; ++k) {
#pragma GCC unroll 4
    for (int line = 0; line < k_ahead<C>; ++line) _mm_prefetch(ahead + 64 * line, _MM_HINT_T1);
    ahead += 64 * k_ahead<C>;
    __m512i w[C];
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) w[v] = _mm512_load_si512(weights + 32 * v);
    weights += 32 * C;
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m512i x = broadcast_pair(row[r] + 2 * k);
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) acc[r][v] = _mm512_dpwssd_epi32(acc[r][v], x, w[v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) _mm512_store_si512(sums + k_panel * r + 16 * v, acc[r][v]);
}

template <int R, int C>
void run_rows(int64_t rows, const WinogradProducts& p, const int16_t* a, const int16_t* weights, const char* ahead,
              int32_t* sums) {
  if constexpr (R > 1) {
    if (rows < R) return run_rows<R - 1, C>(rows, p, a, weights, ahead, sums);
  }
  run_block<R, C>(p, a, weights, ahead, sums);
}

struct TileRange {
  int64_t first, count;
};
/// Tiles that have this position.
TileRange tiles_of(const WinogradProducts& p, int position) {
  const auto is_of_four = [](int point) { return point == 3 || point == 4; };
  const bool has_four_columns = is_of_four(position % 6);
  const int64_t first = has_four_columns ? p.whole_columns : 0;
  return {first, (is_of_four(position / 6) ? p.half_rows : has_four_columns ? p.corners : p.tiles) - first};
}

/// Each block brings half of the next position's weights near, the two halves in turns, and each position a part of
/// what is wanted behind all of them.
template <int C>
void run_blocks(const WinogradProducts& p) {
  const char* behind = p.ahead;
  const int64_t position_weights = 32 * C * p.pairs;
  const bool is_of_one_size = p.whole_columns == 0 && p.half_rows == p.tiles;
  for (int position = 0; position < k_winograd_positions; ++position) {
    const int16_t* const a = p.a + position * p.a_step;
    const int16_t* const weights = static_cast<const int16_t*>(p.weights) + position * position_weights;
    const char* const next = reinterpret_cast<const char*>(weights + position_weights);
    int32_t* const sums = p.sums + position * p.sums_step;
    const TileRange own = is_of_one_size ? TileRange{0, p.tiles} : tiles_of(p, position);
    const int64_t blocks = (own.count + k_rows - 1) / k_rows;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t first = own.first + own.count * b / blocks, last = own.first + own.count * (b + 1) / blocks;
      const char* const ahead = next + k_ahead<C> * b % C * 64 * p.pairs;
      run_rows<k_rows, C>(last - first, p, a + first * p.row, weights, ahead, sums + first * k_panel);
    }
    const char* const end = p.ahead + p.ahead_bytes * (position + 1) / k_winograd_positions;
    for (; behind < end; behind += 64) _mm_prefetch(behind, _MM_HINT_T1);
  }
}

void products(const WinogradProducts& p) {
  switch (p.vectors) {
    case 1: return run_blocks<1>(p);
    case 2: return run_blocks<2>(p);
    case 3: return run_blocks<3>(p);
    default: return run_blocks<4>(p);
  }
}

// Products with weights transformed on the way: for each vector of output channels and each row u of positions, the
// sums of six positions and four tiles stay in registers, and three combinations of a kernel's rows become six weights.
// What this takes beside 24 products, 11 to 20 instructions, finds room where a core has more pipes than those of
// products.

/// Two codes times two small factors for each of 32 numbers: an s16 without saturation.
inline __attribute__((always_inline)) __m512i combine_codes(const int8_t* codes, int factor, int other_factor) {
  const __m512i factors = _mm512_set1_epi16(static_cast<int16_t>(factor | other_factor << 8));
  return _mm512_maddubs_epi16(factors, _mm512_loadu_si512(codes));
}

/// Of two codes in each 16 bits the upper and the lower one, without vpmaddubsw: its pipes are the products'.
inline __attribute__((always_inline)) __m512i upper_codes(__m512i both) { return _mm512_srai_epi16(both, 8); }
inline __attribute__((always_inline)) __m512i lower_codes(__m512i both) {
  return upper_codes(_mm512_slli_epi16(both, 8));
}

/// Column x of row u of G g: g0, g0 + g1 + g2, g0 - g1 + g2, g0 + 2 g1 + 4 g2, g0 - 2 g1 + 4 g2, g2.
template <int u>
inline __attribute__((always_inline)) __m512i kernel_row(const int8_t* codes, int x) {
  const int8_t* const outer = codes + 64 * x;
  if constexpr (u == 0 || u == 5) {
    const __m512i both = _mm512_loadu_si512(outer);
    return u == 0 ? lower_codes(both) : upper_codes(both);
  } else {
    const __m512i sum = combine_codes(outer, 1, u < 3 ? 1 : 4);
    __m512i middle =
        _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 3 * 64 + 32 * x)));
    if constexpr (u > 2) middle = _mm512_add_epi16(middle, middle);
    return u % 2 == 1 ? _mm512_add_epi16(sum, middle) : _mm512_sub_epi16(sum, middle);
  }
}

/// acc += x * (the pair at `pair`, for all lanes). gcc 12 would load the pair by an instruction of its own.
inline __attribute__((always_inline)) void add_products(__m512i& acc, __m512i x, const char* pair) {
  using Pair = int32_t __attribute__((may_alias));
  asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(x), "m"(*reinterpret_cast<const Pair*>(pair)));
}

constexpr int k_code_rows = 4;

/// Sums of row u's positions for four tiles; tile_bytes: where their inputs lie, from the first's.
template <int u>
__attribute__((noinline)) void run_row(const WinogradProducts& p, const int64_t (&tile_bytes)[k_code_rows],
                                       const char* ahead) {
  __m512i acc[6][k_code_rows];
#pragma GCC unroll 6
  for (int v = 0; v < 6; ++v)
#pragma GCC unroll 4
    for (int r = 0; r < k_code_rows; ++r) acc[v][r] = _mm512_setzero_si512();
  const char* from[6];
#pragma GCC unroll 6
  for (int v = 0; v < 6; ++v) from[v] = reinterpret_cast<const char*>(p.a + (6 * u + v) * p.a_step);
  const int64_t second = tile_bytes[1], third = tile_bytes[2], fourth = tile_bytes[3];
  const auto multiply = [&](int v, __m512i weights) __attribute__((always_inline)) {
    add_products(acc[v][0], weights, from[v]);
    add_products(acc[v][1], weights, from[v] + second);
    add_products(acc[v][2], weights, from[v] + third);
    add_products(acc[v][3], weights, from[v] + fourth);
    from[v] += 4;
  };
  constexpr int k_bytes = 16 * k_winograd_codes;
  const auto* codes = static_cast<const int8_t*>(p.weights);
  for (const int8_t* const end = codes + k_bytes * p.pairs; codes != end; codes += k_bytes, ahead += k_bytes / 6) {
    _mm_prefetch(ahead, _MM_HINT_T1);
    const __m512i w0 = kernel_row<u>(codes, 0), w2 = kernel_row<u>(codes, 2), w1 = kernel_row<u>(codes, 1);
    multiply(0, w0);
    multiply(5, w2);
    const __m512i sum = _mm512_add_epi16(w0, w2);
    multiply(1, _mm512_add_epi16(sum, w1));
    multiply(2, _mm512_sub_epi16(sum, w1));
    const __m512i far = _mm512_add_epi16(w0, _mm512_slli_epi16(w2, 2)), twice = _mm512_add_epi16(w1, w1);
    multiply(3, _mm512_add_epi16(far, twice));
    multiply(4, _mm512_sub_epi16(far, twice));
  }
#pragma GCC unroll 6
  for (int v = 0; v < 6; ++v)
#pragma GCC unroll 4
    for (int r = 0; r < k_code_rows; ++r) _mm512_store_si512(p.sums + (6 * u + v) * p.sums_step + 16 * r, acc[v][r]);
}

/// What rows 1 and 2, or 3 and 4, of G g G^T have in common: the outer rows of a kernel, combined, by column.
struct OuterRows {
  __m512i columns[3];
};
template <int u>
inline __attribute__((always_inline)) OuterRows outer_rows(const int8_t* codes) {
  static constexpr int32_t k_factors = u == 1 ? 0x01010101 : 0x04010401;  // from memory each time: no register is left
  __m512i factors;
  asm volatile("vpbroadcastd %1, %0" : "=v"(factors) : "m"(k_factors));
  OuterRows outer;
#pragma GCC unroll 3
  for (int x = 0; x < 3; ++x) {
    __m512i column = _mm512_maddubs_epi16(factors, _mm512_loadu_si512(codes + 64 * x));
    asm volatile("" : "+v"(column));  // here, and not where it is used
    outer.columns[x] = column;
  }
  return outer;
}

/// Both of these rows: the middle one of a kernel added to the outer ones, and subtracted.
struct TwoRows {
  __m512i first[3], second[3];  // by column
};
template <int u>
inline __attribute__((always_inline)) TwoRows kernel_rows(const int8_t* codes, const OuterRows& outer) {
  TwoRows rows;
#pragma GCC unroll 3
  for (int x = 0; x < 3; ++x) {
    __m512i middle =
        _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 3 * 64 + 32 * x)));
    if constexpr (u == 3) middle = _mm512_add_epi16(middle, middle);
    __m512i first = _mm512_add_epi16(outer.columns[x], middle), second = _mm512_sub_epi16(outer.columns[x], middle);
    asm volatile("" : "+v"(first), "+v"(second));  // or what they are made of would be kept, too
    rows.first[x] = first;
    rows.second[x] = second;
  }
  return rows;
}

/// Distances between positions of transformed inputs, in bytes: registers are for these and no more.
struct PositionSteps {
  int64_t one, three, five;
};

/// acc += x * (the pair of position v behind `from`, for all lanes). Volatile: in this order each weight dies before
/// the next one is made.
template <int v>
inline __attribute__((always_inline)) void add_position(__m512i& acc, __m512i x, const char* from,
                                                        const PositionSteps& steps) {
  if constexpr (v == 0) {
    asm volatile("vpdpwssd (%2)%{1to16%}, %1, %0" : "+v"(acc) : "v"(x), "r"(from));
  } else if constexpr (v == 3 || v == 5) {
    const int64_t step = v == 3 ? steps.three : steps.five;
    asm volatile("vpdpwssd (%2,%3)%{1to16%}, %1, %0" : "+v"(acc) : "v"(x), "r"(from), "r"(step));
  } else {
    asm volatile("vpdpwssd (%2,%3,%c4)%{1to16%}, %1, %0" : "+v"(acc) : "v"(x), "r"(from), "r"(steps.one), "i"(v));
  }
}

/// Sums of two rows' positions for two tiles: half the tiles in as many registers, and the codes are met three times in
/// place of six.
template <int u, int other>
__attribute__((noinline)) void run_two_rows(const WinogradProducts& p, int64_t second_tile, const char* ahead) {
  // Every store is done: add_position reads inputs, and to say so at each product costs an eighth of the time.
  asm volatile("" ::: "memory");
  __m512i acc[2][6][2];
#pragma GCC unroll 2
  for (auto& row : acc)
#pragma GCC unroll 6
    for (auto& tiles : row) tiles[0] = tiles[1] = _mm512_setzero_si512();
  const PositionSteps steps = {2 * p.a_step, 6 * p.a_step, 10 * p.a_step};
  const auto* const a = reinterpret_cast<const char*>(p.a);
  const char *first = a + 6 * u * steps.one, *first_other = first + second_tile;
  const char *second = a + 6 * other * steps.one, *second_other = second + second_tile;
  const auto multiply = [&](__m512i(&sums)[6][2], const __m512i(&w)[3], const char* from, const char* from_other)
      __attribute__((always_inline)) {
    add_position<0>(sums[0][0], w[0], from, steps);
    add_position<0>(sums[0][1], w[0], from_other, steps);
    add_position<5>(sums[5][0], w[2], from, steps);
    add_position<5>(sums[5][1], w[2], from_other, steps);
    const __m512i sum = _mm512_add_epi16(w[0], w[2]), far = _mm512_add_epi16(w[0], _mm512_slli_epi16(w[2], 2));
    const __m512i plus = _mm512_add_epi16(sum, w[1]);
    add_position<1>(sums[1][0], plus, from, steps);
    add_position<1>(sums[1][1], plus, from_other, steps);
    const __m512i minus = _mm512_sub_epi16(sum, w[1]);
    add_position<2>(sums[2][0], minus, from, steps);
    add_position<2>(sums[2][1], minus, from_other, steps);
    const __m512i twice = _mm512_add_epi16(w[1], w[1]);
    const __m512i far_plus = _mm512_add_epi16(far, twice);
    add_position<3>(sums[3][0], far_plus, from, steps);
    add_position<3>(sums[3][1], far_plus, from_other, steps);
    const __m512i far_minus = _mm512_sub_epi16(far, twice);
    add_position<4>(sums[4][0], far_minus, from, steps);
    add_position<4>(sums[4][1], far_minus, from_other, steps);
  };
  constexpr int k_bytes = 16 * k_winograd_codes;
  const auto* codes = static_cast<const int8_t*>(p.weights);
  OuterRows outer;
  if constexpr (u > 0) outer = outer_rows<u>(codes);
  for (const int8_t* const end = codes + k_bytes * p.pairs; codes != end; codes += k_bytes, ahead += k_bytes / 3) {
    _mm_prefetch(ahead, _MM_HINT_T1);
    _mm_prefetch(ahead + 48, _MM_HINT_T1);
    if constexpr (u == 0) {
      const __m512i w[3] = {kernel_row<0>(codes, 0), kernel_row<0>(codes, 1), kernel_row<0>(codes, 2)};
      multiply(acc[0], w, first, first_other);
      const __m512i w5[3] = {kernel_row<5>(codes, 0), kernel_row<5>(codes, 1), kernel_row<5>(codes, 2)};
      multiply(acc[1], w5, second, second_other);
    } else {
      const TwoRows w = kernel_rows<u>(codes, outer);
      multiply(acc[0], w.first, first, first_other);
      // Of the next pair's weights the multiplications are begun among this one's products, or they would have to wait
      // in line for them. To begin more takes registers that are not there: sums would go to memory and back.
      outer = outer_rows<u>(codes + k_bytes == end ? codes : codes + k_bytes);
      multiply(acc[1], w.second, second, second_other);
    }
    first += 4, first_other += 4;
    second += 4, second_other += 4;
  }
#pragma GCC unroll 2
  for (int row = 0; row < 2; ++row)
#pragma GCC unroll 6
    for (int v = 0; v < 6; ++v)
#pragma GCC unroll 2
      for (int r = 0; r < 2; ++r)
        _mm512_store_si512(p.sums + (6 * (row == 0 ? u : other) + v) * p.sums_step + 16 * r, acc[row][v][r]);
}

/// Where there are fewer than four tiles, or one, the last is multiplied several times.
void products_from_codes(const WinogradProducts& p) {
  const int64_t step = 2 * p.row, last = (p.tiles - 1) * step;
  const int64_t share = 16 * k_winograd_codes / 6 * p.pairs;
  if (p.tiles <= 2) {
    run_two_rows<1, 2>(p, last, p.ahead);
    run_two_rows<3, 4>(p, last, p.ahead + 2 * share);
    run_two_rows<0, 5>(p, last, p.ahead + 4 * share);
    return;
  }
  const auto at = [&](int64_t tile) { return tile * step < last ? tile * step : last; };
  const int64_t tile_bytes[k_code_rows] = {0, at(1), at(2), at(3)};
  run_row<1>(p, tile_bytes, p.ahead);
  run_row<2>(p, tile_bytes, p.ahead + share);
  run_row<3>(p, tile_bytes, p.ahead + 2 * share);
  run_row<4>(p, tile_bytes, p.ahead + 3 * share);
  run_row<0>(p, tile_bytes, p.ahead + 4 * share);
  run_row<5>(p, tile_bytes, p.ahead + 5 * share);
}

inline __m512i six_times(__m512i x) {
  const __m512i twice = _mm512_add_epi32(x, x);
  return _mm512_add_epi32(twice, _mm512_add_epi32(twice, twice));
}

/// A^T of six vectors, times 24, 12, 6 and 6. Plain weights are those of products_from_codes(): the first and the last
/// position come without their factor of 6, the second and the third with the other sign.
template <bool has_plain_weights>
inline __attribute__((always_inline)) void transform_back(const __m512i (&m)[6], __m512i (&y)[4]) {
  const __m512i p = _mm512_add_epi32(m[1], m[2]), q = _mm512_sub_epi32(m[1], m[2]);
  const __m512i r = _mm512_add_epi32(m[3], m[4]), s = _mm512_sub_epi32(m[3], m[4]);
  if constexpr (has_plain_weights) {
    y[0] = _mm512_sub_epi32(_mm512_add_epi32(six_times(m[0]), r), _mm512_slli_epi32(p, 2));
    y[1] = _mm512_sub_epi32(s, _mm512_add_epi32(q, q));
    y[2] = _mm512_sub_epi32(r, p);
    y[3] = _mm512_add_epi32(_mm512_sub_epi32(six_times(m[5]), q), _mm512_add_epi32(s, s));
  } else {
    y[0] = _mm512_add_epi32(_mm512_add_epi32(m[0], r), _mm512_slli_epi32(p, 2));
    y[1] = _mm512_add_epi32(_mm512_add_epi32(q, q), s);
    y[2] = _mm512_add_epi32(p, r);
    y[3] = _mm512_add_epi32(_mm512_add_epi32(q, m[5]), _mm512_add_epi32(s, s));
  }
}

/// The same for an axis of two outputs: A^T of four vectors, times 6 and 6.
template <bool has_plain_weights>
inline __attribute__((always_inline)) void transform_back(const __m512i (&m)[4], __m512i (&y)[2]) {
  static_assert(!has_plain_weights);
  y[0] = _mm512_add_epi32(m[0], _mm512_add_epi32(m[1], m[2]));
  y[1] = _mm512_add_epi32(m[3], _mm512_sub_epi32(m[1], m[2]));
}

constexpr int k_ninth = 0x38e38e39;  // 9 * k_ninth = 1 modulo 2^32
/// 24, 12, 6 and 6, or 6 and 6, are 3 times these powers of two.
template <int N>
constexpr int shift(int i) {
  return N == 4 && i < 2 ? 3 - i : 1;
}

template <bool has_plain_weights, int H, int W>
void transform_tile_back(const WinogradOutput& tile) {
  const __m512i ninth = _mm512_set1_epi32(k_ninth);
  for (int v = 0; v < tile.vectors; ++v) {
    const int32_t* const from = tile.sums + 16 * v;
    __m512i half[H][W + 2];
#pragma GCC unroll 6
    for (int x = 0; x < W + 2; ++x) {
      __m512i m[H + 2], y[H];
#pragma GCC unroll 6
      for (int i = 0; i < H + 2; ++i) m[i] = _mm512_load_si512(from + (6 * place<H>(i) + place<W>(x)) * tile.step);
      transform_back<has_plain_weights>(m, y);
#pragma GCC unroll 4
      for (int i = 0; i < H; ++i) half[i][x] = y[i];
    }
    const __m512i bias = _mm512_load_si512(tile.bias + 16 * v);
#pragma GCC unroll 4
    for (int i = 0; i < H; ++i) {
      __m512i y[W];
      transform_back<has_plain_weights>(half[i], y);
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) {
        const __m512i sum = _mm512_srai_epi32(_mm512_mullo_epi32(y[j], ninth), shift<H>(i) + shift<W>(j));
        _mm512_store_si512(tile.pixels + (4 * i + j) * tile.panel + 16 * v, _mm512_add_epi32(sum, bias));
      }
    }
  }
}

void output(const WinogradOutput& tile) {
  if (tile.size.rows == 4)
    return tile.size.columns == 4 ? transform_tile_back<false, 4, 4>(tile) : transform_tile_back<false, 4, 2>(tile);
  tile.size.columns == 4 ? transform_tile_back<false, 2, 4>(tile) : transform_tile_back<false, 2, 2>(tile);
}

template <int C, Form form, CodeClamp clamp>
void finish_form(const ConvU8S8Run& tile, const int32_t* sums, const int32_t* sum_rows) {
  finish_rows<C, form, clamp>(tile, sums, 1, sum_rows, 0, tile.row_count);
}

/// Codes of whole panels that packs clamp, as most are: no masks, and the multipliers stay in registers.
template <bool has_residual, CodeClamp clamp>
void finish_whole(const ConvU8S8Run& tile, const int32_t* sums, const int32_t* sum_rows) {
  const __m512 m[4] = {_mm512_loadu_ps(tile.multiplier), _mm512_loadu_ps(tile.multiplier + 16),
                       _mm512_loadu_ps(tile.multiplier + 32), _mm512_loadu_ps(tile.multiplier + 48)};
  uint8_t* const y = static_cast<uint8_t*>(tile.y);
  for (int r = 0; r < tile.row_count; ++r) {
    const int32_t* const from = sums + sum_rows[r];
    __m512i codes[4] = {};
    __m512 f[4];
    if constexpr (has_residual) residual_codes<4, true>(residual_of<Form::u8_residual>(tile, r), k_panel, false, codes);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      f[v] = _mm512_cvtepi32_ps(_mm512_load_si512(from + 16 * v));
      f[v] = has_residual ? _mm512_fmadd_ps(f[v], m[v], scaled_residual<false>(tile, codes[v]))
                          : _mm512_mul_ps(f[v], m[v]);
    }
    const __m512i low = words_of<clamp>(tile, f[0], f[1]);
    const __m512i high = words_of<clamp>(tile, f[2], f[3]);
    _mm512_storeu_si512(y + tile.y_pixels[r] * tile.y_step, codes_of<clamp>(tile, low, high));
  }
}

/// The same for panels of two vectors, two pixels at a time; a last odd one is stored twice.
template <bool has_residual, CodeClamp clamp>
void finish_whole_two(const ConvU8S8Run& tile, const int32_t* sums, const int32_t* sum_rows) {
  const __m512 m[2] = {_mm512_loadu_ps(tile.multiplier), _mm512_loadu_ps(tile.multiplier + 16)};
  uint8_t* const y = static_cast<uint8_t*>(tile.y);
  for (int first = 0; first < tile.row_count; first += 2) {
    const int pixels[2] = {first, first + 1 < tile.row_count ? first + 1 : first};
    __m512i codes[2][2] = {};
    __m512 f[2][2];
    if constexpr (has_residual) {
      residual_codes<2, true>(residual_of<Form::u8_residual>(tile, pixels[0]), k_panel / 2, false, codes[0]);
      residual_codes<2, true>(residual_of<Form::u8_residual>(tile, pixels[1]), k_panel / 2, false, codes[1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        f[i][v] = _mm512_cvtepi32_ps(_mm512_load_si512(sums + sum_rows[pixels[i]] + 16 * v));
        f[i][v] = has_residual ? _mm512_fmadd_ps(f[i][v], m[v], scaled_residual<false>(tile, codes[i][v]))
                               : _mm512_mul_ps(f[i][v], m[v]);
      }
    store_two<clamp, true>(tile, f[0], f[1], y + tile.y_pixels[pixels[0]] * tile.y_step,
                           y + tile.y_pixels[pixels[1]] * tile.y_step);
  }
}

template <int C, CodeClamp clamp>
void finish_codes(const ConvU8S8Run& run, const int32_t* sums, const int32_t* rows) {
  if (C == 4 && clamp != CodeClamp::any && run.channels == k_panel)
    return run.residual ? finish_whole<true, clamp>(run, sums, rows) : finish_whole<false, clamp>(run, sums, rows);
  if (C == 2 && clamp != CodeClamp::any && run.channels == k_panel / 2)
    return run.residual ? finish_whole_two<true, clamp>(run, sums, rows)
                        : finish_whole_two<false, clamp>(run, sums, rows);
  constexpr bool k_of_relu = is_of_relu(clamp);
  constexpr CodeClamp k_clamp = k_of_relu ? clamp : CodeClamp::any;
  return run.residual ? finish_form<C, Form::u8_residual, k_clamp>(run, sums, rows)
                      : finish_form<C, Form::u8, k_clamp>(run, sums, rows);
}

template <int C>
void finish_panel(const ConvU8S8Run& run, const int32_t* sums, const int32_t* rows) {
  if constexpr (C > 1) {
    if (run.channels <= 16 * (C - 1)) return finish_panel<C - 1>(run, sums, rows);
  }
  if (run.f32_output) return finish_form<C, Form::f32, CodeClamp::any>(run, sums, rows);
  with_clamp(run.clamp, [&]<CodeClamp clamp>() { finish_codes<C, clamp>(run, sums, rows); });
}

}  // namespace

const WinogradKernel winograd_u8s8_avx512_vnni = {
    .input = input,
    .products = products,
    .output = output,
    .finish = finish_panel<4>,
    .lanes = 16,
    .vectors = 4,
    .chunk = 32,
    .rows = k_rows,
    .dot_cycles = 0.5,
    .name = "avx512_vnni 4x4",
    .has_halves = true,
};

const WinogradKernel winograd_u8s8_avx512_vnni_codes = {
    .input = input,
    .products = products_from_codes,
    .output = transform_tile_back<true, 4, 4>,
    .finish = finish_panel<4>,
    .lanes = 16,
    .vectors = 4,
    .chunk = 32,
    .rows = k_code_rows,
    .dot_cycles = 0.5,
    .name = "avx512_vnni 4x4 codes",
    .from_codes = true,
};

}  // namespace octet
