#pragma once
// Launches of a 1x1 convolution and the 1x1 convolution of its output in one kernel, see conv_chain.cuh, and of the
// convolution before them with these, see conv_block.cuh.

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// What is done with the output of `before`, which nobody else reads: there is none; it is the residual of `first`; it
/// is the input of `first`, and `before` has a window.
enum class ChainKind { pair, joined, block };
struct ChainParams {
  ConvParams before, first, last;
  ChainKind kind = ChainKind::pair;
  bool has_before() const { return kind != ChainKind::pair; }
};

/// A kernel. bm pixels by all channels of `last`, at most bn; the operands of `first` (block: of `before`) in rows of
/// k_bytes.
int chain_tile_count();
const ConvTile& chain_tile(int index);
ChainKind chain_kind(int index);
/// Whether a tile can run the two. Capability 9.0.
bool chain_takes(int index, const ChainParams& p);
cudaError_t chain_setup();
/// w: pack_blocks(k_bytes); of what reads the codes of the one before it, pack_blocks(64) of turned columns, see
/// pack.h.
cudaError_t launch_chain(int index, const ChainParams& p, int sms, cudaStream_t stream);

}  // namespace octet::cuda
