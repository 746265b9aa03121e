#pragma once
// Launches of the kernels that read elements by index: Gather, JoinedGather, Resize, ArgMax.

#include "backends/cuda/launch.h"

namespace octet::cuda {

/// y[at 0] = x[at 1 + indices[at 2] * step] for every element of the loop. bytes: of an element, 1, 2, 4 or 8.
cudaError_t launch_gather(const Strided& s, int bytes, int64_t step, void* y, const void* x, const int64_t* indices,
                          cudaStream_t stream);

/// Channel `channel` of input `input`.
struct ChannelPick {
  int input = 0, channel = 0;
};
/// Channel c of a pixel of y is picks[c], through the table of 256 codes where there is one (bytes = 1). Up to k_inputs
/// inputs at a time, the first of them number first_input; channels of others are left as they are.
struct GatherChannelsParams {
  static constexpr int k_inputs = 16;
  const void* x[k_inputs] = {};
  int x_pitch[k_inputs] = {};  // elements
  int first_input = 0, inputs = 0;
  int64_t pixels = 0;
  int channels = 0, y_pitch = 0;
  void* y = nullptr;
  const ChannelPick* picks = nullptr;
  const uint8_t* table = nullptr;
};
cudaError_t launch_gather_channels(const GatherChannelsParams& p, int bytes, cudaStream_t stream);

/// Output i of an axis is (1 - t) * x[low] + t * x[high].
struct ResizeTap {
  int low = 0, high = 0;
  float t = 0;
};
struct ResizeParams {
  const void* x = nullptr;
  void* y = nullptr;
  const ResizeTap* rows = nullptr;                       // [oh]
  const ResizeTap* columns = nullptr;                    // [ow]
  int n = 1, ih = 1, iw = 1, oh = 1, ow = 1, pitch = 1;  // pitch: elements of a pixel, or words where they are copied
};
/// Words of four bytes, as they are.
cudaError_t launch_resize_nearest(const ResizeParams& p, cudaStream_t stream);
cudaError_t launch_resize_linear(const ResizeParams& p, Store store, cudaStream_t stream);

/// outer: loop over outputs (operand 0 = y, 1 = x); `length` elements of x, `step` apart.
struct ArgParams {
  int64_t length = 1, step = 1;
  bool smallest = false, last = false;
};
cudaError_t launch_arg_best(const ArgParams& p, Store store, const Strided& outer, int64_t* y, const void* x,
                            cudaStream_t stream);

}  // namespace octet::cuda
