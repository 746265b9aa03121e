#pragma once
// What a layer of AMX knows before it runs: where the rows of its pixels come from, how these are cut into chunks and
// blocks, what lies where in a worker's scratch, and how many positions of a block stay near a panel's weights.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tile_block_isa.h"
#include "kernels/implicit_gemm/tile_copy.h"
#include "kernels/implicit_gemm/tile_grid.h"

namespace octet {

/// Up to 32 output channels of one group.
struct TilePanel {
  int64_t group = 0;
  int64_t first_channel = 0;  // among all output channels
  int64_t channels = 0;
  size_t weights_offset = 0;  // bytes
  size_t lane_offset = 0;     // of the bias, and of what else there is for each channel

  int vectors() const { return static_cast<int>((channels + 15) / 16); }
};

/// Where the rows of a layer's pixels come from: the input itself (a 1x1 layer that visits every pixel), a copy with
/// padding around its rows (tile_copy.h), or one row per pixel, which the layer gathers.
enum class TileRows : uint8_t { input, copied, gathered };

/// Output rows that are copied at a time: of one image, or several images as wholes.
struct TileImages {
  int64_t image, oy, rows, images;
};

/// Where what lies in a worker's scratch, in bytes: [copy][lists of positions][sums][own], or
/// [source][panel of rows][sums][own].
struct TileScratch {
  size_t positions;  // lists or panel
  size_t sums, own;
};

class TilePlan {
 public:
  static constexpr int64_t k_block_sums = k_amx_block_rows * k_amx_block_channels;
  static size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

  /// geometry: input channels in bytes as rows have them. row_bytes: of a row that is gathered, or the input's.
  TilePlan(CutBy cut, const WindowGeometry& geometry, TileRows rows, const AmxCopy& copy, int64_t row_bytes,
           int64_t step_bytes);

  void set_weights(std::vector<TilePanel> panels, const std::byte* weights, size_t bytes);
  /// Blocks that are large where the layer's weights are, and rows that pass L1 by.
  void fit_to_weights(int64_t bytes);
  /// Whether the rows of so many positions are not to be kept in L1: there is no room beside a panel's weights, which
  /// stay there for the next 32 positions if the rows do not.
  bool passes_rows(int64_t positions) const { return panel_may_stay_ && positions > k_amx_block_rows; }
  /// Blocks lie in one image each and have at most so many pixels.
  void limit_block(int64_t pixels);
  /// Behind set_weights(): works out the cut for the expected run. y_element_bytes: panels that write to the same lines
  /// of the output stay together where there are enough for all workers.
  void expect(const ExpectedRun& expected, int64_t y_element_bytes);

  TileRows rows() const { return rows_; }
  const AmxCopy& copy() const { return copy_; }
  const WindowGeometry& geometry() const { return geometry_; }
  int64_t block_pixels() const { return block_pixels_; }
  /// Of the reduction: segments, and steps of step_bytes() in each.
  const std::vector<WindowSegment>& segments() const { return segments_; }
  int64_t steps() const { return steps_; }
  int64_t step_bytes() const { return step_bytes_; }
  const TilePanel& panel(int64_t p) const { return panels_[static_cast<size_t>(p)]; }
  const std::byte* weights() const { return weights_; }
  /// Bytes from row to row of a panel.
  int64_t row_step() const { return amx_row_step(row_bytes_); }
  /// Bytes from the first group's channels to this one's.
  int64_t group_offset(int64_t group) const { return group * (geometry_.ic / geometry_.groups); }

  int64_t chunk_count(int64_t batch, int threads) const { return grid(batch, threads).chunks(); }
  /// Panels that a worker meets; a worker without chunks of its own: those of the last chunk.
  IndexRange worker_panels(int64_t batch, int64_t worker, int threads) const;
  /// pixels: where they are copied, output rows, counted over the batch.
  ConvPiece piece(int64_t batch, int64_t chunk, int threads) const;
  /// The first block of [first, end).
  TileImages copied_block(int64_t first, int64_t end) const;
  IndexRange block(int64_t first, int64_t end) const;

  /// copy: bytes of what is copied, where that is more than AmxCopy's. source: of what gathering takes.
  TileScratch scratch_layout(size_t copy, size_t source) const;
  size_t scratch_bytes_for(size_t copy, size_t source, size_t own) const {
    return scratch_layout(copy, source).own + round_up(own);
  }

  /// Of `positions`, how many meet all panels before the next ones do: as many as stay in L1 beside the next panel, or,
  /// where not even twice 32 do and the weights do not stay there either, all.
  int64_t near_positions(IndexRange panels, int64_t positions) const;

  size_t weight_bytes() const { return weights_bytes_; }
  std::span<const std::byte> panel_weights(IndexRange panels) const {
    return {weights_ + panel_offset(panels.begin), panel_offset(panels.end) - panel_offset(panels.begin)};
  }
  /// Bytes of later layers' weights that `batch` images leave time to bring near.
  int64_t spare_bytes(int64_t batch) const;

 private:
  TileGrid make_grid(int64_t batch, int threads) const;
  /// Panels that a cut keeps together.
  int64_t unit_panels(int threads) const {
    return static_cast<int64_t>(panels_.size()) >= line_panels_ * threads ? line_panels_ : 1;
  }
  TileGrid grid(int64_t batch, int threads) const {
    return expected_ == ExpectedRun{batch, threads} ? expected_grid_ : make_grid(batch, threads);
  }
  size_t panel_offset(int64_t p) const {
    return p < static_cast<int64_t>(panels_.size()) ? panel(p).weights_offset : weights_bytes_;
  }

  CutBy cut_;
  WindowGeometry geometry_;
  TileRows rows_;
  AmxCopy copy_;
  int64_t row_bytes_, step_bytes_, steps_;
  int64_t block_pixels_ = k_amx_block_rows;
  bool is_of_one_image_ = false, panel_may_stay_ = false;
  std::vector<WindowSegment> segments_ = {{0, 0}};  // one, of all positions, unless copied
  std::vector<TilePanel> panels_;
  const std::byte* weights_ = nullptr;
  size_t weights_bytes_ = 0;
  int64_t line_panels_ = 1;  // that write to the same lines
  ExpectedRun expected_;
  TileGrid expected_grid_;
};

}  // namespace octet
