// bfloat16 convolution for AMX: a step is up to 32 positions, a dot tdpbf16ps. Gathering and what is behind the sums
// are AVX512's.

#define OCTET_TILE_DOT _tile_dpbf16ps
#define OCTET_TILE_STEP_BYTES(block) (block).step_bytes
#include "kernels/implicit_gemm/tile_sums.inc"
//
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/tile_config_amx.h"

namespace octet {
namespace {

constexpr TileConfig k_configs[] = {config_of_step(4),  config_of_step(8),  config_of_step(12), config_of_step(16),
                                    config_of_step(20), config_of_step(24), config_of_step(28), config_of_step(32),
                                    config_of_step(36), config_of_step(40), config_of_step(44), config_of_step(48),
                                    config_of_step(52), config_of_step(56), config_of_step(60), config_of_step(64)};

}  // namespace

void conv_bf16_amx_configure(int64_t step_bytes) { configure_tiles(k_configs[step_bytes / 4 - 1]); }
void conv_bf16_amx_sums(const TileBlock<ConvBf16TileRun, float>& block) { block_sums(block); }
void conv_bf16_amx_flush(const TileUpper<float>& upper) { store_upper(upper); }

}  // namespace octet
