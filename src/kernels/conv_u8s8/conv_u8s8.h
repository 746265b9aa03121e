#pragma once
// Integer convolution and fully connected layers: u8 codes x s8 weights -> u8 codes or f32, implicit GEMM on NHWC.
// A fully connected layer is a 1x1 convolution on 1x1 images (ih = iw = oh = ow = 1, ic = K, oc = N).

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/conventions.h"
#include "kernels/implicit_gemm/packed_weights.h"
#include "kernels/implicit_gemm/variant.h"
#include "kernels/implicit_gemm/weights_ahead.h"

namespace octet {

class PointwiseU8S8;

struct ConvU8S8Desc {
  WindowGeometry geometry;
  std::span<const int8_t> weights;    // [oc, ic/groups, kh, kw]
  std::span<const int32_t> bias;      // [oc], or empty = 0; without zero-point terms (pack() folds them)
  std::span<const float> multiplier;  // m[oc] of docs/numerics.md: with or without 1/y_scale, as the form asks
  int32_t x_zero_point = 0;           // u8 domain; also the value of padding
  int32_t x_most = 255;               // no code of x is larger; u8 domain
  // > 0: reads ConvU8S8Args::image, of f32, which becomes codes of this scale on the way; where
  // reads_compact_copy(geometry), and not by the scalar judge.
  float image_scale = 0.0f;
  int32_t image_zero_point = 0;  // u8 domain
  // Not empty: reads ConvU8S8Args::image, of u8, likewise; a pixel becomes the code that it has here, 256 of each
  // channel, u8 domain.
  std::span<const uint8_t> image_tables = {};
  bool image_is_interleaved = false;  // with image_tables: NHWC without gaps
  // Set: ConvU8S8Args::x, at source_pitch, becomes the layer's input by this, block by block. Of layers whose output
  // pixel i reads input pixel i, on ISAs between the scalar judge and AMX.
  std::shared_ptr<const PointwiseU8S8> before = {};
  int64_t source_pitch = 0;
  bool has_residual = false;
  int32_t residual_zero_point = 0;   // u8 domain
  float residual_multiplier = 0.0f;  // mr (form 2) or residual_scale (form 3)
  bool f32_output = false;           // form 3 with `to` = f32
  // Form 2 (activation.kind none, or relu/clip already expressed in lo and hi) and form 3 to a code:
  int32_t y_zero_point = 0;
  int32_t lo = 0, hi = 255;
  ActivationParams activation;   // form 3; for f32 output relu and clip too
  float inverse_y_scale = 0.0f;  // form 3 to a code
  /// What another layer with these weights gave: used in place where the form is this layer's, and then it must outlive
  /// it.
  PackedConvWeights packed = {};
  ExpectedRun expected = {};

  bool reads_image() const { return image_scale > 0 || !image_tables.empty(); }
};

struct ConvU8S8Args {
  int64_t batch = 1;
  const uint8_t* x = nullptr;         // NHWC, x_pitch
  const uint8_t* residual = nullptr;  // NHWC, residual_pitch
  void* y = nullptr;                  // u8 NHWC with y_pitch, or f32 NHWC with y_pitch
  const std::byte* image = nullptr;   // in place of x: dense NCHW, f32 or u8, or dense NHWC
  // Packed weights of the layer that runs next: towards its end a layer brings some of them near.
  std::span<const std::byte> next_weights = {};
  // Of layers with spare_bytes(), in place of next_weights; null = nothing.
  const WeightsAhead* ahead = nullptr;
};

/// One packed layer. Immutable after make(); run_chunk may be called from many threads at once.
class ConvU8S8 {
 public:
  /// Packs the weights for isa. The descriptor's spans need not outlive the call. variant: a name from
  /// conv_u8s8_variants, empty = the cheapest; null where it is refused there.
  static std::unique_ptr<const ConvU8S8> make(const ConvU8S8Desc& desc, Isa isa, std::string_view variant = {});
  virtual ~ConvU8S8() = default;
  /// The ISA whose inner function runs, e.g. "avx512_vnni 6x64".
  virtual const char* kernel_name() const = 0;
  virtual size_t packed_bytes() const = 0;
  /// For ConvU8S8Desc::packed of layers to come; the bytes live as long as this layer.
  virtual PackedConvWeights packed() const { return {}; }
  /// Number of independent chunks for this batch, chosen for `threads` workers.
  virtual int64_t chunks(int64_t batch, int threads) const = 0;
  /// Bytes of later layers' weights that it can bring near beside its products; 0 = it does not read
  /// ConvU8S8Args::ahead.
  virtual int64_t spare_bytes(int64_t) const { return 0; }
  /// Of packed(), what one of `threads` workers is going to read, as far as it is known.
  virtual std::span<const std::byte> read_by(int64_t worker, int64_t, int threads) const {
    return worker_share(packed().bytes, worker, threads);
  }
  /// Scratch bytes per worker that run_chunk needs (64-byte aligned).
  virtual size_t scratch_bytes() const = 0;
  virtual void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const = 0;
};

/// Every way to run a layer that reads and writes as this one does, the refused ones with their reason. Its weights,
/// bias and multipliers are not asked.
std::vector<ConvVariant> conv_u8s8_variants(const ConvU8S8Desc& desc, int64_t batch, Isa isa, int threads,
                                            const ConvCpu& cpu = conv_cpu());

}  // namespace octet
