#pragma once
// The tables of compiled tiles, one per element type.

#include <span>

#include "backends/cuda/conv_mma.cuh"

namespace octet::cuda {

template <class K, int Threads>
__global__ void __launch_bounds__(Threads) conv_kernel(const __grid_constant__ ConvParams p) {
  K::run(p);
}

/// A row of a type's table.
struct ConvEntry {
  ConvTile tile;
  void (*kernel)(ConvParams);
  int threads;
  size_t shared_bytes, stage_bytes;
};

template <ConvType T, int BM, int BN, int WM, int WN, int WK, int BK, int Stages, bool SmallC = false>
ConvEntry conv_entry(const char* name) {
  using K = ConvKernel<T, BM, BN, WM, WN, WK, BK, Stages, SmallC>;
  return {{name, BM, BN, K::k_group, WK, BK, Stages, SmallC},
          conv_kernel<K, K::k_threads>,
          K::k_threads,
          K::k_shared,
          K::k_stage};
}

std::span<const ConvEntry> conv_entries_u8s8();
std::span<const ConvEntry> conv_entries_u8s8_split();
std::span<const ConvEntry> conv_entries_f16();
std::span<const ConvEntry> conv_entries_f32();
std::span<const ConvEntry> conv_entries_tf32();

}  // namespace octet::cuda
