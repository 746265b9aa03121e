#pragma once
// The one configuration of AMX that all kernels use: eight tiles of 16 rows x 64 bytes, loaded once per chunk and never
// released. A worker alone runs a layer as one chunk. For ISA files: everything is in an unnamed namespace.

#include <immintrin.h>
#include <stdint.h>

namespace octet {
namespace {

/// Palette 1. Constant, because gcc 12 takes ldtilecfg to read its first 8 bytes only and may put off stores to the
/// rest.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);
const TileConfig k_config;

inline void configure_tiles() {
  __asm__ volatile("" ::: "memory");
  _tile_loadconfig(&k_config);
}

}  // namespace
}  // namespace octet
