// u8 x s8 convolution for AVX512-VNNI: tiles of neighbours in a row x 16 channels under a window of three columns.

#include "kernels/conv_u8s8/zmm_isa.h"

namespace octet {
namespace {

template <int R>
void run_neighbours(const ConvU8S8Run& run) {
  return run.residual ? run_tiles<R, 1, Form::u8_residual, k_neighbours>(run)
                      : run_tiles<R, 1, Form::u8, k_neighbours>(run);
}

template <int R>
constexpr ConvU8S8Kernel neighbours_kernel(const char* name) {
  return {.run = run_neighbours<R>,
          .rows = R,
          .lanes = 16,
          .vectors = 1,
          .widened_weights = false,
          .dot_cycles = 0.5,
          .name = name,
          .neighbours = true};
}

}  // namespace

const ConvU8S8Kernel conv_u8s8_avx512_vnni_16_neighbours = neighbours_kernel<16>("avx512_vnni 16x16 neighbours");
const ConvU8S8Kernel conv_u8s8_avx512_vnni_14_neighbours = neighbours_kernel<14>("avx512_vnni 14x16 neighbours");
const ConvU8S8Kernel conv_u8s8_avx512_vnni_8_neighbours = neighbours_kernel<8>("avx512_vnni 8x16 neighbours");
const ConvU8S8Kernel conv_u8s8_avx512_vnni_7_neighbours = neighbours_kernel<7>("avx512_vnni 7x16 neighbours");

}  // namespace octet
