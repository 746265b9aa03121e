#pragma once
// The window of a 2-D convolution or pooling node as the kernels describe it.

#include "backends/cuda/step.h"

namespace octet::cuda {

/// x, y: the layouts of input 0 and output 0, rank 4. Errors: attributes that do not fit.
Result<WindowParams> window_params(const StepQuery& query, int64_t kh, int64_t kw, const Layout& x, const Layout& y);
/// Epilogue, scales and zero point of a pool of codes; nothing for a pool of floats.
Result<Done> add_pool_codes(const StepQuery& query, WindowParams& p);

}  // namespace octet::cuda
