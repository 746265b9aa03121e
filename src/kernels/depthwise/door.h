#pragma once
// Shared by the two doors (depthwise_u8s8.cpp, depthwise_f32.cpp): which kernels, and how a run is cut into chunks.

#include <algorithm>
#include <cstdint>

#include "base/isa.h"
#include "kernels/depthwise/depthwise_isa.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// The best set of the family that isa runs.
const DepthwiseKernels& depthwise_kernels(Isa isa);

/// groups = ic = oc.
bool is_depthwise(const WindowGeometry& g);

/// A dilated window of stride 1 never leaves one lattice of its image: rows y, y + d, y + 2 d, ... and columns x, x +
/// d, x + 2 d, ... So the layer is d x d layers without dilation, whose pixels and rows lie d times as far apart.
struct DepthwiseLattice {
  DepthwiseGeometry geometry;
  int64_t x, y;     // pixels from the image's to the lattice's first one, of the input and of the output
  IndexRange rows;  // of the lattice's output rows

  /// d, or 1 where the layer is none of lattices.
  static int64_t step_of(const WindowGeometry& g);
  /// rows: of the whole output. step 1: the layer as it is.
  static DepthwiseLattice make(const WindowGeometry& g, int64_t step, int64_t row, int64_t column, IndexRange rows);

  /// Visits every lattice that has output rows among these.
  template <class Visit>
  static void for_each(const WindowGeometry& g, int64_t step, IndexRange rows, Visit visit) {
    for (int64_t row = 0; row < std::min(step, g.oh); ++row)
      for (int64_t column = 0; column < std::min(step, g.ow); ++column) {
        const DepthwiseLattice lattice = make(g, step, row, column, rows);
        if (lattice.rows.begin < lattice.rows.end) visit(lattice);
      }
  }
};

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
