#pragma once
// Convolutions whose inner function takes a list of pixels, tile after tile, and finds their input through a TapTable:
// blocks of pixels, panels of output channels, blocks of the reduction whose weights stay in L2, classes of pixels
// (TapClasses), tiles. A position is four bytes: a float, or a pair of bfloat16. Who packs weights includes
// listed_packing.h, who walks listed_walk.h.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/weight_memory.h"
#include "kernels/implicit_gemm/live_taps.h"
#include "kernels/implicit_gemm/packed_weights.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tap_classes.h"
#include "kernels/implicit_gemm/tap_segment_isa.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/weight_panel.h"

namespace octet {

/// A block of the reduction: whole segments, or a part of one segment.
struct ReductionBlock {
  int64_t first_segment = 0, segments = 0;
  int64_t first_position = 0, positions = 0;
};

/// [segment][position][vector][lane] of each panel, zero where a channel does not exist; then, at the next multiple of
/// 64 bytes, the bias. Own memory, or what a descriptor brought.
struct ListedWeights {
  PackedConvWeights kept;
  const std::byte* weights = nullptr;
  std::span<const float> bias;
  WeightBytes own;
};

class ListedTiles {
 public:
  /// geometry: input channels and pitches in positions. tile: the inner function with the vectors of a full panel.
  /// runs: of the weights (live_taps.h).
  ListedTiles(const WindowGeometry& geometry, const ConvTile& tile, CutBy cut = CutBy::automatic,
              const ExpectedRun& expected = {}, std::span<const TapRun> runs = {});

  const TapTable& taps() const { return taps_; }
  const std::vector<WeightPanel>& panels() const { return panels_; }
  const std::vector<ReductionBlock>& blocks() const { return blocks_; }
  size_t weights_bytes() const { return weights_bytes_; }
  size_t bias_floats() const { return bias_floats_; }
  /// Most pixels of a block.
  int64_t block_pixels() const { return block_pixels_; }
  /// Up to two tiles of pixels behind a block's are listed: a tile brings near what the next one reads and writes.
  int64_t slack() const { return 2 * tile_rows_; }
  int64_t chunks(int64_t batch, int threads) const {
    return known_.serves(batch, threads) ? known_.count() : conv_deal(work(batch), threads, cut_).chunks;
  }
  ConvChunk chunk(int64_t batch, int threads, int64_t index) const;

  /// In listed_packing.h. Takes `given` in place where its form and size are right. position(channel, k): the weight of
  /// the k-th position of taps().weight_order(), of 4 bytes.
  template <class F>
  ListedWeights pack(const PackedConvWeights& given, std::string form, std::span<const float> bias, F&& position) const;

  /// In listed_walk.h, as run_block() is. f(pixels) of each block; where the input is copied compactly it lies in one
  /// image.
  template <class F>
  void for_blocks(IndexRange pixels, F&& f) const;

  size_t scratch_bytes() const { return table_bytes() + pixels_bytes() + copy_bytes(); }

  /// Where the input of a layer lies. planar: x is a dense image (TapTable::copy_compact).
  struct Source {
    const std::byte* x;
    const ImageSource* planar = nullptr;
  };
  /// Walks `pixels`, at most block_pixels(). Run: a ListedRun, of which start, residual, y, their steps, lo and hi are
  /// start()'s, and all else is set here. start(panel, block of the reduction) makes the Run of both; kernel(run)
  /// computes; end(panel).
  template <class Run, class Start, class End>
  void run_block(const Source& source, const std::byte* weights, IndexRange pixels, IndexRange panels,
                 std::byte* scratch, void (*kernel)(const Run& run), Start&& start, End&& end) const;

 private:
  /// The products of one class of pixels in one block of the reduction.
  struct Part {
    std::vector<TapSegment> segments;
    int64_t first_position = 0, positions = 0;
  };
  struct Listed {
    const std::byte* const* table;
    const int32_t* pixels;
    int64_t counts[TapClasses::k_most];
  };

  ConvWork work(int64_t batch) const;
  Part part_of(const TapClass& taps, const ReductionBlock& block, LiveTaps live) const;
  void make_parts();
  int64_t compact_block_pixels() const;
  int64_t class_block_pixels() const;
  /// Where the columns at the sides are classes of their own, patches for them are not read.
  size_t copy_bytes() const {
    return taps_.is_compact() || !classes_.cuts_columns() ? taps_.copy_bytes(block_pixels_) : 0;
  }
  size_t table_bytes() const;
  size_t pixels_bytes() const;
  int64_t lanes_used(const WeightPanel& panel) const { return (panel.channels + lanes_ - 1) / lanes_ * lanes_; }
  ListedWeights allocate(const PackedConvWeights& given, std::string form, std::span<const float> bias,
                         bool& is_given) const;
  Listed list(const Source& source, IndexRange pixels, std::byte* scratch) const;
  /// The weights behind this block's are the next ones, be it of this panel or of the next.
  template <class Run>
  void prefetch(const WeightPanel& panel, size_t b, bool has_next_panel, Run& run) const;
  template <class Run>
  static void run_tiles(Run& run, void (*kernel)(const Run& run), int64_t rows, int64_t tiles);

  WindowGeometry geometry_;
  int64_t tile_rows_, lanes_;
  CutBy cut_;
  TapTable taps_;
  TapClasses classes_;
  std::vector<WeightPanel> panels_;
  size_t weights_bytes_ = 0, bias_floats_ = 0;
  std::vector<ReductionBlock> blocks_;  // in increasing k order, the same for every panel
  AlignedBytes pad_;                    // a pixel of zeros
  int64_t block_pixels_;
  std::vector<Part> parts_;          // [live taps][block][class]
  std::vector<size_t> first_parts_;  // by panel, in parts_
  std::vector<int32_t> in_order_;    // where the pixels of a block are not sorted
  bool streams_weights_;             // all weights together do not stay in L2
  KnownCut known_;
};

}  // namespace octet
