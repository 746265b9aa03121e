// The tiles of the float convolutions: f16, f32 as three tf32 products, tf32.
#include "backends/cuda/conv_entries.h"

namespace octet::cuda {

std::span<const ConvEntry> conv_entries_f16() {
  constexpr ConvType T = ConvType::f16;
  static const ConvEntry k_entries[] = {
      conv_entry<T, 128, 128, 2, 2, 1, 128, 3>("128x128"), conv_entry<T, 128, 64, 4, 1, 1, 128, 3>("128x64"),
      conv_entry<T, 64, 64, 2, 2, 1, 128, 4>("64x64"),     conv_entry<T, 64, 64, 1, 1, 4, 128, 3>("64x64 k4"),
      conv_entry<T, 64, 32, 1, 1, 4, 128, 4>("64x32 k4"),  conv_entry<T, 32, 32, 1, 1, 8, 128, 3>("32x32 k8"),
      conv_entry<T, 32, 16, 1, 1, 8, 128, 4>("32x16 k8"),
  };
  return k_entries;
}

std::span<const ConvEntry> conv_entries_f32() {
  constexpr ConvType T = ConvType::f32;
  static const ConvEntry k_entries[] = {
      conv_entry<T, 64, 64, 2, 2, 1, 128, 3>("64x64"),
      conv_entry<T, 32, 32, 1, 1, 4, 128, 3>("32x32 k4"),
  };
  return k_entries;
}

std::span<const ConvEntry> conv_entries_tf32() {
  constexpr ConvType T = ConvType::tf32;
  static const ConvEntry k_entries[] = {
      conv_entry<T, 128, 64, 4, 1, 1, 128, 3>("128x64"),
      conv_entry<T, 32, 32, 1, 1, 8, 128, 3>("32x32 k8"),
  };
  return k_entries;
}

}  // namespace octet::cuda
