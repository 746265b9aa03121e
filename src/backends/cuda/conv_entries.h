#pragma once
// The tables of compiled tiles, one per element type.

#include <span>

#include "backends/cuda/conv_mma.cuh"

namespace octet::cuda {

std::span<const ConvEntry> conv_entries_u8s8();
std::span<const ConvEntry> conv_entries_u8s8_split();
std::span<const ConvEntry> conv_entries_f16();
std::span<const ConvEntry> conv_entries_f32();
std::span<const ConvEntry> conv_entries_tf32();

}  // namespace octet::cuda
