// bfloat16 convolution for AMX: a step is 32 positions, a dot tdpbf16ps. Gathering and what is behind the sums are
// AVX512's.

#define OCTET_TILE_DOT _tile_dpbf16ps
#include "kernels/implicit_gemm/tile_sums.inc"
//
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/tile_config_amx.h"

namespace octet {

void conv_bf16_amx_configure() { configure_tiles(); }
void conv_bf16_amx_sums(const TileBlock<ConvBf16TileRun, float>& block) { block_sums(block); }
void conv_bf16_amx_flush(const TileUpper<float>& upper) { store_upper(upper); }

}  // namespace octet
