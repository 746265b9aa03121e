// bfloat16 convolution for AVX512-BF16, up to 12 pixels x 32 channels per tile.

#include "kernels/conv_bf16/zmm_isa.h"

namespace octet {

const ConvBf16Kernel conv_bf16_avx512_bf16_12x32 = zmm_kernel<12, 2>("avx512_bf16 12x32");

}  // namespace octet
