#pragma once
// Where the rows of a compact copy lie (tap_table.h), and how a kernel row's odd byte is kept from filling a dword of
// products by itself. A stem of 7x7 taps and 3 channels has 21 codes in a kernel row, 5 dwords and one code. The copy
// may hold these last codes of four rows side by side ("tails"), four bytes for each output pixel: a row of them behind
// every stride_h input rows, of the same length, in which pixels lie at the same distances. So a tail is at a fixed
// distance from its pixel, as the kernel rows are, and 49 taps are 35 + 2 dwords in place of 42.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/conventions.h"

namespace octet {

class CompactRows {
 public:
  /// may_have_tails: of codes, for kernels whose segments differ in length.
  CompactRows(const WindowGeometry& geometry, int64_t element_bytes, bool may_have_tails);

  bool has_tails() const { return tails_ > 0; }
  /// Groups of up to four kernel rows.
  int64_t tails() const { return tails_; }
  int64_t row_bytes() const { return row_bytes_; }
  /// Where input row r of the copy begins, and the tails of the four rows from r on, a multiple of the stride.
  int64_t row(int64_t r) const { return has_tails() ? (r + r / stride_h_) * row_bytes_ : r * row_bytes_; }
  int64_t tail(int64_t r) const { return row(r) + stride_h_ * row_bytes_; }
  /// Of a copy of so many input rows.
  int64_t bytes(int64_t rows) const { return row(rows - 1) + (has_tails() ? stride_h_ + 2 : 1) * row_bytes_; }
  /// Makes the tails of a copy of so many input rows. What lies between them counts for nothing.
  void add_tails(int64_t rows, std::byte* copy) const;

 private:
  int64_t row_bytes_, stride_h_, kh_, pixel_bytes_, pixels_, last_, tails_ = 0;
  std::vector<uint8_t> masks_;  // of a vector's bytes, by the first one's place in its pixel: byte k of a pixel, k < 4
};

}  // namespace octet
