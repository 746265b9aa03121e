// The tiles of the integer convolution, large ones first.
#include "backends/cuda/conv_entries.h"

namespace octet::cuda {

std::span<const ConvEntry> conv_entries_u8s8() {
  constexpr ConvType T = ConvType::u8s8;
  static const ConvEntry k_entries[] = {
      conv_entry<T, 128, 256, 2, 4, 1, 128, 3>("128x256"),
      conv_entry<T, 128, 128, 2, 2, 1, 128, 3>("128x128"),
      conv_entry<T, 256, 64, 4, 1, 1, 128, 2>("256x64"),
      conv_entry<T, 128, 64, 4, 1, 1, 128, 3>("128x64"),
      conv_entry<T, 64, 64, 2, 2, 1, 128, 4>("64x64"),
      conv_entry<T, 64, 64, 2, 1, 2, 128, 4>("64x64 k2"),
      conv_entry<T, 32, 64, 1, 1, 4, 128, 3>("32x64 k4"),
      conv_entry<T, 64, 32, 2, 1, 4, 128, 3>("64x32 k4"),
      conv_entry<T, 32, 32, 1, 1, 4, 128, 4>("32x32 k4"),
      conv_entry<T, 32, 32, 1, 1, 8, 128, 3>("32x32 k8"),
      conv_entry<T, 32, 16, 1, 1, 8, 128, 4>("32x16 k8"),
      conv_entry<T, 16, 32, 1, 1, 8, 128, 4>("16x32 k8"),
      conv_entry<T, 64, 16, 1, 1, 8, 128, 2>("64x16 k8"),
      conv_entry<T, 128, 64, 4, 1, 1, 128, 2, true>("128x64 c4"),
      conv_entry<T, 64, 64, 2, 2, 1, 128, 2, true>("64x64 c4"),
  };
  return k_entries;
}

}  // namespace octet::cuda
