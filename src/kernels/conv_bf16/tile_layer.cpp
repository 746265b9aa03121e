// Blocks of pixels whose rows lie in a panel of bfloat16, then panels of output channels over all of them, some rows at
// a time, so that a panel's weights come from memory once per block. Where the input is bfloat16 and a 1x1 layer visits
// every pixel, the rows are the input itself.

#include "kernels/conv_bf16/tile_layer.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_bf16/packing.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/layout/layout.h"

namespace octet {
namespace {

/// Most bytes of a block's panel: a part of L2 (1 to 2 MB) beside the weights.
constexpr int64_t k_panel_bytes = 256 << 10;
constexpr int64_t k_most_pixels = 1024;
/// Most bytes of the compact copy of a stem's input.
constexpr size_t k_compact_bytes = 32 << 10;
/// Rows that meet all panels while they stay in L1, where the weights stay in L2 anyway.
constexpr int64_t k_near_bytes = 16 << 10;
/// Pixels whose pointers lie side by side in the table of taps that rows are gathered by.
constexpr int64_t k_table_rows = 16;
constexpr float k_infinity = std::numeric_limits<float>::infinity();

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }
int64_t ceil_div(int64_t n, int64_t by) { return (n + by - 1) / by; }
size_t bytes_of(bool is_bf16) { return is_bf16 ? sizeof(uint16_t) : sizeof(float); }
const std::byte* at(const void* base, int64_t elements, bool is_bf16) {
  return static_cast<const std::byte*>(base) + elements * static_cast<int64_t>(bytes_of(is_bf16));
}

/// Scratch of a worker: [table of taps][compact input or patches][panel][sums].
class ConvBf16Tiles final : public ConvBf16 {
 public:
  ConvBf16Tiles(const ConvBf16Desc& desc, const ConvBf16TileKernel& kernel, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        cut_(cut),
        taps_(desc.geometry, bytes_of(desc.x_is_bf16), k_table_rows),
        activation_(activation_kernels(isa)),
        planar_{layout_kernels(isa)},
        packed_(pack_conv_bf16(desc, taps_, kernel)),
        positions_(taps_.segments() * taps_.segment_elements()),
        steps_(ceil_div(positions_, kernel.step)),
        pad_(allocate_aligned(bytes_of(desc.x_is_bf16) * static_cast<size_t>(taps_.pad_elements()))) {
    const WindowGeometry& g = desc.geometry;
    std::memset(pad_.get(), 0, bytes_of(desc.x_is_bf16) * static_cast<size_t>(taps_.pad_elements()));
    is_direct_ = taps_.is_linear() && desc.x_is_bf16 && g.groups == 1 && g.ic % kernel.step == 0;
    block_pixels_ = std::clamp<int64_t>(k_panel_bytes / (2 * panel_stride()), kernel.rows, k_most_pixels);
    block_pixels_ -= block_pixels_ % kernel.rows;
    if (taps_.is_compact()) {
      int64_t rows = 1;
      while (rows < g.oh && taps_.compact_bytes((rows + 1) * g.ow) <= k_compact_bytes) ++rows;
      block_pixels_ = std::min(block_pixels_, rows * g.ow);
    }
    const ActivationParams& activation = desc.activation;
    if (activation.kind == ActivationKind::relu) lo_ = 0.0f;
    if (activation.kind == ActivationKind::clip) lo_ = activation.p0, hi_ = activation.p1;
    is_clamp_ = activation.kind == ActivationKind::none || activation.kind == ActivationKind::relu ||
                activation.kind == ActivationKind::clip;
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + sizeof(float) * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }

  int64_t chunks(int64_t batch, int threads) const override {
    const ConvGrid grid = conv_grid(work(batch), threads, cut_);
    return grid.pixel_parts * grid.panel_parts;
  }

  size_t scratch_bytes() const override { return table_bytes() + copy_bytes() + panel_bytes() + sums_bytes(); }

  void run_chunk(const ConvBf16Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    if (kernel_.configure) kernel_.configure();
    const WindowGeometry& g = desc_.geometry;
    const ConvWork all = work(args.batch);
    const ConvGrid grid = conv_grid(all, threads, cut_);
    const IndexRange pixels = part_of(all.pixels, grid.pixel_parts, chunk / grid.panel_parts, kernel_.rows);
    const IndexRange panels = part_of(all.panels, grid.panel_parts, chunk % grid.panel_parts);
    for (int64_t first = pixels.begin; first < pixels.end;) {
      int64_t count = std::min(block_pixels_, pixels.end - first);
      if (taps_.is_compact())
        count = std::min(count, g.oh * g.ow - first % (g.oh * g.ow));  // the copy serves one image
      const bool is_direct = is_direct_ && count >= kernel_.read_rows;
      if (is_direct) count -= count % kernel_.read_rows;  // rows behind the input may not be read
      run_block(args, {first, first + count}, panels, is_direct, scratch);
      first += count;
    }
  }

 private:
  ConvWork work(int64_t batch) const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t panels = static_cast<int64_t>(packed_.panels.size());
    const int64_t pixel_elements = g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw);
    return {.pixels = batch * g.oh * g.ow,
            .panels = panels,
            .panel_bytes = static_cast<int64_t>(packed_.weights_bytes) / panels,
            .pixel_bytes = static_cast<int64_t>(bytes_of(desc_.x_is_bf16)) * pixel_elements,
            .segments = taps_.segments(),
            .tile_rows = kernel_.rows};
  }

