// The tiles of the half-precision convolution whose operands the copy engine brings.
#include "backends/cuda/conv_tma.cuh"

namespace octet::cuda {

std::span<const TmaEntry> tma_entries_f16() {
  constexpr ConvType T = ConvType::f16;
  static const TmaEntry k_entries[] = {
      tma_entry<T, 3, 128, 128, 4>("tma 192x128"),
      tma_entry<T, 2, 128, 128, 6>("tma 128x128"),
      tma_entry<T, 3, 64, 128, 6>("tma 192x64"),
  };
  return k_entries;
}

}  // namespace octet::cuda
