// FP32 convolution for AVX512: tiles of up to 6 pixels x 64 channels, 8 x 48 or 12 x 32. In one file, so that what they
// have in common, tiles of few pixels and channels, is there once.

#include "kernels/conv_f32/zmm_isa.h"

namespace octet {

const ConvF32Kernel conv_f32_avx512_vnni_6x64 = zmm_kernel<6, 4>("avx512_vnni 6x64", 0.5);
const ConvF32Kernel conv_f32_avx512_vnni_8x48 = zmm_kernel<8, 3>("avx512_vnni 8x48", 0.505);
const ConvF32Kernel conv_f32_avx512_vnni_12x32 = zmm_kernel<12, 2>("avx512_vnni 12x32", 0.55);

}  // namespace octet
