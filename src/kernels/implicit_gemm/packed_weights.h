#pragma once
// Weights in the order of an inner function, handed from one layer to another.

#include <cstddef>
#include <span>
#include <string>

namespace octet {

/// Equal forms mean equal bytes for equal weights and biases (integer layers: and input zero points). A form names the
/// inner function, the order of positions and the version of the packing.
struct PackedConvWeights {
  std::string form;                  // "u8s8 avx512_vnni 6x64, 9 x 64 positions, lane order, packing 1"
  std::span<const std::byte> bytes;  // 64-byte aligned; empty = nothing kept
};

}  // namespace octet
