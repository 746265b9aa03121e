#pragma once
// Vectors that kernels read by whole registers: at 16 bytes, where malloc puts them, every second load of 32 bytes and
// three of four of 64 cross a cache line, depending on what was allocated before.

#include <cstddef>
#include <new>
#include <vector>

#include "base/aligned.h"

namespace octet {

template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}

  T* allocate(size_t n) {
    AlignedBytes bytes = n <= static_cast<size_t>(-1) / 2 / sizeof(T) ? allocate_aligned(n * sizeof(T)) : nullptr;
    if (!bytes) throw std::bad_alloc();
    return reinterpret_cast<T*>(bytes.release());
  }
  void deallocate(T* at, size_t) { AlignedFree{}(reinterpret_cast<std::byte*>(at)); }
  template <class U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }
};

/// Its elements begin at a multiple of 64.
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace octet
