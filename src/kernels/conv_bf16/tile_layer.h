#pragma once
// The layer object of AMX: its own packing and its own walk.

#include <memory>

#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// kernel: the functions to use; a test gives plain ones for those that the machine lacks.
std::unique_ptr<const ConvBf16> make_conv_bf16_tiles(const ConvBf16Desc& desc, const ConvBf16TileKernel& kernel,
                                                     CutBy cut, Isa isa);

/// Those of this machine.
extern const ConvBf16TileKernel conv_bf16_amx_kernel;
inline constexpr const char* k_conv_bf16_amx = "amx_bf16 32x32";

/// Steps of a pixel's row where they are shorter than 32 positions, of an input of bfloat16; 0 = they are not.
int64_t conv_bf16_short_steps(const WindowGeometry& geometry);

}  // namespace octet
