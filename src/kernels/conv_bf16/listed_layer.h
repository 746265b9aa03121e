#pragma once
// The layer object of AVX512-BF16: input that lies as the tiles want it, and the walk over listed tiles.

#include <memory>

#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {

/// kernel: outlives the layer. tile: as the cost model sees it.
std::unique_ptr<const ConvBf16> make_conv_bf16_listed(const ConvBf16Desc& desc, const ConvBf16Kernel& kernel,
                                                      const ConvTile& tile, CutBy cut, Isa isa);

}  // namespace octet
