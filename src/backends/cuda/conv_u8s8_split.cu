// The tiles of the integer convolution for small layers: the warps of a CTA share out K.
#include "backends/cuda/conv_entries.h"

namespace octet::cuda {

std::span<const ConvEntry> conv_entries_u8s8_split() {
  constexpr ConvType T = ConvType::u8s8;
  static const ConvEntry k_entries[] = {
      conv_entry<T, 64, 64, 1, 1, 4, 128, 3>("64x64 k4"),
      conv_entry<T, 32, 64, 1, 1, 4, 128, 3>("32x64 k4"),
      conv_entry<T, 64, 32, 1, 1, 4, 128, 4>("64x32 k4"),
      conv_entry<T, 32, 32, 1, 1, 4, 128, 4>("32x32 k4"),
      conv_entry<T, 32, 32, 1, 1, 8, 128, 3>("32x32 k8"),
      conv_entry<T, 32, 16, 1, 1, 8, 128, 4>("32x16 k8"),
      conv_entry<T, 16, 32, 1, 1, 8, 128, 4>("16x32 k8"),
      // Nine taps for nine warps.
      conv_entry<T, 16, 32, 1, 1, 9, 128, 3>("16x32 k9"),
      conv_entry<T, 16, 32, 1, 1, 9, 64, 4>("16x32 k9 b64"),
      conv_entry<T, 32, 32, 1, 1, 9, 64, 3>("32x32 k9 b64"),
  };
  return k_entries;
}

}  // namespace octet::cuda
