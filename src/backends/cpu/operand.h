#pragma once
// A value as a step sees it: its layout, and where it lies.

#include <cstddef>
#include <cstdint>

#include "backends/cpu/layout.h"

namespace octet::cpu {

/// Where a value lies during a run.
struct Place {
  enum class Kind : uint8_t { nowhere, arena, input, output, constant };
  Kind kind = Kind::nowhere;
  size_t at = 0;                    // arena: byte offset; input, output: index in the bindings
  const std::byte* data = nullptr;  // constant: owned by the program
  size_t image_bytes = 0;           // from image to image where the steps see a part of the batch; 0 = they see it all
  size_t worker_bytes = 0;          // from worker to worker where each has a place of its own (Crew::alone); else 0

  /// 64-byte aligned and with k_tail_bytes behind it, as the convolution kernels want it.
  bool is_padded() const { return kind == Kind::arena || kind == Kind::constant; }
};

/// A value as a step sees it.
struct Operand {
  Layout layout;
  Place place;
};

}  // namespace octet::cpu
