#include "kernels/implicit_gemm/tap_table.h"

#include <algorithm>
#include <cstring>

namespace octet {
namespace {

/// Up to 16 bytes are written and read per pixel of the compact copy, whatever its channels.
constexpr size_t k_compact_slack = 64;

/// A segment of more steps of the inner loop than this is long enough by itself.
constexpr int64_t k_row_segment_steps = 32;
constexpr int64_t k_row_segment_kh = 16;

bool wants_row_segments(const WindowGeometry& g, int64_t element_bytes) {
  const int64_t positions_per_step = element_bytes == 1 ? 4 : 1;
  return g.groups == 1 && g.ic == g.x_pitch && g.kw > 1 && g.kh <= k_row_segment_kh && g.dilation_w == 1 &&
         g.ic <= k_row_segment_steps * positions_per_step && g.ow < (1 << 15);
}

/// Copies `pixels` pixels of bytes_per_pixel (<= 16) from a larger pitch, in increasing order: what is written past a
/// pixel's end is overwritten by the next one. A fixed size makes the copy one move.
std::byte* squeeze(const std::byte* from, int64_t pitch_bytes, int64_t pixels, int64_t bytes_per_pixel, std::byte* to) {
  if (bytes_per_pixel <= 4) {
    for (int64_t i = 0; i < pixels; ++i, from += pitch_bytes, to += bytes_per_pixel) std::memcpy(to, from, 4);
  } else {
    for (int64_t i = 0; i < pixels; ++i, from += pitch_bytes, to += bytes_per_pixel) std::memcpy(to, from, 16);
  }
  return to;
}

}  // namespace

bool reads_compact_copy(const WindowGeometry& g) { return g.groups == 1 && g.ic <= 4 && g.kw > 1 && g.dilation_w == 1; }

TapTable::TapTable(const WindowGeometry& geometry, size_t element_bytes, int64_t tile_rows, bool may_have_tails)
    : geometry_(geometry),
      element_bytes_(static_cast<int64_t>(element_bytes)),
      tile_rows_(tile_rows),
      compact_(reads_compact_copy(geometry)),
      rows_(geometry, element_bytes_, compact_ && may_have_tails),
      has_row_segments_(!compact_ && wants_row_segments(geometry, element_bytes_)) {
  const WindowGeometry& g = geometry_;
  const int64_t channels = g.ic / g.groups;
  const bool by_rows = compact_ || has_row_segments_;
  segments_ = by_rows ? g.kh : g.kh * g.kw;
  segment_elements_ = by_rows ? g.kw * channels : channels;
  if (has_row_segments_) find_borders();
  is_linear_ = g.kh == 1 && g.kw == 1 && g.oh == g.ih && g.ow == g.iw && g.pad_top == 0 && g.pad_left == 0 &&
               g.stride_h == 1 && g.stride_w == 1;
  for (int64_t ky = 0; ky < g.kh; ++ky)
    for (int64_t kx = 0; kx < g.kw; ++kx)
      offsets_.push_back((ky * g.dilation_h * g.iw + kx * g.dilation_w) * g.x_pitch * element_bytes_);
}

int64_t TapTable::weight_index(int64_t s, int64_t k) const {
  const WindowGeometry& g = geometry_;
  const int64_t channels = g.ic / g.groups;
  const bool by_rows = compact_ || has_row_segments_;
  const int64_t channel = by_rows ? k % channels : k;
  const int64_t tap = by_rows ? s * g.kw + k / channels : s;
  return channel * g.kh * g.kw + tap;
}

std::vector<int64_t> TapTable::weight_order() const {
  std::vector<int64_t> order;
  for (int64_t s = 0; s < segments_; ++s)
    for (int64_t k = 0; k < segment_elements_; ++k) order.push_back(weight_index(s, k));
  return order;
}

size_t TapTable::compact_bytes(int64_t pixels) const {
  if (!compact_) return 0;
  const WindowGeometry& g = geometry_;
  const int64_t output_rows = std::min(g.oh, (pixels + g.ow - 2) / g.ow + 1);
  const int64_t rows = (output_rows - 1) * g.stride_h + (g.kh - 1) * g.dilation_h + 1;
  return static_cast<size_t>(rows_.bytes(rows)) + k_compact_slack;
}

std::byte* TapTable::squeeze_image(const std::byte* x, int64_t image, int64_t iy, int64_t pixels,
                                   const ImageSource& source, std::byte* to) const {
  const WindowGeometry& g = geometry_;
  const int64_t plane = g.ih * g.iw, first = image * g.ic * plane + iy * g.iw;
  const float* const row = reinterpret_cast<const float*>(x) + first;
  if (source.is_interleaved)
    source.kernels.lookup_pixels(reinterpret_cast<const uint8_t*>(x) + (image * plane + iy * g.iw) * g.ic, g.ic, pixels,
                                 source.tables.data(), reinterpret_cast<uint8_t*>(to));
  else if (!source.tables.empty())
    source.kernels.squeeze_lookup(reinterpret_cast<const uint8_t*>(x) + first, plane, g.ic, pixels,
                                  source.tables.data(), reinterpret_cast<uint8_t*>(to));
  else if (source.scale > 0)
    source.kernels.squeeze_quantize(row, plane, g.ic, pixels, source.scale, source.zero_point,
                                    reinterpret_cast<uint8_t*>(to));
  else
    source.kernels.squeeze_f32(row, plane, g.ic, pixels, reinterpret_cast<float*>(to));
  return to + pixels * g.ic * element_bytes_;
}

void TapTable::copy_compact(const std::byte* x, const std::byte* pad, int64_t first, int64_t pixels, std::byte* copy,
                            const ImageSource* source) const {
  const WindowGeometry& g = geometry_;
  const int64_t image = first / (g.oh * g.ow);
  const int64_t oy_first = first / g.ow % g.oh;
  const int64_t oy_last = (first + pixels - 1) / g.ow % g.oh;
  const int64_t pitch_bytes = g.x_pitch * element_bytes_, pixel_bytes = g.ic * element_bytes_;
  const int64_t width = (g.ow - 1) * g.stride_w + g.kw;
  const int64_t left = std::min(width, g.pad_left);
  const int64_t inside = std::clamp<int64_t>(width - left, 0, g.iw);
  const int64_t iy_end = oy_last * g.stride_h - g.pad_top + (g.kh - 1) * g.dilation_h;
  const int64_t iy_first = oy_first * g.stride_h - g.pad_top;
  for (int64_t iy = iy_first; iy <= iy_end; ++iy) {
    std::byte* to = copy + rows_.row(iy - iy_first);
    if (iy < 0 || iy >= g.ih) {
      squeeze(pad, 0, width, pixel_bytes, to);
    } else {
      to = squeeze(pad, 0, left, pixel_bytes, to);
      to = source ? squeeze_image(x, image, iy, inside, *source, to)
                  : squeeze(x + (image * g.ih + iy) * g.iw * pitch_bytes, pitch_bytes, inside, pixel_bytes, to);
      squeeze(pad, 0, width - left - inside, pixel_bytes, to);
    }
  }
  if (rows_.has_tails()) rows_.add_tails(iy_end - iy_first + 1, copy);
}

void TapTable::fill_compact(const std::byte* copy, int64_t first, TileRuns runs, const std::byte** table) const {
  const WindowGeometry& g = geometry_;
  const int64_t row_step = g.stride_h * rows_.row_bytes(), pixel_step = g.stride_w * g.ic * element_bytes_;
  const int64_t segment_step = g.dilation_h * rows_.row_bytes();
  int64_t ox = first % g.ow;
  const std::byte* output_row = copy;
  if (tile_rows_ == 1) {
    for (int64_t left = runs.low, count = 0; left > 0; left -= count, ox = 0, output_row += row_step) {
      count = std::min(g.ow - ox, left);
      for (int64_t s = 0; s < segments_; ++s) {
        const std::byte* pixel = output_row + ox * pixel_step + s * segment_step;
        for (int64_t i = 0; i < count; ++i, pixel += pixel_step) table[i * segments_ + s] = pixel;
      }
      table += count * segments_;
    }
    return;
  }
  for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += segments_ * tile_rows_) {
    const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
    for (int64_t r = 0; r < rows; ++r) {
      const std::byte* pixel = output_row + ox * pixel_step;
      for (int64_t s = 0; s < segments_; ++s, pixel += segment_step) table[s * tile_rows_ + r] = pixel;
      if (++ox == g.ow) ox = 0, output_row += row_step;
    }
  }
}

