#include "kernels/depthwise/code_line.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace octet {
namespace {

constexpr int k_codes = k_all_codes;
constexpr int64_t k_word = 1 << 16;
constexpr int64_t k_least = std::numeric_limits<int64_t>::min(), k_largest = std::numeric_limits<int64_t>::max();
constexpr int64_t k_tries = 32;  // slopes on each side of the right one

/// Where the codes, clamped as they are, say where the line has to be: at least `code` at the first q of a code above
/// lo, less than code + 1 at the last of one below hi.
struct Edges {
  struct Edge {
    int64_t q, code;
  };
  Edge rises[k_codes], ends[k_codes];
  int rise_count = 0, end_count = 0;
};

/// Nothing where the codes fall anywhere.
std::optional<Edges> edges_of(const uint8_t (&codes)[k_codes], int flip, int lo, int hi) {
  Edges edges;
  const auto at = [&](int64_t q) { return int64_t{codes[q ^ flip]}; };
  for (int64_t q = 0; q < k_codes; ++q) {
    const int64_t code = at(q);
    if (q > 0 && code < at(q - 1)) return std::nullopt;
    if (code > lo && (q == 0 || at(q - 1) < code)) edges.rises[edges.rise_count++] = {q, code};
    if (code < hi && (q == k_codes - 1 || at(q + 1) > code)) edges.ends[edges.end_count++] = {q, code};
  }
  return edges;
}

struct Bounds {
  int64_t least = k_least, most = k_largest;
};

/// Of K.
Bounds shift_bounds(const Edges& edges, int64_t slope, int bits) {
  Bounds bounds;
  const int64_t unit = k_word << bits;
  for (int i = 0; i < edges.rise_count; ++i)
    bounds.least = std::max(bounds.least, edges.rises[i].code * unit - edges.rises[i].q * k_codes * slope);
  for (int i = 0; i < edges.end_count; ++i)
    bounds.most = std::min(bounds.most, (edges.ends[i].code + 1) * unit - 1 - edges.ends[i].q * k_codes * slope);
  return bounds;
}

/// low and add within the bounds.
bool place(const Bounds& bounds, CodeLine& line) {
  const int64_t most = std::min(bounds.most, INT16_MAX * k_word);
  for (int64_t low = 0; low < k_codes; ++low) {
    const int64_t left = most - low * line.slope;
    const int64_t add = left >= 0 ? left / k_word : -((-left + k_word - 1) / k_word);
    if (add < INT16_MIN || low * line.slope + add * k_word < bounds.least) continue;
    line.low = static_cast<uint8_t>(low);
    line.add = static_cast<int16_t>(add);
    return true;
  }
  return false;
}

int64_t high(int64_t a, int64_t b) { return (a * b) >> 16; }

}  // namespace

uint8_t line_code(const CodeLine& line, uint8_t q, int lo, int hi) {
  const int64_t product = high((q ^ line.flip) * 256 + line.low, line.slope);
  const int64_t sum = std::clamp<int64_t>(product + line.add, INT16_MIN, INT16_MAX);
  return static_cast<uint8_t>(std::clamp<int64_t>(high(sum, line.shift), lo, hi));
}

bool is_clamped_by_saturation(const CodeLine& line, int lo, int hi) {
  return lo == 0 && std::min<int64_t>(high(INT16_MAX, line.shift), 255) <= hi;
}

std::optional<CodeLine> find_code_line(const uint8_t (&codes)[k_codes], double slope, int lo, int hi) {
  CodeLine line;
  if (codes[0] == codes[k_codes - 1]) slope = 0;
  if (slope < 0) line.flip = k_codes - 1;
  const std::optional<Edges> edges = edges_of(codes, line.flip, lo, hi);
  if (!edges) return std::nullopt;
  // As many bits behind the point as the slope leaves, and the largest code has 7 or 8 in front of it.
  int bits = hi <= 127 ? 8 : 7;
  while (bits > 1 && !(std::abs(slope) * std::exp2(8 + bits) < static_cast<double>(INT16_MAX - k_tries))) --bits;
  if (bits == 1) return std::nullopt;
  line.shift = static_cast<int16_t>(1 << (16 - bits));
  const int64_t right = std::llround(std::abs(slope) * std::exp2(8 + bits));
  for (int64_t i = 0; i <= 2 * k_tries; ++i) {
    const int64_t own = right + (i % 2 == 0 ? i / 2 : -(i + 1) / 2);
    if (own < 0) continue;
    line.slope = static_cast<uint16_t>(own);
    const Bounds bounds = shift_bounds(*edges, own, bits);
    if (bounds.least <= bounds.most && place(bounds, line)) return line;
  }
  return std::nullopt;
}

}  // namespace octet
