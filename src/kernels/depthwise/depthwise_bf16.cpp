#include "kernels/depthwise/depthwise_bf16.h"

#include <algorithm>

#include "base/bf16.h"
#include "kernels/depthwise/depthwise_f32.h"
#include "kernels/depthwise/door.h"

namespace octet {

std::string depthwise_bf16_refuses(const ConvF32Desc& desc, Isa isa) {
  if (!has_bf16_products(isa)) return "no conversion to bfloat16 for " + std::string(name(isa)) + " here";
  if (!is_depthwise(desc.geometry)) return "not depthwise (group = input channels = output channels)";
  if (desc.has_residual) return "has a residual";
  const ActivationKind kind = desc.activation.kind;
  const bool is_clamp = kind == ActivationKind::none || kind == ActivationKind::relu || kind == ActivationKind::clip;
  return is_clamp ? "" : "knows no activation but Relu and Clip";
}

#if defined(__x86_64__)
namespace {

template <class X>
class DepthwiseBf16 final : public ConvBf16 {
 public:
  explicit DepthwiseBf16(const ConvF32Desc& desc)
      : geometry_(desc.geometry),
        step_(lattice_step(desc.geometry, depthwise_kernels(Isa::avx512_vnni).f32)),
        floats_(desc),
        known_(known_chunks(split_floats(geometry_, desc.expected.batch, desc.expected.threads), desc.expected)) {}

  const char* kernel_name() const override { return "avx512_bf16"; }
  size_t packed_bytes() const override { return floats_.bytes(); }
  int64_t chunks(int64_t batch, int threads) const override {
    return known_.serves(batch, threads) ? known_.count() : split_floats(geometry_, batch, threads).chunks;
  }
  size_t scratch_bytes() const override { return 0; }

  void run_chunk(const ConvBf16Args& args, int64_t chunk, int threads, std::byte*) const override {
    const WindowGeometry& g = geometry_;
    const bool is_known = known_.serves(args.batch, threads);
    const DepthwiseChunk own = is_known ? known_[chunk] : split_floats(g, args.batch, threads).chunk(chunk);
    for (const DepthwisePiece& piece : own.pieces)
      for (int64_t row = piece.units.begin; row < piece.units.end;) {
        const int64_t image = row / g.oh, oy = row % g.oh, oy_end = std::min(g.oh, oy + piece.units.end - row);
        const IndexRange channels = {piece.groups.begin * k_float_channel_group,
                                     std::min(g.ic, piece.groups.end * k_float_channel_group)};
        DepthwiseLattice::for_each(g, step_, {oy, oy_end}, [&](const DepthwiseLattice& lattice) {
          run_lattice(args, image, lattice, channels);
        });
        row += oy_end - oy;
      }
  }

 private:
  void run_lattice(const ConvBf16Args& args, int64_t image, const DepthwiseLattice& lattice,
                   IndexRange channels) const {
    const WindowGeometry& g = geometry_;
    const DepthwiseGeometry& own = lattice.geometry;
    DepthwiseCall<X, uint16_t> call = floats_.call<X, uint16_t>(lattice, channels);
    call.x = static_cast<const X*>(args.x) + (image * g.ih * g.iw + lattice.x) * g.x_pitch;
    call.x_rows = g.ih;
    call.y = static_cast<uint16_t*>(args.y) + (image * g.oh * g.ow + lattice.y) * g.y_pitch +
             lattice.rows.begin * own.y_width * own.y_pitch;
    depthwise_run_bf16(call);
  }

  WindowGeometry geometry_;
  int64_t step_;  // of lattices
  DepthwiseFloats floats_;
  KnownDepthwise known_;
};

}  // namespace

std::unique_ptr<const ConvBf16> make_depthwise_bf16(const ConvF32Desc& desc, bool x_is_bf16, Isa isa) {
  if (!depthwise_bf16_refuses(desc, isa).empty()) return nullptr;
  if (x_is_bf16) return std::make_unique<DepthwiseBf16<uint16_t>>(desc);
  return std::make_unique<DepthwiseBf16<float>>(desc);
}
#else
std::unique_ptr<const ConvBf16> make_depthwise_bf16(const ConvF32Desc&, bool, Isa) { return nullptr; }
#endif

}  // namespace octet
