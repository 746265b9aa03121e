#pragma once
// Output pixels sorted by the taps of their windows that meet the image. All pixels of a class have the same taps, so
// the taps in the padding need not be computed: on a 4x4 image a 3x3 convolution spends three in ten of its products on
// them. And a pixel is one offset, whatever the window: taps lie at the same distances from it for the whole class.
//
// Where a class would have too few pixels to fill a tile, an axis is not cut: then the input rows of a block are copied
// with the padding around them. So are those of a stem, whose few channels are squeezed together on the way.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/conventions.h"
#include "kernels/implicit_gemm/compact_rows.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/variant.h"
#include "kernels/implicit_gemm/window_segment_isa.h"

namespace octet {

/// Outputs [begin, end) of one axis whose windows meet the image with the kernel's positions [k_begin, k_end); with
/// none where both are equal.
struct TapBand {
  int64_t begin = 0, end = 0;
  int64_t k_begin = 0, k_end = 0;
};
struct WindowAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, pad = 0, dilation = 1;
};
/// All outputs in order; neighbours differ in their kernel positions.
std::vector<TapBand> tap_bands(const WindowAxis& axis);

/// Share of the taps of kernel rows that lie between the image's sides, where PixelClasses::row_width() can be the
/// rows' width; 1 elsewhere.
double short_rows_share(const WindowGeometry& geometry);

/// Whether TilePixels::neighbours may be asked for: windows of three columns, one tap of padding at each side, pixels
/// next to each other, rows of a multiple of `tile_pixels`, and codes that are read where they lie.
bool has_neighbour_rows(const WindowGeometry& geometry, int64_t tile_pixels);

/// What the pixels of a tile may be: any of a class, whole rows, or neighbours within a row.
enum class TilePixels : uint8_t { any, whole_rows, neighbours };

struct PixelClass {
  TapBand rows, columns;
  std::vector<WindowSegment> segments;
  int64_t dwords = 0;  // groups of 4 positions of all segments
};

/// Where the pixels of a block lie, class by class.
struct BlockPixels {
  int64_t* x = nullptr;  // origin of each pixel: bytes from the block's origin
  int32_t* y = nullptr;  // the pixel, counted from the block's first one
};

class PixelClasses {
 public:
  static constexpr size_t k_most = 25;  // classes

  /// u8 codes. squeezed: few channels, copied without the gap between pixels; neither axis is cut then.
  PixelClasses(const WindowGeometry& geometry, bool squeezed, bool cut_rows, bool cut_columns,
               TilePixels tile_pixels = TilePixels::any);
  /// The cut of least expected time on one image. has_rows: row_width() may be given.
  static PixelClasses cheapest(const WindowGeometry& geometry, bool squeezed, const ConvTile& tile,
                               bool has_rows = false);

  const std::vector<PixelClass>& classes() const { return classes_; }
  /// The block's input rows are copied first; then a block lies in one image.
  bool is_copied() const { return is_copied_; }
  /// > 0: a class is whole rows of so many pixels, whose columns are not cut and not copied either: the inner function
  /// leaves out the taps left of a row's first pixel and right of its last.
  int64_t row_width() const { return row_width_; }
  /// > 0: tiles are neighbours in rows of row_width(), so many bytes apart; segments are kernel rows, each of which
  /// meets three such pixels, one tap's dwords long.
  int64_t neighbour_step() const { return tile_pixels_ == TilePixels::neighbours ? pixel_bytes_ : 0; }
  /// Output pixel i reads input pixel i and no other: blocks of equal size have equal offsets.
  bool is_linear() const { return is_linear_; }
  /// Bytes of the copy that serves `pixels` consecutive output pixels of one image; 0 when not copied.
  size_t copy_bytes(int64_t pixels) const;
  /// What to add to the input's address (in place) for a block that begins at output pixel `first` of the batch. May
  /// lead outside the input: pixels and segments lead back into it.
  int64_t origin(int64_t first) const;
  /// The same of codes that are not squeezed: input rows with padding, for pixels of one image.
  void copy(const uint8_t* x, uint8_t padding, IndexRange pixels, uint8_t* to) const;

  /// Sorts the pixels; counts[c] are those of class c. Everything up to `slack` elements behind the last is 0.
  void sort(IndexRange pixels, const BlockPixels& to, int64_t (&counts)[k_most], int64_t slack) const;

 private:
  double cycles(const ConvTile& tile) const;
  void add_segments(PixelClass& c) const;
  void add_compact_segments(PixelClass& c) const;
  int64_t input_rows(int64_t pixels) const;

  WindowGeometry geometry_;
  bool squeezed_;
  CompactRows compact_;  // squeezed: the rows of the copy
  bool is_copied_ = false, is_linear_ = false;
  int64_t pixel_bytes_, row_bytes_ = 0;  // of what is read, copied or not
  int64_t row_width_ = 0;
  TilePixels tile_pixels_ = TilePixels::any;
  std::vector<TapBand> rows_, columns_;
  std::vector<uint8_t> band_of_row_;
  std::vector<PixelClass> classes_;
};

}  // namespace octet
