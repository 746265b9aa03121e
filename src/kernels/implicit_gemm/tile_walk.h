#pragma once
// What the layer objects of AMX share: blocks of pixels whose rows lie in a panel, then panels of 32 output channels
// over all of them, 32 pixels at a time, so that a panel's weights come from memory once per block. Where a few pixels'
// rows stay in L1, these meet all panels before the next ones: output lines are written as wholes then.
//
// The rows are the input itself (a 1x1 layer that visits every pixel), a copy with padding around its rows
// (tile_copy.h), or one row per pixel, which the layer gathers.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/aligned.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tile_block_isa.h"
#include "kernels/implicit_gemm/tile_copy.h"

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

/// Which of 32 positions are pixels.
struct TilePixels {
  int32_t count, lower;
  const int32_t* sum_rows;
  const int32_t* pixels;  // from first_pixel
  int64_t first_pixel;
};

/// Where the rows of a layer's pixels come from.
enum class TileRows : uint8_t { input, copied, gathered };

/// Layer derives from TileWalk<Layer, ...> and has
///  * start_run(): a Run with what all runs of finish() have in common
///  * note(args, panel, pixels, sums, run): sets the rest of run; its channels and row_count are set
///  * complete(args, panel, pixels, run): does what is left to do behind finish()
///  * prefetch_outputs(args, panel, pixels): brings near what finish() will read and write
///  * shares_lines(panel): whether the panel before has brought near what this one writes
///  * next_weights(args): bytes to bring near while the last panel is computed
/// and, called where the rows are the input,
///  * input_row(args, pixel): the pixel's row
///  * copy_tail(args, pixel, rows, group, to): copies rows that do not fill a tile, to every row_step() bytes
/// called where they are copied,
///  * copy_rows(args, image, images, oy, rows, to): makes the copy that output rows from oy on read
/// called where they are gathered,
///  * list(args, pixels, source): prepares a block's pixels for all groups
///  * gather(group, pixels, source, to): the pixels' rows for one group, to every row_step() bytes
/// Scratch of a worker: [copy][lists of positions][sums][own], or [source][panel][sums][own].
template <class Layer, class Args, class Run, class Sum, class Gather>
class TileWalk {
 protected:
  using Kernel = TileKernel<Run, Sum, Gather>;
  using Block = TileBlock<Run, Sum>;

