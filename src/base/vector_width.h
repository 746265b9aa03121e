#pragma once
// How wide the CPU's vector units are behind its instructions.

namespace octet {

/// The CPU runs each 512-bit instruction as two halves one after the other, as AMD's Zen 4 does: a vector of products
/// per cycle, not two. Costs depend on it, never an answer.
bool has_half_width_avx512();

}  // namespace octet
