// Tensor maps and launches of the kernels of conv_tma.cuh.
#include <algorithm>
#include <cmath>

#include "backends/cuda/conv_tma.h"
#include "backends/cuda/device.cuh"
#include "backends/cuda/tma.h"

namespace octet::cuda {
namespace {

std::span<const TmaEntry> entries(ConvType type) {
#ifndef OCTET_SM90A  // compiled for other capabilities only: the kernels are empty
  return {};
#endif
  if (type == ConvType::u8s8) return tma_entries_u8s8();
  if (type == ConvType::f16) return tma_entries_f16();
  return {};
}

std::span<const JoinedTmaEntry> joined_entries() {
#ifndef OCTET_SM90A
  return {};
#endif
  return tma_entries_joined();
}

/// A function of the driver, which nothing links to: null where it has none of that name.
void* driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult answer{};
#if CUDART_VERSION >= 12050
  const cudaError_t status = cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &answer);
#else
  const cudaError_t status = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &answer);
#endif
  return status == cudaSuccess && answer == cudaDriverEntryPointSuccess ? found : nullptr;
}

CUtensorMapSwizzle swizzle_of(int row_bytes) {
  return row_bytes == 128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B;
}

/// Rows of `width` bytes, `pitch` bytes apart, in boxes of box_rows by box_width.
bool matrix_map(CUtensorMap& map, const void* at, int width, int64_t pitch, int rows, int box_width, int box_rows,
                CUtensorMapSwizzle swizzle) {
  static const auto encode =
      reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(driver_function("cuTensorMapEncodeTiled"));
  if (!encode) return false;
  const cuuint64_t dims[] = {static_cast<cuuint64_t>(width), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(pitch)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_width), static_cast<cuuint32_t>(box_rows)}, steps[] = {1, 1};
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, const_cast<void*>(at), dims, strides, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

/// The windows of p: k_bytes of a pixel's channels by bm output pixels at a time.
bool window_map(CUtensorMap& map, const ConvParams& p, int k_bytes, int bm) {
  static const auto encode =
      reinterpret_cast<decltype(&cuTensorMapEncodeIm2col)>(driver_function("cuTensorMapEncodeIm2col"));
  if (!encode) return false;
  const auto pitch = static_cast<cuuint64_t>(p.x_pitch), w = static_cast<cuuint64_t>(p.iw),
             h = static_cast<cuuint64_t>(p.ih);
  const cuuint64_t dims[] = {pitch, w, h, static_cast<cuuint64_t>(p.m / (p.oh * p.ow))};
  const cuuint64_t strides[] = {pitch, pitch * w, pitch * w * h};
  // The box of first taps: from the padded corner on, as many as there are output pixels.
  const int lower[] = {-p.pad_left, -p.pad_top};
  const int upper[] = {lower[0] + (p.ow - 1) * p.stride_w + 1 - p.iw, lower[1] + (p.oh - 1) * p.stride_h + 1 - p.ih};
  const cuuint32_t steps[] = {1, static_cast<cuuint32_t>(p.stride_w), static_cast<cuuint32_t>(p.stride_h), 1};
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 4, const_cast<void*>(p.x), dims, strides, lower, upper,
                static_cast<cuuint32_t>(k_bytes), static_cast<cuuint32_t>(bm), steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzle_of(k_bytes), CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

bool in_signed_byte(int v) { return v >= -128 && v <= 127; }

}  // namespace

int tma_tile_count(ConvType type) { return static_cast<int>(entries(type).size()); }
const ConvTile& tma_tile(ConvType type, int index) { return entries(type)[static_cast<size_t>(index)].tile; }

