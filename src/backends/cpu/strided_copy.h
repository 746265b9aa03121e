#pragma once
// Copies between two orders in memory: rows that lie dense on both sides, tiles of a transpose where each side is dense
// along another dimension, and single elements where a side is dense along none.

#include <array>
#include <cstddef>
#include <cstdint>

#include "backends/cpu/strided.h"

namespace octet::cpu {

class StridedCopy {
 public:
  StridedCopy() = default;
  /// loop: operands (dst, src); elements of 1, 2, 4 or 8 bytes.
  StridedCopy(const StridedLoop& loop, size_t element_bytes);

  /// Rows or tiles, which may be copied in any order and by several threads.
  int64_t parts() const { return parts_; }
  int64_t elements_per_part() const { return elements_per_part_; }
  /// Copies parts [first, last). dst, src: the elements at offset 0.
  void run(std::byte* dst, const std::byte* src, int64_t first, int64_t last) const;
  void run(std::byte* dst, const std::byte* src) const { run(dst, src, 0, parts_); }

 private:
  struct Axis {
    int64_t extent = 1, dst = 0, src = 0;  // strides in elements
  };
  /// dst[j * dst_row + i] = src[i * src_row + j] for i < ni, j < nj; rows in bytes, i and j in elements.
  using Tile = void (*)(std::byte* dst, int64_t dst_row, const std::byte* src, int64_t src_row, int64_t ni, int64_t nj);
  /// An axis cut into panels of `length`, the last of which takes the rest along: less than two lengths.
  struct Panels {
    int64_t count = 1, length = 1, extent = 1;
    int64_t length_of(int64_t panel) const { return panel + 1 < count ? length : extent - panel * length; }
  };
  template <class T, int bi, int bj>
  static Tile tile_of(int64_t ni, int64_t nj);
  bool choose_tiles();
  void run_tiles(std::byte* dst, const std::byte* src, int64_t first, int64_t last) const;
  void run_rows(std::byte* dst, const std::byte* src, int64_t first, int64_t last) const;

  StridedLoop loop_;
  int64_t bytes_ = 1, parts_ = 0, elements_per_part_ = 0;
  Tile tile_ = nullptr;  // null: rows
  Axis i_, j_;           // dense in dst, dense in src
  Panels i_panels_, j_panels_;
  size_t outer_rank_ = 0;
  std::array<Axis, StridedLoop::k_max_rank + 2> outer_{};  // all other axes, then the panels of j, then those of i
};

}  // namespace octet::cpu
