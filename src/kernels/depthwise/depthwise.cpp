#include "kernels/depthwise/depthwise.h"

#include <algorithm>

#include "kernels/depthwise/door.h"

namespace octet {

const DepthwiseKernels& depthwise_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/depthwise/kernels.def"
#undef OCTET_KERNEL
  return depthwise_scalar;
}

bool is_depthwise(const WindowGeometry& g) { return g.groups == g.ic && g.groups == g.oc; }

int64_t DepthwiseLattice::step_of(const WindowGeometry& g) {
  const bool is_one = g.dilation_h == g.dilation_w && g.stride_h == 1 && g.stride_w == 1;
  return is_one && g.kh * g.kw > 1 ? g.dilation_h : 1;
}

namespace {

/// Of the input's axis what a lattice's outputs meet: it begins at first, and pad of its elements lie before it.
struct LatticeAxis {
  int64_t first, extent, pad;
  LatticeAxis(int64_t extent_of_all, int64_t pad_of_all, int64_t output, int64_t step) {
    const int64_t before = output - pad_of_all;  // where the first output's window begins
    first = (before % step + step) % step;
    extent = first < extent_of_all ? (extent_of_all - first + step - 1) / step : 0;
    pad = (first - before) / step;
  }
};

}  // namespace

DepthwiseLattice DepthwiseLattice::make(const WindowGeometry& g, int64_t step, int64_t row, int64_t column,
                                        IndexRange rows) {
  DepthwiseLattice made = {{g, g.iw, g.ow}, 0, 0, rows};
  if (step == 1) return made;
  DepthwiseGeometry& own = made.geometry;
  own.dilation_h = own.dilation_w = 1;
  const LatticeAxis h(g.ih, g.pad_top, row, step), w(g.iw, g.pad_left, column, step);
  own.ih = h.extent, own.pad_top = h.pad, own.iw = w.extent, own.pad_left = w.pad;
  const auto outputs = [step](int64_t before, int64_t first) {
    return std::max<int64_t>(before - first + step - 1, 0) / step;
  };
  own.oh = outputs(g.oh, row), own.ow = outputs(g.ow, column);
  own.x_pitch *= step, own.y_pitch *= step, own.residual_pitch *= step;
  made.x = h.first * g.iw + w.first;
  made.y = row * g.ow + column;
  made.rows = {outputs(rows.begin, row), outputs(rows.end, row)};
  return made;
}

DepthwiseSplit DepthwiseSplit::make(const WindowGeometry& g, int64_t images, int64_t unit_rows, int64_t groups,
                                    int threads, double outputs_per_ns) {
  DepthwiseSplit split = {images, g.oh, unit_rows, groups, 1, false};
  if (threads <= 1) return split;
  // More chunks than workers even out those that are held up; a chunk's start costs some of its work.
  constexpr double k_ns_per_chunk = 150, k_chunk_share = 0.015;
  const double ns = static_cast<double>(images * g.oh * g.ow * g.ic) / outputs_per_ns / threads;
  const int64_t per_worker = std::clamp<int64_t>(static_cast<int64_t>(ns * k_chunk_share / k_ns_per_chunk), 1, 4);
  split.chunks = std::min(images * split.units_per_image() * groups, per_worker * threads);
  // The layer before such an image is cut by panels (conv_deal), since its weights weigh more; and of few rows many are
  // met by two workers.
  constexpr int64_t k_small_image = 64;
  split.by_groups = images * g.ih * g.iw <= k_small_image && groups >= 2 * threads;
  return split;
}

CutPosition DepthwiseSplit::begin(int64_t chunk) const {
  const int64_t all_rows = images * rows, at = all_rows * groups * chunk / chunks;
  if (by_groups) {
    const int64_t row = at % all_rows;
    return {at / all_rows, row / rows * units_per_image() + row % rows / unit_rows};
  }
  const int64_t per_image = rows * groups, image = at / per_image, rest = at % per_image;
  const int64_t unit = rest / (unit_rows * groups);
  const int64_t here = std::min(unit_rows, rows - unit * unit_rows);  // the last unit may be a lower one
  return {image * units_per_image() + unit, (rest - unit * unit_rows * groups) / here};
}

KnownDepthwise known_chunks(const DepthwiseSplit& split, const ExpectedRun& expected) {
  return {expected, expected.batch > 0 ? split.chunks : 0, [&](int64_t chunk) { return split.chunk(chunk); }};
}

Pieces<DepthwisePiece> DepthwiseSplit::pieces(int64_t chunk) const {
  Pieces<DepthwisePiece> made;
  const int64_t minors = by_groups ? images * units_per_image() : groups;
  for (const CutPiece& piece : pieces_between(begin(chunk), begin(chunk + 1), minors))
    made.pieces[made.count++] =
        by_groups ? DepthwisePiece{piece.minors, piece.majors} : DepthwisePiece{piece.majors, piece.minors};
  return made;
}

}  // namespace octet
