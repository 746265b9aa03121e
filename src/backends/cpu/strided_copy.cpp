#include "backends/cpu/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

namespace octet::cpu {
namespace {

constexpr int64_t k_vector_bytes = 16, k_line_bytes = 64;

// ---- rows ----

/// n bytes, k to 2 k of them: two moves that may overlap.
template <size_t k>
inline void copy_overlapping(std::byte* to, const std::byte* from, size_t n) {
  std::array<std::byte, k> head, tail;
  std::memcpy(head.data(), from, k);
  std::memcpy(tail.data(), from + n - k, k);
  std::memcpy(to, head.data(), k);
  std::memcpy(to + n - k, tail.data(), k);
}

/// What a row's bytes are moved by; n is a constant where the name says so.
struct AnyBytes {
  void operator()(std::byte* to, const std::byte* from, size_t n) const { std::memcpy(to, from, n); }
};
template <size_t k>
struct ExactBytes {
  void operator()(std::byte* to, const std::byte* from, size_t) const { std::memcpy(to, from, k); }
};
template <size_t k>
struct BytesFrom {
  void operator()(std::byte* to, const std::byte* from, size_t n) const { copy_overlapping<k>(to, from, n); }
};

template <class Move>
void copy_rows(const StridedLoop& loop, int64_t size, std::byte* dst, const std::byte* src, int64_t first,
               int64_t last) {
  const int64_t dst_step = loop.inner_stride(0) * size, src_step = loop.inner_stride(1) * size;
  const auto n = static_cast<size_t>(loop.row_length() * size);
  StridedLoop::Runs runs(loop, first);
  for (int64_t row = first; row < last; runs.next()) {
    const int64_t run = std::min(last - row, runs.left());
    std::byte* to = dst + runs.offsets()[0] * size;
    const std::byte* from = src + runs.offsets()[1] * size;
    for (int64_t i = 0; i < run; ++i, to += dst_step, from += src_step) Move()(to, from, n);
    row += run;
  }
}

using CopyRows = void (*)(const StridedLoop&, int64_t, std::byte*, const std::byte*, int64_t, int64_t);

/// Heads of attention, windows, few channels: where a call of memcpy would take longer than its moves.
CopyRows rows_of(int64_t bytes) {
  switch (bytes) {
    case 4: return copy_rows<ExactBytes<4>>;
    case 8: return copy_rows<ExactBytes<8>>;
    case 12: return copy_rows<ExactBytes<12>>;
    case 16: return copy_rows<ExactBytes<16>>;
    case 32: return copy_rows<ExactBytes<32>>;
    case 64: return copy_rows<ExactBytes<64>>;
    case 128: return copy_rows<ExactBytes<128>>;
    default: break;
  }
  return bytes < 2     ? copy_rows<ExactBytes<1>>
         : bytes < 4   ? copy_rows<BytesFrom<2>>
         : bytes < 8   ? copy_rows<BytesFrom<4>>
         : bytes < 16  ? copy_rows<BytesFrom<8>>
         : bytes < 32  ? copy_rows<BytesFrom<16>>
         : bytes < 64  ? copy_rows<BytesFrom<32>>
         : bytes < 128 ? copy_rows<BytesFrom<64>>
                       : copy_rows<AnyBytes>;
}

template <class T>
void copy_elements(const StridedLoop& loop, std::byte* dst, const std::byte* src, int64_t first, int64_t last) {
  T* const to_base = reinterpret_cast<T*>(dst);
  const T* const from_base = reinterpret_cast<const T*>(src);
  const int64_t n = loop.row_length(), to_step = loop.row_stride(0), from_step = loop.row_stride(1);
  loop.for_rows(first, last, [&](const StridedLoop::Offsets& at) {
    T* const to = to_base + at[0];
    const T* const from = from_base + at[1];
    if (to_step == 1 && from_step == 0) {
      std::fill_n(to, n, *from);
    } else {
      for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
    }
  });
}

// ---- transposes ----

template <class T>
using Vector __attribute__((vector_size(k_vector_bytes))) = T;

template <class V, size_t... k>
inline V low_halves(V a, V b, std::index_sequence<k...>) {
  return __builtin_shufflevector(a, b, (k / 2 + (k % 2) * sizeof...(k))...);
}
template <class V, size_t... k>
inline V high_halves(V a, V b, std::index_sequence<k...>) {
  return __builtin_shufflevector(a, b, (sizeof...(k) / 2 + k / 2 + (k % 2) * sizeof...(k))...);
}

/// How vectors hold a block while it turns: `rows` lists of elements, `pieces` vectors each, of which `bytes` are used.
template <class T, int rows, int bytes>
inline __attribute__((always_inline)) void interleave(Vector<T>* v) {
  if constexpr (rows > 1) {
    // Element k of row r and of row r + rows/2 become neighbours: after log2(rows) such steps the block is transposed.
    constexpr int pieces = bytes > k_vector_bytes ? bytes / static_cast<int>(k_vector_bytes) : 1, half = rows / 2;
    constexpr bool doubles = bytes >= k_vector_bytes;  // two rows of full vectors do not fit one
    constexpr auto elements = std::make_index_sequence<k_vector_bytes / sizeof(T)>();
    Vector<T> joined[half * pieces * (doubles ? 2 : 1)];
#pragma GCC unroll 16
    for (int r = 0; r < half; ++r)
#pragma GCC unroll 16
      for (int p = 0; p < pieces; ++p) {
        const Vector<T> a = v[r * pieces + p], b = v[(r + half) * pieces + p];
        if constexpr (doubles) {
          joined[(r * pieces + p) * 2] = low_halves(a, b, elements);
          joined[(r * pieces + p) * 2 + 1] = high_halves(a, b, elements);
        } else {
          joined[r] = low_halves(a, b, elements);
        }
      }
#pragma GCC unroll 16
    for (int i = 0; i < half * pieces * (doubles ? 2 : 1); ++i) v[i] = joined[i];
    interleave<T, half, 2 * bytes>(v);
  }
}

template <int bytes>
using Moved = std::conditional_t<bytes == 8, uint64_t, std::conditional_t<bytes == 4, uint32_t, uint16_t>>;

/// dst[j][i] = src[i][j] for bi x bj elements, of which a row fills at most a vector on either side.
template <class T, int bi, int bj>
inline __attribute__((always_inline)) void turn_block(std::byte* dst, int64_t dst_row, const std::byte* src,
                                                      int64_t src_row) {
  constexpr int in = bj * static_cast<int>(sizeof(T)), out = bi * static_cast<int>(sizeof(T));
  constexpr int vectors = bi * bj * static_cast<int>(sizeof(T)) / static_cast<int>(k_vector_bytes);
  constexpr int rows_per_vector = static_cast<int>(k_vector_bytes) / out;
  Vector<T> v[bi > vectors ? bi : vectors];
#pragma GCC unroll 16
  for (int i = 0; i < bi; ++i) {
    if constexpr (in == k_vector_bytes) {
      std::memcpy(&v[i], src + i * src_row, in);
    } else {
      using Part = Moved<in>;
      Part part;
      std::memcpy(&part, src + i * src_row, in);
      Vector<Part> wide{};
      wide[0] = part;
      v[i] = reinterpret_cast<Vector<T>>(wide);
    }
  }
  interleave<T, bi, in>(v);
#pragma GCC unroll 16
  for (int j = 0; j < bj; ++j) {
    std::byte* const to = dst + j * dst_row;
    if constexpr (out == k_vector_bytes) {
      std::memcpy(to, &v[j], out);
    } else {
      using Part = Moved<out>;
      const Part part = reinterpret_cast<Vector<Part>>(v[j / rows_per_vector])[j % rows_per_vector];
      std::memcpy(to, &part, out);
    }
  }
}

/// Blocks of a tile; the last of either direction begins early enough to end with the tile.
template <class T, int bi, int bj>
void turn_tile(std::byte* dst, int64_t dst_row, const std::byte* src, int64_t src_row, int64_t ni, int64_t nj) {
  constexpr int64_t size = sizeof(T);
  for (int64_t j = 0; j < nj; j += bj) {
    const int64_t from_j = std::min(j, nj - bj);
    for (int64_t i = 0; i < ni; i += bi) {
      const int64_t from_i = std::min(i, ni - bi);
      turn_block<T, bi, bj>(dst + from_j * dst_row + from_i * size, dst_row, src + from_i * src_row + from_j * size,
                            src_row);
    }
  }
}

}  // namespace

/// The widest block that fits: from a vector's elements down to two.
template <class T, int bi, int bj>
StridedCopy::Tile StridedCopy::tile_of(int64_t ni, int64_t nj) {
  if constexpr (bi < 2 || bj < 2) {
    return nullptr;
  } else {
    if (ni < bi) return tile_of<T, bi / 2, bj>(ni, nj);
    if (nj < bj) return tile_of<T, bi, bj / 2>(ni, nj);
    return turn_tile<T, bi, bj>;
  }
}

StridedCopy::StridedCopy(const StridedLoop& loop, size_t element_bytes)
    : loop_(loop), bytes_(static_cast<int64_t>(element_bytes)) {
  parts_ = loop.rows();
  elements_per_part_ = loop.row_length();
  if (parts_ > 0 && choose_tiles()) {
    parts_ = 1;
    for (size_t d = 0; d < outer_rank_; ++d) parts_ *= outer_[d].extent;
    elements_per_part_ = i_panels_.length * j_panels_.length;
  }
}

bool StridedCopy::choose_tiles() {
  if (loop_.row_stride(0) != 1 || loop_.row_stride(1) == 1) return false;
  i_ = {loop_.row_length(), 1, loop_.row_stride(1)};
  size_t dense = loop_.outer_rank();
  for (size_t d = 0; d < loop_.outer_rank(); ++d)
    if (loop_.outer_stride(d, 1) == 1) dense = d;
  if (dense == loop_.outer_rank()) return false;
  j_ = {loop_.outer_extent(dense), loop_.outer_stride(dense, 0), 1};
  const Tile tile = bytes_ == 1   ? tile_of<uint8_t, 16, 16>(i_.extent, j_.extent)
                    : bytes_ == 2 ? tile_of<uint16_t, 8, 8>(i_.extent, j_.extent)
                    : bytes_ == 4 ? tile_of<uint32_t, 4, 4>(i_.extent, j_.extent)
                                  : tile_of<uint64_t, 2, 2>(i_.extent, j_.extent);
  if (!tile) return false;
  tile_ = tile;
  // A tile is about a cache line wide in both directions: of what it reads and writes, every line is used whole. One
  // that is narrow in one direction is longer in the other.
  const int64_t line = k_line_bytes / bytes_;
  const auto panels = [](int64_t extent, int64_t length) {
    return Panels{std::max<int64_t>(extent / length, 1), std::min(length, extent), extent};
  };
  i_panels_ = panels(i_.extent, line * std::max<int64_t>(line / j_.extent, 1));
  j_panels_ = panels(j_.extent, line * std::max<int64_t>(line / i_.extent, 1));
  for (size_t d = 0; d < loop_.outer_rank(); ++d)
    if (d != dense) outer_[outer_rank_++] = {loop_.outer_extent(d), loop_.outer_stride(d, 0), loop_.outer_stride(d, 1)};
  outer_[outer_rank_++] = {j_panels_.count, j_panels_.length * j_.dst, j_panels_.length};
  outer_[outer_rank_++] = {i_panels_.count, i_panels_.length, i_panels_.length * i_.src};
  return true;
}

void StridedCopy::run_tiles(std::byte* dst, const std::byte* src, int64_t first, int64_t last) const {
  std::array<int64_t, StridedLoop::k_max_rank + 2> at{};
  int64_t left = first, to = 0, from = 0;
  for (size_t d = outer_rank_; d-- > 0; left /= outer_[d].extent) {
    at[d] = left % outer_[d].extent;
    to += at[d] * outer_[d].dst;
    from += at[d] * outer_[d].src;
  }
  for (int64_t part = first; part < last; ++part) {
    tile_(dst + to * bytes_, j_.dst * bytes_, src + from * bytes_, i_.src * bytes_,
          i_panels_.length_of(at[outer_rank_ - 1]), j_panels_.length_of(at[outer_rank_ - 2]));
    for (size_t d = outer_rank_; d-- > 0;) {
      to += outer_[d].dst;
      from += outer_[d].src;
      if (++at[d] < outer_[d].extent) break;
      to -= outer_[d].extent * outer_[d].dst;
      from -= outer_[d].extent * outer_[d].src;
      at[d] = 0;
    }
  }
}

void StridedCopy::run_rows(std::byte* dst, const std::byte* src, int64_t first, int64_t last) const {
  if (loop_.row_stride(0) == 1 && loop_.row_stride(1) == 1)
    return rows_of(loop_.row_length() * bytes_)(loop_, bytes_, dst, src, first, last);
  const auto copy = bytes_ == 1   ? copy_elements<uint8_t>
                    : bytes_ == 2 ? copy_elements<uint16_t>
                    : bytes_ == 4 ? copy_elements<uint32_t>
                                  : copy_elements<uint64_t>;
  copy(loop_, dst, src, first, last);
}

void StridedCopy::run(std::byte* dst, const std::byte* src, int64_t first, int64_t last) const {
  if (first >= last) return;
  tile_ ? run_tiles(dst, src, first, last) : run_rows(dst, src, first, last);
}

}  // namespace octet::cpu
