#include <vector>

#include "backends/cuda/conv_entries.h"
#include "backends/cuda/tile_limits.h"

namespace octet::cuda {
namespace {

const std::vector<ConvEntry>& entries_u8s8() {
  static const std::vector<ConvEntry> all = [] {
    std::vector<ConvEntry> made(conv_entries_u8s8().begin(), conv_entries_u8s8().end());
    made.insert(made.end(), conv_entries_u8s8_split().begin(), conv_entries_u8s8_split().end());
    return made;
  }();
  return all;
}

std::span<const ConvEntry> entries(ConvType type) {
  switch (type) {
    case ConvType::u8s8: return entries_u8s8();
    case ConvType::f16: return conv_entries_f16();
    case ConvType::f32: return conv_entries_f32();
    case ConvType::tf32: return conv_entries_tf32();
  }
  return {};
}

}  // namespace

FastDiv fast_div(int64_t d) {
  FastDiv f;
  f.d = static_cast<uint32_t>(d);
  if (d <= 1) return {1, 0, 0};
  uint32_t log = 0;
  while ((int64_t{1} << log) < d) ++log;
  f.mul =
      static_cast<uint32_t>(((uint64_t{1} << (31 + log)) + static_cast<uint64_t>(d) - 1) / static_cast<uint64_t>(d));
  f.shift = log - 1;
  return f;
}

int conv_tile_count(ConvType type) { return static_cast<int>(entries(type).size()); }
const ConvTile& conv_tile(ConvType type, int index) { return entries(type)[static_cast<size_t>(index)].tile; }

size_t conv_tile_bytes(ConvType type, int index) { return entries(type)[static_cast<size_t>(index)].shared_bytes; }

size_t shared_limit() {
  constexpr size_t k_static = 16;  // of the kernels' own variables
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  if (cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess) return 0;
  return static_cast<size_t>(bytes) - k_static;
}

cudaError_t conv_setup() {
  const size_t limit = shared_limit();
  for (const ConvType type : {ConvType::u8s8, ConvType::f16, ConvType::f32, ConvType::tf32}) {
    for (const ConvEntry& e : entries(type)) {
      if (e.shared_bytes > limit) continue;  // refused where layers ask for it
      if (const cudaError_t set = allow_shared(e.kernel, e.shared_bytes); set != cudaSuccess) return set;
    }
  }
  return cudaSuccess;
}

cudaError_t launch_conv(ConvType type, int index, const ConvParams& p, int split, cudaStream_t stream) {
  const ConvEntry& e = entries(type)[static_cast<size_t>(index)];
  const int64_t tiles = int64_t{(p.m + e.tile.bm - 1) / e.tile.bm} * ((p.oc + e.tile.bn - 1) / e.tile.bn);
  const int k_tiles = (p.k_used + e.tile.k_bytes - 1) / e.tile.k_bytes;
  const int stages = stages_used(k_tiles, e.tile.groups * split, e.tile.stages);
  const size_t ring = e.stage_bytes * static_cast<size_t>(stages * e.tile.groups);
  const size_t sums = e.tile.groups > 1 ? size_t{4} * e.tile.groups * e.tile.bm * e.tile.bn : 0;
  const size_t shared_bytes = ring > sums ? ring : sums;
  return launch(e.kernel, dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(split)),
                dim3(static_cast<unsigned>(e.threads)), shared_bytes, stream, p);
}

}  // namespace octet::cuda
