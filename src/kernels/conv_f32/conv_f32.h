#pragma once
// FP32 convolution and fully connected layers, implicit GEMM on NHWC; same shape of interface as conv_u8s8.

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

struct ConvF32Desc {
  WindowGeometry geometry;
  std::span<const float> weights;  // [oc, ic/groups, kh, kw]
  std::span<const float> bias;     // [oc], or empty = 0
  bool has_residual = false;       // added before the activation
  ActivationParams activation;
  bool planar_x = false;  // x is dense NCHW; where reads_compact_copy(geometry) only
  /// As in ConvU8S8Desc.
  PackedConvWeights packed = {};
  ExpectedRun expected = {};
};

struct ConvF32Args {
  int64_t batch = 1;
  const float* x = nullptr;         // NHWC, x_pitch
  const float* residual = nullptr;  // NHWC, residual_pitch
  float* y = nullptr;               // NHWC, y_pitch
};

class DenseConvF32;

class ConvF32 {
 public:
  /// variant: a name from conv_f32_variants, empty = the cheapest; null when isa or this machine lacks it.
  static std::unique_ptr<const DenseConvF32> make(const ConvF32Desc& desc, Isa isa, std::string_view variant = {});
  virtual ~ConvF32() = default;
  virtual const char* kernel_name() const = 0;
  virtual size_t packed_bytes() const = 0;
  /// For ConvF32Desc::packed of layers to come; the bytes live as long as this layer.
  virtual PackedConvWeights packed() const { return {}; }
  virtual int64_t chunks(int64_t batch, int threads) const = 0;
  virtual size_t scratch_bytes() const = 0;
  virtual void run_chunk(const ConvF32Args& args, int64_t chunk, int threads, std::byte* scratch) const = 0;
};

/// A layer of any groups that a fused one may run by parts.
class DenseConvF32 : public ConvF32 {
 public:
  /// Output pixels [begin, end), counted over the batch; args.y is not used: y is where the first of them goes.
  virtual void run_pixels(const ConvF32Args& args, IndexRange pixels, float* y, std::byte* scratch) const = 0;
};

/// Every way to run a layer of this geometry, the refused ones with their reason.
std::vector<ConvVariant> conv_f32_variants(const WindowGeometry& geometry, int64_t batch, Isa isa, int threads,
                                           const ConvCpu& cpu = conv_cpu());

}  // namespace octet
