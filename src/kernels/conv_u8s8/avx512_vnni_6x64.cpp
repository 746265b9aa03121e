// u8 x s8 convolution for AVX512-VNNI, up to 6 pixels x 64 channels per tile.

#include "kernels/conv_u8s8/zmm_isa.h"

namespace octet {

const ConvU8S8Kernel conv_u8s8_avx512_vnni_6x64 = zmm_kernel<6, 4>("avx512_vnni 6x64", 0.5, 0.5);

}  // namespace octet
