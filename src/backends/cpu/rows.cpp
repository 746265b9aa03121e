#include "backends/cpu/rows.h"

#include <cstring>

#include "kernels/conventions.h"

namespace octet::cpu {

StridedLoop element_loop(const Layout& y, std::initializer_list<const Layout*> inputs) {
  bool alike = !y.is_nhwc() || y.pitch() == channel_pitch(y.channels());  // others' channels lie between wider ones
  for (const Layout* x : inputs) alike &= x->dims == y.dims && x->strides == y.strides;
  Dims all[k_max_operands];
  size_t operand = 0;
  all[operand++] = alike ? Dims{1} : y.strides;
  for (const Layout* x : inputs) all[operand++] = alike ? Dims{1} : broadcast_strides(x->dims, x->strides, y.dims);
  Dims dims = alike ? Dims{y.elements} : y.dims;
  if (!alike && y.is_nhwc() && y.channels() == 1) {
    // One channel lies pitch elements from pixel to pixel, but a row is written without gaps: it takes the padding
    // along.
    dims[1] = y.pitch();
    all[0][1] = 1;
    operand = 1;
    for (const Layout* x : inputs) all[operand++][1] = x->is_nhwc() ? 1 : 0;
  }
  if (operand == 2) return StridedLoop(dims, {all[0], all[1]});
  return StridedLoop(dims, {all[0], all[1], all[2]});
}

void copy_pixels(const uint8_t* from, int64_t from_pitch, int64_t pixels, int64_t channels, uint8_t* to,
                 int64_t to_pitch) {
  constexpr int64_t k_step = 16;
  for (int64_t p = 0; p < pixels; ++p, from += from_pitch, to += to_pitch) {
    int64_t c = 0;
    for (; c + k_step <= channels; c += k_step) std::memcpy(to + c, from + c, k_step);
    if (c < channels) std::memcpy(to + c, from + c, static_cast<size_t>(channels - c));
  }
}

}  // namespace octet::cpu
