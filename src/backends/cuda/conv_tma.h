#pragma once
// What the kernels of conv_tma.cuh are told, and the tables of those that are compiled.

#include <cuda.h>

#include <span>

#include "backends/cuda/launch.h"

namespace octet::cuda {

struct TmaParams {
  CUtensorMap x, residual;  // in bytes: channels innermost
  bool as_matrix = false;   // x is one of pixels by channels, no im2col
  ConvParams conv;          // w: pack_blocks
};
/// Two convolutions in one kernel, see joined.h.
struct JoinedTmaParams {
  TmaParams first, second;
};

struct TmaEntry {
  ConvTile tile;
  void (*kernel)(TmaParams);
  size_t shared_bytes;
};

struct JoinedTmaEntry {
  ConvTile tile;
  void (*kernel)(JoinedTmaParams);
  size_t shared_bytes;
};

/// The maps of one convolution, and the convolution. False: the driver refuses them.
bool fill_maps(TmaParams& t, const ConvParams& p, const ConvTile& tile, int element, bool residual);

std::span<const TmaEntry> tma_entries_u8s8();
std::span<const JoinedTmaEntry> tma_entries_joined();
std::span<const TmaEntry> tma_entries_f16();

}  // namespace octet::cuda
