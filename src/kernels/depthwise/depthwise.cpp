#include "kernels/depthwise/depthwise.h"

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

DepthwiseSplit DepthwiseSplit::make(int64_t rows, int64_t groups, int threads) {
  // Four chunks per worker even out unequal speeds; below that, cut channels as well, because late layers of a network
  // have few rows and many channels.
  if (threads <= 1) return {1, 1};
  const int64_t wanted = 4 * static_cast<int64_t>(threads);
  const int64_t row_chunks = rows < wanted ? rows : wanted;
  const int64_t channel_chunks = row_chunks * groups < wanted ? groups : (wanted + row_chunks - 1) / row_chunks;
  return {row_chunks, channel_chunks};
}

}  // namespace octet
