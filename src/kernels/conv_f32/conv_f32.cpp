#include "kernels/conv_f32/conv_f32.h"

#include <cassert>
#include <limits>

#include "kernels/activation/activation.h"
#include "kernels/conv_f32/conv_f32_isa.h"
#include "kernels/conv_f32/packing.h"
#include "kernels/conv_f32/scalar.h"
#include "kernels/implicit_gemm/listed_tiles.h"
#include "kernels/implicit_gemm/listed_walk.h"
#include "kernels/layout/layout.h"

namespace octet {
namespace {

struct Entry {
  Isa isa;
  const ConvF32Kernel* kernel;
};
const std::vector<Entry>& entries() {
  static const std::vector<Entry> list = {
#define OCTET_KERNEL(entry, kernel) {Isa::entry, &kernel},
#include "kernels/conv_f32/kernels.def"
#undef OCTET_KERNEL
  };
  return list;
}

ConvTile tile_of(const ConvF32Kernel& k, Isa isa, const ConvCpu& cpu) {
  ConvTile tile = {isa, k.rows, k.lanes, k.vectors, k.dot_cycles, k.name};
  if (cpu.has_half_width && k.half_width_dot_cycles > 0)
    tile.dot_cycles = k.half_width_dot_cycles, tile.costs = k_half_width_costs;
  return tile;
}

std::vector<ConvTile> tiles(const ConvCpu& cpu) {
  std::vector<ConvTile> list;
  for (const Entry& entry : entries()) list.push_back(tile_of(*entry.kernel, entry.isa, cpu));
  return list;
}

ConvExtent extent_of(const WindowGeometry& g, int64_t batch) {
  const TapTable taps(g, sizeof(float), 1);
  return {.pixels = batch * g.oh * g.ow,
          .groups = g.groups,
          .group_channels = g.oc / g.groups,
          .steps = taps.segments() * taps.segment_elements()};
}

constexpr float k_infinity = std::numeric_limits<float>::infinity();

/// One packed layer for one inner function.
class ConvF32Packed final : public DenseConvF32 {
 public:
  ConvF32Packed(const ConvF32Desc& desc, const ConvF32Kernel& kernel, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        runs_(conv_f32_runs(desc, kernel)),
        tiles_(desc.geometry, tile_of(kernel, isa, conv_cpu()), cut, desc.expected, runs_),
        activation_(activation_kernels(isa)),
        planar_{layout_kernels(isa)},
        packed_(pack_conv_f32(desc, tiles_, kernel, runs_)) {
    const ActivationParams& activation = desc.activation;
    if (activation.kind == ActivationKind::relu) lo_ = 0.0f;
    if (activation.kind == ActivationKind::clip) lo_ = activation.p0, hi_ = activation.p1;
    is_clamp_ = activation.kind == ActivationKind::none || activation.kind == ActivationKind::relu ||
                activation.kind == ActivationKind::clip;
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override { return tiles_.weights_bytes() + 4 * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }

  int64_t chunks(int64_t batch, int threads) const override { return tiles_.chunks(batch, threads); }

  size_t scratch_bytes() const override { return tiles_.scratch_bytes(); }

  void run_chunk(const ConvF32Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const ConvChunk own = tiles_.chunk(args.batch, threads, chunk);
    for (const ConvPiece& piece : own.pieces)
      run_piece(args, piece, args.y + piece.pixels.begin * desc_.geometry.y_pitch, scratch);
  }

  void run_pixels(const ConvF32Args& args, IndexRange pixels, float* y, std::byte* scratch) const override {
    run_piece(args, {pixels, {0, static_cast<int64_t>(tiles_.panels().size())}}, y, scratch);
  }

 private:
  /// y: where the piece's first pixel goes.
  void run_piece(const ConvF32Args& args, const ConvPiece& piece, float* y, std::byte* scratch) const {
    const ListedTiles::Source x = {reinterpret_cast<const std::byte*>(args.x), desc_.planar_x ? &planar_ : nullptr};
    tiles_.for_blocks(piece.pixels, [&](IndexRange pixels) {
      tiles_.run_block<ConvF32Run>(
          x, packed_.weights, pixels, piece.panels, scratch, kernel_.run,
          [&](const WeightPanel& panel, size_t b) { return block_run(args, panel, b, pixels.begin, y); },
          [&](const WeightPanel& panel) {
            if (!is_clamp_) activate(y, panel, pixels.end - pixels.begin);
          });
      y += (pixels.end - pixels.begin) * desc_.geometry.y_pitch;
    });
  }

  /// What all tiles of one panel and block of the reduction have in common; they begin at pixel `first`, which goes to
  /// y.
  ConvF32Run block_run(const ConvF32Args& args, const WeightPanel& panel, size_t b, int64_t first, float* y) const {
    const WindowGeometry& g = desc_.geometry;
    const bool is_first = b == 0, is_last = b + 1 == tiles_.blocks().size();
    ConvF32Run run;
    run.y = y + panel.first_channel;
    run.y_step = g.y_pitch;
    run.start = is_first ? packed_.bias.data() + panel.bias_offset : run.y;
    run.start_step = is_first ? 0 : g.y_pitch;
    if (desc_.has_residual && is_last) run.residual = args.residual + first * g.residual_pitch + panel.first_channel;
    run.residual_step = g.residual_pitch;
    run.lo = is_last ? lo_ : -k_infinity;
    run.hi = is_last ? hi_ : k_infinity;
    return run;
  }

  void activate(float* y, const WeightPanel& panel, int64_t pixels) const {
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      activation_.activate(y + pixel * desc_.geometry.y_pitch + panel.first_channel,
                           static_cast<size_t>(panel.channels), desc_.activation);
  }

  ConvF32Desc desc_;  // its spans are not used after construction
  const ConvF32Kernel& kernel_;
  std::vector<TapRun> runs_;
  ListedTiles tiles_;
  ActivationKernels activation_;
  ImageSource planar_;
  ListedWeights packed_;
  float lo_ = -k_infinity, hi_ = k_infinity;
  bool is_clamp_ = true;
};

}  // namespace

std::unique_ptr<const DenseConvF32> ConvF32::make(const ConvF32Desc& desc, Isa isa, std::string_view variant) {
  [[maybe_unused]] const WindowGeometry& g = desc.geometry;
  assert(g.ic % g.groups == 0 && g.oc % g.groups == 0 && "groups divide both channel counts");
  assert(static_cast<int64_t>(desc.weights.size()) == g.oc * (g.ic / g.groups) * g.kh * g.kw);
  if (isa == Isa::scalar) return make_conv_f32_scalar(desc);
  const ChosenVariant chosen = choose_variant(tiles(conv_cpu()), extent_of(desc.geometry, 1), isa, variant);
  if (chosen.tile < 0) return variant.empty() ? make_conv_f32_scalar(desc) : nullptr;
  return std::make_unique<ConvF32Packed>(desc, *entries()[static_cast<size_t>(chosen.tile)].kernel, chosen.cut, isa);
}

std::vector<ConvVariant> conv_f32_variants(const WindowGeometry& geometry, int64_t batch, Isa isa, int threads,
                                           const ConvCpu& cpu) {
  if (isa == Isa::scalar) return {scalar_variant(extent_of(geometry, batch))};
  return conv_variants(tiles(cpu), extent_of(geometry, batch), isa, threads);
}

}  // namespace octet
