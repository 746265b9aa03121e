#include "backends/cpu/strided.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <numeric>
#include <vector>

namespace octet::cpu {
namespace {

struct LoopDim {
  int64_t extent;
  StridedLoop::Offsets strides;
};

/// b is directly inside a when stepping through all of b and one further equals one step of a, for every operand.
bool can_merge(const LoopDim& a, const LoopDim& b) {
  for (size_t i = 0; i < k_max_operands; ++i) {
    if (a.strides[i] != b.strides[i] * b.extent) return false;
  }
  return true;
}

template <class T>
void copy_row(std::byte* dst, int64_t dst_stride, const std::byte* src, int64_t src_stride, int64_t n) {
  T* to = reinterpret_cast<T*>(dst);
  const T* from = reinterpret_cast<const T*>(src);
  if (dst_stride == 1 && src_stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  } else if (dst_stride == 1 && src_stride == 0) {
    std::fill_n(to, n, *from);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * dst_stride] = from[i * src_stride];
  }
}

/// Byte j of word i becomes byte i of word j.
inline __attribute__((always_inline)) void transpose_8x8(uint64_t (&words)[8]) {
  constexpr uint64_t k_kept[] = {0x00ff00ff00ff00ff, 0x0000ffff0000ffff, 0x00000000ffffffff};
#pragma GCC unroll 3
  for (int stage = 2; stage >= 0; --stage) {
    const int step = 1 << stage, bits = 8 << stage;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      if (i & step) continue;
      const uint64_t other = ((words[i] >> bits) ^ words[i + step]) & k_kept[stage];
      words[i + step] ^= other;
      words[i] ^= other << bits;
    }
  }
}

constexpr int64_t k_block = 8;

/// A transpose of bytes: rows of dst lie dense, and rows that follow each other begin at neighbouring bytes of src.
bool is_byte_transpose(const StridedLoop& loop, size_t element_bytes) {
  return std::endian::native == std::endian::little && element_bytes == 1 && loop.row_stride(0) == 1 &&
         loop.row_stride(1) != 1 && loop.inner_stride(1) == 1 && loop.inner_rows() >= k_block &&
         loop.row_length() >= k_block;
}

/// Eight rows, in blocks of eight bytes: as many loads and stores for 64 bytes as there would be for 8.
void copy_eight_rows(const StridedLoop& loop, std::byte* dst, const std::byte* src) {
  const int64_t n = loop.row_length(), src_stride = loop.row_stride(1), dst_row = loop.inner_stride(0);
  int64_t c = 0;
  for (; c + k_block <= n; c += k_block) {
    uint64_t words[k_block];
#pragma GCC unroll 8
    for (int64_t i = 0; i < k_block; ++i) std::memcpy(&words[i], src + (c + i) * src_stride, k_block);
    transpose_8x8(words);
#pragma GCC unroll 8
    for (int64_t i = 0; i < k_block; ++i) std::memcpy(dst + i * dst_row + c, &words[i], k_block);
  }
  for (; c < n; ++c)
    for (int64_t i = 0; i < k_block; ++i) dst[i * dst_row + c] = src[c * src_stride + i];
}

/// Rows of `bytes` bytes that lie dense on both sides, the size known to the compiler: a few moves for each.
template <size_t bytes>
void copy_short_rows(const StridedLoop& loop, int64_t size, std::byte* dst, const std::byte* src, int64_t first,
                     int64_t last) {
  const int64_t dst_step = loop.inner_stride(0) * size, src_step = loop.inner_stride(1) * size;
  StridedLoop::Runs runs(loop, first);
  for (int64_t row = first; row < last; runs.next()) {
    const int64_t run = std::min(last - row, runs.left());
    std::byte* to = dst + runs.offsets()[0] * size;
    const std::byte* from = src + runs.offsets()[1] * size;
    for (int64_t i = 0; i < run; ++i, to += dst_step, from += src_step) std::memcpy(to, from, bytes);
    row += run;
  }
}

using CopyRows = void (*)(const StridedLoop&, int64_t, std::byte*, const std::byte*, int64_t, int64_t);

