#include "kernels/implicit_gemm/tile_copy.h"

#include <algorithm>
#include <limits>

#include "base/ceil_div.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {
namespace {

// Parts of L2 (2 MB on CPUs with AMX) beside the weights: most bytes of a block's panel, of one whose weights pass L2
// anyway (640 KB were slower, docs/benchmarks_amx.md), of a copy.
constexpr int64_t k_panel_bytes = 384 << 10, k_far_panel_bytes = 1 << 20, k_copy_bytes = 384 << 10;
constexpr int64_t k_near_bytes = 24 << 10;  // a part of L1
constexpr int64_t k_most_images = 16;
constexpr int64_t k_compact_bytes = 16 << 10;  // of L1, beside a panel's weights

// What a core does in a cycle: products in whole layers, bytes copied, rows of bytes gathered.
constexpr double k_products = 900, k_copied_bytes = 24;
constexpr double k_streamed_bytes = 8;  // weights from behind L2: 20 GB/s
constexpr double k_cycles_per_row = 20, k_cycles_per_segment = 8;

}  // namespace

double amx_product_cycles(int64_t row_bytes, int64_t channels) {
  return static_cast<double>(row_bytes) * static_cast<double>(channels) / k_products;
}
double amx_gather_cycles(int64_t row_bytes, int64_t segments) {
  return static_cast<double>(row_bytes) / k_copied_bytes + k_cycles_per_row +
         k_cycles_per_segment * static_cast<double>(segments);
}

int64_t amx_row_step(int64_t row_bytes) {
  const int64_t lines = (row_bytes + k_amx_step_bytes + 63) / 64;
  return 64 * (lines + 1 - lines % 2);
}

int64_t amx_block_pixels(int64_t row_bytes, int64_t weight_bytes) {
  const bool stream = weight_bytes > static_cast<int64_t>(k_resident_weight_bytes);
  const int64_t panel = stream ? k_far_panel_bytes : k_panel_bytes;
  const int64_t pixels = panel / amx_row_step(row_bytes) / k_amx_block_rows * k_amx_block_rows;
  return std::clamp<int64_t>(pixels, k_amx_block_rows, 1024);
}

AmxCopy::AmxCopy(const WindowGeometry& geometry, const TapTable& taps, bool is_compact, int64_t step_bytes,
                 int64_t batch)
    : geometry_(geometry), is_compact_(is_compact), steps_(ceil_div(taps.segment_elements(), step_bytes)) {
  const WindowGeometry& g = geometry_;
  if (taps.is_linear()) return;
  pixel_bytes_ = is_compact_ ? g.ic : g.x_pitch;
  position_bytes_ = g.stride_w * pixel_bytes_;
  const auto pixels = static_cast<double>(g.oh * g.ow), groups = static_cast<double>(g.groups);
  const int64_t elements = taps.segments() * taps.segment_elements();
  const int64_t depth = ceil_div(elements, k_amx_step_bytes) * k_amx_step_bytes;
  const int64_t weights = depth * g.oc;
  // Of an image, where weights come again with each of so many blocks of the batch.
  const auto streamed = [&](int64_t blocks) {
    if (weights <= static_cast<int64_t>(k_resident_weight_bytes)) return 0.0;
    return static_cast<double>(weights * blocks) / static_cast<double>(batch) / k_streamed_bytes;
  };
  const double gathered =
      pixels * (amx_product_cycles(depth, g.oc) + groups * amx_gather_cycles(elements, taps.segments())) +
      streamed(ceil_div(batch * g.oh * g.ow, amx_block_pixels(elements, weights)));
  const bool can_run_on = !is_compact_ && g.stride_h == 1 && g.stride_w == 1;
  const double by_rows = lay_out(false, taps), running_on = can_run_on ? lay_out(true, taps) : 2 * by_rows;
  const bool runs_on = running_on <= by_rows;
  lay_out(runs_on, taps);
  if (!is_compact_ && rows_ == g.oh) {
    // The copy is about as large as the weights that it meets: with fewer images these are read more often, with more
    // the copy leaves L1 for nothing.
    images_ = std::clamp<int64_t>(std::clamp(weights, k_near_bytes, k_copy_bytes) / image_bytes(), 1, k_most_images);
  }
  const int64_t blocks = images_ > 1 ? ceil_div(batch, images_) : batch * ceil_div(g.oh, rows_);
  if (std::min(running_on, by_rows) + streamed(blocks) >= gathered) {
    rows_ = 0, images_ = 1;
    return;
  }
  const int64_t row_bytes = width_ * pixel_bytes_;
  for (int64_t ky = 0; ky < g.kh; ++ky)
    for (int64_t kx = 0; kx < (taps.is_by_rows() ? 1 : g.kw); ++kx)
      segments_.push_back({ky * g.dilation_h * row_bytes + kx * g.dilation_w * pixel_bytes_, 0});
}

