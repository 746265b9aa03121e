#pragma once
// Output rows whose windows lie in the padding with some of their kernel rows: those taps need not be computed. On a
// 4x4 image a 3x3 convolution spends a sixth of its products on the padding above and below.

#include <cstdint>
#include <vector>

#include "kernels/conventions.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {

/// Output rows [oy_begin, oy_end) of an image, of whose windows the kernel rows [ky_begin, ky_end) meet the image; none
/// where both are equal.
struct RowBand {
  int64_t oy_begin = 0, oy_end = 0;
  int64_t ky_begin = 0, ky_end = 0;
};

/// All output rows in order; neighbours differ in their kernel rows.
std::vector<RowBand> row_bands(const WindowGeometry& geometry);

/// Whether an image computed band by band, in tiles of its own per band, is expected to take less time than in one go.
/// row_steps: steps of the reduction in one kernel row.
bool bands_pay(const WindowGeometry& geometry, const std::vector<RowBand>& bands, const ConvTile& tile,
               int64_t row_steps);

}  // namespace octet