  static constexpr int64_t k_block_sums = k_amx_block_rows * k_amx_block_channels;
  static size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }
  static constexpr int32_t k_in_order[k_amx_block_rows] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                           11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                           22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

  /// geometry: input channels in bytes as rows have them. row_bytes: of a row that is gathered, or the input's.
  TileWalk(const Kernel& kernel, CutBy cut, const WindowGeometry& geometry, TileRows rows, const AmxCopy& copy,
           int64_t row_bytes)
      : kernel_(kernel),
        cut_(cut),
        geometry_(geometry),
        rows_(rows),
        copy_(copy),
        row_bytes_(row_bytes),
        steps_((row_bytes + k_amx_step_bytes - 1) / k_amx_step_bytes) {
    const int64_t by_panel = k_panel_bytes / row_step() / k_amx_block_rows * k_amx_block_rows;
    block_pixels_ = std::clamp<int64_t>(by_panel, k_amx_block_rows, 1024);
    if (rows_ != TileRows::copied) return;
    segments_ = copy_.segments();
    steps_ = copy_.steps();
  }

  /// bias: of all lanes.
  void set_weights(std::vector<TilePanel> panels, const std::byte* weights, size_t bytes, const Sum* bias) {
    panels_ = std::move(panels), weights_ = weights, weights_bytes_ = bytes, bias_ = bias;
    streams_weights_ = bytes > k_near_weight_bytes;
  }
  /// Blocks lie in one image each and have at most so many pixels.
  void limit_block(int64_t pixels) {
    block_pixels_ = std::min(block_pixels_, pixels);
    is_of_one_image_ = true;
  }

  TileRows rows() const { return rows_; }
  const AmxCopy& copy() const { return copy_; }
  const WindowGeometry& geometry() const { return geometry_; }
  int64_t block_pixels() const { return block_pixels_; }
  /// Bytes from row to row of a panel: its steps, room for what gathering writes too much, and an odd number of cache
  /// lines, so that sixteen rows do not meet in a few sets of L1.
  int64_t row_step() const {
    const int64_t lines = (row_bytes_ + k_amx_step_bytes + 63) / 64;
    return 64 * (lines + 1 - lines % 2);
  }

  int64_t chunk_count(int64_t batch, int threads) const {
    const ConvGrid grid = conv_grid(work(batch), threads, cut_);
    return grid.pixel_parts * grid.panel_parts;
  }
  /// copy: bytes of what is copied, where that is more than AmxCopy's. source: of what gathering takes. own: behind the
  /// sums.
  size_t scratch_bytes_for(size_t copy, size_t source, size_t own) const {
    if (rows_ == TileRows::copied)
      return copied_bytes(copy) + round_up(copy_.list_bytes()) + sums_bytes() + round_up(own);
    return round_up(source) + panel_bytes() + sums_bytes() + round_up(own);
  }

  void run(const Args& args, int64_t chunk, int threads, size_t copy, size_t source, std::byte* scratch) const {
    kernel_.configure();
    const ConvWork all = work(args.batch);
    const ConvGrid grid = conv_grid(all, threads, cut_);
    const IndexRange panels = part_of(all.panels, grid.panel_parts, chunk % grid.panel_parts);
    if (rows_ == TileRows::copied) {
      const IndexRange rows = part_of(args.batch * geometry_.oh, grid.pixel_parts, chunk / grid.panel_parts);
      return run_copied(args, rows, panels, copied_bytes(copy), scratch);
    }
    const IndexRange pixels = part_of(all.pixels, grid.pixel_parts, chunk / grid.panel_parts, k_amx_block_rows);
    const int64_t image_pixels = geometry_.oh * geometry_.ow;
    for (int64_t first = pixels.begin; first < pixels.end;) {
      int64_t count = std::min(block_pixels_, pixels.end - first);
      if (is_of_one_image_) count = std::min(count, image_pixels - first % image_pixels);
      run_block(args, {first, first + count}, panels, round_up(source), scratch);
      first += count;
    }
  }

 private:
  /// Most bytes of a block's panel: a part of L2 (2 MB on CPUs with AMX) beside the weights.
  static constexpr int64_t k_panel_bytes = 384 << 10;
  /// Rows and weights that share L1 with each other.
  static constexpr int64_t k_near_bytes = 24 << 10;
  /// Of the next layer's weights, brought near while the last panel is computed.
  static constexpr int64_t k_next_bytes = 512 << 10;
  /// What the blocks of a walk over pixels x panels have in common.
  struct Walk {
    const Args& args;
    int64_t first_pixel, positions;
    uint8_t* panel;
    const AmxPositions* lists;  // of each 32 positions; null = every position is a pixel
    Sum* sums;                  // of one block; the layer's own behind them
  };
  /// A block whose sums are made and that is not finished.
  struct Pending {
    Run run = {};  // as finish() is to see it
    const TilePanel* panel = nullptr;
    TilePixels pixels = {};
    bool is_any = false;
    TileUpper<Sum> upper{};
  };

  const Layer& layer() const { return *static_cast<const Layer*>(this); }

  ConvWork work(int64_t batch) const {
    const WindowGeometry& g = geometry_;
    const int64_t panels = static_cast<int64_t>(panels_.size());
    return {.pixels = batch * g.oh * g.ow,
            .panels = panels,
            .panel_bytes = static_cast<int64_t>(weights_bytes_) / panels,
            .pixel_bytes = g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw),
            .segments = rows_ == TileRows::input ? 1 : g.kh * g.kw,
            .tile_rows = k_amx_block_rows};
  }
  size_t panel_bytes() const {
    const int64_t rows = rows_ == TileRows::input
                             ? k_amx_block_rows
                             : (block_pixels_ + k_amx_block_rows - 1) / k_amx_block_rows * k_amx_block_rows;
    return round_up(static_cast<size_t>(rows * row_step()) + 64);
  }
  static constexpr size_t sums_bytes() { return sizeof(Sum) * k_block_sums; }
  size_t copied_bytes(size_t copy) const { return round_up(std::max(copy_.bytes(), copy)); }

  /// Output rows of the batch; a block of them lies in one image, or is several whole images.
  void run_copied(const Args& args, IndexRange rows, IndexRange panels, size_t copied, std::byte* scratch) const {
    const WindowGeometry& g = geometry_;
    auto* const lists = reinterpret_cast<AmxPositions*>(scratch + copied);
    auto* const sums = reinterpret_cast<Sum*>(scratch + copied + round_up(copy_.list_bytes()));
    int64_t listed = 0, listed_images = 0, blocks = 0;
    for (int64_t first = rows.begin; first < rows.end;) {
      const int64_t image = first / g.oh, oy = first % g.oh;
      const int64_t count = std::min({copy_.rows(), g.oh - oy, rows.end - first});
      const int64_t images = count == g.oh ? std::min(copy_.images(), (rows.end - first) / g.oh) : 1;
      layer().copy_rows(args, image, images, oy, count, scratch);
      if (listed != count || listed_images != images) blocks = copy_.list(count, images, lists);
      listed = count, listed_images = images;
      walk_panels({.args = args,
                   .first_pixel = first * g.ow,
                   .positions = blocks * k_amx_block_rows,
                   .panel = reinterpret_cast<uint8_t*>(scratch),
                   .lists = lists,
                   .sums = sums},
                  panels, [](int64_t) {});
      first += images * count;
    }
  }

  void run_block(const Args& args, IndexRange pixels, IndexRange panels, size_t source, std::byte* scratch) const {
    uint8_t* const panel = reinterpret_cast<uint8_t*>(scratch + source);
    const bool is_gathered = rows_ == TileRows::gathered;
    if (is_gathered) layer().list(args, pixels, scratch);
    walk_panels({.args = args,
                 .first_pixel = pixels.begin,
                 .positions = pixels.end - pixels.begin,
                 .panel = panel,
                 .lists = nullptr,
                 .sums = reinterpret_cast<Sum*>(panel + panel_bytes())},
                panels, [&](int64_t group) {
                  if (is_gathered) layer().gather(group, pixels, scratch, panel);
                });
  }

  /// Positions that meet all panels before the next ones do: as many as stay in L1 beside the next panel, or, where not
  /// even twice 32 do and the weights do not stay there either, all.
  int64_t near_positions(IndexRange panels) const {
    const int64_t row_bytes = 64 * steps_ * static_cast<int64_t>(segments_.size());
    if (panel_weight_bytes(panels) <= k_near_bytes) return k_amx_block_rows;
    if (rows_ != TileRows::input || 2 * k_amx_block_rows * row_bytes > k_near_bytes) return INT64_MAX;
    return k_near_bytes / row_bytes / k_amx_block_rows * k_amx_block_rows;
  }

  template <class F>
  void walk_panels(const Walk& walk, IndexRange panels, F&& gather_group) const {
    Pending blocks[2], *pending = &blocks[0], *made = &blocks[1];
    for (Pending& block : blocks) block.run = layer().start_run();
    const int64_t near = geometry_.groups == 1 ? std::min(near_positions(panels), walk.positions) : walk.positions;
    int64_t group = -1;
    for (int64_t first = 0; first < walk.positions; first += near)
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        const int64_t own_group = panels_[static_cast<size_t>(p)].group;
        if (own_group != group) gather_group(own_group);
        group = own_group;
        const int64_t end = std::min(first + near, walk.positions);
        for (int64_t at = first; at < end; at += k_amx_block_rows) {
          // The block after this one.
          int64_t next_p = p, next_at = at + k_amx_block_rows;
          if (next_at >= end && near < walk.positions)
            next_at = p + 1 < panels.end ? first : end, next_p = p + 1 < panels.end ? p + 1 : panels.begin;
          advance(walk, {p, at, next_p, next_at}, *pending, *made);
          std::swap(pending, made);
        }
      }
    kernel_.flush(pending->upper);
    if (!pending->is_any) return;
    kernel_.finish(pending->run, walk.sums, pending->pixels.sum_rows, 0, pending->run.row_count);
    layer().complete(walk.args, *pending->panel, pending->pixels, pending->run);
  }

  int64_t panel_weight_bytes(IndexRange panels) const {
    const auto offset = [&](int64_t p) {
      return p < static_cast<int64_t>(panels_.size()) ? panels_[static_cast<size_t>(p)].weights_offset : weights_bytes_;
    };
    return static_cast<int64_t>(offset(panels.end) - offset(panels.begin));
  }

  /// Where the block's rows lie.
  void find_rows(const Walk& walk, const TilePanel& channels, int64_t at, Block& block) const {
    const int64_t group_offset = channels.group * (geometry_.ic / geometry_.groups);
    if (rows_ == TileRows::copied) {
      const AmxPositions& list = walk.lists[at / k_amx_block_rows];
      block.row_tiles = list.row_tiles;
      block.a_stride = copy_.position_bytes();
      for (int i = 0; i < 2; ++i) block.a[i] = walk.panel + list.a[i] + group_offset;
      return;
    }
    const int64_t rows = std::min<int64_t>(k_amx_block_rows, walk.positions - at);
    block.row_tiles = rows > k_amx_tile_rows ? 2 : 1;
    block.a_stride = row_step();
    block.a[0] = walk.panel + at * row_step();
    if (rows_ == TileRows::input) {
      const int64_t pixel = walk.first_pixel + at;
      if (rows % k_amx_tile_rows != 0 || pixel + rows == walk.args.batch * geometry_.oh * geometry_.ow) {
        layer().copy_tail(walk.args, pixel, rows, channels.group, walk.panel);
        block.a[0] = walk.panel;
      } else {
        block.a[0] = layer().input_row(walk.args, pixel) + group_offset;
        block.a_stride = geometry_.x_pitch;
      }
    }
    block.a[1] = block.a[0] + k_amx_tile_rows * block.a_stride;
  }

  /// A block, and the one after it, whose outputs are brought near.
  struct Step {
    int64_t p, at, next_p, next_at;
  };
  /// Makes the sums of one block, and finishes the block before it on the way.
  void advance(const Walk& walk, const Step& step, const Pending& pending, Pending& made) const {
    const TilePanel& channels = panels_[static_cast<size_t>(step.p)];
    Block block;
    block.bias = bias_ + channels.lane_offset;
    block.weights = weights_ + channels.weights_offset;
    block.segment_list = segments_.data();
    block.segments = static_cast<int64_t>(segments_.size());
    block.steps = steps_;
    block.vectors = channels.vectors();
    block.sums = walk.sums;
    block.upper = pending.upper;
    find_rows(walk, channels, step.at, block);
    if (pending.is_any)
      block.pending = {&pending.run, walk.sums, pending.pixels.sum_rows, pending.pixels.lower, kernel_.finish};
    if (streams_weights_ && step.next_p == step.p) prefetch_weights(walk, step, block);
    const TilePanel& next = panels_[static_cast<size_t>(step.next_p)];
    if (step.next_at < walk.positions && (step.next_p == step.p || !layer().shares_lines(next)))
      layer().prefetch_outputs(walk.args, next, pixels_of(walk, step.next_at));
    kernel_.sums(block);
    if (pending.is_any) layer().complete(walk.args, *pending.panel, pending.pixels, pending.run);
    made.upper = {block.row_tiles > 1 ? block.sums + k_block_sums / 2 : nullptr, block.vectors};
    made.panel = &channels;
    made.pixels = pixels_of(walk, step.at);
    made.is_any = made.pixels.count > 0;  // there may be positions between the rows only
    made.run.row_count = made.pixels.count;
    made.run.channels = static_cast<int32_t>(channels.channels);
    layer().note(walk.args, channels, made.pixels, walk.sums, made.run);
  }

  /// Each block of 32 positions brings its share of the next panel's weights near, or of the next layer's.
  void prefetch_weights(const Walk& walk, const Step& step, Block& block) const {
    constexpr int64_t k_most_lines = 32;
    const bool is_last = step.p + 1 == static_cast<int64_t>(panels_.size());
    const std::span<const std::byte> next_weights = layer().next_weights(walk.args);
    const std::byte* from = is_last ? next_weights.data() : weights_ + panel_weight_bytes({0, step.p + 1});
    const auto next = static_cast<int64_t>(next_weights.size());
    const int64_t bytes = is_last ? std::min(next, k_next_bytes) : panel_weight_bytes({step.p + 1, step.p + 2});
    const int64_t blocks = (walk.positions + k_amx_block_rows - 1) / k_amx_block_rows;
    const int64_t steps = block.steps * block.segments, all_steps = 64 * steps * blocks;
    const int64_t lines = std::min((bytes + all_steps - 1) / all_steps, k_most_lines);
    const int64_t offset = step.at / k_amx_block_rows * lines * 64 * steps;
    if (offset >= bytes) return;
    block.prefetch_lines = static_cast<int>(lines);
    block.prefetch = reinterpret_cast<const char*>(from) + offset;
  }

  static TilePixels pixels_of(const Walk& walk, int64_t at) {
    if (walk.lists) {
      const AmxPositions& list = walk.lists[at / k_amx_block_rows];
      return {list.count, list.lower, list.sum_rows, list.pixels, walk.first_pixel};
    }
    const auto count = static_cast<int32_t>(std::min<int64_t>(k_amx_block_rows, walk.positions - at));
    return {count, std::min(count, k_amx_tile_rows), k_in_order, k_in_order, walk.first_pixel + at};
  }

  Kernel kernel_;
  CutBy cut_;
  WindowGeometry geometry_;
  TileRows rows_;
  AmxCopy copy_;
  int64_t row_bytes_, steps_;
  int64_t block_pixels_ = k_amx_block_rows;
  bool is_of_one_image_ = false;
  std::vector<WindowSegment> segments_ = {{0, 0}};  // one, of all positions, unless copied
  std::vector<TilePanel> panels_;
  const std::byte* weights_ = nullptr;
  size_t weights_bytes_ = 0;
  const Sum* bias_ = nullptr;
  bool streams_weights_ = false;
};

}  // namespace octet
