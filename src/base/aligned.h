#pragma once
// 64-byte aligned bytes: one cache line, one zmm register.

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace octet {

inline constexpr size_t k_alignment = 64;

struct AlignedFree {
  void operator()(std::byte* p) const { std::free(p); }
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedFree>;

/// At least bytes (rounded up to the alignment), not initialized; null when memory is short.
inline AlignedBytes allocate_aligned(size_t bytes) {
  const size_t rounded = (bytes + k_alignment - 1) / k_alignment * k_alignment;
  return AlignedBytes(static_cast<std::byte*>(std::aligned_alloc(k_alignment, rounded ? rounded : k_alignment)));
}

}  // namespace octet
