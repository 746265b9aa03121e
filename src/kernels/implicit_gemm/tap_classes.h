#pragma once
// Output pixels sorted by the taps of their windows that meet the image, for kernels that find each tap through a
// TapTable: those in the padding need not be computed. On a 4x4 image a 3x3 convolution spends three in ten of its
// products on them, on one of 8x8 one in six.

#include <cstdint>
#include <vector>

#include "kernels/conventions.h"
#include "kernels/implicit_gemm/pixel_classes.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {

struct TapClass {
  TapBand rows, columns;
};

class TapClasses {
 public:
  static constexpr size_t k_most = 25;  // classes

  TapClasses(const WindowGeometry& geometry, bool cut_rows, bool cut_columns);
  /// The cut of least expected time on one image. tile: with the vectors that a panel has; steps: of a tap.
  static TapClasses cheapest(const WindowGeometry& geometry, const ConvTile& tile, double tap_steps);

  /// One class: pixels stay in order.
  bool is_whole() const { return classes_.size() == 1; }
  /// No class reads a tap left or right of the image.
  bool cuts_columns() const { return cuts_columns_; }
  const std::vector<TapClass>& classes() const { return classes_; }
  /// The pixels, counted from the first, class by class; counts[c] are those of class c. `slack` zeros follow.
  void sort(IndexRange pixels, int32_t* to, int64_t* counts, int64_t slack) const;

 private:
  double cycles(const ConvTile& tile, double tap_steps) const;

  WindowGeometry geometry_;
  std::vector<TapClass> classes_;
  bool cuts_columns_;
};

}  // namespace octet