void TapTable::find_borders() {
  const WindowGeometry& g = geometry_;
  for (int64_t ox = 0; ox < g.ow; ++ox) {
    const int64_t ix = ox * g.stride_w - g.pad_left;
    const bool crosses = ix < 0 || ix + g.kw > g.iw;
    border_of_.push_back(static_cast<int16_t>(crosses ? borders_.size() : -1));
    if (crosses) borders_.push_back(ox);
  }
}

size_t TapTable::patch_bytes(int64_t pixels) const {
  if (!has_row_segments_) return 0;
  const WindowGeometry& g = geometry_;
  const int64_t output_rows = (pixels + g.ow - 2) / g.ow + 1;
  const int64_t images = (pixels + g.oh * g.ow - 2) / (g.oh * g.ow) + 1;
  const int64_t rows = std::min(output_rows * g.stride_h + images * ((g.kh - 1) * g.dilation_h + 1), images * g.ih);
  const int64_t bytes = rows * static_cast<int64_t>(borders_.size()) * segment_elements_ * element_bytes_;
  return static_cast<size_t>(bytes) + k_compact_slack;
}

void TapTable::copy_patches(const std::byte* image, const std::byte* pad, int64_t iy_begin, int64_t iy_end,
                            std::byte* patches) const {
  const WindowGeometry& g = geometry_;
  const size_t pixel = static_cast<size_t>(g.x_pitch * element_bytes_);
  for (int64_t iy = iy_begin; iy < iy_end; ++iy)
    for (const int64_t ox : borders_)
      for (int64_t kx = 0; kx < g.kw; ++kx, patches += pixel) {
        const int64_t ix = ox * g.stride_w - g.pad_left + kx;
        const bool real = ix >= 0 && ix < g.iw;
        std::memcpy(patches, real ? image + static_cast<size_t>(iy * g.iw + ix) * pixel : pad, pixel);
      }
}

