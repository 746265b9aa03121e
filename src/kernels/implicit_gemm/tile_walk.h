#pragma once
// What the layer objects of AMX share: panels of 32 output channels over a block's pixels, 32 at a time: weights come
// from memory once per block. Where some dozens of rows stay in L1, these meet all panels first.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tile_ahead.h"
#include "kernels/implicit_gemm/tile_block_isa.h"
#include "kernels/implicit_gemm/tile_copy.h"
#include "kernels/implicit_gemm/tile_pipeline.h"
#include "kernels/implicit_gemm/tile_plan.h"
#include "kernels/implicit_gemm/tile_positions.h"

namespace octet {

/// Layer derives from TileWalk<Layer, ...> and has
///  * start_run(): a Run with what all runs of finish() have in common
///  * note(args, panel, pixels, sums, run): sets the rest of run; its channels and row_count are set
///  * complete(args, panel, pixels, run): does what is left to do behind finish()
///  * prefetch_outputs(args, panel, pixels): brings near what finish() will read and write
///  * shares_lines(panel): whether the panel before has brought near what this one writes
///  * ahead(args): what there is to bring near besides the layer's own weights; null = nothing
/// and, called where the rows are the input,
///  * input_row(args, pixel): the pixel's row
///  * copy_tail(args, pixel, rows, group, to): copies rows that do not fill a tile, to every row_step() bytes
/// called where they are copied,
///  * copy_rows(args, image, images, oy, rows, to): makes the copy that output rows from oy on read
/// called where they are gathered,
///  * list(args, pixels, source): prepares a block's pixels for all groups
///  * gather(group, pixels, source, to): the pixels' rows for one group, to every row_step() bytes
template <class Layer, class Args, class Run, class Sum, class Gather>
class TileWalk : protected TilePlan {
 protected:
  using Kernel = TileKernel<Run, Sum, Gather>;
  using Pipeline = TilePipeline<Layer, Args, Run, Sum, Gather>;

  TileWalk(const Kernel& kernel, CutBy cut, const WindowGeometry& geometry, TileRows rows, const AmxCopy& copy,
           int64_t row_bytes, int64_t step_bytes = k_amx_step_bytes)
      : TilePlan(cut, geometry, rows, copy, row_bytes, step_bytes), kernel_(kernel) {
    static_assert(sizeof(Sum) == 4);  // as scratch_layout() has it
  }

  /// bias: of all lanes.
  void set_weights(std::vector<TilePanel> panels, const std::byte* weights, size_t bytes, const Sum* bias) {
    TilePlan::set_weights(std::move(panels), weights, bytes);
    bias_ = bias;
  }

  void run(const Args& args, int64_t chunk, int threads, size_t copy, size_t source, std::byte* scratch) const {
    kernel_.configure(step_bytes());
    const ConvPiece own = piece(args.batch, chunk, threads);
    const TileScratch where = scratch_layout(copy, source);
    const WeightsAhead* const ahead = layer().ahead(args);
    TileBringing bringing =
        TileBringing::brings(*this, ahead) ? bring(args.batch, chunk, threads, own, ahead) : TileBringing();
    if (rows() == TileRows::copied) return run_copied(args, own, where, scratch, bringing);
    for (int64_t first = own.pixels.begin; first < own.pixels.end;) {
      const IndexRange pixels = block(first, own.pixels.end);
      run_block(args, {pixels, own.panels}, where, scratch, bringing);
      first = pixels.end;
    }
  }

 private:
  using Work = typename Pipeline::Work;

  TileBringing bring(int64_t batch, int64_t chunk, int threads, const ConvPiece& own, const WeightsAhead* ahead) const {
    const int64_t chunks = chunk_count(batch, threads), worker = chunks_of_worker(chunk, chunks, threads).worker;
    return {*this, own.panels, worker_panels(batch, worker, threads), ahead, chunk, chunks, walks(own.pixels)};
  }
  /// How often a chunk's panels are walked.
  double walks(IndexRange pixels) const {
    if (pixels.begin == pixels.end) return 1;
    const TileImages copied = rows() == TileRows::copied ? copied_block(pixels.begin, pixels.end) : TileImages{};
    const IndexRange first = block(pixels.begin, pixels.end);
    const int64_t each = rows() == TileRows::copied ? copied.images * copied.rows : first.end - first.begin;
    return static_cast<double>(pixels.end - pixels.begin) / static_cast<double>(each);
  }
  const Layer& layer() const { return *static_cast<const Layer*>(this); }

  /// own.pixels: output rows.
  void run_copied(const Args& args, const ConvPiece& own, const TileScratch& where, std::byte* scratch,
                  TileBringing& bringing) const {
    auto* const lists = reinterpret_cast<AmxPositions*>(scratch + where.positions);
    int64_t listed = 0, listed_images = 0, blocks = 0;
    for (int64_t first = own.pixels.begin; first < own.pixels.end;) {
      const TileImages now = copied_block(first, own.pixels.end);
      layer().copy_rows(args, now.image, now.images, now.oy, now.rows, scratch);
      if (listed != now.rows || listed_images != now.images) blocks = copy().list(now.rows, now.images, lists);
      listed = now.rows, listed_images = now.images;
      walk_panels(
          {.args = args,
           .positions = {first * geometry().ow, blocks * k_amx_block_rows, reinterpret_cast<uint8_t*>(scratch), lists},
           .bias = bias_,
           .sums = reinterpret_cast<Sum*>(scratch + where.sums)},
          own.panels, bringing, [](int64_t) {});
      first += now.images * now.rows;
    }
  }

  void run_block(const Args& args, const ConvPiece& own, const TileScratch& where, std::byte* scratch,
                 TileBringing& bringing) const {
    uint8_t* const panel = reinterpret_cast<uint8_t*>(scratch + where.positions);
    const bool is_gathered = rows() == TileRows::gathered;
    if (is_gathered) layer().list(args, own.pixels, scratch);
    walk_panels({.args = args,
                 .positions = {own.pixels.begin, own.pixels.end - own.pixels.begin, panel},
                 .bias = bias_,
                 .sums = reinterpret_cast<Sum*>(scratch + where.sums)},
                own.panels, bringing, [&](int64_t group) {
                  if (is_gathered) layer().gather(group, own.pixels, scratch, panel);
                });
  }

  template <class F>
  void walk_panels(const Work& work, IndexRange panels, TileBringing& bringing, F&& gather_group) const {
    Pipeline pipeline(layer(), *this, kernel_, work, bringing);
    const int64_t positions = work.positions.count, near = near_positions(panels, positions);
    const auto blocks = [&](int64_t n) {
      return (n + k_amx_block_rows - 1) / k_amx_block_rows * (panels.end - panels.begin);
    };
    if (!bringing.is_idle()) bringing.begin_walk(blocks(positions), blocks(near));
    int64_t group = -1;
    for (int64_t first = 0; first < positions; first += near)
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        const int64_t own_group = panel(p).group;
        if (own_group != group) gather_group(own_group);
        group = own_group;
        const int64_t end = std::min(first + near, positions);
        for (int64_t at = first; at < end; at += k_amx_block_rows) {
          // The block after this one.
          int64_t next_p = p, next_at = at + k_amx_block_rows;
          if (next_at >= end && near < positions)
            next_at = p + 1 < panels.end ? first : end, next_p = p + 1 < panels.end ? p + 1 : panels.begin;
          pipeline.advance({p, at, next_p, next_at});
        }
      }
    pipeline.end();
  }

  Kernel kernel_;
  const Sum* bias_ = nullptr;
};

}  // namespace octet
