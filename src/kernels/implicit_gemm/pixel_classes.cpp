#include "kernels/implicit_gemm/pixel_classes.h"

#include <algorithm>
#include <cstring>

namespace octet {
namespace {

constexpr size_t k_most_bands = 5;  // of one axis; k_most is its square
constexpr size_t k_copy_slack = 64;

/// Cycles of `pixels` pixels x one panel over `steps` steps, in tiles of nearly equal height.
double tile_cycles(int64_t pixels, double steps, const ConvTile& tile) {
  constexpr double k_cycles_per_tile = 50;  // around the steps of a tile
  if (pixels == 0) return 0;
  const TileRuns runs = tile_runs(pixels, tile.rows);
  const auto step = [&](int64_t rows) {
    const double dots = static_cast<double>(rows * tile.vectors) * tile.dot_cycles;
    return std::max({dots, 0.5 * static_cast<double>(rows + tile.vectors), 4.0});
  };
  return static_cast<double>(runs.tall) * (steps * step(runs.rows + 1) + k_cycles_per_tile) +
         static_cast<double>(runs.low) * (steps * step(runs.rows) + k_cycles_per_tile);
}

WindowAxis vertical(const WindowGeometry& g) { return {g.ih, g.oh, g.kh, g.stride_h, g.pad_top, g.dilation_h}; }
WindowAxis horizontal(const WindowGeometry& g) { return {g.iw, g.ow, g.kw, g.stride_w, g.pad_left, g.dilation_w}; }

/// Rows of 4 or 8 pixels under a window of 3, one tap of padding at each side, pixels side by side.
bool has_short_rows(const WindowGeometry& g) {
  return (g.ow == 4 || g.ow == 8) && g.iw == g.ow && g.kw == 3 && g.stride_w == 1 && g.dilation_w == 1 &&
         g.pad_left == 1 && g.groups == 1 && g.ic == g.x_pitch;
}

/// The same of rows of any width, and of groups.
bool has_sides(const WindowGeometry& g) {
  return g.iw == g.ow && g.kw == 3 && g.stride_w == 1 && g.dilation_w == 1 && g.pad_left == 1;
}

bool meets_padding(const std::vector<TapBand>& bands, int64_t kernel) {
  return std::any_of(bands.begin(), bands.end(), [&](const TapBand& b) { return b.k_begin > 0 || b.k_end < kernel; });
}

}  // namespace

double short_rows_share(const WindowGeometry& g) {
  return has_short_rows(g) ? static_cast<double>(3 * g.ow - 2) / static_cast<double>(3 * g.ow) : 1;
}

bool has_neighbour_rows(const WindowGeometry& g, int64_t tile_pixels) {
  return has_sides(g) && g.ow > 1 && g.ow % tile_pixels == 0 &&
         !PixelClasses(g, false, true, false, TilePixels::neighbours).is_copied();
}

std::vector<TapBand> tap_bands(const WindowAxis& axis) {
  std::vector<TapBand> bands;
  for (int64_t o = 0; o < axis.out; ++o) {
    const int64_t first = o * axis.stride - axis.pad;  // where the kernel's position 0 lies
    int64_t begin = 0, end = axis.kernel;
    while (begin < axis.kernel && first + begin * axis.dilation < 0) ++begin;
    while (end > begin && first + (end - 1) * axis.dilation >= axis.in) --end;
    if (!bands.empty() && bands.back().k_begin == begin && bands.back().k_end == end)
      bands.back().end = o + 1;
    else
      bands.push_back({o, o + 1, begin, end});
  }
  return bands;
}

PixelClasses::PixelClasses(const WindowGeometry& geometry, bool squeezed, bool cut_rows, bool cut_columns,
                           TilePixels tile_pixels)
    : geometry_(geometry),
      squeezed_(squeezed),
      compact_(geometry, 1, squeezed),
      pixel_bytes_(squeezed ? geometry.ic : geometry.x_pitch),
      row_width_(tile_pixels != TilePixels::any ? geometry.ow : 0),
      tile_pixels_(tile_pixels) {
  const WindowGeometry& g = geometry_;
  const auto cut = [&](const WindowAxis& axis, bool wanted) {
    std::vector<TapBand> bands = tap_bands(axis);
    if (meets_padding(bands, axis.kernel) && (!wanted || bands.size() > k_most_bands)) {
      bands = {{0, axis.out, 0, axis.kernel}};
      is_copied_ = true;
    }
    return bands;
  };
  rows_ = cut(vertical(g), cut_rows && !squeezed);
  if (tile_pixels != TilePixels::any)
    columns_ = {{0, g.ow, 0, g.kw}};
  else
    columns_ = cut(horizontal(g), cut_columns && !squeezed);
  is_copied_ = is_copied_ || squeezed;
  is_linear_ = !is_copied_ && g.kh == 1 && g.kw == 1 && g.stride_h == 1 && g.stride_w == 1 && g.oh == g.ih &&
               g.ow == g.iw && g.pad_top == 0 && g.pad_left == 0;
  const int64_t width = is_copied_ ? (g.ow - 1) * g.stride_w + (g.kw - 1) * g.dilation_w + 1 : g.iw;
  row_bytes_ = width * pixel_bytes_;
  for (size_t b = 0; b < rows_.size(); ++b)
    band_of_row_.insert(band_of_row_.end(), static_cast<size_t>(rows_[b].end - rows_[b].begin),
                        static_cast<uint8_t>(b));
  for (const TapBand& r : rows_)
    for (const TapBand& c : columns_) {
      classes_.push_back({r, c, {}, 0});
      add_segments(classes_.back());
    }
}

void PixelClasses::add_segments(PixelClass& c) const {
  const WindowGeometry& g = geometry_;
  const int64_t channels = g.ic / g.groups, tap_dwords = (channels + 3) / 4;
  const int64_t taps = c.columns.k_end - c.columns.k_begin;
  if (taps <= 0) return;
  if (squeezed_) return add_compact_segments(c);
  if (tile_pixels_ == TilePixels::neighbours) {
    for (int64_t ky = c.rows.k_begin; ky < c.rows.k_end; ++ky)
      c.segments.push_back({ky * g.dilation_h * row_bytes_, ky * g.kw * tap_dwords, tap_dwords});
    c.dwords = static_cast<int64_t>(c.segments.size()) * tap_dwords;
    return;
  }
  // The taps of a kernel row lie side by side where nothing lies between pixels.
  const bool is_joined = g.groups == 1 && g.ic == g.x_pitch && g.dilation_w == 1;
  const int64_t dwords = is_joined ? taps * tap_dwords : tap_dwords, row_dwords = g.kw * tap_dwords;
  for (int64_t ky = c.rows.k_begin; ky < c.rows.k_end; ++ky)
    for (int64_t kx = c.columns.k_begin; kx < (is_joined ? c.columns.k_begin + 1 : c.columns.k_end); ++kx)
      c.segments.push_back({ky * g.dilation_h * row_bytes_ + kx * g.dilation_w * pixel_bytes_,
                            ky * row_dwords + kx * tap_dwords, dwords});
  c.dwords = static_cast<int64_t>(c.segments.size()) * dwords;
}

void PixelClasses::add_compact_segments(PixelClass& c) const {
  const WindowGeometry& g = geometry_;
  const int64_t codes = g.kw * g.ic, dwords = compact_.has_tails() ? codes / 4 : (codes + 3) / 4;
  for (int64_t ky = 0; ky < g.kh; ++ky) c.segments.push_back({compact_.row(ky * g.dilation_h), ky * dwords, dwords});
  for (int64_t t = 0; t < compact_.tails(); ++t) c.segments.push_back({compact_.tail(4 * t), g.kh * dwords + t, 1});
  c.dwords = g.kh * dwords + compact_.tails();
}

double PixelClasses::cycles(const ConvTile& tile) const {
  const WindowGeometry& g = geometry_;
  double sum = 0;
  const double live = row_width_ > 0 ? short_rows_share(g) : 1;
  for (const PixelClass& c : classes_)
    sum += live * tile_cycles((c.rows.end - c.rows.begin) * (c.columns.end - c.columns.begin),
                              static_cast<double>(c.dwords), tile);
  const int64_t width = tile.vectors * tile.lanes, panels = (g.oc / g.groups + width - 1) / width * g.groups;
  constexpr double k_copied_bytes_per_cycle = 16;
  if (is_copied_)
    sum += static_cast<double>(copy_bytes(g.oh * g.ow)) / k_copied_bytes_per_cycle / static_cast<double>(panels);
  return sum;
}

PixelClasses PixelClasses::cheapest(const WindowGeometry& geometry, bool squeezed, const ConvTile& tile,
                                    bool has_rows) {
  PixelClasses best(geometry, squeezed, true, true);
  if (squeezed || best.classes_.size() == 1) return best;
  double best_cycles = best.cycles(tile);
  for (const bool cut_rows : {true, false}) {
    PixelClasses other(geometry, squeezed, cut_rows, false);
    const double cycles = other.cycles(tile);
    if (cycles < best_cycles) best_cycles = cycles, best = std::move(other);
  }
  if (has_rows && has_short_rows(geometry)) {
    PixelClasses other(geometry, squeezed, true, false, TilePixels::whole_rows);
    if (!other.is_copied_ && other.cycles(tile) < best_cycles) best = std::move(other);
  }
  return best;
}

int64_t PixelClasses::input_rows(int64_t pixels) const {
  const WindowGeometry& g = geometry_;
  const int64_t output_rows = std::min(g.oh, (pixels + g.ow - 2) / g.ow + 1);
  return (output_rows - 1) * g.stride_h + (g.kh - 1) * g.dilation_h + 1;
}

size_t PixelClasses::copy_bytes(int64_t pixels) const {
  if (!is_copied_) return 0;
  const int64_t rows = input_rows(pixels);
  return static_cast<size_t>(squeezed_ ? compact_.bytes(rows) : rows * row_bytes_) + k_copy_slack;
}

int64_t PixelClasses::origin(int64_t first) const {
  const WindowGeometry& g = geometry_;
  if (is_linear_) return first * pixel_bytes_;
  const int64_t image = first / (g.oh * g.ow), oy = first / g.ow % g.oh;
  return ((image * g.ih + oy * g.stride_h - g.pad_top) * g.iw - g.pad_left) * pixel_bytes_;
}

void PixelClasses::copy(const uint8_t* x, uint8_t padding, IndexRange pixels, uint8_t* to) const {
  const WindowGeometry& g = geometry_;
  const int64_t image = pixels.begin / (g.oh * g.ow), oy = pixels.begin / g.ow % g.oh;
  const int64_t rows = input_rows(pixels.end - pixels.begin), width = row_bytes_ / pixel_bytes_;
  const int64_t left = std::min(width, g.pad_left), inside = std::clamp<int64_t>(width - left, 0, g.iw);
  const auto bytes = [&](int64_t count) { return static_cast<size_t>(count * pixel_bytes_); };
  for (int64_t r = 0; r < rows; ++r, to += row_bytes_) {
    const int64_t iy = oy * g.stride_h - g.pad_top + r;
    if (iy < 0 || iy >= g.ih) {
      std::memset(to, padding, bytes(width));
      continue;
    }
    std::memset(to, padding, bytes(left));
    std::memcpy(to + bytes(left), x + bytes((image * g.ih + iy) * g.iw), bytes(inside));
    std::memset(to + bytes(left + inside), padding, bytes(width - left - inside));
  }
}

void PixelClasses::sort(IndexRange pixels, const BlockPixels& to, int64_t (&counts)[k_most], int64_t slack) const {
  const WindowGeometry& g = geometry_;
  const int64_t image_pixels = g.oh * g.ow, count = pixels.end - pixels.begin;
  const int64_t first_image = pixels.begin / image_pixels, first_row = pixels.begin / g.ow % g.oh;
  std::fill_n(to.x + count, slack, int64_t{0});
  std::fill_n(to.y + count, slack, int32_t{0});
  if (is_linear_) {
    for (int64_t i = 0; i < count; ++i) to.x[i] = i * pixel_bytes_, to.y[i] = static_cast<int32_t>(i);
    counts[0] = count;
    return;
  }
  const size_t bands = columns_.size();
  /// Calls body(image, oy, ox_begin, ox_end, pixel) for the rows of the block.
  const auto for_rows = [&](auto&& body) {
    int64_t image = first_image, oy = first_row, ox = pixels.begin % g.ow;
    for (int64_t at = 0; at < count; ox = 0) {
      const int64_t end = std::min(g.ow, ox + count - at);
      body(image, oy, ox, end, at);
      at += end - ox;
      if (++oy == g.oh) oy = 0, ++image;
    }
  };
  std::fill_n(counts, classes_.size(), int64_t{0});
  for_rows([&](int64_t, int64_t oy, int64_t ox_begin, int64_t ox_end, int64_t) {
    const size_t c = band_of_row_[static_cast<size_t>(oy)] * bands;
    for (size_t b = 0; b < bands; ++b)
      counts[c + b] += std::max<int64_t>(0, std::min(ox_end, columns_[b].end) - std::max(ox_begin, columns_[b].begin));
  });
  int64_t next[k_most];
  int64_t sum = 0;
  for (size_t c = 0; c < classes_.size(); ++c) next[c] = sum, sum += counts[c];
  const int64_t step = g.stride_w * pixel_bytes_;
  for_rows([&](int64_t image, int64_t oy, int64_t ox_begin, int64_t ox_end, int64_t at) {
    const int64_t input_row = (image - first_image) * g.ih + (oy - first_row) * g.stride_h;
    const size_t c = band_of_row_[static_cast<size_t>(oy)] * bands;
    for (size_t b = 0; b < bands; ++b) {
      const int64_t begin = std::max(ox_begin, columns_[b].begin), end = std::min(ox_end, columns_[b].end);
      int64_t x = (squeezed_ ? compact_.row(input_row) : input_row * row_bytes_) + begin * step;
      int64_t i = next[c + b];
      for (int64_t ox = begin; ox < end; ++ox, ++i, x += step) {
        to.x[i] = x;
        to.y[i] = static_cast<int32_t>(at + ox - ox_begin);
      }
      next[c + b] = i;
    }
  });
}

}  // namespace octet
