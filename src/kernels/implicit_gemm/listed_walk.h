#pragma once
// The walk of listed tiles: all panels meet a block of pixels before the next one begins, and a panel's weights of one
// block of the reduction meet all classes of the pixels before the next ones do.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/implicit_gemm/listed_tiles.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/weight_panel.h"

namespace octet {

template <class F>
void ListedTiles::for_blocks(IndexRange pixels, F&& f) const {
  const int64_t image_pixels = geometry_.oh * geometry_.ow;
  for (int64_t first = pixels.begin; first < pixels.end;) {
    int64_t count = std::min(block_pixels_, pixels.end - first);
    if (taps_.is_compact()) count = std::min(count, image_pixels - first % image_pixels);
    f(IndexRange{first, first + count});
    first += count;
  }
}

template <class Run>
void ListedTiles::prefetch(const WeightPanel& panel, size_t b, bool has_next_panel, Run& run) const {
  run.prefetch = run.prefetch_end = reinterpret_cast<const char*>(run.weights);  // an address that is mapped
  if (!streams_weights_ || (b + 1 == blocks_.size() && !has_next_panel)) return;
  const ReductionBlock& block = blocks_[b];
  const int64_t position_bytes = 4 * lanes_used(panel);
  const int64_t behind =
      block.first_segment * taps_.segment_elements() + block.first_position + block.segments * block.positions;
  run.prefetch += behind * position_bytes;
  run.prefetch_end = run.prefetch + block.segments * block.positions * position_bytes;
}

/// Runs `tiles` tiles of `rows` pixels and moves `run` behind them.
template <class Run>
void ListedTiles::run_tiles(Run& run, void (*kernel)(const Run& run), int64_t rows, int64_t tiles) {
  if (tiles == 0) return;
  run.row_count = static_cast<int32_t>(rows);
  run.tiles = static_cast<int32_t>(tiles);
  kernel(run);
  run.pixels += tiles * rows;
  run.prefetch += tiles * run.segments * run.positions * 64;
}

template <class Run, class Start, class End>
void ListedTiles::run_block(const Source& source, const std::byte* weights, IndexRange pixels, IndexRange panels,
                            std::byte* scratch, void (*kernel)(const Run& run), Start&& start, End&& end) const {
  const Listed listed = list(source, pixels, scratch);
  const size_t classes = classes_.classes().size();
  for (int64_t p = panels.begin; p < panels.end; ++p) {
    const WeightPanel& panel = panels_[static_cast<size_t>(p)];
    for (size_t b = 0; b < blocks_.size(); ++b) {
      Run run = start(panel, b);
      run.rows = reinterpret_cast<decltype(run.rows)>(listed.table);
      run.table_segments = taps_.segments();
      run.pixels = listed.pixels;
      run.weights = reinterpret_cast<decltype(run.weights)>(weights + 4 * panel.weights_offset);
      run.channels = static_cast<int32_t>(panel.channels);
      prefetch(panel, b, p + 1 < panels.end, run);
      for (size_t c = 0; c < classes; ++c) {
        if (listed.counts[c] == 0) continue;
        const Part& part = parts_[first_parts_[static_cast<size_t>(p)] + b * classes + c];
        run.segment_list = part.segments.data();
        run.segments = static_cast<int64_t>(part.segments.size());
        run.first_position = panel.group * (geometry_.ic / geometry_.groups) + part.first_position;
        run.positions = part.positions;
        const TileRuns runs = tile_runs(listed.counts[c], tile_rows_);
        run_tiles(run, kernel, runs.rows + 1, runs.tall);
        run_tiles(run, kernel, runs.rows, runs.low);
      }
    }
    end(panel);
  }
}

}  // namespace octet
