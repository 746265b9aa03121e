// u8 x s8 convolution for AVX512-VNNI, up to 8 pixels x 48 channels per tile.

#include "kernels/conv_u8s8/zmm_isa.h"

namespace octet {

const ConvU8S8Kernel conv_u8s8_avx512_vnni_8x48 = zmm_kernel<8, 3>("avx512_vnni 8x48");

}  // namespace octet
