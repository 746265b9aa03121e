#pragma once
// C headers only: ISA files include this.

#include <stdint.h>

namespace octet {

/// A run of positions of a window that lies contiguously in the input, for every pixel of a class.
struct WindowSegment {
  int64_t x = 0;       // bytes from the pixel's origin, where its window's first tap would lie
  int64_t dword = 0;   // of the packed weights of a panel: groups of 4 positions before the segment
  int64_t dwords = 0;  // of its own
};

}  // namespace octet
