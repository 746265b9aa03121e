#pragma once
// Which taps of a pooling window lie inside the image. Included by ISA files only, hence the unnamed namespace.

#include "kernels/pool/pool_isa.h"

namespace octet {
namespace {

/// Taps [begin, end) of one axis inside the image, and the input index of tap `begin`.
struct TapRange {
  int64_t begin, end, first;
  int64_t count() const { return end - begin; }
};

inline TapRange taps_inside(int64_t out, int64_t stride, int64_t pad, int64_t dilation, int64_t taps, int64_t in) {
  const int64_t origin = out * stride - pad;
  TapRange range = {0, taps, origin};
  while (range.begin < range.end && range.first < 0) ++range.begin, range.first += dilation;
  while (range.begin < range.end && origin + (range.end - 1) * dilation >= in) --range.end;
  return range;
}

/// The taps of one output as a grid of pixels: rows x columns, steps in elements.
template <class T>
struct Taps {
  const T* first;
  int64_t rows, columns, row_step, column_step;
  int64_t count() const { return rows * columns; }
};

template <class T>
inline Taps<T> taps_of(const WindowGeometry& g, const T* x, const TapRange& h, int64_t ox) {
  const TapRange w = taps_inside(ox, g.stride_w, g.pad_left, g.dilation_w, g.kw, g.iw);
  if (h.count() == 0 || w.count() == 0) return {x, 0, 0, 0, 0};
  return {x + (h.first * g.iw + w.first) * g.x_pitch, h.count(), w.count(), g.dilation_h * g.iw * g.x_pitch,
          g.dilation_w * g.x_pitch};
}

inline TapRange rows_inside(const WindowGeometry& g, int64_t oy) {
  return taps_inside(oy, g.stride_h, g.pad_top, g.dilation_h, g.kh, g.ih);
}

inline int64_t divisor(const WindowGeometry& g, bool count_include_pad, int64_t inside) {
  const int64_t count = count_include_pad ? g.kh * g.kw : inside;
  return count > 0 ? count : 1;
}

}  // namespace
}  // namespace octet
