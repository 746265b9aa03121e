#pragma once
// Launches of the kernels of compute capability 9.0 whose operands the copy engine brings, for u8s8 and f16.

#include "backends/cuda/joined.h"

namespace octet::cuda {

/// 0 where they are not built in.
int tma_tile_count(ConvType type);
const ConvTile& tma_tile(ConvType type, int index);
/// Whether a tile can run the layer: no padding with other codes than 0, aligned rows, a plain epilogue.
bool tma_takes(ConvType type, const ConvTile& tile, const ConvParams& p);
cudaError_t tma_setup();
/// p.w: pack_blocks of the tile's k_bytes.
cudaError_t launch_tma(ConvType type, int index, const ConvParams& p, int sms, cudaStream_t stream);

/// The same for two convolutions in one kernel.
int joined_tma_tile_count();
const ConvTile& joined_tma_tile(int index);
cudaError_t launch_joined_tma(int index, const JoinedParams& p, int sms, cudaStream_t stream);

}  // namespace octet::cuda
