#include "kernels/activation/activation_codes.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/vbmi.h"
#include "kernels/activation/activation.h"

namespace octet {
namespace {

CodesOfStepsFn codes_of_steps([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512_vnni && has_byte_lookups()) return codes_of_steps_vbmi;
#endif
  return nullptr;
}

/// Up to 64 codes, mostly whole sixteens: sizes that the compiler knows take a few instructions.
void copy_row(const uint8_t* from, size_t n, uint8_t* to) {
  switch (n) {
    case 16: std::memcpy(to, from, 16); return;
    case 32: std::memcpy(to, from, 32); return;
    case 48: std::memcpy(to, from, 48); return;
    case 64: std::memcpy(to, from, 64); return;
    default: std::memcpy(to, from, n);
  }
}

}  // namespace

ActivationCodes::ActivationCodes(const CodeRule& rule, Isa isa, bool many_values)
    : rule_(rule), kernels_(activation_kernels(isa)), codes_of_steps_(codes_of_steps(isa)) {
  if (!many_values || !codes_of_steps_) return;
  if (const std::optional<CodeSteps> steps = find_code_steps(rule, kernels_))
    steps_ = std::make_shared<const CodeSteps>(*steps);
}

void ActivationCodes::run(float* v, size_t n, uint8_t* q) const {
  if (!steps_) return codes_of(rule_, kernels_, v, n, q);
  const size_t whole = n / 64 * 64;
  for (size_t i = 0; i < whole; i += k_most_values) run_steps(v + i, std::min(k_most_values, whole - i), q + i);
  if (whole == n) return;
  float last[64] = {};
  uint8_t codes[64];
  std::memcpy(last, v + whole, (n - whole) * sizeof(float));
  run_steps(last, 64, codes);
  std::memcpy(q + whole, codes, n - whole);
}

/// Values at the place of a step, a few in a thousand, are collected and go the long way together.
void ActivationCodes::run_steps(const float* v, size_t n, uint8_t* q) const {
  constexpr size_t k_room = 64;
  uint64_t unsure[k_most_values / 64];
  const size_t groups = n / 64;
  codes_of_steps_(*steps_, v, groups, q, unsure);
  float values[k_room];
  uint16_t at[k_room];
  uint8_t codes[k_room];
  size_t count = 0;
  const auto settle = [&] {
    codes_of(rule_, kernels_, values, count, codes);
    for (size_t i = 0; i < count; ++i) q[at[i]] = codes[i];
    count = 0;
  };
  for (size_t g = 0; g < groups; ++g)
    for (uint64_t bits = unsure[g]; bits != 0; bits &= bits - 1) {
      at[count] = static_cast<uint16_t>(64 * g + static_cast<size_t>(std::countr_zero(bits)));
      values[count] = v[at[count]];
      if (++count == k_room) settle();
    }
  if (count > 0) settle();
}

void ActivationCodes::rows(float* v, size_t channels, size_t count, uint8_t* y, const int32_t* y_pixels,
                           int64_t y_step) const {
  const auto place = [&](size_t row) { return y + (y_pixels ? y_pixels[row] : static_cast<int64_t>(row)) * y_step; };
  if (channels > k_most_values) {
    for (size_t row = 0; row < count; ++row) run(v + row * channels, channels, place(row));
    return;
  }
  uint8_t codes[k_most_values];
  const size_t at_once = k_most_values / std::max<size_t>(channels, 1);
  for (size_t first = 0; first < count; first += at_once) {
    const size_t rows = std::min(at_once, count - first);
    run(v + first * channels, rows * channels, codes);
    for (size_t row = 0; row < rows; ++row) copy_row(codes + row * channels, channels, place(first + row));
  }
}

}  // namespace octet
