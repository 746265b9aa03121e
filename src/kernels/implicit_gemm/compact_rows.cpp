#include "kernels/implicit_gemm/compact_rows.h"

#include <algorithm>
#include <cstring>

namespace octet {
namespace {

constexpr int64_t k_vector = 16, k_most_pixel_bytes = 16;
/// Codes of a kernel row from which on tails pay: the fewer dwords a segment has, the more the start of one costs. With
/// 3x3 taps of 3 channels, 6 + 1 dwords in place of 9, MobileNetV2 takes 1.2 % more time (Zen 4).
constexpr int64_t k_least_codes = 17;
using Bytes = uint8_t __attribute__((vector_size(k_vector)));

Bytes load(const void* p) {
  Bytes v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

}  // namespace

CompactRows::CompactRows(const WindowGeometry& g, int64_t element_bytes, bool may_have_tails)
    : row_bytes_(((g.ow - 1) * g.stride_w + g.kw) * g.ic * element_bytes),
      stride_h_(g.stride_h),
      kh_(g.kh),
      pixel_bytes_(g.stride_w * g.ic),
      pixels_(g.ow),
      last_(g.kw * g.ic - 1) {
  const bool fits = pixel_bytes_ >= 4 && pixel_bytes_ <= k_most_pixel_bytes && 4 % g.stride_h == 0 && g.dilation_h == 1;
  if (may_have_tails && fits && g.kh > 1 && last_ + 1 >= k_least_codes && last_ % 4 == 0) tails_ = (g.kh + 3) / 4;
  if (!has_tails()) return;
  for (int64_t phase = 0; phase < pixel_bytes_; ++phase)
    for (int64_t k = 0; k < 4; ++k)
      for (int64_t i = 0; i < k_vector; ++i) masks_.push_back((phase + i) % pixel_bytes_ == k ? 255 : 0);
}

void CompactRows::add_tails(int64_t rows, std::byte* copy) const {
  // Byte k of a pixel's four is row k's last code, which lies last_ - k bytes behind it in that row.
  const int64_t end = pixels_ * pixel_bytes_;
  for (int64_t r = 0; r <= rows - kh_ + 4 * (tails_ - 1); r += stride_h_) {
    const std::byte* from[4];
    for (int64_t k = 0; k < 4; ++k) from[k] = copy + row(std::min(r + k, rows - 1)) + last_ - k;
    std::byte* const to = copy + tail(r);
    int64_t at = 0;
    for (int64_t phase = 0; at + k_vector <= end; at += k_vector, phase = (phase + k_vector) % pixel_bytes_) {
      const uint8_t* const mask = masks_.data() + phase * 4 * k_vector;
      Bytes four = {};
      for (int64_t k = 0; k < 4; ++k) {
        four |= load(from[k] + at) & load(mask + k * k_vector);
      }
      std::memcpy(to + at, &four, sizeof(four));
    }
    for (at = at / pixel_bytes_ * pixel_bytes_; at < end; at += pixel_bytes_)
      for (int64_t k = 0; k < 4; ++k) to[at + k] = from[k][at + k];
  }
}

}  // namespace octet
