// FP32 convolution for AVX512, up to 6 pixels x 64 channels per tile.

#include "kernels/conv_f32/zmm_isa.h"

namespace octet {

const ConvF32Kernel conv_f32_avx512_vnni_6x64 = zmm_kernel<6, 4>("avx512_vnni 6x64", 0.5);

}  // namespace octet
