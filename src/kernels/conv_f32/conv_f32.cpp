#include "kernels/conv_f32/conv_f32.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_f32/conv_f32_isa.h"
#include "kernels/conv_f32/packing.h"
#include "kernels/conv_f32/scalar.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tap_table.h"
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

std::vector<ConvTile> tiles() {
  std::vector<ConvTile> list;
  for (const Entry& entry : entries()) {
    const ConvF32Kernel& k = *entry.kernel;
    list.push_back({entry.isa, k.rows, k.lanes, k.vectors, k.dot_cycles, k.name});
  }
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

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

/// One packed layer for one inner function. Scratch of a worker: [tap table][compact input].
class ConvF32Packed final : public DenseConvF32 {
 public:
  ConvF32Packed(const ConvF32Desc& desc, const ConvF32Kernel& kernel, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        cut_(cut),
        taps_(desc.geometry, sizeof(float), kernel.rows),
        activation_(activation_kernels(isa)),
        planar_{layout_kernels(isa)},
        packed_(pack_conv_f32(desc, taps_, kernel)),
        pad_(allocate_aligned(sizeof(float) * static_cast<size_t>(taps_.pad_elements()))),
        block_pixels_(conv_block_pixels(work(1))),
        streams_weights_(packed_.weights_bytes > k_resident_weight_bytes) {
    std::memset(pad_.get(), 0, sizeof(float) * static_cast<size_t>(taps_.pad_elements()));
    if (taps_.is_compact()) block_pixels_ = std::min(block_pixels_, compact_block_pixels());
    const ActivationParams& activation = desc.activation;
    if (activation.kind == ActivationKind::relu) lo_ = 0.0f;
    if (activation.kind == ActivationKind::clip) lo_ = activation.p0, hi_ = activation.p1;
    is_clamp_ = activation.kind == ActivationKind::none || activation.kind == ActivationKind::relu ||
                activation.kind == ActivationKind::clip;
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 4 * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }

  int64_t chunks(int64_t batch, int threads) const override { return conv_deal(work(batch), threads, cut_).chunks; }

  size_t scratch_bytes() const override { return table_bytes() + taps_.copy_bytes(block_pixels_); }

  void run_chunk(const ConvF32Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const ConvWork all = work(args.batch);
    for (const ConvPiece& piece : conv_pieces(all, conv_deal(all, threads, cut_), chunk))
      run_piece(args, piece, args.y + piece.pixels.begin * desc_.geometry.y_pitch, scratch);
  }

  void run_pixels(const ConvF32Args& args, IndexRange pixels, float* y, std::byte* scratch) const override {
    run_piece(args, {pixels, {0, static_cast<int64_t>(packed_.panels.size())}}, y, scratch);
  }

 private:
  /// Rows of a block's compact copy should stay in L1 or near: at most about 32 KB of input.
  int64_t compact_block_pixels() const {
    const WindowGeometry& g = desc_.geometry;
    int64_t rows = 1;
    while (rows < g.oh && taps_.compact_bytes((rows + 1) * g.ow) <= (32u << 10)) ++rows;
    return rows * g.ow;
  }

  ConvWork work(int64_t batch) const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t panels = static_cast<int64_t>(packed_.panels.size());
    const int64_t panel_bytes = static_cast<int64_t>(packed_.weights_bytes) / panels;
    const int64_t pixel_elements = g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw);
    return {.pixels = batch * g.oh * g.ow,
            .panels = panels,
            .panel_bytes = panel_bytes,
            .pixel_bytes = static_cast<int64_t>(sizeof(float)) * pixel_elements,
            .segments = taps_.segments(),
            .tile_rows = kernel_.rows,
            .row_pixels = g.ow};
  }

  int64_t block_tiles(int64_t pixels) const { return (pixels + kernel_.rows - 1) / kernel_.rows; }
  int64_t table_stride() const { return taps_.segments() * kernel_.rows; }
  size_t table_bytes() const {
    return round_up(static_cast<size_t>(block_tiles(block_pixels_) * table_stride()) * sizeof(std::byte*));
  }

  /// y: where the piece's first pixel goes.
  void run_piece(const ConvF32Args& args, const ConvPiece& piece, float* y, std::byte* scratch) const {
    const WindowGeometry& g = desc_.geometry;
    for (int64_t first = piece.pixels.begin; first < piece.pixels.end;) {
      int64_t count = std::min(block_pixels_, piece.pixels.end - first);
      if (taps_.is_compact())
        count = std::min(count, g.oh * g.ow - first % (g.oh * g.ow));  // the copy serves one image
      run_block(args, {first, first + count}, piece.panels, y, scratch);
      first += count, y += count * g.y_pitch;
    }
  }

  void run_block(const ConvF32Args& args, IndexRange pixels, IndexRange panels, float* y, std::byte* scratch) const {
    const std::byte** table = reinterpret_cast<const std::byte**>(scratch);
    std::byte* const copy = scratch + table_bytes();
    const std::byte* x = reinterpret_cast<const std::byte*>(args.x);
    const TileRuns runs = tile_runs(pixels.end - pixels.begin, kernel_.rows);
    if (taps_.is_compact()) {
      taps_.copy_compact(x, pad_.get(), pixels.begin, pixels.end - pixels.begin, copy,
                         desc_.planar_x ? &planar_ : nullptr);
      taps_.fill_compact(copy, pixels.begin, runs, table);
    }
    if (!taps_.is_compact()) taps_.fill(x, pad_.get(), pixels.begin, runs, copy, table);
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const WeightPanel& panel = packed_.panels[static_cast<size_t>(p)];
      for (size_t b = 0; b < packed_.blocks.size(); ++b) {
        ConvF32Run run = block_run(args, panel, b, pixels.begin, y);
        run.rows = reinterpret_cast<const float* const*>(table) + packed_.blocks[b].first_segment * kernel_.rows;
        if (streams_weights_) prefetch(panel, b, p + 1 < panels.end, run);
        run_tiles(run, runs.rows + 1, runs.tall);
        run_tiles(run, runs.rows, runs.low);
      }
      if (!is_clamp_) activate(y, panel, pixels.end - pixels.begin);
    }
  }

  int64_t lanes_used(const WeightPanel& panel) const {
    return (panel.channels + kernel_.lanes - 1) / kernel_.lanes * kernel_.lanes;
  }

  /// What all tiles of one panel and block of the reduction have in common; they begin at pixel `first`, which goes to
  /// y.
  ConvF32Run block_run(const ConvF32Args& args, const WeightPanel& panel, size_t b, int64_t first, float* y) const {
    const WindowGeometry& g = desc_.geometry;
    const ConvF32Block& block = packed_.blocks[b];
    const bool is_first = b == 0, is_last = b + 1 == packed_.blocks.size();
    const int64_t depth_before = block.first_segment * taps_.segment_elements() + block.first_position;
    ConvF32Run run;
    run.table_segments = taps_.segments();
    run.segments = block.segments;
    run.first_position = panel.group * (g.ic / g.groups) + block.first_position;
    run.positions = block.positions;
    run.weights = packed_.weights + panel.weights_offset + static_cast<size_t>(depth_before * lanes_used(panel));
    run.y = y + panel.first_channel;
    run.y_step = g.y_pitch;
    run.start = is_first ? packed_.bias.data() + panel.bias_offset : run.y;
    run.start_step = is_first ? 0 : g.y_pitch;
    if (desc_.has_residual && is_last) run.residual = args.residual + first * g.residual_pitch + panel.first_channel;
    run.residual_step = g.residual_pitch;
    run.lo = is_last ? lo_ : -k_infinity;
    run.hi = is_last ? hi_ : k_infinity;
    run.prefetch = run.prefetch_end = reinterpret_cast<const char*>(run.weights);
    run.channels = static_cast<int32_t>(panel.channels);
    return run;
  }

  /// The weights behind this block's are the next ones, be it of this panel or of the next.
  void prefetch(const WeightPanel& panel, size_t b, bool has_next_panel, ConvF32Run& run) const {
    if (b + 1 == packed_.blocks.size() && !has_next_panel) return;
    const int64_t bytes = run.segments * run.positions * lanes_used(panel) * static_cast<int64_t>(sizeof(float));
    run.prefetch = reinterpret_cast<const char*>(run.weights) + bytes;
    run.prefetch_end = run.prefetch + bytes;
  }

  /// Runs `tiles` tiles of `rows` pixels and moves `run` behind them.
  void run_tiles(ConvF32Run& run, int64_t rows, int64_t tiles) const {
    if (tiles == 0) return;
    run.row_count = static_cast<int32_t>(rows);
    run.tiles = static_cast<int32_t>(tiles);
    kernel_.run(run);
    const int64_t pixels = tiles * rows;
    run.rows += tiles * table_stride();
    run.start += pixels * run.start_step;
    if (run.residual) run.residual += pixels * run.residual_step;
    run.y += pixels * run.y_step;
    run.prefetch += tiles * run.segments * run.positions * 64;
  }

  void activate(float* y, const WeightPanel& panel, int64_t pixels) const {
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      activation_.activate(y + pixel * desc_.geometry.y_pitch + panel.first_channel,
                           static_cast<size_t>(panel.channels), desc_.activation);
  }

  ConvF32Desc desc_;  // its spans are not used after construction
  const ConvF32Kernel& kernel_;
  CutBy cut_;
  TapTable taps_;
  ActivationKernels activation_;
  ImageSource planar_;
  PackedConvF32 packed_;
  AlignedBytes pad_;  // a pixel of zeros
  int64_t block_pixels_;
  bool streams_weights_;  // all weights together do not stay in L2
  float lo_ = -k_infinity, hi_ = k_infinity;
  bool is_clamp_ = true;
};

}  // namespace

std::unique_ptr<const DenseConvF32> ConvF32::make(const ConvF32Desc& desc, Isa isa, std::string_view variant) {
  [[maybe_unused]] const WindowGeometry& g = desc.geometry;
  assert(g.ic % g.groups == 0 && g.oc % g.groups == 0 && "groups divide both channel counts");
  assert(static_cast<int64_t>(desc.weights.size()) == g.oc * (g.ic / g.groups) * g.kh * g.kw);
  if (isa == Isa::scalar) return make_conv_f32_scalar(desc);
  const ChosenVariant chosen = choose_variant(tiles(), extent_of(desc.geometry, 1), isa, variant);
  if (chosen.tile < 0) return variant.empty() ? make_conv_f32_scalar(desc) : nullptr;
  return std::make_unique<ConvF32Packed>(desc, *entries()[static_cast<size_t>(chosen.tile)].kernel, chosen.cut, isa);
}

std::vector<ConvVariant> conv_f32_variants(const WindowGeometry& geometry, int64_t batch, Isa isa, int threads) {
  if (isa == Isa::scalar) return {scalar_variant(extent_of(geometry, batch))};
  return conv_variants(tiles(), extent_of(geometry, batch), isa, threads);
}

}  // namespace octet
