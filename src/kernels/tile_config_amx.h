#pragma once
// The configurations of AMX: eight tiles of 16 rows x 64 bytes, or, of products of shorter steps, those of inputs (4,
// 5) with so many bytes in a row and those of weights (6, 7) with a row per 4 of them. Loaded once per chunk and never
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

constexpr TileConfig config_of_step(uint16_t bytes) {
  TileConfig config;
  config.bytes_per_row[4] = config.bytes_per_row[5] = bytes;
  config.rows[6] = config.rows[7] = static_cast<uint8_t>(bytes / 4);
  return config;
}

inline void configure_tiles(const TileConfig& config = k_config) {
  __asm__ volatile("" ::: "memory");
  _tile_loadconfig(&config);
}

}  // namespace
}  // namespace octet
