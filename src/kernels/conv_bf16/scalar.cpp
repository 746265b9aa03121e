// The judge of the bfloat16 convolutions: bias, then one fma per product in the order (kh, kw, ic), then one add for
// the residual, then the activation. Padding takes part as x = 0, as it does in the packed kernels.

#include "kernels/conv_bf16/scalar.h"

#include <cmath>
#include <vector>

#include "kernels/activation/activation.h"
#include "tensor/half.h"

namespace octet {
namespace {

float element(const void* from, int64_t at, bool is_bf16) {
  return is_bf16 ? bfloat16_to_float(static_cast<const uint16_t*>(from)[at]) : static_cast<const float*>(from)[at];
}

class ConvBf16Scalar final : public ConvBf16 {
 public:
  explicit ConvBf16Scalar(const ConvBf16Desc& desc)
      : desc_(desc), bias_(desc.bias.begin(), desc.bias.end()), activation_(activation_kernels(Isa::scalar)) {
    for (const uint16_t w : desc.weights) weights_.push_back(bfloat16_to_float(w));
    bias_.resize(static_cast<size_t>(desc.geometry.oc), 0.0f);
  }

  const char* kernel_name() const override { return "scalar"; }
  size_t packed_bytes() const override { return 4 * (weights_.size() + bias_.size()); }
  size_t scratch_bytes() const override { return 0; }
  /// A chunk is one image.
  int64_t chunks(int64_t batch, int) const override { return batch; }

  void run_chunk(const ConvBf16Args& args, int64_t image, int, std::byte*) const override {
    const WindowGeometry& g = desc_.geometry;
    for (int64_t oy = 0; oy < g.oh; ++oy)
      for (int64_t ox = 0; ox < g.ow; ++ox)
        for (int64_t oc = 0; oc < g.oc; ++oc) {
          const int64_t pixel = (image * g.oh + oy) * g.ow + ox;
          float v = accumulate(args.x, image, oy, ox, oc);
          if (desc_.has_residual) v += element(args.residual, pixel * g.residual_pitch + oc, desc_.residual_is_bf16);
          if (desc_.activation.kind != ActivationKind::none) activation_.activate(&v, 1, desc_.activation);
          const int64_t at = pixel * g.y_pitch + oc;
          if (desc_.y_is_bf16)
            static_cast<uint16_t*>(args.y)[at] = float_to_bfloat16(v);
          else
            static_cast<float*>(args.y)[at] = v;
        }
  }

 private:
  float accumulate(const void* x, int64_t image, int64_t oy, int64_t ox, int64_t oc) const {
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
        for (int64_t c = 0; c < channels; ++c) {
          const float w = weights_[static_cast<size_t>(((oc * channels + c) * g.kh + ky) * g.kw + kx)];
          const float v = inside ? element(x, offset + c * step, desc_.x_is_bf16) : 0.0f;
          acc = std::fma(bfloat16_to_float(float_to_bfloat16(v)), w, acc);
        }
      }
    return acc;
  }

  ConvBf16Desc desc_;  // its spans are not used after construction
  std::vector<float> weights_, bias_;
  ActivationKernels activation_;
};

}  // namespace

std::unique_ptr<const ConvBf16> make_conv_bf16_scalar(const ConvBf16Desc& desc) {
  return std::make_unique<ConvBf16Scalar>(desc);
}

}  // namespace octet
