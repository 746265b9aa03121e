#pragma once
// Random inputs and guarded buffers for the kernel tests.

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "base/isa.h"

namespace octet::test {

/// n values behind 64 readable bytes of tail; canary() tells whether anything wrote past n elements.
template <class T>
class Buffer {
 public:
  explicit Buffer(size_t n, T fill = T{}) : n_(n), values_(n + k_guard, fill), fill_(fill) {
    for (size_t i = n; i < values_.size(); ++i) values_[i] = T{93};
  }
  T* data() { return values_.data(); }
  const T* data() const { return values_.data(); }
  T& operator[](size_t i) { return values_[i]; }
  const T& operator[](size_t i) const { return values_[i]; }
  size_t size() const { return n_; }
  bool is_guard_intact() const {
    for (size_t i = n_; i < values_.size(); ++i)
      if (values_[i] != T{93}) return false;
    return true;
  }
  std::vector<T> values() const { return {values_.begin(), values_.begin() + static_cast<ptrdiff_t>(n_)}; }

 private:
  static constexpr size_t k_guard = 128;
  size_t n_;
  std::vector<T> values_;
  T fill_;
};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int64_t integer(int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(engine_); }
  float real(float lo, float hi) { return std::uniform_real_distribution<float>(lo, hi)(engine_); }
  /// Codes; one in four is 0 or 255.
  uint8_t code() {
    const int64_t kind = integer(0, 7);
    return static_cast<uint8_t>(kind == 0 ? 0 : kind == 1 ? 255 : integer(0, 255));
  }
  /// Weights; one in four is an extreme.
  int8_t weight() {
    const int64_t kind = integer(0, 7);
    return static_cast<int8_t>(kind == 0 ? -128 : kind == 1 ? 127 : integer(-127, 127));
  }
  void fill(uint8_t* p, size_t n) {
    for (size_t i = 0; i < n; ++i) p[i] = code();
  }
  void fill(float* p, size_t n, float amax = 4.0f) {
    for (size_t i = 0; i < n; ++i) p[i] = real(-amax, amax);
  }

 private:
  std::mt19937 engine_;
};

/// Bits of floats, every NaN made the same, so that vectors can be compared for equality bit by bit.
inline std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    std::memcpy(&out[i], &values[i], 4);
    if (values[i] != values[i]) out[i] = 0x7fc00000u;
  }
  return out;
}

}  // namespace octet::test
