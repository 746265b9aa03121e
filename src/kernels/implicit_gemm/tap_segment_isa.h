#pragma once
// A part of the reduction of a listed tile (listed_tiles.h). C headers only: ISA files include this.

#include <stdint.h>

namespace octet {

/// A segment whose products are wanted: which one of the table, and where its weights begin, in positions.
struct TapSegment {
  int64_t segment;
  int64_t depth;
};

}  // namespace octet
