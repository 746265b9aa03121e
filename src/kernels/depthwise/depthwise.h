#pragma once
// Depthwise convolution (groups = ic, oc a multiple of it), u8 codes and f32, NHWC. Same descriptors as the dense
// families.

#include <memory>

#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_u8s8/conv_u8s8.h"

namespace octet {

/// Null when the geometry is not depthwise: groups == ic, and oc is a multiple.
std::unique_ptr<const ConvU8S8> make_depthwise_u8s8(const ConvU8S8Desc& desc, Isa isa);
std::unique_ptr<const ConvF32> make_depthwise_f32(const ConvF32Desc& desc, Isa isa);

/// A 1x1 layer of stride 1 that another layer runs on its own input, some pixels at a time: a scale and a shift per
/// channel, and codes out of it. Immutable; run() may be called from many threads at once.
class PointwiseU8S8 {
 public:
  /// desc: form 2, its image of any size. residual: one pixel's codes, as many as there are channels; empty = none.
  static std::shared_ptr<const PointwiseU8S8> make(const ConvU8S8Desc& desc, std::span<const uint8_t> residual,
                                                   Isa isa);
  virtual ~PointwiseU8S8() = default;
  virtual size_t packed_bytes() const = 0;
  /// What a run reads of the layer's own, block by block of channels; empty where that is not known.
  virtual std::span<const uint8_t> constants() const = 0;
  /// 64 bytes behind the last pixel of x are readable; nothing is written but the layer's channels. is_followed: the
  /// next run is about as many pixels behind these, which are brought near.
  virtual void run(const uint8_t* x, int64_t x_pitch, int64_t pixels, uint8_t* y, int64_t y_pitch,
                   bool is_followed) const = 0;
};

}  // namespace octet
