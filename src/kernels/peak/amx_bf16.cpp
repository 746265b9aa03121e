// tdpbf16ps on four tiles of sums.

#include <immintrin.h>

#include "kernels/peak/peak_isa.h"
#include "kernels/tile_config_amx.h"

namespace octet {

void peak_bf16_tiles(int64_t repeats) {
  configure_tiles();
  for (int64_t i = 0; i < repeats; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

}  // namespace octet
