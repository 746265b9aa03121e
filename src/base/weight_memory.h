#pragma once
// Memory for what many layers keep and read over and over: their packed weights, side by side on huge pages where the
// system gives some. With 4 KB pages the weights of a large network need more entries than a CPU's address cache has.

#include <cstddef>
#include <memory>

namespace octet {

struct WeightFree {
  size_t bytes = 0;  // 0 = nothing to free
  void operator()(std::byte* p) const;
};
using WeightBytes = std::unique_ptr<std::byte[], WeightFree>;

/// At least `bytes` bytes, 64-byte aligned, not initialized; null when memory is short. Any thread may call it, and
/// free what it gave.
WeightBytes allocate_weights(size_t bytes);

/// Asks the system for huge pages under [data, data + bytes), which is not touched yet. A wish, not a need.
void prefer_huge_pages(std::byte* data, size_t bytes);

}  // namespace octet
