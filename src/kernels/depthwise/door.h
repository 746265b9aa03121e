#pragma once
// Shared by the two doors (depthwise_u8s8.cpp, depthwise_f32.cpp): which kernels, and how a run is cut into chunks.

#include <cstdint>

#include "base/isa.h"
#include "kernels/depthwise/depthwise_isa.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// The best set of the family that isa runs.
const DepthwiseKernels& depthwise_kernels(Isa isa);

/// groups = ic = oc.
bool is_depthwise(const WindowGeometry& g);

/// Some units of some groups of channels.
struct DepthwisePiece {
  IndexRange units, groups;
};

/// A chunk of so many.
struct DepthwiseChunk {
  Pieces<DepthwisePiece> pieces;
  int64_t of = 1;
};

/// A run as units of up to unit_rows output rows x groups of channels, dealt out in chunks of nearly equal work: runs
/// of neighbours, so that a chunk may begin and end in the middle of a unit, or of a group.
struct DepthwiseSplit {
  int64_t images, rows, unit_rows, groups;
  int64_t chunks;
  bool by_groups;  // each worker has groups of its own; else units

  /// outputs_per_ns: what one thread makes of them, roughly.
  static DepthwiseSplit make(const WindowGeometry& g, int64_t images, int64_t unit_rows, int64_t groups, int threads,
                             double outputs_per_ns);
  int64_t units_per_image() const { return (rows + unit_rows - 1) / unit_rows; }
  /// Units count over all images.
  Pieces<DepthwisePiece> pieces(int64_t chunk) const;
  DepthwiseChunk chunk(int64_t index) const { return {pieces(index), chunks}; }

 private:
  CutPosition begin(int64_t chunk) const;
};

using KnownDepthwise = KnownChunks<DepthwiseChunk>;
/// split: of the expected run.
KnownDepthwise known_chunks(const DepthwiseSplit& split, const ExpectedRun& expected);

/// Channels of a group of a float layer: one cache line of codes, two of bfloat16, four of floats: no line has two
/// writers.
inline constexpr int64_t k_float_channel_group = 64;
/// Of a float layer: units are rows.
DepthwiseSplit split_floats(const WindowGeometry& g, int64_t batch, int threads);

}  // namespace octet