/// Heads of attention, of codes and of floats, pixels of three floats, and the like; null = none of these.
CopyRows short_rows(const StridedLoop& loop, int64_t size) {
  if (loop.row_stride(0) != 1 || loop.row_stride(1) != 1) return nullptr;
  switch (loop.row_length() * size) {
    case 12: return copy_short_rows<12>;
    case 16: return copy_short_rows<16>;
    case 32: return copy_short_rows<32>;
    case 64: return copy_short_rows<64>;
    case 128: return copy_short_rows<128>;
    default: return nullptr;
  }
}

}  // namespace

StridedLoop::StridedLoop(std::span<const int64_t> dims, std::initializer_list<std::span<const int64_t>> strides) {
  assert(dims.size() <= k_max_rank && strides.size() <= k_max_operands);
  std::vector<LoopDim> loop;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 0) return;  // no rows
    if (dims[d] == 1) continue;
    LoopDim dim{dims[d], {}};
    size_t operand = 0;
    for (const std::span<const int64_t> s : strides) dim.strides[operand++] = s[d];
    loop.push_back(dim);
  }
  std::stable_sort(loop.begin(), loop.end(),
                   [](const LoopDim& a, const LoopDim& b) { return std::abs(a.strides[0]) > std::abs(b.strides[0]); });
  std::vector<LoopDim> merged;
  for (const LoopDim& dim : loop) {
    if (!merged.empty() && can_merge(merged.back(), dim)) {
      merged.back() = {merged.back().extent * dim.extent, dim.strides};
    } else {
      merged.push_back(dim);
    }
  }
  if (merged.empty()) merged.push_back({1, {1, 1, 1, 1}});
  length_ = merged.back().extent;
  row_strides_ = merged.back().strides;
  merged.pop_back();
  outer_rank_ = merged.size();
  rows_ = 1;
  for (size_t d = 0; d < outer_rank_; ++d) {
    extents_[d] = merged[d].extent;
    outer_strides_[d] = merged[d].strides;
    rows_ *= merged[d].extent;
  }
}

StridedLoop::Offsets StridedLoop::row_offsets(int64_t r) const {
  Offsets offsets{};
  for (size_t d = outer_rank_; d-- > 0;) {
    const int64_t at = r % extents_[d];
    r /= extents_[d];
    for (size_t i = 0; i < k_max_operands; ++i) offsets[i] += at * outer_strides_[d][i];
  }
  return offsets;
}

Dims broadcast_strides(std::span<const int64_t> dims, std::span<const int64_t> strides,
                       std::span<const int64_t> target) {
  Dims seen(target.size(), 0);
  const size_t lead = target.size() - dims.size();
  for (size_t i = 0; i < dims.size(); ++i) seen[lead + i] = dims[i] == 1 ? 0 : strides[i];
  return seen;
}

void copy_strided(const StridedLoop& loop, size_t element_bytes, std::byte* dst, const std::byte* src, int64_t first,
                  int64_t last) {
  const auto size = static_cast<int64_t>(element_bytes);
  if (is_byte_transpose(loop, element_bytes)) {
    while (first < last) {
      const StridedLoop::Offsets at = loop.row_offsets(first);
      const int64_t run = std::min(last - first, loop.inner_rows() - first % loop.inner_rows());
      int64_t r = 0;
      for (; r + k_block <= run; r += k_block)
        copy_eight_rows(loop, dst + at[0] + r * loop.inner_stride(0), src + at[1] + r);
      for (; r < run; ++r)
        copy_row<uint8_t>(dst + at[0] + r * loop.inner_stride(0), 1, src + at[1] + r, loop.row_stride(1),
                          loop.row_length());
      first += run;
    }
    return;
  }
  if (const CopyRows copy = short_rows(loop, size)) return copy(loop, size, dst, src, first, last);
  const auto copy = element_bytes == 1   ? copy_row<uint8_t>
                    : element_bytes == 2 ? copy_row<uint16_t>
                    : element_bytes == 4 ? copy_row<uint32_t>
                                         : copy_row<uint64_t>;
  loop.for_rows(first, last, [&](const StridedLoop::Offsets& at) {
    copy(dst + at[0] * size, loop.row_stride(0), src + at[1] * size, loop.row_stride(1), loop.row_length());
  });
}

}  // namespace octet::cpu
