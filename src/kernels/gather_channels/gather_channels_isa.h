#pragma once
// The gather_channels family's functions, one set per ISA. C headers only: ISA files include this.

#include <stdint.h>

namespace octet {

inline constexpr int k_most_window_bytes = 64;

/// What one load of an input pixel gives to a block of an output pixel.
struct ChannelWindow {
  int32_t input;
  int32_t offset;                      // of its first byte from the input pixel's
  uint8_t index[k_most_window_bytes];  // by byte of the block: the byte of the window; 0x80 = another window's
};

/// Bytes [offset, offset + bytes) of every output pixel. Each comes from one of the windows.
struct ChannelBlock {
  const ChannelWindow* windows;
  int32_t count;
  int32_t offset;
  int32_t bytes;  // up to the kernel's window_bytes
};

/// Pixels of an input, `step` bytes from one to the next.
struct ChannelInput {
  const uint8_t* x;
  int64_t step;
};

struct GatherChannelsKernel {
  int window_bytes;  // of a load: as many are read at each window's offset of each pixel
  /// One block of `pixels` pixels. Of each pixel of y, up to 15 bytes behind the block may be written, to a multiple of
  /// 16 bytes.
  void (*block)(const ChannelBlock& block, const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step);
  const char* name;
};

/// Where CPUs with AVX-512 have VBMI, too (base/vbmi.h).
extern const GatherChannelsKernel gather_channels_vbmi;

extern const GatherChannelsKernel gather_channels_scalar;
extern const GatherChannelsKernel gather_channels_avx2;

}  // namespace octet
