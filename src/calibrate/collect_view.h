#pragma once
// Runs a histogram over a strided view.

#include <cstdint>

#include "quant/histogram.h"
#include "tensor/tensor.h"

namespace octet {

/// Collects the elements whose index along dimension 0 is in [begin, end); all of a rank-0 view. view: f32.
/// The order of the elements is that of memory: dimensions are walked by falling stride, and those that lie densely in
/// one another become one long row, so that an NHWC view of NCHW dims is read as it lies.
void collect_view(Histogram& histogram, const TensorView& view, int64_t begin, int64_t end);

}  // namespace octet
