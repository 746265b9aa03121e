// The judge of the integer convolutions: every output by itself, straight from the formulas of src/ir/ops/README.md.

#include "kernels/conv_u8s8/scalar.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/scalar_inline.h"

namespace octet {
namespace {

class ConvU8S8Scalar final : public ConvU8S8 {
 public:
  explicit ConvU8S8Scalar(const ConvU8S8Desc& desc)
      : desc_(desc),
        weights_(desc.weights.begin(), desc.weights.end()),
        bias_(desc.bias.begin(), desc.bias.end()),
        multiplier_(desc.multiplier.begin(), desc.multiplier.end()) {
    bias_.resize(static_cast<size_t>(desc.geometry.oc), 0);
  }

  const char* kernel_name() const override { return "scalar"; }
  size_t packed_bytes() const override { return weights_.size() + 8 * bias_.size(); }
  size_t scratch_bytes() const override { return 0; }
  /// A chunk is one image.
  int64_t chunks(int64_t batch, int) const override { return batch; }

  void run_chunk(const ConvU8S8Args& args, int64_t image, int, std::byte*) const override {
    const WindowGeometry& g = desc_.geometry;
    for (int64_t oy = 0; oy < g.oh; ++oy)
      for (int64_t ox = 0; ox < g.ow; ++ox)
        for (int64_t oc = 0; oc < g.oc; ++oc) {
          const int64_t pixel = (image * g.oh + oy) * g.ow + ox;
          const int32_t residual = desc_.has_residual ? args.residual[pixel * g.residual_pitch + oc] : 0;
          write(accumulate(args.x, image, oy, ox, oc), residual, oc, args.y, pixel * g.y_pitch + oc);
        }
  }

 private:
  /// bias[oc] + sum of (x - x_zero_point) * w over the window; taps in the padding count 0.
  int32_t accumulate(const uint8_t* x, int64_t image, int64_t oy, int64_t ox, int64_t oc) const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t channels = g.ic / g.groups, first_channel = oc / (g.oc / g.groups) * channels;
    int32_t acc = bias_[static_cast<size_t>(oc)];
    for (int64_t ky = 0; ky < g.kh; ++ky)
      for (int64_t kx = 0; kx < g.kw; ++kx) {
        const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
        const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
        if (iy < 0 || iy >= g.ih || ix < 0 || ix >= g.iw) continue;
        const uint8_t* pixel = x + ((image * g.ih + iy) * g.iw + ix) * g.x_pitch + first_channel;
        for (int64_t c = 0; c < channels; ++c) {
          const int32_t w = weights_[static_cast<size_t>(((oc * channels + c) * g.kh + ky) * g.kw + kx)];
          acc += (pixel[c] - desc_.x_zero_point) * w;
        }
      }
    return acc;
  }

  /// Forms 2 and 3: requantize, or scale, activate and perhaps quantize.
  void write(int32_t acc, int32_t residual, int64_t oc, void* y, int64_t index) const {
    const ConvU8S8Desc& d = desc_;
    const float m = multiplier_[static_cast<size_t>(oc)];
    float v = static_cast<float>(acc) * m;
    if (d.has_residual) {
      const float r = static_cast<float>(residual - d.residual_zero_point) * d.residual_multiplier;
      v = std::fma(static_cast<float>(acc), m, r);
    }
    const bool is_clamp = d.activation.kind == ActivationKind::none || d.activation.kind == ActivationKind::relu ||
                          d.activation.kind == ActivationKind::clip;
    if (!d.f32_output && is_clamp) {
      static_cast<uint8_t*>(y)[index] = code_from_f32(v, d.y_zero_point, d.lo, d.hi);
      return;
    }
    const ActivationKernels kernels = activation_kernels(Isa::scalar);
    if (d.activation.kind != ActivationKind::none) kernels.activate(&v, 1, d.activation);
    if (d.f32_output)
      static_cast<float*>(y)[index] = v;
    else
      kernels.quantize(&v, 1, d.inverse_y_scale, d.y_zero_point, d.lo, d.hi, static_cast<uint8_t*>(y) + index);
  }

  ConvU8S8Desc desc_;  // its spans are not used after construction
  std::vector<int8_t> weights_;
  std::vector<int32_t> bias_;
  std::vector<float> multiplier_;
};

}  // namespace

std::unique_ptr<const ConvU8S8> make_conv_u8s8_scalar(const ConvU8S8Desc& desc) {
  return std::make_unique<ConvU8S8Scalar>(desc);
}

}  // namespace octet
