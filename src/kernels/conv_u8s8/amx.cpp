// u8 x s8 convolution for AMX: a step is 64 positions, a dot tdpbusd.

#define OCTET_TILE_DOT _tile_dpbusd
#define OCTET_TILE_STEP_BYTES(block) k_amx_step_bytes
#include "kernels/implicit_gemm/tile_sums.inc"
//
#include "kernels/conv_u8s8/amx_isa.h"
#include "kernels/tile_config_amx.h"

namespace octet {

void conv_amx_configure(int64_t) { configure_tiles(); }
void conv_amx_sums(const ConvAmxBlock& block) { block_sums(block); }
void conv_amx_flush(const ConvAmxUpper& upper) { store_upper(upper); }

}  // namespace octet
