// u8 x s8 convolution for AVX512-VNNI, up to 8 pixels x 48 channels per tile: also whole rows of 4 or 8 pixels.

#include "kernels/conv_u8s8/zmm_isa.h"

namespace octet {
namespace {

/// Codes of tiles of whole rows, W = row_width.
template <int R, int C, int W>
void run_whole_rows(const ConvU8S8Run& run) {
  return run.residual ? run_tiles<R, C, Form::u8_residual, W>(run) : run_tiles<R, C, Form::u8, W>(run);
}

/// Panels of C vectors, tiles of 8 pixels or of one row of 4.
template <int C>
void run_row_panel(const ConvU8S8Run& run) {
  if (run.row_width == 8) return run_whole_rows<8, C, 8>(run);
  return run.row_count == 4 ? run_whole_rows<4, C, 4>(run) : run_whole_rows<8, C, 4>(run);
}
void run_panel_or_rows(const ConvU8S8Run& run) {
  if (run.row_width == 0) return run_panel<Tiles, 8, 3>(run);
  return run.channels > 32 ? run_row_panel<3>(run) : run_row_panel<2>(run);
}

constexpr ConvU8S8Kernel with_whole_rows(ConvU8S8Kernel kernel) {
  kernel.run = run_panel_or_rows;
  kernel.whole_rows = true;
  return kernel;
}

}  // namespace

const ConvU8S8Kernel conv_u8s8_avx512_vnni_8x48 = with_whole_rows(zmm_kernel<8, 3>("avx512_vnni 8x48", 0.515, 0.512));

}  // namespace octet
