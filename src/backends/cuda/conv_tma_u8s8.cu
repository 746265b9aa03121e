// The tiles of the integer convolution whose operands the copy engine brings.
#include "backends/cuda/conv_tma.cuh"

namespace octet::cuda {

std::span<const TmaEntry> tma_entries_u8s8() {
  constexpr ConvType T = ConvType::u8s8;
  static const TmaEntry k_entries[] = {
      tma_entry<T, 2, 256, 128, 4>("tma 128x256"),   tma_entry<T, 3, 128, 128, 5>("tma 192x128"),
      tma_entry<T, 2, 128, 128, 6>("tma 128x128"),   tma_entry<T, 3, 64, 128, 6>("tma 192x64"),
      tma_entry<T, 3, 64, 64, 12>("tma 192x64 b64"),
  };
  return k_entries;
}

}  // namespace octet::cuda
