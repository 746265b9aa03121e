#pragma once
// Convolution and fully connected layers on bfloat16 products with FP32 sums, implicit GEMM on NHWC; same shape of
// interface as conv_f32.
//
//   y = act(b + sum of bf16(x) * w + residual), sums and act in FP32; bf16() rounds to nearest even
//
// Input, residual and output are FP32 or bfloat16 each. The order of the sums is the machine's: ISAs differ by
// roundings.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/conventions.h"
#include "kernels/implicit_gemm/packed_weights.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/variant.h"

namespace octet {

struct ConvBf16Desc {
  WindowGeometry geometry;
  std::span<const uint16_t> weights;  // bfloat16 [oc, ic/groups, kh, kw]
  std::span<const float> bias;        // [oc], or empty = 0
  bool has_residual = false;          // added before the activation
  ActivationParams activation;
  bool x_is_bf16 = false, residual_is_bf16 = false, y_is_bf16 = false;  // else f32
  bool planar_x = false;  // x is dense NCHW of f32; where reads_compact_copy(geometry) only
  /// As in ConvU8S8Desc.
  PackedConvWeights packed = {};
  ExpectedRun expected = {};
};

struct ConvBf16Args {
  int64_t batch = 1;
  const void* x = nullptr;         // NHWC, x_pitch
  const void* residual = nullptr;  // NHWC, residual_pitch
  void* y = nullptr;               // NHWC, y_pitch
};

class ConvBf16 {
 public:
  /// variant: a name from conv_bf16_variants, empty = the cheapest, the scalar judge where isa or this machine has no
  /// products of bfloat16; null when it lacks the one that is named.
  static std::unique_ptr<const ConvBf16> make(const ConvBf16Desc& desc, Isa isa, std::string_view variant = {});
  virtual ~ConvBf16() = default;
  virtual const char* kernel_name() const = 0;
  virtual size_t packed_bytes() const = 0;
  /// For ConvBf16Desc::packed of layers to come; the bytes live as long as this layer.
  virtual PackedConvWeights packed() const { return {}; }
  virtual int64_t chunks(int64_t batch, int threads) const = 0;
  virtual size_t scratch_bytes() const = 0;
  virtual void run_chunk(const ConvBf16Args& args, int64_t chunk, int threads, std::byte* scratch) const = 0;
};

/// Whether an engine for `isa` has products of bfloat16 here, and gains by them: AMX's, or a vdpbf16ps that is faster
/// than FP32's vfmadd.
bool conv_bf16_pays(Isa isa);

/// Every way to run a layer of this geometry, the refused ones with their reason.
std::vector<ConvVariant> conv_bf16_variants(const WindowGeometry& geometry, int64_t batch, Isa isa, int threads);

}  // namespace octet
