#pragma once
// The copy of a block's input rows out of which AMX layers read, where that is cheaper than a gathered row of bytes
// per pixel. Padding lies around the rows, so neighbouring output pixels lie at one distance from each other, and each
// segment of the window (a tap with its channels, or a kernel row) at a distance of its own from its pixel.
//
// Pixels go into tiles of 16 positions at one distance. At stride 1 the positions run on through the rows: those
// between two rows are computed too and not stored. Otherwise, or where that is less, each output row begins a tile.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/tile_block_isa.h"

namespace octet {

/// Up to 32 positions: where their two tiles begin, which of them are pixels, and which pixels of the block.
struct AmxPositions {
  int64_t a[2];  // bytes from the copy's begin
  int32_t row_tiles, count;
  int32_t lower;  // pixels of the first tile
  int32_t sum_rows[k_amx_block_rows];
  int32_t pixels[k_amx_block_rows];
};

/// Cycles of a core, expected: products of a pixel's row of so many bytes with so many output channels.
double amx_product_cycles(int64_t row_bytes, int64_t channels);
/// To gather such a row.
double amx_gather_cycles(int64_t row_bytes, int64_t segments);

/// Bytes from row to row of a panel of gathered rows: the row's, room for what gathering writes too much, and an odd
/// number of cache lines, so that sixteen rows do not meet in a few sets of L1.
int64_t amx_row_step(int64_t row_bytes);
/// Pixels of a block whose rows lie in a panel, or are the input: they stay in L2 while all weights meet them. Where
/// these come from behind L2, each block brings them once more, and blocks are larger.
int64_t amx_block_pixels(int64_t row_bytes, int64_t weight_bytes);

class AmxCopy {
 public:
  AmxCopy() = default;  // unused
  /// geometry: channels and pitches in bytes of the copy. is_compact: TapTable makes it. Unused (is_used() false) where
  /// gathering is expected to take less time, or the input needs neither. batch: images that are expected.
  AmxCopy(const WindowGeometry& geometry, const TapTable& taps, bool is_compact, int64_t step_bytes = k_amx_step_bytes,
          int64_t batch = 1);

  bool is_used() const { return rows_ > 0; }
  int64_t rows() const { return rows_; }      // most output rows of a block
  int64_t images() const { return images_; }  // of a block, if they are whole: more meet a panel of weights at a time
  int64_t position_bytes() const { return position_bytes_; }
  const std::vector<WindowSegment>& segments() const { return segments_; }
  int64_t steps() const { return steps_; }  // of step_bytes in a segment
  /// Those of an image, in whole tiles.
  int64_t image_positions() const { return (geometry_.oh + rows_ - 1) / rows_ * tiles(rows_) * k_amx_tile_rows; }
  /// What tiles read of the copy, and bytes behind it that they may.
  size_t bytes() const;
  size_t list_bytes() const { return sizeof(AmxPositions) * static_cast<size_t>(blocks(rows_, images_)); }

  /// Input rows of `rows` output rows of an image from oy on. Not for a compact copy, which TapTable makes.
  /// copy_pixels(first, pixels, to): pixels of the input counted over the batch.
  template <class F>
  void copy(int64_t image, int64_t oy, int64_t rows, uint8_t zero_point, uint8_t* to, F&& copy_pixels) const;
  /// From an image's copy to that of the next one.
  int64_t image_bytes() const {
    return (input_rows(rows_) * width_ + (runs_on_ ? width_ - geometry_.iw : 0)) * pixel_bytes_;
  }
  /// The positions of `rows` output rows of each of `images`; how many lists.
  int64_t list(int64_t rows, int64_t images, AmxPositions* lists) const;

 private:
  int64_t input_rows(int64_t rows) const {
    return (rows - 1) * geometry_.stride_h + (geometry_.kh - 1) * geometry_.dilation_h + 1;
  }
  int64_t tiles(int64_t rows) const;
  int64_t blocks(int64_t rows, int64_t images) const { return (images * tiles(rows) + 1) / 2; }
  double lay_out(bool runs_on, const TapTable& taps);

  WindowGeometry geometry_;
  bool runs_on_ = false;  // positions do not stop at the end of a row
  bool is_compact_ = false;
  int64_t rows_ = 0, images_ = 1, width_ = 0, pixel_bytes_ = 0, position_bytes_ = 0, steps_ = 0;
  std::vector<WindowSegment> segments_;
};

template <class F>
void AmxCopy::copy(int64_t image, int64_t oy, int64_t rows, uint8_t zero_point, uint8_t* to, F&& copy_pixels) const {
  const WindowGeometry& g = geometry_;
  const auto bytes = [&](int64_t pixels) { return static_cast<size_t>(pixels * pixel_bytes_); };
  const int64_t left = std::min(width_, g.pad_left), inside = std::clamp<int64_t>(width_ - left, 0, g.iw);
  int64_t iy = oy * g.stride_h - g.pad_top;
  for (int64_t r = input_rows(rows); r > 0; --r, ++iy, to += bytes(width_)) {
    if (iy < 0 || iy >= g.ih) {
      std::memset(to, zero_point, bytes(width_));
      continue;
    }
    std::memset(to, zero_point, bytes(left));
    copy_pixels((image * g.ih + iy) * g.iw, inside, to + bytes(left));
    std::memset(to + bytes(left + inside), zero_point, bytes(width_ - left - inside));
  }
  if (runs_on_) std::memset(to, zero_point, bytes(width_ - g.iw));  // what is right of the last row
}

}  // namespace octet
