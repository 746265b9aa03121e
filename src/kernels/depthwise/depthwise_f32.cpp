// FP32 depthwise layers: packing and chunks.

#include <algorithm>
#include <vector>

#include "base/aligned_vector.h"
#include "kernels/activation/activation.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/depthwise/door.h"

namespace octet {
namespace {

constexpr int64_t k_channel_group = 64;  // one zmm cache line of codes and four of floats: no line has two writers

class DepthwiseF32 final : public ConvF32 {
 public:
  DepthwiseF32(const ConvF32Desc& desc, Isa isa)
      : geometry_(desc.geometry),
        activation_(desc.activation),
        has_residual_(desc.has_residual),
        kernels_(depthwise_kernels(isa).f32),
        activation_kernels_(activation_kernels(isa)) {
    const int64_t taps = geometry_.kh * geometry_.kw;
    const int64_t pitch = channel_pitch(geometry_.ic);
    weights_.assign(static_cast<size_t>(taps * pitch), 0.0f);
    for (int64_t c = 0; c < geometry_.ic; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        weights_[static_cast<size_t>(tap * pitch + c)] = desc.weights[static_cast<size_t>(c * taps + tap)];
    bias_.assign(static_cast<size_t>(pitch), 0.0f);
    std::copy(desc.bias.begin(), desc.bias.end(), bias_.begin());
  }

  const char* kernel_name() const override { return kernels_.name; }
  size_t packed_bytes() const override { return (weights_.size() + bias_.size()) * sizeof(float); }
  int64_t chunks(int64_t batch, int threads) const override { return split(batch, threads).chunks; }
  size_t scratch_bytes() const override { return 0; }

  void run_chunk(const ConvF32Args& args, int64_t chunk, int threads, std::byte*) const override {
    const WindowGeometry& g = geometry_;
    for (const DepthwisePiece& piece : split(args.batch, threads).pieces(chunk))
      for (int64_t row = piece.units.begin; row < piece.units.end;) {
        const int64_t n = row / g.oh, oy = row % g.oh;
        const int64_t oy_end = std::min(g.oh, oy + piece.units.end - row);
        DepthwiseF32Call call = {.geometry = &g,
                                 .weights = weights_.data(),
                                 .bias = bias_.data(),
                                 .x = args.x + n * g.ih * g.iw * g.x_pitch,
                                 .residual = nullptr,
                                 .y = args.y + n * g.oh * g.ow * g.y_pitch,
                                 .oy_begin = oy,
                                 .oy_end = oy_end,
                                 .c_begin = piece.groups.begin * k_channel_group,
                                 .c_end = std::min(g.ic, piece.groups.end * k_channel_group)};
        if (has_residual_) call.residual = args.residual + n * g.oh * g.ow * g.residual_pitch;
        kernels_.run(call);
        activate(call);
        row += oy_end - oy;
      }
  }

 private:
  int64_t groups() const { return (geometry_.ic + k_channel_group - 1) / k_channel_group; }
  DepthwiseSplit split(int64_t batch, int threads) const {
    constexpr double k_outputs_per_ns = 2;
    return DepthwiseSplit::make(geometry_, batch, 1, groups(), threads, k_outputs_per_ns);
  }

  void activate(const DepthwiseF32Call& call) const {
    if (activation_.kind == ActivationKind::none) return;
    const WindowGeometry& g = geometry_;
    const int64_t n = call.c_end - call.c_begin;
    float* v = call.y + call.oy_begin * g.ow * g.y_pitch + call.c_begin;
    const int64_t pixels = (call.oy_end - call.oy_begin) * g.ow;
    if (n == g.y_pitch) {
      activation_kernels_.activate(v, static_cast<size_t>(pixels * n), activation_);
    } else {
      for (int64_t p = 0; p < pixels; ++p)
        activation_kernels_.activate(v + p * g.y_pitch, static_cast<size_t>(n), activation_);
    }
  }

  WindowGeometry geometry_;
  ActivationParams activation_;
  bool has_residual_;
  DepthwiseF32Kernels kernels_;
  ActivationKernels activation_kernels_;
  AlignedVector<float> weights_, bias_;
};

}  // namespace

std::unique_ptr<const ConvF32> make_depthwise_f32(const ConvF32Desc& desc, Isa isa) {
  if (!is_depthwise(desc.geometry)) return nullptr;
  return std::make_unique<DepthwiseF32>(desc, isa);
}

}  // namespace octet
