// bfloat16 convolution for AVX512-BF16, up to 8 pixels x 48 channels per tile.

#include "kernels/conv_bf16/zmm_isa.h"

namespace octet {

const ConvBf16Kernel conv_bf16_avx512_bf16_8x48 = zmm_kernel<8, 3>("avx512_bf16 8x48");

}  // namespace octet
