#pragma once
// What the kernels are told, as plain structs that host code and nvcc both read. All pointers are device memory.

#include <stdint.h>

namespace octet::cuda {

/// Exact n / d for 0 <= n < 2^31 by one multiplication (Granlund and Montgomery, PLDI 1994).
struct FastDiv {
  uint32_t d = 1, mul = 0, shift = 0;
};

/// The fused activations of src/tensor/activation.h.
enum class Act : int { none, relu, clip, leaky_relu, sigmoid, hard_sigmoid, hard_swish, silu, tanh_ };

/// Where an element type lies in memory: codes in the u8 domain (an s8 code is stored as code + 128), f32, f16.
enum class Store : int { u8, f32, f16 };

/// From accumulator to output. Forms 2 and 3 of src/ir/ops/README.md in the u8 domain; float layers use act only.
struct Epilogue {
  Store to = Store::u8;
  bool on_values = false;  // form 3
  Act act = Act::none;     // none where it is expressed in lo and hi
  float p0 = 0, p1 = 0;
  int32_t y_zero = 0, lo = 0, hi = 255;
  float inverse_y_scale = 0;
  bool has_residual = false;
  int32_t r_zero = 0;
  float r_multiplier = 0;
};

/// When a kernel lets the next one start, which then fetches its weights: with its own operands in shared memory, as
/// soon as the kernel before it is through, or at once.
enum class Trigger : int { landed, early, at_once };

/// A convolution (a matrix product is one over images of one pixel). Channels are innermost.
struct ConvParams {
  const void* x = nullptr;
  const void* w = nullptr;  // [w_rows][k_bytes], see pack.h
  const void* residual = nullptr;
  void* y = nullptr;
  const float* multiplier = nullptr;  // [w_rows]; integer layers only
  const void* bias = nullptr;         // [w_rows] s32 (zero point folded in) or f32
  int32_t* partial = nullptr;         // split over CTAs: [tiles][BM * BN] sums, all zero between launches
  int32_t* arrived = nullptr;         // [tiles] counters, likewise
  int ih = 1, iw = 1, oh = 1, ow = 1, kh = 1, kw = 1;
  int stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0, dilation_h = 1, dilation_w = 1;
  int oc = 1, w_rows = 64;
  int m = 1;                       // output pixels of all images
  int x_pitch = 16;                // bytes from pixel to pixel
  int y_pitch = 16, r_pitch = 16;  // elements
  int k_bytes = 128;               // bytes of a weight row, a multiple of 128
  int k_used = 128;                // those that hold weights; the rest is zero
  int taps = 1;                    // rows of kw pixels when small_c
  bool small_sums = false;         // every sum lies within +-2^22: bias has the bits of 1.5 * 2^23 added
  bool from_zero = false;          // small_sums, and the codes are 0 to 255 with zero point 0 and no activation
  bool pointwise = false;          // 1x1, stride 1, no padding
  Trigger trigger = Trigger::landed;
  bool wide_store = true;                     // rows of y (and residual) keep 16-byte alignment
  uint32_t fill = 0;                          // the code of real zero, four times
  FastDiv by_plane, by_ow, by_chunks, by_kw;  // oh*ow; ow; 16-byte chunks of a tap; kw
  Epilogue epilogue;
};

/// Pooling and depthwise windows, and the plain convolution that runs what the tiled kernels do not take.
struct WindowParams {
  const void* x = nullptr;
  void* y = nullptr;
  const void* w = nullptr;
  const void* residual = nullptr;
  const float* multiplier = nullptr;
  const void* bias = nullptr;
  int batch = 1, ih = 1, iw = 1, oh = 1, ow = 1, c = 1, oc = 1, kh = 1, kw = 1;
  int stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0, dilation_h = 1, dilation_w = 1;
  int pad_bottom = 0, pad_right = 0;
  int x_pitch = 16, y_pitch = 16, r_pitch = 16;  // elements
  int groups = 1;
  int x_zero = 0;
  bool include_pad = false;
  bool w_by_rows = false;           // depthwise 3x3: weights are [3][x_pitch] words of three taps and a zero
  double x_scale = 1, y_scale = 1;  // average pools of codes: m = (float)(x_scale / (y_scale * count))
  Epilogue epilogue;
};

inline constexpr int k_max_dims = 8;

/// A loop over `count` elements of `rank` dims with one stride (in elements) per operand and dim; innermost last.
struct Strided {
  int rank = 0;
  int64_t count = 0;
  FastDiv div[k_max_dims];
  int64_t stride[3][k_max_dims] = {};
};

enum class Binary : int { add, sub, mul, div, min_, max_, pow_, prelu };
enum class Unary : int {
  activation,
  sqrt_,
  exp_,
  log_,
  erf_,
  reciprocal,
  floor_,
  ceil_,
  round_,
  neg,
  abs_,
  gelu,
  gelu_tanh,
  elu,
  selu,
  softplus,
  mish,
  copy
};
enum class Reduce : int { mean, sum, max_, min_ };

}  // namespace octet::cuda