/// Sets the form of the copy; the cycles that an image then takes.
double AmxCopy::lay_out(bool runs_on, const TapTable& taps) {
  const WindowGeometry& g = geometry_;
  runs_on_ = runs_on;
  const int64_t end = (g.ow - 1) * g.stride_w + (g.kw - 1) * g.dilation_w + 1 - g.pad_left;  // of what windows meet
  width_ = runs_on ? g.iw + std::max<int64_t>({g.pad_left, end - g.iw, 0}) : g.pad_left + end;
  if (runs_on && g.ow > width_) return std::numeric_limits<double>::infinity();  // more padding than window
  if (is_compact_) width_ = taps.compact_row_bytes() / pixel_bytes_;
  const int64_t most = (is_compact_ ? k_compact_bytes : k_copy_bytes) / (width_ * pixel_bytes_);
  rows_ = std::clamp<int64_t>((most - input_rows(1)) / g.stride_h + 1, 1, g.oh);
  rows_ = ceil_div(g.oh, ceil_div(g.oh, rows_));
  const auto parts = static_cast<double>(ceil_div(g.oh, rows_));
  const double positions = parts * static_cast<double>(tiles(rows_) * k_amx_tile_rows);
  const double copied = is_compact_ ? 0 : parts * static_cast<double>(input_rows(rows_) * width_ * pixel_bytes_);
  return positions * amx_product_cycles(taps.segments() * steps_ * k_amx_step_bytes, g.oc) + copied / k_copied_bytes;
}

int64_t AmxCopy::tiles(int64_t rows) const {
  const int64_t ow = geometry_.ow;
  return runs_on_ ? ceil_div((rows - 1) * width_ + ow, k_amx_tile_rows) : rows * ceil_div(ow, k_amx_tile_rows);
}

size_t AmxCopy::bytes() const {
  const int64_t copied = images_ * image_bytes();
  // The last tile may begin at the last pixel, and its taps lie up to a window on.
  const int64_t behind =
      (geometry_.ow + k_amx_tile_rows) * position_bytes_ + width_ * pixel_bytes_ + (steps_ + 1) * k_amx_step_bytes;
  return static_cast<size_t>(copied + behind);
}

int64_t AmxCopy::list(int64_t rows, int64_t images, AmxPositions* lists) const {
  const int64_t ow = geometry_.ow, per_image = tiles(rows), all = images * per_image;
  const int64_t per_row = (ow + k_amx_tile_rows - 1) / k_amx_tile_rows;
  const int64_t row_step = geometry_.stride_h * width_ * pixel_bytes_;
  int64_t ox = 0, image_end = 0;
  int32_t pixel = 0;
  for (int64_t i = 0; i < all; ++i) {
    const int64_t tile = i % per_image;
    if (tile == 0) ox = 0, image_end += rows * ow;
    AmxPositions& own = lists[i / 2];
    const auto half = static_cast<int32_t>(i % 2);
    if (half == 0) own.count = 0, own.a[1] = 0;
    own.row_tiles = half + 1;
    if (!runs_on_) ox = tile % per_row * k_amx_tile_rows;
    own.a[half] = i / per_image * image_bytes() + (runs_on_ ? tile * k_amx_tile_rows * position_bytes_
                                                            : tile / per_row * row_step + ox * position_bytes_);
    for (int32_t r = 0; r < k_amx_tile_rows; ++r, ++ox) {
      if (runs_on_ && ox == width_) ox = 0;
      if (ox >= ow || pixel == image_end) continue;
      own.sum_rows[own.count] = half * k_amx_tile_rows + r;
      own.pixels[own.count++] = pixel++;
    }
    if (half == 0) own.lower = own.count;
  }
  return (all + 1) / 2;
}

}  // namespace octet
