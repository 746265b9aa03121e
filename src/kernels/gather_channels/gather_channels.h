#pragma once
// Channels of one or several NHWC images, in any order, to the pixels of another: a shuffle, or a part of one.

#include <span>
#include <vector>

#include "base/isa.h"
#include "kernels/gather_channels/gather_channels_isa.h"

namespace octet {

/// Where an output channel comes from.
struct ChannelPick {
  int32_t input = 0;
  int32_t channel = 0;
};

/// The loads and byte shuffles that make a pixel, found once.
class GatherChannels {
 public:
  /// picks: one for each output channel. Elements are bits.
  GatherChannels(std::span<const ChannelPick> picks, size_t element_bytes, const GatherChannelsKernel& kernel);

  /// Pixels one behind the other; block by block, so some dozens that stay in L1. inputs: of the picks. Of an input 63
  /// bytes behind the last pixel's channels may be read, of y 15 bytes behind each pixel's be written, to a multiple of
  /// 16 bytes.
  void run(const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step) const;

 private:
  struct Block {
    size_t first_window;
    int32_t windows, offset, bytes;
  };
  void add_block(std::span<const ChannelPick> picks, size_t element_bytes, int32_t offset, int32_t bytes);

  GatherChannelsKernel kernel_;
  std::vector<ChannelWindow> windows_;
  std::vector<Block> blocks_;
};

/// The best of the family that isa runs; its name tells which.
GatherChannelsKernel gather_channels_kernel(Isa isa);

}  // namespace octet