void TapTable::fill_rows(const std::byte* x, const std::byte* pad, int64_t first, TileRuns runs, std::byte* patches,
                         const std::byte** table) const {
  const WindowGeometry& g = geometry_;
  const int64_t image_pixels = g.oh * g.ow, pixel_bytes = g.x_pitch * element_bytes_;
  const int64_t patch = segment_elements_ * element_bytes_, patch_row = patch * static_cast<int64_t>(borders_.size());
  const int64_t end = first + runs.tall * (runs.rows + 1) + runs.low * runs.rows;
  int64_t tile = 0, r = 0, tile_height = runs.rows + (runs.tall > 0 ? 1 : 0);
  for (int64_t at = first; at < end;) {
    const int64_t image = at / image_pixels, image_end = std::min(end, (image + 1) * image_pixels);
    const std::byte* const image_x = x + image * g.ih * g.iw * pixel_bytes;
    const int64_t oy_last = (image_end - 1) % image_pixels / g.ow;
    int64_t oy = at % image_pixels / g.ow, ox = at % g.ow;
    const int64_t iy_begin = std::clamp<int64_t>(oy * g.stride_h - g.pad_top, 0, g.ih);
    const int64_t iy_end =
        std::clamp<int64_t>(oy_last * g.stride_h - g.pad_top + (g.kh - 1) * g.dilation_h + 1, iy_begin, g.ih);
    if (patches) copy_patches(image_x, pad, iy_begin, iy_end, patches);
    for (; at < image_end; ++oy, ox = 0) {
      const std::byte* line[k_row_segment_kh];
      const std::byte* patch_line[k_row_segment_kh];
      for (int64_t s = 0; s < segments_; ++s) {
        const int64_t iy = oy * g.stride_h - g.pad_top + s * g.dilation_h;
        const bool real = iy >= 0 && iy < g.ih;
        line[s] = real ? image_x + (iy * g.iw - g.pad_left) * pixel_bytes : nullptr;
        patch_line[s] = real && patches ? patches + (iy - iy_begin) * patch_row : nullptr;
      }
      if (tile_rows_ == 1) {
        const int64_t count = std::min(g.ow - ox, image_end - at);
        fill_row(line, patches ? patch_line : nullptr, pad, ox, count, table + tile * segments_);
        at += count, tile += count;
        continue;
      }
      for (; ox < g.ow && at < image_end; ++ox, ++at) {
        const int64_t border = patches ? border_of_[static_cast<size_t>(ox)] : -1;
        const std::byte** column = table + tile * segments_ * tile_rows_ + r;
        for (int64_t s = 0; s < segments_; ++s, column += tile_rows_) {
          const std::byte* inside =
              border < 0 ? line[s] + ox * g.stride_w * pixel_bytes : patch_line[s] + border * patch;
          *column = line[s] ? inside : pad;
        }
        if (++r == tile_height) r = 0, tile_height = runs.rows + (++tile < runs.tall ? 1 : 0);
      }
    }
    if (patches) patches += (iy_end - iy_begin) * patch_row;
  }
}