  /// Elements of a row of the panel: its positions, the zeros that gathering writes behind them, and an odd number of
  /// cache lines, so that sixteen rows do not meet in a few sets of L1.
  int64_t panel_stride() const {
    const int64_t lines = ceil_div(positions_ + 64, 32);
    return 32 * (lines + 1 - lines % 2);
  }
  size_t table_bytes() const {
    const int64_t tiles = ceil_div(block_pixels_, k_table_rows);
    return round_up(static_cast<size_t>(tiles * taps_.segments() * k_table_rows) * sizeof(std::byte*));
  }
  size_t copy_bytes() const { return round_up(taps_.copy_bytes(block_pixels_)); }
  size_t panel_bytes() const {
    const int64_t rows = ceil_div(block_pixels_, kernel_.rows) * kernel_.rows;
    return round_up(static_cast<size_t>(2 * rows * panel_stride()) + 64);
  }
  int64_t sums_step() const { return 16 * kernel_.vectors; }
  size_t sums_bytes() const { return sizeof(float) * static_cast<size_t>(kernel_.rows * sums_step()); }

  /// Rows that lie side by side, and the pixel of the first one.
  struct Rows {
    const uint16_t* x;
    int64_t step, first, count;
  };

  void run_block(const ConvBf16Args& args, IndexRange pixels, IndexRange panels, bool is_direct,
                 std::byte* scratch) const {
    const WindowGeometry& g = desc_.geometry;
    const std::byte** const table = reinterpret_cast<const std::byte**>(scratch);
    std::byte* const copy = scratch + table_bytes();
    auto* const panel = reinterpret_cast<uint16_t*>(copy + copy_bytes());
    auto* const sums = reinterpret_cast<float*>(copy + copy_bytes() + panel_bytes());
    const int64_t count = pixels.end - pixels.begin;
    if (is_direct) {
      const auto* x = static_cast<const uint16_t*>(args.x) + pixels.begin * g.x_pitch;
      return walk(args, {x, g.x_pitch, pixels.begin, count}, panels, sums, [](int64_t) {});
    }
    const TileRuns runs = tile_runs(count, k_table_rows);
    const auto* x = static_cast<const std::byte*>(args.x);
    if (taps_.is_compact()) {
      taps_.copy_compact(x, pad_.get(), pixels.begin, count, copy, desc_.planar_x ? &planar_ : nullptr);
      taps_.fill_compact(copy, pixels.begin, runs, table);
    } else {
      taps_.fill(x, pad_.get(), pixels.begin, runs, copy, table);
    }
    walk(args, {panel, panel_stride(), pixels.begin, count}, panels, sums,
         [&](int64_t group) { gather(table, runs, group * (g.ic / g.groups), panel); });
  }

