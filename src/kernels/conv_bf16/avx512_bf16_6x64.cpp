// bfloat16 convolution for AVX512-BF16, up to 6 pixels x 64 channels per tile.

#include "kernels/conv_bf16/zmm_isa.h"

namespace octet {

const ConvBf16Kernel conv_bf16_avx512_bf16_6x64 = zmm_kernel<6, 4>("avx512_bf16 6x64");

}  // namespace octet
