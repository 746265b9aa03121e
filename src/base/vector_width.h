#pragma once
// How wide the CPU's vector units are behind its instructions.

namespace octet {

/// The CPU runs each 512-bit instruction as two halves one after the other, as AMD's Zen 4 does: a vector of products
/// per cycle, not two. Costs depend on it, never an answer.
bool has_half_width_avx512();

/// The same by what CPUID says: EAX of leaf 80000000, the last extended leaf, and EAX of leaf 8000001A.
bool is_half_width_avx512(unsigned last_leaf, unsigned data_path);

}  // namespace octet
