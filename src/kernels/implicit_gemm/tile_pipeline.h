#pragma once
// The blocks of 32 positions x 32 output channels on AMX, one after the other: while the sums of one are made, the
// block before it is finished, and what the next one needs comes near.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/implicit_gemm/tile_ahead.h"
#include "kernels/implicit_gemm/tile_block_isa.h"
#include "kernels/implicit_gemm/tile_plan.h"
#include "kernels/implicit_gemm/tile_positions.h"

namespace octet {

/// The layer's functions are listed in tile_walk.h.
template <class Layer, class Args, class Run, class Sum, class Gather>
class TilePipeline {
 public:
  /// What the blocks have in common.
  struct Work {
    const Args& args;
    TilePositions positions;
    const Sum* bias;  // of all lanes
    Sum* sums;        // of one block; the layer's own behind them
  };
  /// A block, and the one after it, whose outputs are brought near.
  struct Step {
    int64_t p, at, next_p, next_at;
  };

  TilePipeline(const Layer& layer, const TilePlan& plan, const TileKernel<Run, Sum, Gather>& kernel, const Work& work,
               TileBringing& bringing)
      : layer_(layer), plan_(plan), kernel_(kernel), work_(work), bringing_(bringing) {
    for (Pending& block : blocks_) block.run = layer.start_run();
  }
  TilePipeline(const TilePipeline&) = delete;
  TilePipeline& operator=(const TilePipeline&) = delete;

  /// Makes the sums of one block, and finishes the block before it on the way.
  void advance(const Step& step) {
    const TilePanel& channels = plan_.panel(step.p);
    const Pending& pending = *pending_;
    Block block;
    block.bias = work_.bias + channels.lane_offset;
    block.weights = plan_.weights() + channels.weights_offset;
    block.segment_list = plan_.segments().data();
    block.segments = static_cast<int64_t>(plan_.segments().size());
    block.steps = plan_.steps();
    block.step_bytes = plan_.step_bytes();
    block.vectors = channels.vectors();
    block.passes_rows = plan_.passes_rows(work_.positions.count);
    block.sums = work_.sums;
    block.upper = pending.upper;
    find_rows(channels.group, step.at, block);
    if (pending.is_any)
      block.pending = {&pending.run, work_.sums, pending.pixels.sum_rows, pending.pixels.lower, kernel_.finish};
    const TileAhead ahead = bringing_.next();
    block.prefetch = reinterpret_cast<const char*>(ahead.first), block.prefetch_lines = ahead.lines;
    const TilePanel& next = plan_.panel(step.next_p);
    if (step.next_at < work_.positions.count && (step.next_p == step.p || !layer_.shares_lines(next)))
      layer_.prefetch_outputs(work_.args, next, work_.positions.pixels(step.next_at));
    kernel_.sums(block);
    if (pending.is_any) layer_.complete(work_.args, *pending.panel, pending.pixels, pending.run);
    note(channels, step.at, block);
    std::swap(pending_, made_);
  }

  /// Finishes the last block.
  void end() {
    const Pending& pending = *pending_;
    kernel_.flush(pending.upper);
    if (!pending.is_any) return;
    kernel_.finish(pending.run, work_.sums, pending.pixels.sum_rows, 0, pending.run.row_count);
    layer_.complete(work_.args, *pending.panel, pending.pixels, pending.run);
  }

 private:
  using Block = TileBlock<Run, Sum>;
  /// A block whose sums are made and that is not finished.
  struct Pending {
    Run run = {};  // as finish() is to see it
    const TilePanel* panel = nullptr;
    TilePixels pixels = {};
    bool is_any = false;
    TileUpper<Sum> upper{};
  };

  void find_rows(int64_t group, int64_t at, Block& block) {
    const TilePositions& positions = work_.positions;
    if (plan_.rows() == TileRows::copied) {
      const AmxPositions& list = positions.lists[at / k_amx_block_rows];
      block.row_tiles = list.row_tiles;
      block.a_stride = plan_.copy().position_bytes();
      for (int i = 0; i < 2; ++i) block.a[i] = positions.panel + list.a[i] + plan_.group_offset(group);
      return;
    }
    const int64_t rows = positions.rows(at);
    block.row_tiles = rows > k_amx_tile_rows ? 2 : 1;
    block.a_stride = plan_.row_step();
    block.a[0] = positions.panel + at * plan_.row_step();
    if (plan_.rows() == TileRows::input) {
      const WindowGeometry& g = plan_.geometry();
      const int64_t pixel = positions.first_pixel + at;
      if (rows % k_amx_tile_rows != 0 || pixel + rows == work_.args.batch * g.oh * g.ow) {
        if (group != tail_group_ || pixel != tail_pixel_)  // else it lies there from the panel before
          layer_.copy_tail(work_.args, pixel, rows, group, positions.panel);
        tail_group_ = group, tail_pixel_ = pixel;
        block.a[0] = positions.panel;
      } else {
        block.a[0] = layer_.input_row(work_.args, pixel) + plan_.group_offset(group);
        block.a_stride = g.x_pitch;
      }
    }
    block.a[1] = block.a[0] + k_amx_tile_rows * block.a_stride;
  }

  void note(const TilePanel& channels, int64_t at, const Block& block) {
    Pending& made = *made_;
    made.upper = {block.row_tiles > 1 ? block.sums + TilePlan::k_block_sums / 2 : nullptr, block.vectors};
    made.panel = &channels;
    made.pixels = work_.positions.pixels(at);
    made.is_any = made.pixels.count > 0;  // there may be positions between the rows only
    made.run.row_count = made.pixels.count;
    made.run.channels = static_cast<int32_t>(channels.channels);
    layer_.note(work_.args, channels, made.pixels, work_.sums, made.run);
  }

  const Layer& layer_;
  const TilePlan& plan_;
  const TileKernel<Run, Sum, Gather>& kernel_;
  const Work work_;
  TileBringing& bringing_;
  int64_t tail_group_ = -1, tail_pixel_ = -1;
  Pending blocks_[2], *pending_ = &blocks_[0], *made_ = &blocks_[1];
};

}  // namespace octet
