// FP32 depthwise layers: packing, rows and chunks.

#include "kernels/depthwise/depthwise_f32.h"

#include <algorithm>
#include <limits>

#include "kernels/depthwise/depthwise.h"
#include "kernels/depthwise/door.h"

namespace octet {

DepthwiseFloats::DepthwiseFloats(const ConvF32Desc& desc) {
  const WindowGeometry& g = desc.geometry;
  const int64_t taps = g.kh * g.kw, pitch = channel_pitch(g.ic);
  weights.assign(static_cast<size_t>(taps * pitch), 0.0f);
  for (int64_t c = 0; c < g.ic; ++c)
    for (int64_t tap = 0; tap < taps; ++tap)
      weights[static_cast<size_t>(tap * pitch + c)] = desc.weights[static_cast<size_t>(c * taps + tap)];
  bias.assign(static_cast<size_t>(pitch), 0.0f);
  std::copy(desc.bias.begin(), desc.bias.end(), bias.begin());
  const ActivationParams& activation = desc.activation;
  if (activation.kind == ActivationKind::relu) lo = 0.0f;
  if (activation.kind == ActivationKind::clip) lo = activation.p0, hi = activation.p1;
  is_clamp = activation.kind == ActivationKind::none || activation.kind == ActivationKind::relu ||
             activation.kind == ActivationKind::clip;
}

int64_t lattice_step(const WindowGeometry& g, const DepthwiseF32Kernels& kernels) {
  const int64_t step = DepthwiseLattice::step_of(g);
  return kernels.likes_lattices(DepthwiseLattice::make(g, step, 0, 0, {}).geometry) ? step : 1;
}

namespace {

/// A layer with repeated channels as one that has all of them.
ConvF32Desc with_all_channels(ConvF32Desc desc) {
  desc.geometry = with_repeated_channels(desc.geometry);
  return desc;
}

}  // namespace

DepthwiseRowsF32::DepthwiseRowsF32(const ConvF32Desc& desc, Isa isa)
    : geometry_(with_repeated_channels(desc.geometry)),
      step_(lattice_step(desc.geometry, depthwise_kernels(isa).f32)),
      activation_(desc.activation),
      has_residual_(desc.has_residual),
      kernels_(depthwise_kernels(isa).f32),
      activation_kernels_(activation_kernels(isa)),
      floats_(with_all_channels(desc)) {
  constexpr int64_t k_group = 16;
  if (repeats_of(desc.geometry) > 1) repeated_ = RepeatedInput(desc.geometry, k_group, sizeof(float), 2 * step_, isa);
}

void DepthwiseRowsF32::run(const DepthwiseRowsAt& at, IndexRange rows, IndexRange channels) const {
  // Where the activation is a pass of its own, what it goes over is still near.
  constexpr int64_t k_band = 8;
  const int64_t unbanded = floats_.is_clamp ? rows.end - rows.begin : k_band * step_;
  const int64_t band = repeated_.is_none() ? unbanded : repeated_.band_rows();
  DepthwiseRowsAt image = at;
  image.y -= rows.begin * geometry_.ow * geometry_.y_pitch;
  for (int64_t begin = rows.begin; begin < rows.end; begin += band) {
    const IndexRange own = {begin, std::min(rows.end, begin + band)};
    if (repeated_.is_none())
      run_rows(image, geometry_, own, channels);
    else
      run_repeated(image, own, channels);
    if (!floats_.is_clamp) activate(image.y, own, channels);
  }
}

void DepthwiseRowsF32::run_repeated(const DepthwiseRowsAt& image, IndexRange rows, IndexRange channels) const {
  const int64_t group = repeated_.group();
  for (int64_t c = channels.begin; c < channels.end; c += group) {
    const WindowGeometry g = repeated_.fill(image.x, rows, c / group, image.scratch);
    DepthwiseRowsAt own = image;
    own.x = reinterpret_cast<const float*>(image.scratch) - c;
    own.x_rows = std::max<int64_t>(g.ih, 1);
    run_rows(own, g, rows, {c, std::min(channels.end, c + group)});
  }
}

/// image.y: the image, or where it would begin.
void DepthwiseRowsF32::run_rows(const DepthwiseRowsAt& image, const WindowGeometry& g, IndexRange rows,
                                IndexRange channels) const {
  const bool is_ring = image.x_rows < g.ih;  // whose rows lie on no lattice
  DepthwiseLattice::for_each(g, is_ring ? 1 : step_, rows, [&](const DepthwiseLattice& lattice) {
    const DepthwiseGeometry& own = lattice.geometry;
    DepthwiseF32Call call = floats_.call<float, float>(lattice, channels);
    call.x = image.x + lattice.x * g.x_pitch;
    call.x_rows = image.x_rows;
    call.residual = has_residual_ ? image.residual + lattice.y * g.residual_pitch : nullptr;
    call.y = image.y + lattice.y * g.y_pitch + lattice.rows.begin * own.y_width * own.y_pitch;
    kernels_.run(call);
  });
}

void DepthwiseRowsF32::activate(float* image, IndexRange rows, IndexRange channels) const {
  const WindowGeometry& g = geometry_;
  const int64_t n = channels.end - channels.begin;
  float* v = image + rows.begin * g.ow * g.y_pitch + channels.begin;
  const int64_t pixels = (rows.end - rows.begin) * g.ow;
  if (n == g.y_pitch) {
    activation_kernels_.activate(v, static_cast<size_t>(pixels * n), activation_);
  } else {
    for (int64_t p = 0; p < pixels; ++p)
      activation_kernels_.activate(v + p * g.y_pitch, static_cast<size_t>(n), activation_);
  }
}

DepthwiseSplit split_floats(const WindowGeometry& g, int64_t batch, int threads) {
  constexpr double k_outputs_per_ns = 2;
  const int64_t groups = (g.ic + k_float_channel_group - 1) / k_float_channel_group;
  return DepthwiseSplit::make(g, batch, 1, groups, threads, k_outputs_per_ns);
}

namespace {

class DepthwiseF32 final : public ConvF32 {
 public:
  DepthwiseF32(const ConvF32Desc& desc, Isa isa)
      : rows_(desc, isa), known_(known_chunks(split(desc.expected.batch, desc.expected.threads), desc.expected)) {}

