#include "kernels/conv_f32/conv_f32.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_f32/conv_f32_isa.h"
#include "kernels/conv_f32/packing.h"
#include "kernels/conv_f32/scalar.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tap_classes.h"
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

/// With as many vectors as the layer's panels have.
ConvTile tile_of_layer(const ConvF32Kernel& kernel, Isa isa, const WindowGeometry& g) {
  ConvTile tile = tile_of(kernel, isa, conv_cpu());
  tile.vectors = panel_vectors(g.oc / g.groups, kernel.lanes, kernel.vectors).front();
  return tile;
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

/// The products of one class of pixels in one block of the reduction.
struct ConvF32Part {
  std::vector<ConvF32Segment> segments;
  int64_t first_position = 0, positions = 0;
};

/// A class of taps within a block. Where segments are kernel rows the class is a part of each.
ConvF32Part part_of_block(const TapClass& taps, const ConvF32Block& block, const WindowGeometry& g,
                          const TapTable& table) {
  const int64_t channels = g.ic / g.groups, elements = table.segment_elements();
  const TapBand &rows = taps.rows, &columns = taps.columns;
  ConvF32Part part;
  part.first_position = block.first_position;
  int64_t end = block.first_position + block.positions;
  if (table.is_by_rows()) {
    part.first_position = std::max(part.first_position, columns.k_begin * channels);
    end = std::min(end, columns.k_end * channels);
  }
  part.positions = end - part.first_position;
  if (part.positions <= 0) return {};
  for (int64_t s = block.first_segment; s < block.first_segment + block.segments; ++s) {
    const int64_t ky = table.is_by_rows() ? s : s / g.kw, kx = table.is_by_rows() ? columns.k_begin : s % g.kw;
    if (ky >= rows.k_begin && ky < rows.k_end && kx >= columns.k_begin && kx < columns.k_end)
      part.segments.push_back({s, s * elements + part.first_position});
  }
  return part;
}

/// One packed layer for one inner function. Scratch of a worker: [tap table][pixels by class][compact input].
class ConvF32Packed final : public DenseConvF32 {
 public:
  ConvF32Packed(const ConvF32Desc& desc, const ConvF32Kernel& kernel, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        cut_(cut),
        taps_(desc.geometry, sizeof(float), 1),
        classes_(taps_.is_compact()
                     ? TapClasses(desc.geometry, false, false)  // the copy has the padding, and tiles are short
                     : TapClasses::cheapest(
                           desc.geometry, tile_of_layer(kernel, isa, desc.geometry),
                           static_cast<double>(desc.geometry.ic) / static_cast<double>(desc.geometry.groups))),
        activation_(activation_kernels(isa)),
        planar_{layout_kernels(isa)},
        packed_(pack_conv_f32(desc, taps_, kernel)),
        pad_(allocate_aligned(sizeof(float) * static_cast<size_t>(taps_.pad_elements()))),
        block_pixels_(conv_block_pixels(work(1))),
        streams_weights_(packed_.weights_bytes > k_resident_weight_bytes) {
    std::memset(pad_.get(), 0, sizeof(float) * static_cast<size_t>(taps_.pad_elements()));
    if (taps_.is_compact())
      block_pixels_ = std::min(block_pixels_, compact_block_pixels());
    else if (!classes_.is_whole())
      block_pixels_ = class_block_pixels();
    for (const ConvF32Block& block : packed_.blocks)
      for (const TapClass& c : classes_.classes()) parts_.push_back(part_of_block(c, block, desc.geometry, taps_));
    const ConvWork all = work(desc.expected.batch);
    known_ = known_cut(desc.expected, all, conv_deal(all, desc.expected.threads, cut));
    if (classes_.is_whole()) {
      in_order_.resize(static_cast<size_t>(block_pixels_ + slack()));
      std::iota(in_order_.begin(), in_order_.end() - slack(), 0);
    }
    const ActivationParams& activation = desc.activation;
    if (activation.kind == ActivationKind::relu) lo_ = 0.0f;
    if (activation.kind == ActivationKind::clip) lo_ = activation.p0, hi_ = activation.p1;
    is_clamp_ = activation.kind == ActivationKind::none || activation.kind == ActivationKind::relu ||
                activation.kind == ActivationKind::clip;
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 4 * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }

  int64_t chunks(int64_t batch, int threads) const override {
    return known_.serves(batch, threads) ? known_.count() : conv_deal(work(batch), threads, cut_).chunks;
  }

  size_t scratch_bytes() const override { return table_bytes() + pixels_bytes() + copy_bytes(); }

  void run_chunk(const ConvF32Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const ConvChunk own = chunk_at(args.batch, threads, chunk);
    for (const ConvPiece& piece : own.pieces)
      run_piece(args, piece, args.y + piece.pixels.begin * desc_.geometry.y_pitch, scratch);
  }

  void run_pixels(const ConvF32Args& args, IndexRange pixels, float* y, std::byte* scratch) const override {
    run_piece(args, {pixels, {0, static_cast<int64_t>(packed_.panels.size())}}, y, scratch);
  }

 private:
  ConvChunk chunk_at(int64_t batch, int threads, int64_t chunk) const {
    if (known_.serves(batch, threads)) return known_[chunk];
    const ConvWork all = work(batch);
    const ConvDeal deal = conv_deal(all, threads, cut_);
    return {deal, conv_pieces(all, deal, chunk)};
  }

  /// Rows of a block's compact copy should stay in L1 or near: at most about 32 KB of input.
  int64_t compact_block_pixels() const {
    const WindowGeometry& g = desc_.geometry;
    int64_t rows = 1;
    while (rows < g.oh && taps_.compact_bytes((rows + 1) * g.ow) <= (32u << 10)) ++rows;
    return rows * g.ow;
  }

  /// Whole rows, four at least and about as many pixels as other blocks have, or whole images: the columns at the sides
  /// are tiles of their own.
  int64_t class_block_pixels() const {
    const WindowGeometry& g = desc_.geometry;
    constexpr int64_t k_least_rows = 4;
    const int64_t image_pixels = g.oh * g.ow, wanted = std::max(block_pixels_, k_least_rows * g.ow);
    if (wanted >= image_pixels) return wanted / image_pixels * image_pixels;
    const int64_t rows = wanted / g.ow, blocks = (g.oh + rows - 1) / rows;
    return (g.oh + blocks - 1) / blocks * g.ow;
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

  /// Where the columns at the sides are classes of their own, patches for them are not read.
  size_t copy_bytes() const {
    return taps_.is_compact() || !classes_.cuts_columns() ? taps_.copy_bytes(block_pixels_) : 0;
  }
  int64_t slack() const { return 2 * kernel_.rows; }  // a tile brings near what the next one reads and writes
  size_t table_bytes() const {
    return round_up(static_cast<size_t>(block_pixels_ * taps_.segments()) * sizeof(std::byte*));
  }
  size_t pixels_bytes() const {
    return classes_.is_whole() ? 0 : round_up(static_cast<size_t>(block_pixels_ + slack()) * sizeof(int32_t));
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
    std::byte* const copy = scratch + table_bytes() + pixels_bytes();
    const std::byte* x = reinterpret_cast<const std::byte*>(args.x);
    const int64_t count = pixels.end - pixels.begin;
    const TileRuns each = {1, 0, count};
    if (taps_.is_compact()) {
      taps_.copy_compact(x, pad_.get(), pixels.begin, count, copy, desc_.planar_x ? &planar_ : nullptr);
      taps_.fill_compact(copy, pixels.begin, each, table);
    } else {
      taps_.fill(x, pad_.get(), pixels.begin, each, copy_bytes() > 0 ? copy : nullptr, table);
    }
    int64_t counts[TapClasses::k_most] = {count};
    auto* const sorted = reinterpret_cast<int32_t*>(scratch + table_bytes());
    if (!classes_.is_whole()) classes_.sort(pixels, sorted, counts, slack());
    const size_t classes = classes_.classes().size();
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const WeightPanel& panel = packed_.panels[static_cast<size_t>(p)];
      for (size_t b = 0; b < packed_.blocks.size(); ++b) {
        ConvF32Run run = block_run(args, panel, b, pixels.begin, y);
        run.rows = reinterpret_cast<const float* const*>(table);
        run.pixels = classes_.is_whole() ? in_order_.data() : sorted;
        if (streams_weights_) prefetch(panel, b, p + 1 < panels.end, run);
        for (size_t c = 0; c < classes; ++c) {
          if (counts[c] == 0) continue;
          const ConvF32Part& part = parts_[b * classes + c];
          run.segment_list = part.segments.data();
          run.segments = static_cast<int64_t>(part.segments.size());
          run.first_position = panel.group * (desc_.geometry.ic / desc_.geometry.groups) + part.first_position;
          run.positions = part.positions;
          const TileRuns runs = tile_runs(counts[c], kernel_.rows);
          run_tiles(run, runs.rows + 1, runs.tall);
          run_tiles(run, runs.rows, runs.low);
        }
      }
      if (!is_clamp_) activate(y, panel, count);
    }
  }

  int64_t lanes_used(const WeightPanel& panel) const {
    return (panel.channels + kernel_.lanes - 1) / kernel_.lanes * kernel_.lanes;
  }

  /// What all tiles of one panel and block of the reduction have in common; they begin at pixel `first`, which goes to
  /// y.
  ConvF32Run block_run(const ConvF32Args& args, const WeightPanel& panel, size_t b, int64_t first, float* y) const {
    const WindowGeometry& g = desc_.geometry;
    const bool is_first = b == 0, is_last = b + 1 == packed_.blocks.size();
    ConvF32Run run;
    run.table_segments = taps_.segments();
    run.weights = packed_.weights + panel.weights_offset;
    run.y = y + panel.first_channel;
    run.y_step = g.y_pitch;
    run.start = is_first ? packed_.bias.data() + panel.bias_offset : run.y;
    run.start_step = is_first ? 0 : g.y_pitch;
    if (desc_.has_residual && is_last) run.residual = args.residual + first * g.residual_pitch + panel.first_channel;
    run.residual_step = g.residual_pitch;
    run.lo = is_last ? lo_ : -k_infinity;
    run.hi = is_last ? hi_ : k_infinity;
    run.prefetch = run.prefetch_end = reinterpret_cast<const char*>(run.weights);  // an address that is mapped
    run.channels = static_cast<int32_t>(panel.channels);
    return run;
  }

  /// The weights behind this block's are the next ones, be it of this panel or of the next.
  void prefetch(const WeightPanel& panel, size_t b, bool has_next_panel, ConvF32Run& run) const {
    if (b + 1 == packed_.blocks.size() && !has_next_panel) return;
    const ConvF32Block& block = packed_.blocks[b];
    const int64_t position_bytes = lanes_used(panel) * static_cast<int64_t>(sizeof(float));
    const int64_t behind =
        block.first_segment * taps_.segment_elements() + block.first_position + block.segments * block.positions;
    run.prefetch = reinterpret_cast<const char*>(run.weights) + behind * position_bytes;
    run.prefetch_end = run.prefetch + block.segments * block.positions * position_bytes;
  }

  /// Runs `tiles` tiles of `rows` pixels and moves `run` behind them.
  void run_tiles(ConvF32Run& run, int64_t rows, int64_t tiles) const {
    if (tiles == 0) return;
    run.row_count = static_cast<int32_t>(rows);
    run.tiles = static_cast<int32_t>(tiles);
    kernel_.run(run);
    run.pixels += tiles * rows;
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
  TapClasses classes_;
  ActivationKernels activation_;
  ImageSource planar_;
  PackedConvF32 packed_;
  AlignedBytes pad_;  // a pixel of zeros
  int64_t block_pixels_;
  KnownCut known_;
  std::vector<ConvF32Part> parts_;  // [block][class]
  std::vector<int32_t> in_order_;   // where the pixels of a block are not sorted
  bool streams_weights_;            // all weights together do not stay in L2
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