void TapTable::fill_row(const std::byte* const* line, const std::byte* const* patch_line, const std::byte* pad,
                        int64_t ox, int64_t count, const std::byte** table) const {
  const int64_t step = geometry_.stride_w * geometry_.x_pitch * element_bytes_;
  const int64_t patch = segment_elements_ * element_bytes_;
  for (int64_t s = 0; s < segments_; ++s) {
    const std::byte* pixel = line[s] ? line[s] + ox * step : pad;
    const int64_t own_step = line[s] ? step : 0;
    for (const std::byte** column = table + s; column < table + count * segments_;
         column += segments_, pixel += own_step)
      *column = pixel;
    if (!patch_line || !line[s]) continue;
    for (size_t b = 0; b < borders_.size(); ++b)
      if (borders_[b] >= ox && borders_[b] < ox + count)
        table[(borders_[b] - ox) * segments_ + s] = patch_line[s] + static_cast<int64_t>(b) * patch;
  }
}

void TapTable::fill(const std::byte* x, const std::byte* pad, int64_t first, TileRuns runs, std::byte* patches,
                    const std::byte** table) const {
  const WindowGeometry& g = geometry_;
  if (has_row_segments_) return fill_rows(x, pad, first, runs, patches, table);
  if (is_linear_) {  // a 1x1 convolution that visits every pixel
    const int64_t pitch_bytes = g.x_pitch * element_bytes_;
    const std::byte* pixel = x + first * pitch_bytes;
    if (tile_rows_ == 1) {
      for (int64_t i = 0; i < runs.low; ++i, pixel += pitch_bytes) table[i] = pixel;
      return;
    }
    for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += tile_rows_) {
      const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
      for (int64_t r = 0; r < rows; ++r, pixel += pitch_bytes) table[r] = pixel;
    }
    return;
  }
  Walk at{first / (g.ow * g.oh), first / g.ow % g.oh, first % g.ow};
  for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += segments_ * tile_rows_) {
    const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
    for (int64_t r = 0; r < rows; ++r) {
      fill_pixel(x, pad, at, table + r);
      if (++at.ox < g.ow) continue;
      at.ox = 0;
      if (++at.oy == g.oh) at.oy = 0, ++at.image;
    }
  }
}

void TapTable::fill_pixel(const std::byte* x, const std::byte* pad, const Walk& at, const std::byte** column) const {
  const WindowGeometry& g = geometry_;
  const int64_t iy = at.oy * g.stride_h - g.pad_top, ix = at.ox * g.stride_w - g.pad_left;
  const int64_t origin = ((at.image * g.ih + iy) * g.iw + ix) * g.x_pitch * element_bytes_;  // may lie outside
  const bool inside =
      iy >= 0 && ix >= 0 && iy + (g.kh - 1) * g.dilation_h < g.ih && ix + (g.kw - 1) * g.dilation_w < g.iw;
  if (inside) {
    for (int64_t s = 0; s < segments_; ++s) column[s * tile_rows_] = x + (origin + offsets_[static_cast<size_t>(s)]);
    return;
  }
  size_t s = 0;
  for (int64_t ky = 0; ky < g.kh; ++ky)
    for (int64_t kx = 0; kx < g.kw; ++kx, ++s, column += tile_rows_) {
      const int64_t y_in = iy + ky * g.dilation_h, x_in = ix + kx * g.dilation_w;
      const bool real = y_in >= 0 && y_in < g.ih && x_in >= 0 && x_in < g.iw;
      *column = real ? x + (origin + offsets_[s]) : pad;
    }
}

}  // namespace octet
