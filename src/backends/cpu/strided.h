#pragma once
// Loops over values that lie in different orders: dims of a result and strides of up to four operands, brought into the
// order of operand 0's memory and with neighbouring dims merged wherever all operands allow it. What is left innermost
// is a row: n elements with one stride per operand.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/shape.h"

namespace octet::cpu {

inline constexpr size_t k_max_operands = 4;

class StridedLoop {
 public:
  static constexpr size_t k_max_rank = 10;
  using Offsets = std::array<int64_t, k_max_operands>;

  StridedLoop() = default;
  /// strides[i]: elements, one per dim, 0 where operand i is broadcast. At most k_max_rank dims.
  StridedLoop(std::span<const int64_t> dims, std::initializer_list<std::span<const int64_t>> strides);

  int64_t rows() const { return rows_; }
  int64_t row_length() const { return length_; }
  /// Elements from one element of a row to the next.
  int64_t row_stride(size_t operand) const { return row_strides_[operand]; }
  /// Rows that follow each other at one stride per operand, inner_stride(): [n inner_rows(), (n + 1) inner_rows()).
  int64_t inner_rows() const { return outer_rank_ == 0 ? 1 : extents_[outer_rank_ - 1]; }
  int64_t inner_stride(size_t operand) const { return outer_rank_ == 0 ? 0 : outer_strides_[outer_rank_ - 1][operand]; }
  /// The dims that number the rows, outermost first.
  size_t outer_rank() const { return outer_rank_; }
  int64_t outer_extent(size_t dim) const { return extents_[dim]; }
  int64_t outer_stride(size_t dim, size_t operand) const { return outer_strides_[dim][operand]; }
  /// Offset in elements of the first element of row r, for every operand.
  Offsets row_offsets(int64_t r) const;
  /// The first row of each run of inner_rows() from row r on, without a division per run: begin, then next.
  class Runs {
   public:
    Runs(const StridedLoop& loop, int64_t r) : loop_(loop), offsets_(loop.row_offsets(r)) {
      for (size_t d = loop.outer_rank_; d-- > 0; r /= loop.extents_[d]) at_[d] = r % loop.extents_[d];
    }
    const Offsets& offsets() const { return offsets_; }
    /// Rows that are left in the run.
    int64_t left() const {
      return loop_.outer_rank_ == 0 ? 1 : loop_.extents_[loop_.outer_rank_ - 1] - at_[loop_.outer_rank_ - 1];
    }
    void next() {
      for (size_t d = loop_.outer_rank_; d-- > 0;) {
        const bool is_inner = d + 1 == loop_.outer_rank_;
        const int64_t back = at_[d];
        const bool carries = is_inner || at_[d] + 1 == loop_.extents_[d];
        at_[d] = carries ? 0 : at_[d] + 1;
        for (size_t i = 0; i < k_max_operands; ++i)
          offsets_[i] += (carries ? -back : int64_t{1}) * loop_.outer_strides_[d][i];
        if (!carries) return;
      }
    }

   private:
    const StridedLoop& loop_;
    Offsets offsets_;
    std::array<int64_t, k_max_rank> at_{};
  };
  /// body(row_offsets(r)) for each row of [first, last), without a division per row.
  template <class F>
  void for_rows(int64_t first, int64_t last, F&& body) const {
    for (int64_t r = first; r < last;) {
      Offsets at = row_offsets(r);
      const int64_t run = std::min(last - r, inner_rows() - r % inner_rows());
      for (int64_t i = 0; i < run; ++i) {
        body(at);
        for (size_t k = 0; k < k_max_operands && outer_rank_ > 0; ++k) at[k] += outer_strides_[outer_rank_ - 1][k];
      }
      r += run;
    }
  }

 private:
  size_t outer_rank_ = 0;
  std::array<int64_t, k_max_rank> extents_{};        // of the outer dims, outermost first
  std::array<Offsets, k_max_rank> outer_strides_{};  // by dim
  Offsets row_strides_{};
  int64_t rows_ = 0, length_ = 0;
};

/// Strides of `dims` seen as `target` (numpy broadcasting): missing leading dims and extents of 1 get stride 0.
Dims broadcast_strides(std::span<const int64_t> dims, std::span<const int64_t> strides,
                       std::span<const int64_t> target);

}  // namespace octet::cpu