  void gather(const std::byte* const* table, TileRuns runs, int64_t first_position, uint16_t* panel) const {
    ConvBf16Gather row = {.row_step = k_table_rows,
                          .segments = taps_.segments(),
                          .first_position = first_position,
                          .elements = taps_.segment_elements(),
                          .from_f32 = !desc_.x_is_bf16,
                          .to = panel};
    for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += taps_.segments() * k_table_rows) {
      const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
      for (int64_t r = 0; r < rows; ++r, row.to += panel_stride()) {
        row.rows = reinterpret_cast<const void* const*>(table + r);
        kernel_.gather(row);
      }
    }
  }

  /// gather_group: makes the rows of a group.
  template <class F>
  void walk(const ConvBf16Args& args, const Rows& rows, IndexRange panels, float* sums, F&& gather_group) const {
    int64_t near = rows.count, group = -1;
    if (desc_.geometry.groups == 1 && packed_.weights_bytes <= k_resident_weight_bytes) {
      const int64_t fit = k_near_bytes / (2 * rows.step) / kernel_.rows * kernel_.rows;
      near = std::min(near, std::max<int64_t>(fit, kernel_.rows));
    }
    for (int64_t first = 0; first < rows.count; first += near)
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        const WeightPanel& panel = packed_.panels[static_cast<size_t>(p)];
        if (panel.group != group) gather_group(panel.group);
        group = panel.group;
        const int64_t own = std::min(near, rows.count - first), parts = ceil_div(own, kernel_.rows);
        for (int64_t i = 0; i < parts; ++i) {
          const IndexRange part = part_of(own, parts, i, kernel_.read_rows);
          if (part.end > part.begin) run_rows(args, rows, panel, {first + part.begin, first + part.end}, sums);
        }
      }
  }

  ConvBf16Block block_of(const WeightPanel& panel, float* sums) const {
    ConvBf16Block block;
    block.weights = packed_.weights + panel.weights_offset;
    block.bias = packed_.bias.data() + panel.bias_offset;
    block.vectors = static_cast<int>(ceil_div(panel.channels, 16));
    block.sums = sums;
    return block;
  }

  void run_rows(const ConvBf16Args& args, const Rows& rows, const WeightPanel& panel, IndexRange part,
                float* sums) const {
    ConvBf16Block block = block_of(panel, sums);
    block.x = rows.x + part.begin * rows.step;
    block.x_step = rows.step;
    block.rows = part.end - part.begin;
    block.steps = steps_;
    kernel_.sums(block);
    finish_rows(args, panel, rows.first + part.begin, block.rows, sums);
  }

  /// What is behind the sums of `rows` pixels from `pixel` on.
  void finish_rows(const ConvBf16Args& args, const WeightPanel& panel, int64_t pixel, int64_t rows, float* sums) const {
    const WindowGeometry& g = desc_.geometry;
    ConvBf16Finish finish = {
        .sums = sums,
        .sums_step = sums_step(),
        .rows = rows,
        .channels = static_cast<int32_t>(panel.channels),
        .residual_step = g.residual_pitch,
        .residual_is_bf16 = desc_.residual_is_bf16,
        .lo = lo_,
        .hi = hi_,
        .y = const_cast<std::byte*>(at(args.y, pixel * g.y_pitch + panel.first_channel, desc_.y_is_bf16)),
        .y_step = g.y_pitch,
        .y_is_bf16 = desc_.y_is_bf16};
    if (desc_.has_residual)
      finish.residual = at(args.residual, pixel * g.residual_pitch + panel.first_channel, desc_.residual_is_bf16);
    if (is_clamp_) return kernel_.finish(finish);
    if (desc_.has_residual) {
      ConvBf16Finish added = finish;
      added.y = sums, added.y_step = sums_step(), added.y_is_bf16 = false;
      kernel_.finish(added);
    }
    for (int64_t r = 0; r < finish.rows; ++r)
      activation_.activate(sums + r * sums_step(), static_cast<size_t>(panel.channels), desc_.activation);
    finish.residual = nullptr;
    kernel_.finish(finish);
  }

  ConvBf16Desc desc_;  // its spans are not used after construction
  const ConvBf16TileKernel& kernel_;
  CutBy cut_;
  TapTable taps_;
  ActivationKernels activation_;
  ImageSource planar_;
  PackedConvBf16 packed_;
  int64_t positions_, steps_;
  AlignedBytes pad_;        // a pixel of zeros
  bool is_direct_ = false;  // rows are pixels of the input
  int64_t block_pixels_ = 0;
  float lo_ = -k_infinity, hi_ = k_infinity;
  bool is_clamp_ = true;
};

}  // namespace

std::unique_ptr<const ConvBf16> make_conv_bf16_tiles(const ConvBf16Desc& desc, const ConvBf16TileKernel& kernel,
                                                     CutBy cut, Isa isa) {
  return std::make_unique<ConvBf16Tiles>(desc, kernel, cut, isa);
}

}  // namespace octet
