#pragma once
// Runs a histogram, or per-channel ends, over a strided view.

#include <cstdint>

#include "quant/histogram.h"
#include "tensor/tensor.h"

namespace octet {

/// Collects the elements whose index along dimension 0 is in [begin, end); all of a rank-0 view. view: f32.
/// The order of the elements is that of memory: dimensions are walked by falling stride, and those that lie densely in
/// one another become one long row, so that an NHWC view of NCHW dims is read as it lies; shorter rows are gathered
/// into blocks. kernel: see quant/histogram.h; null = the histogram's own loop.
void collect_view(Histogram& histogram, const TensorView& view, int64_t begin, int64_t end, IndexRow kernel = nullptr);

/// The ends of each channel of dimension 1 over [begin, end) of dimension 0, joined to what low and high hold already
/// (both dims[1] long). view: f32 of rank 2 or more, finite.
void join_channel_ends(const TensorView& view, int64_t begin, int64_t end, float* low, float* high);

/// Whether channel c of dimension 1 holds anything but zeros over [begin, end) of dimension 0.
bool channel_lives(const TensorView& view, int64_t begin, int64_t end, int64_t c);

}  // namespace octet