bool tma_takes(ConvType type, const ConvTile& tile, const ConvParams& p) {
  const int element = type == ConvType::u8s8 ? 1 : 2;
  const Epilogue& e = p.epilogue;
  const bool plain = type == ConvType::u8s8
                         ? e.to == Store::u8 && !e.on_values
                         : e.to == Store::f16 && (e.act == Act::none || e.act == Act::relu || e.act == Act::clip);
  if (!plain || !p.wide_store || p.x_pitch % 16 != 0 || p.r_pitch * element % 16 != 0) return false;
  if (p.oc % 16 != 0) return false;  // they store 16 channels at a time; rows of halves may end in 8
  if (p.pointwise) return tile.k_bytes == 128;
  const int last_h = (p.oh - 1) * p.stride_h - p.pad_top, last_w = (p.ow - 1) * p.stride_w - p.pad_left;
  const int reach_h = (p.kh - 1) * p.dilation_h, reach_w = (p.kw - 1) * p.dilation_w;
  const bool padded = p.pad_top > 0 || p.pad_left > 0 || last_h + reach_h >= p.ih || last_w + reach_w >= p.iw;
  return p.x_pitch % tile.k_bytes == 0 && (p.x_pitch % 128 != 0 || tile.k_bytes == 128) && (!padded || p.fill == 0) &&
         in_signed_byte(p.pad_top) && in_signed_byte(p.pad_left) && in_signed_byte(last_h + 1 - p.ih) &&
         in_signed_byte(last_w + 1 - p.iw) && reach_h <= 255 && reach_w <= 255 && p.stride_h <= 8 && p.stride_w <= 8;
}

cudaError_t tma_setup() {
  for (const ConvType type : {ConvType::u8s8, ConvType::f16})
    for (const TmaEntry& e : entries(type))
      if (const cudaError_t set = allow_shared(e.kernel, e.shared_bytes); set != cudaSuccess) return set;
  for (const JoinedTmaEntry& e : joined_entries())
    if (const cudaError_t set = allow_shared(e.kernel, e.shared_bytes); set != cudaSuccess) return set;
  return cudaSuccess;
}

bool fill_maps(TmaParams& t, const ConvParams& p, const ConvTile& tile, int element, bool residual) {
  t.conv = p;
  t.as_matrix = p.pointwise;
  if (p.epilogue.act == Act::relu) t.conv.epilogue.p0 = 0, t.conv.epilogue.p1 = HUGE_VALF;
  bool made = p.pointwise
                  ? matrix_map(t.x, p.x, p.x_pitch, p.x_pitch, p.m, tile.k_bytes, tile.bm, swizzle_of(tile.k_bytes))
                  : window_map(t.x, p, tile.k_bytes, tile.bm);
  if (residual)
    made = made && matrix_map(t.residual, p.residual, p.r_pitch * element, int64_t{p.r_pitch} * element, p.m,
                              tile.bn * element, tile.bm, CU_TENSOR_MAP_SWIZZLE_NONE);
  return made;
}

namespace {

dim3 persistent_grid(const ConvTile& tile, const ConvParams& p, int sms) {
  const int64_t tiles = int64_t{(p.m + tile.bm - 1) / tile.bm} * ((p.oc + tile.bn - 1) / tile.bn);
  return dim3(static_cast<unsigned>(std::min<int64_t>(tiles, sms)));
}

}  // namespace

cudaError_t launch_tma(ConvType type, int index, const ConvParams& p, int sms, cudaStream_t stream) {
  const TmaEntry& e = entries(type)[static_cast<size_t>(index)];
  TmaParams t{};
  if (!fill_maps(t, p, e.tile, type == ConvType::u8s8 ? 1 : 2, p.epilogue.has_residual)) return cudaErrorInvalidValue;
  return launch(e.kernel, persistent_grid(e.tile, p, sms), dim3(static_cast<unsigned>(e.tile.group_threads)),
                e.shared_bytes, stream, t);
}

int joined_tma_tile_count() { return static_cast<int>(joined_entries().size()); }
const ConvTile& joined_tma_tile(int index) { return joined_entries()[static_cast<size_t>(index)].tile; }

cudaError_t launch_joined_tma(int index, const JoinedParams& p, int sms, cudaStream_t stream) {
  const JoinedTmaEntry& e = joined_entries()[static_cast<size_t>(index)];
  JoinedTmaParams t{};
  if (!fill_maps(t.first, p.first, e.tile, 1, false) || !fill_maps(t.second, p.second, e.tile, 1, false))
    return cudaErrorInvalidValue;
  return launch(e.kernel, persistent_grid(e.tile, p.second, sms), dim3(static_cast<unsigned>(e.tile.group_threads)),
                e.shared_bytes, stream, t);
}

}  // namespace octet::cuda
