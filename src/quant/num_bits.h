#pragma once

#include <cstdint>

namespace octet {

/// Width of a code: so many bits as an integer, or the float of 4 exponent and 3 fraction bits, written (4, 3).
struct NumBits {
  int integer = 8;  // not used by e4m3
  bool is_e4m3 = false;

  constexpr NumBits() = default;
  constexpr NumBits(int bits) : integer(bits) {}
  static constexpr NumBits e4m3() {
    NumBits bits;
    bits.is_e4m3 = true;
    return bits;
  }
  /// Levels of magnitude: 2^(b-1+u), 128 for signed 8 bit.
  constexpr int64_t levels(bool is_unsigned) const { return int64_t{1} << (integer - 1 + (is_unsigned ? 1 : 0)); }
  bool operator==(const NumBits&) const = default;
};

}  // namespace octet
