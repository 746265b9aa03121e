#pragma once
// The instructions of clusters (compute capability 9.0): one barrier of all threads, and each other's shared memory.

#include "backends/cuda/device.cuh"

namespace octet::cuda {

/// The barrier in two halves; what the threads of the cluster wrote to shared memory before arriving is visible after
/// waiting. Warps have to be whole.
__device__ __forceinline__ void cluster_arrive() {
  __syncwarp();
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_wait() {
  __syncwarp();
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}
/// Writes to the place of `at` in the shared memory of the cluster's CTA `rank`.
__device__ __forceinline__ void store_cluster(uint32_t at, int rank, int32_t v) {
#if __CUDA_ARCH__ >= 900
  uint32_t there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(at), "r"(rank));
  asm volatile("st.shared::cluster.s32 [%0], %1;" ::"r"(there), "r"(v) : "memory");
#endif
}

}  // namespace octet::cuda
