// The judge of the gather_channels family.

#include "kernels/gather_channels/gather_channels_isa.h"

namespace octet {
namespace {

void gather_block(const ChannelBlock& block, const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step) {
  for (int32_t w = 0; w < block.count; ++w) {
    const ChannelWindow& window = block.windows[w];
    const ChannelInput& input = inputs[window.input];
    for (int64_t p = 0; p < pixels; ++p)
      for (int32_t i = 0; i < block.bytes; ++i)
        if (window.index[i] < k_most_window_bytes)
          y[p * y_step + block.offset + i] = input.x[p * input.step + window.offset + window.index[i]];
  }
}

}  // namespace

const GatherChannelsKernel gather_channels_scalar = {k_most_window_bytes, gather_block, "scalar"};

}  // namespace octet
