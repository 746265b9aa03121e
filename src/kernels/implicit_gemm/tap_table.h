#pragma once
// Implicit GEMM on NHWC: where the input of an output pixel lies, without an im2col copy.
//
// The reduction of one output runs over segments: runs of input elements that lie contiguously for every pixel. Usually
// a segment is one tap (kh, kw) with its channels. A table of pointers [segment][row of the tile] leads the inner
// function there; taps in the padding point to one row filled with the padding value, so borders need no code of their
// own.
//
// Few channels (a stem's 3 of a pitch of 16) would waste most of a 4-position dot product and a pointer per tap. There
// the input rows of a block are first copied to a compact, padded form (pitch = channels); then all taps of a kernel
// row are one segment of kw * channels elements.
//
// Up to a hundred or so channels that fill their pitch (no gap between pixels) the taps of a kernel row lie side by
// side in the input itself: they too are one segment, which saves pointers and the start of a loop per tap. Only where
// a window crosses the left or right border its rows are copied to a patch with the padding in it.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/conventions.h"
#include "kernels/implicit_gemm/compact_rows.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/layout/layout_isa.h"

namespace octet {

/// The layer reads a compact copy of its input (see above), and so may make it from the caller's image.
bool reads_compact_copy(const WindowGeometry& geometry);

/// A dense NCHW image as a layer's input, of f32 or of u8: how its rows become compact ones.
struct ImageSource {
  LayoutKernels kernels;
  float scale = 0;                   // of the codes that f32 is quantized to; 0 = it stays f32
  int32_t zero_point = 0;            // u8 domain
  std::vector<uint8_t> tables = {};  // not empty: the image is u8, and these are the codes, 256 of each channel
  bool is_interleaved = false;       // of u8: NHWC without gaps in place of NCHW
};

class TapTable {
 public:
  /// element_bytes: 1 (u8 codes) or 4 (f32). tile_rows: most pixels of a tile, and the stride of the table.
  /// may_have_tails: of a compact copy's rows (compact_rows.h); not for fill_compact().
  TapTable(const WindowGeometry& geometry, size_t element_bytes, int64_t tile_rows, bool may_have_tails = false);

  bool is_compact() const { return compact_; }
  /// Segments are kernel rows: the taps of one lie side by side.
  bool is_by_rows() const { return compact_ || has_row_segments_; }
  int64_t compact_row_bytes() const { return rows_.row_bytes(); }
  const CompactRows& compact_rows() const { return rows_; }
  /// A 1x1 convolution that visits every pixel: output pixel i reads input pixel i and no other.
  bool is_linear() const { return is_linear_; }
  int64_t segments() const { return segments_; }
  int64_t segment_elements() const { return segment_elements_; }
  /// Index into one output channel's weights [ic/groups][kh][kw] of position k of segment s.
  int64_t weight_index(int64_t s, int64_t k) const;
  /// weight_index of all positions, segment by segment.
  std::vector<int64_t> weight_order() const;

  /// Elements that a padding row must hold: every read through the table stays inside.
  int64_t pad_elements() const { return geometry_.x_pitch * (has_row_segments_ ? geometry_.kw : 1) + 64; }

  /// Bytes of the copy that serves `pixels` consecutive output pixels: the compact form, of one image, or patches.
  size_t copy_bytes(int64_t pixels) const { return compact_ ? compact_bytes(pixels) : patch_bytes(pixels); }
  /// Bytes of the compact copy; 0 when not compact.
  size_t compact_bytes(int64_t pixels) const;
  /// Copies what the output pixels [first, first + pixels) of one image need; pad is one pixel of the padding value.
  /// source: x is a dense image.
  void copy_compact(const std::byte* x, const std::byte* pad, int64_t first, int64_t pixels, std::byte* copy,
                    const ImageSource* source = nullptr) const;

  /// Fills table[(tile * segments + s) * tile_rows + r] for the tiles of the output pixels from `first` on, counted
  /// over the whole batch; a group's channels begin at its first one. patches: copy_bytes of memory; null where kernel
  /// rows are segments and no tap beside the image is read: then a segment may begin or end outside of it.
  void fill(const std::byte* x, const std::byte* pad, int64_t first, TileRuns runs, std::byte* patches,
            const std::byte** table) const;
  /// The same out of a compact copy whose first pixel is `first`.
  void fill_compact(const std::byte* copy, int64_t first, TileRuns runs, const std::byte** table) const;

 private:
  /// `pixels` pixels of a dense NCHW row -> compact; the end of what was written.
  std::byte* squeeze_image(const std::byte* x, int64_t image, int64_t iy, int64_t pixels, const ImageSource& source,
                           std::byte* to) const;
  /// An output pixel and where its window begins, walked pixel by pixel.
  struct Walk {
    int64_t image, oy, ox;
  };
  size_t patch_bytes(int64_t pixels) const;
  void find_borders();
  void fill_rows(const std::byte* x, const std::byte* pad, int64_t first, TileRuns runs, std::byte* patches,
                 const std::byte** table) const;
  /// `count` pixels of an output row from ox on, where tiles are single pixels. patch_line: null = no patches.
  void fill_row(const std::byte* const* line, const std::byte* const* patch_line, const std::byte* pad, int64_t ox,
                int64_t count, const std::byte** table) const;
  void copy_patches(const std::byte* image, const std::byte* pad, int64_t iy_begin, int64_t iy_end,
                    std::byte* patches) const;
  void fill_pixel(const std::byte* x, const std::byte* pad, const Walk& at, const std::byte** column) const;

  WindowGeometry geometry_;
  int64_t element_bytes_, tile_rows_;
  bool compact_;
  CompactRows rows_;
  bool has_row_segments_;
  bool is_linear_;  // output pixel i reads input pixel i and no other
  int64_t segments_, segment_elements_;
  std::vector<int16_t> border_of_;  // by ox: which of the columns in borders_ it is, or -1
  std::vector<int64_t> borders_;    // output columns whose window crosses a side
  std::vector<int64_t> offsets_;    // bytes from the first tap's pixel to each tap's
};

}  // namespace octet
