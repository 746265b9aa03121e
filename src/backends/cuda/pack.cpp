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

std::vector<std::byte> pack_blocks(const PackedWeights& packed, int width) {
  constexpr int k_rows = 64, k_chunk = 16;
  std::vector<std::byte> made(packed.bytes.size());
  std::byte* to = made.data();
  for (int group = 0; group < packed.rows / k_rows; ++group) {
    for (int column = 0; column < packed.row_bytes; column += width) {
      for (int n = 0; n < k_rows; ++n) {
        const int channel = n % 8 / 2 * 16 + n / 8 * 2 + n % 2;
        const std::byte* from =
            packed.bytes.data() + static_cast<int64_t>(group * k_rows + channel) * packed.row_bytes + column;
        const int exchange = width == 128 ? n % 8 : n / 2 % 4;
        for (int c = 0; c < width / k_chunk; ++c, to += k_chunk)
          std::memcpy(to, from + (c ^ exchange) * k_chunk, k_chunk);
      }
    }
  }
  return made;
}

}  // namespace octet::cuda
