#pragma once
// Conventions shared by all kernel families of the CPU back end; see README.md.

#include <stddef.h>
#include <stdint.h>

namespace octet {

/// Elements from one pixel to the next for c channels.
inline int64_t channel_pitch(int64_t c) { return (c + 15) / 16 * 16; }

/// Bytes that must be readable and writable behind every activation buffer.
inline constexpr size_t k_tail_bytes = 64;

/// A fused activation. Clip: p0 = min, p1 = max. LeakyRelu: p0 = alpha. HardSigmoid: p0 = alpha, p1 = beta.
enum class ActivationKind : uint8_t { none, relu, clip, leaky_relu, sigmoid, hard_sigmoid, hard_swish, silu, tanh_ };
struct ActivationParams {
  ActivationKind kind = ActivationKind::none;
  float p0 = 0.0f;
  float p1 = 0.0f;
};

/// Geometry of a 2-D convolution or pooling window (pads: begin side only; the end side follows from oh, ow).
struct WindowGeometry {
  int64_t ih = 1, iw = 1, ic = 1;
  int64_t oh = 1, ow = 1, oc = 1;
  int64_t kh = 1, kw = 1;
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;
  int64_t x_pitch = 16, y_pitch = 16, residual_pitch = 16;  // elements, see channel_pitch
};

}  // namespace octet