  const char* kernel_name() const override { return rows_.kernel_name(); }
  size_t packed_bytes() const override { return rows_.packed_bytes(); }
  int64_t chunks(int64_t batch, int threads) const override {
    return known_.serves(batch, threads) ? known_.count() : split(batch, threads).chunks;
  }
  size_t scratch_bytes() const override { return rows_.scratch_bytes(); }

  void run_chunk(const ConvF32Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const WindowGeometry& g = rows_.geometry();
    const bool is_known = known_.serves(args.batch, threads);
    const DepthwiseChunk own = is_known ? known_[chunk] : split(args.batch, threads).chunk(chunk);
    for (const DepthwisePiece& piece : own.pieces)
      for (int64_t row = piece.units.begin; row < piece.units.end;) {
        const int64_t n = row / g.oh, oy = row % g.oh;
        const int64_t oy_end = std::min(g.oh, oy + piece.units.end - row);
        const DepthwiseRowsAt at = {
            .x = args.x + n * g.ih * g.iw * g.x_pitch,
            .x_rows = g.ih,
            .residual = args.residual ? args.residual + n * g.oh * g.ow * g.residual_pitch : nullptr,
            .y = args.y + row * g.ow * g.y_pitch,
            .scratch = scratch};
        rows_.run(
            at, {oy, oy_end},
            {piece.groups.begin * k_float_channel_group, std::min(g.ic, piece.groups.end * k_float_channel_group)});
        row += oy_end - oy;
      }
  }

 private:
  DepthwiseSplit split(int64_t batch, int threads) const { return split_floats(rows_.geometry(), batch, threads); }

  DepthwiseRowsF32 rows_;
  KnownDepthwise known_;
};

}  // namespace

std::unique_ptr<const ConvF32> make_depthwise_f32(const ConvF32Desc& desc, Isa isa) {
  if (repeats_of(desc.geometry) == 0) return nullptr;
  return std::make_unique<DepthwiseF32>(desc, isa);
}

}  // namespace octet
