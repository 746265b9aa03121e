#include "backends/cuda/pack.h"

#include <cstring>

namespace octet::cuda {
namespace {

int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// Weights [oc][ic][kh * kw] and where they go, in bytes.
struct Rows {
  int64_t oc, ic, kh, kw;
  int64_t window_row;  // of small_c, whose taps are window rows: not 0
  int64_t tap, row;
};

/// T: an element's size.
template <class T>
void place(const Rows& r, const std::byte* from, std::byte* to) {
  const int64_t taps = r.kh * r.kw, size = sizeof(T);
  for (int64_t o = 0; o < r.oc; ++o) {
    const std::byte* const of_row = from + o * r.ic * taps * size;
    std::byte* const row = to + o * r.row;
    if (taps == 1 && r.window_row == 0) {
      std::memcpy(row, of_row, static_cast<size_t>(r.ic * size));
      continue;
    }
    for (int64_t t = 0; t < taps; ++t) {
      std::byte* const tap = r.window_row != 0 ? row + t / r.kw * r.tap + t % r.kw * 4 : row + t * r.tap;
      for (int64_t c = 0; c < r.ic; ++c) std::memcpy(tap + c * size, of_row + (c * taps + t) * size, sizeof(T));
    }
  }
}

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
  const Rows rows{oc, ic, kh, kw, small_c ? kw * 4 : 0, tap_bytes, made.row_bytes};
  switch (size) {
    case 1: place<uint8_t>(rows, w, made.bytes.data()); break;
    case 2: place<uint16_t>(rows, w, made.bytes.data()); break;
    default: place<uint32_t>(rows, w, made.bytes.data()); break;
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

PackedWeights turn_columns(const PackedWeights& packed) {
  PackedWeights made = packed;
  for (size_t at = 0; at < packed.bytes.size(); at += 4) {
    // A column is step * 32 + high * 16 + lane * 4 and up: lane holds 16 channels, a fragment 4 and 4 of them a step.
    const size_t column = at % 64, step = column / 32, high = column / 16 % 2, lane = column / 4 % 4;
    std::memcpy(made.bytes.data() + at, packed.bytes.data() + at - column + lane * 16 + step * 8 + high * 4, 4);
  }
  return made;
}

}  // namespace octet::cuda
