#pragma once
// Which tiles fit the shared memory of a device: 227 KB a CTA on compute capability 9.0, 163 KB on 8.0, 99 KB on 8.6,
// 8.9 and 12.0.

#include <string>

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// Bytes of shared memory that a CTA may ask for on the current device; 0: the driver does not say.
size_t shared_limit();
/// Bytes that a tile of conv_mma.cuh asks for at most.
size_t conv_tile_bytes(ConvType type, int index);
/// The kernels of clusters and of the copy engine ask for up to so much.
inline constexpr size_t k_cluster_shared_bytes = size_t{224} << 10;

/// Why a device with `limit` bytes a CTA does not run this choice of a layer ("64x64 k4 split 2 early"); empty: it
/// does, or it is no tile of conv_mma.cuh.
std::string refuse_tile(const std::string& choice, bool codes, size_t limit);

}  // namespace octet::cuda
