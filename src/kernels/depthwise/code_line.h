#pragma once
// A channel that makes codes out of codes by a scale and a shift, in arithmetic of 16 bits.

#include <cstdint>
#include <optional>
#include <span>

namespace octet {

/// code(q) = clamp(high(saturate(high((q ^ flip) * 256 + low, slope) + add), shift), lo, hi), where high(a, b) = a * b
/// / 65536 rounded down and saturate clamps to an s16. slope is at most 2^15 - 1, shift 2^8 to 2^14.
///
/// A whole number added behind a rounding down may as well be added in front of it. So this is the line
/// (256 q * slope + K) * shift / 2^32, rounded down once, with K = low * slope + 65536 add: without low its shift would
/// move in steps of 1 / 128 of a code or more, and most lines would not be met.
struct CodeLine {
  uint8_t flip = 0, low = 0;
  uint16_t slope = 0;
  int16_t add = 0, shift = 0;
};

uint8_t line_code(const CodeLine& line, uint8_t q, int lo, int hi);

constexpr int k_all_codes = 256;

/// A line that gives codes[q] for every q, where a line of about this slope (codes per code) was rounded, each way, and
/// clamped to [lo, hi]. Nothing where none was found; slopes of 32 and more have none.
std::optional<CodeLine> find_code_line(const uint8_t (&codes)[k_all_codes], double slope, int lo, int hi);

/// Whether saturation as an s16, and as a code behind it, leaves no code of the line outside [lo, hi].
bool is_clamped_by_saturation(const CodeLine& line, int lo, int hi);

}  // namespace octet
