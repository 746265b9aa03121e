#pragma once
// The window of a 2-D convolution or pooling node, as the kernels describe it.

#include "backends/cpu/step.h"
#include "kernels/conventions.h"

namespace octet::cpu {

/// Input 0 and output 0 are rank 4; kh, kw: extents of the kernel. auto_pad is resolved. groups = 1.
/// Errors: attributes that do not fit, in the words of ir/ops/window.h.
Result<WindowGeometry> window_geometry(const StepQuery& query, int64_t kh, int64_t kw);

/// Some window reaches beyond the end padding (ceil_mode), where count_include_pad must not count.
bool reaches_beyond_padding(const StepQuery& query, int64_t kh, int64_t kw);

}  // namespace octet::cpu
