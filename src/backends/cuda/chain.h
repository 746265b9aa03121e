#pragma once
// Launches of a 1x1 convolution and the 1x1 convolution of its output in one kernel, see conv_chain.cuh.

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// `before`: where the residual of `first` is another convolution's output that nobody else reads; else unused.
struct ChainParams {
  ConvParams before, first, last;
  bool joined = false;
};

/// A kernel. bm pixels by all channels of `last`, at most bn; the operands of `first` in rows of k_bytes.
int chain_tile_count();
const ConvTile& chain_tile(int index);
bool chain_is_joined(int index);
/// Whether a tile can run the two. Capability 9.0.
bool chain_takes(int index, const ChainParams& p);
cudaError_t chain_setup();
/// w of `before` and `first`: pack_blocks(k_bytes); of `last`: pack_blocks(64) of turned columns, see pack.h.
cudaError_t launch_chain(int index, const ChainParams& p, int sms, cudaStream_t stream);

}  // namespace octet::cuda
