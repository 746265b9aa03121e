#include "kernels/implicit_gemm/tile_plan.h"

#include <utility>

namespace octet {
namespace {

/// Rows and weights that share L1 with each other.
constexpr int64_t k_near_bytes = 24 << 10;
/// A panel's weights that stay in L1 where rows pass it by.
constexpr int64_t k_most_near_bytes = 40 << 10;
constexpr size_t k_sum_bytes = 4;
/// Of weights that come from L3 beside a dot of 16 cycles: four lines slow a step of four loads and four dots by 3 to 6
/// % (29 to 30 in place of 28 ns), eight by a third where the layer's own weights lie in L2.
constexpr int64_t k_bytes_per_dot = 64;

}  // namespace

TilePlan::TilePlan(CutBy cut, const WindowGeometry& geometry, TileRows rows, const AmxCopy& copy, int64_t row_bytes,
                   int64_t step_bytes)
    : cut_(cut),
      geometry_(geometry),
      rows_(rows),
      copy_(copy),
      row_bytes_(row_bytes),
      step_bytes_(step_bytes),
      steps_((row_bytes + step_bytes - 1) / step_bytes) {
  block_pixels_ = amx_block_pixels(row_bytes_, 0);
  if (rows_ != TileRows::copied) return;
  segments_ = copy_.segments();
  steps_ = copy_.steps();
}

void TilePlan::set_weights(std::vector<TilePanel> panels, const std::byte* weights, size_t bytes) {
  panels_ = std::move(panels), weights_ = weights, weights_bytes_ = bytes;
}

void TilePlan::fit_to_weights(int64_t bytes) {
  block_pixels_ = amx_block_pixels(row_bytes_, bytes);
  const int64_t panel = k_amx_block_channels * row_bytes_;
  panel_may_stay_ = rows_ != TileRows::copied && panel >= k_near_bytes && panel <= k_most_near_bytes;
}

void TilePlan::limit_block(int64_t pixels) {
  block_pixels_ = std::min(block_pixels_, pixels);
  is_of_one_image_ = true;
}

void TilePlan::expect(const ExpectedRun& expected, int64_t y_element_bytes) {
  const int64_t panel_bytes = k_amx_block_channels * y_element_bytes;
  if (geometry_.groups == 1 && geometry_.y_pitch * y_element_bytes % 64 == 0 && panel_bytes < 64)
    line_panels_ = 64 / panel_bytes;
  expected_ = expected;
  if (expected.batch > 0) expected_grid_ = make_grid(expected.batch, expected.threads);
}

TileGrid TilePlan::make_grid(int64_t batch, int threads) const {
  const WindowGeometry& g = geometry_;
  const int64_t panels = static_cast<int64_t>(panels_.size()), pixels = batch * g.oh * g.ow;
  const bool is_copied = rows_ == TileRows::copied;
  const int64_t overlap = std::max<int64_t>((g.kh - 1) * g.dilation_h + 1 - g.stride_h, 0);
  const double unit_tiles =
      is_copied ? static_cast<double>(copy_.image_positions()) / static_cast<double>(k_amx_tile_rows * g.oh) : 1;
  return tile_grid({.pixel_units = is_copied ? batch * g.oh : (pixels + k_amx_tile_rows - 1) / k_amx_tile_rows,
                    .unit_tiles = unit_tiles,
                    .panels = panels,
                    .unit_panels = unit_panels(threads),
                    .panel_bytes = static_cast<int64_t>(weights_bytes_) / panels,
                    .input_bytes = pixels * g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw),
                    .shared_bytes = overlap * g.iw * g.ic},
                   threads, cut_);
}

ConvPiece TilePlan::piece(int64_t batch, int64_t chunk, int threads) const {
  const TileGrid cut = grid(batch, threads);
  const int64_t part = chunk / cut.panel_parts, panels = static_cast<int64_t>(panels_.size());
  return {rows_ == TileRows::copied
              ? part_of(batch * geometry_.oh, cut.pixel_parts, part)
              : part_of(batch * geometry_.oh * geometry_.ow, cut.pixel_parts, part, k_amx_tile_rows),
          part_of(panels, cut.panel_parts, chunk % cut.panel_parts, unit_panels(threads))};
}

IndexRange TilePlan::worker_panels(int64_t batch, int64_t worker, int threads) const {
  const int64_t chunks = chunk_count(batch, threads);
  const int64_t first = std::min((chunks * worker + threads - 1) / threads, chunks - 1);
  const int64_t end = std::max((chunks * (worker + 1) + threads - 1) / threads, first + 1);
  IndexRange panels = piece(batch, first, threads).panels;
  for (int64_t chunk = first + 1; chunk < end; ++chunk) {
    const IndexRange own = piece(batch, chunk, threads).panels;
    panels = {std::min(panels.begin, own.begin), std::max(panels.end, own.end)};
  }
  return panels;
}

TileImages TilePlan::copied_block(int64_t first, int64_t end) const {
  const int64_t oh = geometry_.oh, oy = first % oh, rows = std::min({copy_.rows(), oh - oy, end - first});
  return {first / oh, oy, rows, rows == oh ? std::min(copy_.images(), (end - first) / oh) : 1};
}

IndexRange TilePlan::block(int64_t first, int64_t end) const {
  const int64_t image_pixels = geometry_.oh * geometry_.ow;
  int64_t count = std::min(block_pixels_, end - first);
  if (is_of_one_image_) count = std::min(count, image_pixels - first % image_pixels);
  return {first, first + count};
}

TileScratch TilePlan::scratch_layout(size_t copy, size_t source) const {
  constexpr size_t k_sums_bytes = k_sum_bytes * k_block_sums;
  if (rows_ == TileRows::copied) {
    const size_t lists = round_up(std::max(copy_.bytes(), copy)), sums = lists + round_up(copy_.list_bytes());
    return {lists, sums, sums + k_sums_bytes};
  }
  const int64_t rows = rows_ == TileRows::input
                           ? k_amx_block_rows
                           : (block_pixels_ + k_amx_block_rows - 1) / k_amx_block_rows * k_amx_block_rows;
  const size_t panel = round_up(source), sums = panel + round_up(static_cast<size_t>(rows * row_step()) + 64);
  return {panel, sums, sums + k_sums_bytes};
}

int64_t TilePlan::spare_bytes(int64_t batch) const {
  const int64_t image = rows_ == TileRows::copied ? copy_.image_positions() : geometry_.oh * geometry_.ow;
  const int64_t tiles = (batch * image + k_amx_tile_rows - 1) / k_amx_tile_rows;
  int64_t vectors = 0;
  for (const TilePanel& panel : panels_) vectors += panel.vectors();
  return tiles * vectors * steps_ * static_cast<int64_t>(segments_.size()) * k_bytes_per_dot;
}

int64_t TilePlan::near_positions(IndexRange panels, int64_t positions) const {
  if (geometry_.groups > 1) return positions;
  const int64_t row_bytes = step_bytes_ * steps_ * static_cast<int64_t>(segments_.size());
  if (static_cast<int64_t>(panel_weights(panels).size()) <= k_near_bytes)
    return std::min<int64_t>(k_amx_block_rows, positions);
  if (rows_ != TileRows::input || 2 * k_amx_block_rows * row_bytes > k_near_bytes) return positions;
  return std::min(k_near_bytes / row_bytes / k_amx_block_rows * k_amx_block_rows, positions);
}

}  // namespace octet
