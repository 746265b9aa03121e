// FP32 convolution for AVX512, up to 8 pixels x 48 channels per tile.

#include "kernels/conv_f32/zmm_isa.h"

namespace octet {

const ConvF32Kernel conv_f32_avx512_vnni_8x48 = zmm_kernel<8, 3>("avx512_vnni 8x48", 0.505);

}  // namespace octet
