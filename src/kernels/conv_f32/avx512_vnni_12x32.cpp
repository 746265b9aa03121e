// FP32 convolution for AVX512, up to 12 pixels x 32 channels per tile.

#include "kernels/conv_f32/zmm_isa.h"

namespace octet {

const ConvF32Kernel conv_f32_avx512_vnni_12x32 = zmm_kernel<12, 2>("avx512_vnni 12x32", 0.55);

}  // namespace octet
