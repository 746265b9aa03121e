#pragma once
// The operands of one convolution, or of two whose products one kernel sums.

#include "backends/cuda/conv_copies.cuh"

namespace octet::cuda {

/// Tile kt of K, which one or two convolutions share one after the other.
template <class Copies, bool Joined>
struct ConvSource {
  const ConvParams& p;
  const ConvParams& before;
  typename Copies::Rows rows, rows_before;
  int k_before;

  __device__ __forceinline__ void weights(uint32_t stage, int kt) const {
    if (Joined && kt < k_before) {
      Copies::copy_weights(before, rows_before, stage, kt);
    } else {
      Copies::copy_weights(p, rows, stage, kt - k_before);
    }
  }
  __device__ __forceinline__ typename Copies::Tap tap(int kt) const {
    return Joined && kt < k_before ? Copies::tap_of(before, rows_before, kt) : Copies::tap_of(p, rows, kt - k_before);
  }
  __device__ __forceinline__ void pixels(uint32_t stage, int kt, const typename Copies::Tap& tap) const {
    if (Joined && kt < k_before) {
      Copies::copy_pixels(before, rows_before, stage, tap);
    } else {
      Copies::copy_pixels(p, rows, stage, tap);
    }
  }
};

}  // namespace octet::cuda
