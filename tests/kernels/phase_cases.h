#pragma once
// Layers some of whose taps have no weights, as the phases of a transposed convolution are.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/conv_cases.h"

namespace octet {

/// Layers as the phases of a transposed convolution are: see clear_taps().
inline std::vector<ConvCase> phase_cases() {
  std::vector<ConvCase> cases;
  for (const int64_t ic : {3, 16, 20, 64, 128})
    for (const int64_t oc : {20, 64, 68, 256}) cases.push_back(square(9, ic, oc, 2, 1, 1));
  cases.push_back(square(4, 32, 64, 3, 1, 1));
  cases.push_back(square(8, 32, 128, 3, 1, 1, 1, 1, 2));
  cases.push_back(square(14, 48, 64, 3, 2, 1));
  cases.push_back(square(14, 16, 64, 3, 1, 2, 2));
  cases.push_back(square(16, 32, 16, 3, 1, 1));
  cases.push_back(square(11, 64, 64, 5, 1, 2));
  cases.push_back(square(7, 600, 128, 2, 1, 1));
  return cases;
}

/// Zeros in the taps of a weight [oc][ic][kh][kw] that a phase does not have: of four runs of channels the first has
/// none but the last tap, the second those of the last column, the third of the last row, the fourth has all; or the
/// other way round. is_empty: the first has none.
template <class T>
void clear_taps(std::vector<T>& weights, const ConvCase& c, bool is_reversed, bool is_empty) {
  for (int64_t i = 0; i < static_cast<int64_t>(weights.size()); ++i) {
    const int64_t kx = i % c.kw, ky = i / c.kw % c.kh, oc = i / (c.kw * c.kh * c.ic);
    const int64_t at = 4 * oc / c.oc, phase = is_reversed ? 3 - at : at;
    const bool in_row = phase >= 2 || ky == c.kh - 1, in_column = phase % 2 == 1 || kx == c.kw - 1;
    const bool is_live = phase == 0 && is_empty ? false : in_column && in_row;
    if (!is_live) weights[static_cast<size_t>(i)] = T{0};
  }
}

}  // namespace octet
