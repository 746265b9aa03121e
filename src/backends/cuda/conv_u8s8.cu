// The tiles of the integer convolution for layers that fill the chip, large ones first.
#include "backends/cuda/conv_entries.h"

namespace octet::cuda {

std::span<const ConvEntry> conv_entries_u8s8() {
  constexpr ConvType T = ConvType::u8s8;
  static const ConvEntry k_entries[] = {
      conv_entry<T, 128, 256, 2, 4, 1, 128, 3>("128x256"),
      conv_entry<T, 128, 128, 2, 2, 1, 128, 3>("128x128"),
      conv_entry<T, 128, 64, 4, 1, 1, 128, 3>("128x64"),
      conv_entry<T, 64, 64, 2, 2, 1, 128, 4>("64x64"),
      conv_entry<T, 128, 64, 4, 1, 1, 64, 3>("128x64 b64"),
      conv_entry<T, 64, 64, 2, 2, 1, 64, 4>("64x64 b64"),
      conv_entry<T, 128, 64, 4, 1, 1, 128, 2, true>("128x64 c4"),
      conv_entry<T, 64, 64, 2, 2, 1, 128, 2, true>("64x64 c4"),
  };
  return k_entries;
}

}  // namespace octet::cuda
