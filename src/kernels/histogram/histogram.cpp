#include "kernels/histogram/histogram.h"

namespace octet {

HistogramKernels histogram_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "kernels/histogram/kernels.def"
#undef OCTET_KERNEL
  return histogram_scalar;
}

}  // namespace octet
