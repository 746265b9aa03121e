// The judge of the FP32 convolutions: bias, then one fma per product in the order (kh, kw, ic), then one add for the
// residual, then the activation. Taps in the padding are left out. Packed kernels may count them as x = 0, which is the
// same but for the sign of a zero and for weights that are no numbers.

#include "kernels/conv_f32/scalar.h"

#include <cmath>
#include <vector>

#include "kernels/activation/activation.h"

namespace octet {
namespace {

class ConvF32Scalar final : public DenseConvF32 {
 public:
  explicit ConvF32Scalar(const ConvF32Desc& desc)
      : desc_(desc),
        weights_(desc.weights.begin(), desc.weights.end()),
        bias_(desc.bias.begin(), desc.bias.end()),
        activation_(activation_kernels(Isa::scalar)) {
    bias_.resize(static_cast<size_t>(desc.geometry.oc), 0.0f);
  }

  const char* kernel_name() const override { return "scalar"; }
  size_t packed_bytes() const override { return 4 * (weights_.size() + bias_.size()); }
  size_t scratch_bytes() const override { return 0; }
  /// A chunk is one image.
  int64_t chunks(int64_t batch, int) const override { return batch; }

  void run_chunk(const ConvF32Args& args, int64_t image, int, std::byte* scratch) const override {
    const WindowGeometry& g = desc_.geometry;
    const int64_t pixels = g.oh * g.ow;
    run_pixels(args, {image * pixels, (image + 1) * pixels}, args.y + image * pixels * g.y_pitch, scratch);
  }

  void run_pixels(const ConvF32Args& args, IndexRange pixels, float* y, std::byte*) const override {
    const WindowGeometry& g = desc_.geometry;
    for (int64_t pixel = pixels.begin; pixel < pixels.end; ++pixel, y += g.y_pitch)
      for (int64_t oc = 0; oc < g.oc; ++oc) {
        float v = accumulate(args.x, pixel / g.ow / g.oh, pixel / g.ow % g.oh, pixel % g.ow, oc);
        if (desc_.has_residual) v += args.residual[pixel * g.residual_pitch + oc];
        if (desc_.activation.kind != ActivationKind::none) activation_.activate(&v, 1, desc_.activation);
        y[oc] = v;
      }
  }

 private:
  float accumulate(const float* x, int64_t image, int64_t oy, int64_t ox, int64_t oc) const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t channels = g.ic / g.groups, first_channel = oc / (g.oc / g.groups) * channels;
    float acc = bias_[static_cast<size_t>(oc)];
    for (int64_t ky = 0; ky < g.kh; ++ky)
      for (int64_t kx = 0; kx < g.kw; ++kx) {
        const int64_t iy = oy * g.stride_h - g.pad_top + ky * g.dilation_h;
        const int64_t ix = ox * g.stride_w - g.pad_left + kx * g.dilation_w;
        const bool inside = iy >= 0 && iy < g.ih && ix >= 0 && ix < g.iw;
        const int64_t pixel = iy * g.iw + ix, plane = g.ih * g.iw;
        const int64_t offset = desc_.planar_x ? (image * g.ic + first_channel) * plane + pixel
                                              : (image * plane + pixel) * g.x_pitch + first_channel;
        const int64_t step = desc_.planar_x ? plane : 1;
        for (int64_t c = 0; inside && c < channels; ++c) {
          const float w = weights_[static_cast<size_t>(((oc * channels + c) * g.kh + ky) * g.kw + kx)];
          acc = std::fma(x[offset + c * step], w, acc);
        }
      }
    return acc;
  }

  ConvF32Desc desc_;  // its spans are not used after construction
  std::vector<float> weights_, bias_;
  ActivationKernels activation_;
};

}  // namespace

std::unique_ptr<const DenseConvF32> make_conv_f32_scalar(const ConvF32Desc& desc) {
  return std::make_unique<ConvF32Scalar>(desc);
}

}  // namespace octet
