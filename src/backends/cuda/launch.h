#pragma once
// The launch functions of the .cu files: each enqueues its kernel on a stream and hands back what the runtime said.

#include <cuda_runtime_api.h>

#include "backends/cuda/params.h"

namespace octet::cuda {

FastDiv fast_div(int64_t d);

/// How a dense convolution is cut up; k_conv_tiles lists what is compiled.
struct ConvTile {
  const char* name;
  int bm, bn, group_threads, groups, k_bytes, stages;  // groups: warps that share no operands, each with its part of K
  bool small_c;                                        // x has four bytes a pixel
};
enum class ConvType : int { u8s8, f16, f32, tf32 };

int conv_tile_count(ConvType type);
const ConvTile& conv_tile(ConvType type, int index);
/// Raises the shared-memory limit of every kernel; once per process and device.
cudaError_t conv_setup();
/// split: CTAs that share one tile's K; above 1 `partial` and `arrived` are used. Integer layers only.
cudaError_t launch_conv(ConvType type, int index, const ConvParams& p, int split, cudaStream_t stream);

cudaError_t launch_direct_u8s8(const WindowParams& p, cudaStream_t stream);
cudaError_t launch_direct_float(const WindowParams& p, Store store, cudaStream_t stream);
cudaError_t launch_depthwise_u8s8(const WindowParams& p, cudaStream_t stream);

cudaError_t launch_max_pool(const WindowParams& p, Store store, cudaStream_t stream);
cudaError_t launch_average_pool(const WindowParams& p, Store store, cudaStream_t stream);
cudaError_t launch_global_average_u8(const WindowParams& p, cudaStream_t stream);

/// y = x moved element by element; bytes: 1, 2, 4, 8 or 16.
cudaError_t launch_copy(const Strided& s, int bytes, void* y, const void* x, cudaStream_t stream);
/// The same between f32 and f16 (from and to may be equal).
cudaError_t launch_convert(const Strided& s, Store from, Store to, void* y, const void* x, cudaStream_t stream);
/// The same for codes, between s8 and the u8 domain.
cudaError_t launch_flip(const Strided& s, void* y, const void* x, cudaStream_t stream);
cudaError_t launch_fill(void* y, uint64_t element, int bytes, int64_t count, cudaStream_t stream);

/// QuantizeLinear and DequantizeLinear; scale and zero are operand 2 of the loop (stride 0: one for all). zero: u8
/// domain.
struct QuantizeParams {
  const void* x = nullptr;
  void* y = nullptr;
  const float* scale = nullptr;
  const int32_t* zero = nullptr;
};
cudaError_t launch_quantize(const QuantizeParams& p, Store from, const Strided& s, cudaStream_t stream);
cudaError_t launch_dequantize(const QuantizeParams& p, Store to, const Strided& s, cudaStream_t stream);
/// From dense f32 images [n, c <= 4, plane] to codes of four bytes a pixel, one scale for all.
cudaError_t launch_quantize_image(const QuantizeParams& p, int n, int c, int plane, cudaStream_t stream);

/// An operation on elements of one or two operands, and the activation behind it (of unary ones: `activation` alone).
struct ElementwiseParams {
  Act act = Act::none;
  float p0 = 0, p1 = 0;
  Store store = Store::f32;
  Strided s;
  void* y = nullptr;
  const void *a = nullptr, *b = nullptr;
};
cudaError_t launch_binary(Binary op, const ElementwiseParams& p, cudaStream_t stream);
cudaError_t launch_unary(Unary op, const ElementwiseParams& p, cudaStream_t stream);
struct PairParams {
  int32_t a_zero = 0, b_zero = 0;
  float a_multiplier = 0;  // the residual multiplier of the sum is the epilogue's
  bool product = false;
  Epilogue epilogue;
};
cudaError_t launch_pair_u8(const PairParams& p, const Strided& s, void* y, const void* a, const void* b,
                           cudaStream_t stream);
/// The same for dense operands of equal shape, 16 codes a thread. count: a multiple of 16.
cudaError_t launch_pair_dense_u8(const PairParams& p, int64_t count, void* y, const void* a, const void* b,
                                 cudaStream_t stream);
cudaError_t launch_lookup(const Strided& s, void* y, const void* x, const void* table, cudaStream_t stream);

/// outer: loop over outputs (operand 0 = y, 1 = x); inner: loop over the reduced elements (operand 1 = x).
cudaError_t launch_reduce(Reduce op, Store store, const Strided& outer, const Strided& inner, void* y, const void* x,
                          cudaStream_t stream);
cudaError_t launch_softmax(bool log, Store store, const Strided& outer, int64_t length, int64_t y_step, int64_t x_step,
                           void* y, const void* x, cudaStream_t stream);
struct LayerNormParams {
  int64_t rows = 0, length = 0;
  float epsilon = 0;
  const float *scale = nullptr, *bias = nullptr;  // [length], may be null
};
/// Rows one after another.
cudaError_t launch_layer_norm(Store store, const LayerNormParams& p, void* y, const void* x, cudaStream_t stream);
/// Rows anywhere: loops over rows and over the elements of one (operand 0 = y, 1 = x).
cudaError_t launch_layer_norm(Store store, const Strided& outer, const Strided& inner, const LayerNormParams& p,
                              void* y, const void* x, cudaStream_t stream);

/// y[b] = a[b] * w[b] for matrices anywhere in memory: batch loop operand 0 = y, 1 = a, 2 = b.
struct MatMulParams {
  int m = 1, n = 1, k = 1;
  int64_t y_row = 0, y_col = 1, a_row = 0, a_col = 1, b_row = 0, b_col = 1;
};
cudaError_t launch_matmul(Store store, const Strided& batch, const MatMulParams& p, void* y, const void* a,
                          const void* b, cudaStream_t stream);

}  // namespace octet::cuda
