#include "backends/cuda/pack.h"

#include <cstring>

namespace octet::cuda {
namespace {

int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

}  // namespace

PackedWeights pack_weights(const std::byte* w, int64_t oc, int64_t ic, int64_t kh, int64_t kw, size_t size,
                           bool small_c) {
  const auto bytes = static_cast<int64_t>(size);
  const int64_t tap_bytes = small_c ? up(kw * 4, 16) : up(ic * bytes, 16), taps = small_c ? kh : kh * kw;
  PackedWeights made;
  made.taps = static_cast<int>(taps);
  made.tap_chunks = static_cast<int>(tap_bytes / 16);
  made.rows = static_cast<int>(up(oc, 64));
  made.row_bytes = static_cast<int>(up(taps * tap_bytes, 128));
  made.bytes.resize(static_cast<size_t>(made.rows) * static_cast<size_t>(made.row_bytes));
  for (int64_t o = 0; o < oc; ++o) {
    for (int64_t c = 0; c < ic; ++c) {
      for (int64_t tap = 0; tap < kh * kw; ++tap) {
        const int64_t column = small_c ? tap / kw * tap_bytes + tap % kw * 4 + c : tap * tap_bytes + c * bytes;
        std::memcpy(made.bytes.data() + o * made.row_bytes + column, w + ((o * ic + c) * kh * kw + tap) * bytes, size);
      }
    }
  }
  return made;
}

}  // namespace octet::cuda
