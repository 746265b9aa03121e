// u8 x s8 convolution for AVX512-VNNI, up to 12 pixels x 32 channels per tile.

#include "kernels/conv_u8s8/zmm_isa.h"

namespace octet {

const ConvU8S8Kernel conv_u8s8_avx512_vnni_12x32 = zmm_kernel<12, 2>("avx512_vnni 12x32", 0.55, 0.62);

}  // namespace octet
