// AMX: blocks of pixels whose rows lie in a panel, then panels of 32 output channels over all of them, 32 pixels at a
// time, so that a panel's weights come from memory once per block. Weights that stay in L1 are met the other way round.

#include "kernels/conv_u8s8/tile_layer.h"

#include <algorithm>
#include <cstring>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/layout/layout.h"

namespace octet {
namespace {

/// Most bytes of a block's panel: a part of L2 (2 MB on CPUs with AMX) beside the weights.
constexpr int64_t k_panel_bytes = 384 << 10;
/// Weights that stay in L1 beside a block of 32 pixels: then a block meets all panels before the next one, and its
/// output lines are written as wholes.
constexpr size_t k_near_weight_bytes = 24 << 10;

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }
int64_t round_to(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

bool passes_through_f32(const ConvU8S8Desc& desc) {
  const ActivationKind kind = desc.activation.kind;
  const bool is_bound = kind == ActivationKind::none || kind == ActivationKind::relu || kind == ActivationKind::clip;
  return desc.f32_output || !is_bound;
}

/// Weights [step of 64 positions][vector][dword 0..15][lane][4]; positions segment by segment, without gaps.
ConvU8S8Kernel packing_form() {
  return {.run = nullptr,
          .rows = k_amx_tile_rows,
          .lanes = 16,
          .vectors = 2,
          .widened_weights = false,
          .dot_cycles = 0,
          .name = "amx 32x32",
          .tile_order = true};
}

/// Scratch of a worker: [pointer table][copy or patches][panel][sums of two blocks][f32 block].
class ConvU8S8Amx final : public ConvU8S8 {
 public:
  ConvU8S8Amx(const ConvU8S8Desc& desc, const ConvAmxKernel& kernel, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        cut_(cut),
        form_(packing_form()),
        merge_(merged_groups(desc.geometry, form_.lanes)),
        geometry_(merged(desc.geometry, merge_)),
        taps_(geometry_, 1, k_amx_tile_rows),
        f32_(passes_through_f32(desc)),
        activation_(activation_kernels(isa)),
        planar_{layout_kernels(isa), desc.image_scale, desc.image_zero_point},
        packed_(pack_conv_u8s8(desc, merge_, taps_, form_, f32_)),
        positions_(taps_.segments() * taps_.segment_elements()),
        steps_((positions_ + k_amx_step_bytes - 1) / k_amx_step_bytes),
        pad_(allocate_aligned(static_cast<size_t>(taps_.pad_elements()))) {
    std::memset(pad_.get(), desc.x_zero_point, static_cast<size_t>(taps_.pad_elements()));
    choose_block();
  }

  const char* kernel_name() const override { return form_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 8 * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }
  int64_t chunks(int64_t batch, int threads) const override {
    const ConvGrid grid = conv_grid(work(batch), threads, cut_);
    return grid.pixel_parts * grid.panel_parts;
  }
  size_t scratch_bytes() const override {
    return table_bytes() + round_up(taps_.copy_bytes(block_pixels_)) + panel_bytes() + 2 * sums_bytes() + f32_bytes();
  }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    kernel_.configure();
    const ConvWork all = work(args.batch);
    const ConvGrid grid = conv_grid(all, threads, cut_);
    const IndexRange pixels = part_of(all.pixels, grid.pixel_parts, chunk / grid.panel_parts, k_amx_block_rows);
    const IndexRange panels = part_of(all.panels, grid.panel_parts, chunk % grid.panel_parts);
    for (int64_t first = pixels.begin; first < pixels.end;) {
      int64_t count = std::min(block_pixels_, pixels.end - first);
      if (taps_.is_compact()) {  // its copy serves one image
        const int64_t image_pixels = geometry_.oh * geometry_.ow;
        count = std::min(count, image_pixels - first % image_pixels);
      }
      run_block(args, {first, first + count}, panels, scratch);
      first += count;
    }
  }

 private:
  static WindowGeometry merged(WindowGeometry geometry, int64_t merge) {
    geometry.groups /= merge;
    return geometry;
  }

  ConvWork work(int64_t batch) const {
    const WindowGeometry& g = geometry_;
    const int64_t panels = static_cast<int64_t>(packed_.panels.size());
    return {.pixels = batch * g.oh * g.ow,
            .panels = panels,
            .panel_bytes = static_cast<int64_t>(packed_.weights_bytes) / panels,
            .pixel_bytes = g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw),
            .segments = taps_.segments(),
            .tile_rows = k_amx_block_rows};
  }

  /// A row of the panel: its steps, room for what gathering writes too much, and an odd number of cache lines, so that
  /// sixteen rows do not meet in a few sets of L1.
  int64_t panel_stride() const {
    const int64_t lines = (positions_ + k_amx_step_bytes + 63) / 64;
    return 64 * (lines + 1 - lines % 2);
  }
  void choose_block() {
    const int64_t by_panel = k_panel_bytes / panel_stride() / k_amx_block_rows * k_amx_block_rows;
    block_pixels_ = std::clamp<int64_t>(by_panel, k_amx_block_rows, 1024);
    if (!taps_.is_compact()) return;
    int64_t rows = 1;  // of the compact copy: about 16 KB of input
    while (rows < geometry_.oh && taps_.compact_bytes((rows + 1) * geometry_.ow) <= (16u << 10)) ++rows;
    block_pixels_ = std::min(block_pixels_, rows * geometry_.ow);
  }

  int64_t table_tiles() const { return (block_pixels_ + k_amx_tile_rows - 1) / k_amx_tile_rows; }
  size_t table_bytes() const {
    return round_up(static_cast<size_t>(table_tiles() * taps_.segments() * k_amx_tile_rows) * sizeof(std::byte*));
  }
  size_t panel_bytes() const {
    const int64_t rows = taps_.is_linear() ? k_amx_block_rows : round_to(block_pixels_, k_amx_block_rows);
    return round_up(static_cast<size_t>(rows * panel_stride()) + 64);
  }
  static constexpr size_t sums_bytes() { return sizeof(int32_t) * k_amx_block_rows * k_amx_block_channels; }
  size_t f32_bytes() const { return f32_ && !desc_.f32_output ? sums_bytes() : 0; }

  static int64_t vectors_of(const ConvU8S8Panel& panel) { return (panel.channels + 15) / 16; }

  /// The rows of pixels [0, pixels) of the block for one group, behind one another in the panel.
  void gather(const uint8_t* const* table, TileRuns runs, int64_t first_position, uint8_t* panel) const {
    ConvAmxGather row = {.row_step = k_amx_tile_rows,
                         .segments = taps_.segments(),
                         .first_position = first_position,
                         .bytes = taps_.segment_elements(),
                         .to = panel};
    for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += taps_.segments() * k_amx_tile_rows) {
      const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
      for (int64_t r = 0; r < rows; ++r, row.to += panel_stride()) {
        row.rows = table + r;
        kernel_.gather(row);
      }
    }
  }

  /// A last block of a linear layer that does not fill its tiles: rows behind the input may not be read.
  void copy_tail(const uint8_t* x, int64_t rows, uint8_t* panel) const {
    for (int64_t r = 0; r < rows; ++r) {
      const uint8_t* const pixel = x + r * geometry_.x_pitch;
      kernel_.gather({.rows = &pixel, .segments = 1, .bytes = positions_, .to = panel + r * panel_stride()});
    }
  }

  void run_block(const ConvU8S8Args& args, IndexRange pixels, IndexRange panels, std::byte* scratch) const {
    const std::byte** table = reinterpret_cast<const std::byte**>(scratch);
    std::byte* const copy = scratch + table_bytes();
    uint8_t* const panel = reinterpret_cast<uint8_t*>(copy + round_up(taps_.copy_bytes(block_pixels_)));
    int32_t* const sums = reinterpret_cast<int32_t*>(panel + panel_bytes());
    float* const f32_block = reinterpret_cast<float*>(sums) + 2 * k_amx_block_rows * k_amx_block_channels;
    const int64_t count = pixels.end - pixels.begin;
    const TileRuns runs = tile_runs(count, k_amx_tile_rows);
    const bool is_direct = taps_.is_linear();
    if (taps_.is_compact()) {
      const bool is_image = desc_.image_scale > 0;
      const std::byte* x =
          is_image ? reinterpret_cast<const std::byte*>(args.image) : reinterpret_cast<const std::byte*>(args.x);
      taps_.copy_compact(x, pad_.get(), pixels.begin, count, copy, is_image ? &planar_ : nullptr);
      taps_.fill_compact(copy, pixels.begin, runs, table);
    } else if (!is_direct) {
      taps_.fill(reinterpret_cast<const std::byte*>(args.x), pad_.get(), pixels.begin, runs, copy, table);
    }
    const auto gather_group = [&](int64_t group) {
      if (!is_direct)
        gather(reinterpret_cast<const uint8_t* const*>(table), runs, group * (geometry_.ic / geometry_.groups), panel);
    };
    const BlockWalk walk{.args = args, .pixels = pixels, .panel = panel, .sums = sums, .f32_block = f32_block};
    Pending pending;
    if (geometry_.groups == 1 && panel_weight_bytes(panels) <= k_near_weight_bytes) {
      gather_group(0);
      for (int64_t at = 0; at < count; at += k_amx_block_rows)
        for (int64_t p = panels.begin; p < panels.end; ++p) {
          const bool is_last = p + 1 == panels.end;
          advance(walk, p, at, is_last ? panels.begin : p + 1, is_last ? at + k_amx_block_rows : at, pending);
        }
    } else {
      int64_t group = -1;
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        const int64_t own_group = packed_.panels[static_cast<size_t>(p)].group;
        if (own_group != group) gather_group(own_group);
        group = own_group;
        for (int64_t at = 0; at < count; at += k_amx_block_rows)
          advance(walk, p, at, p, at + k_amx_block_rows, pending);
      }
    }
    if (pending.panel >= 0) finish(walk, pending);
  }

  /// What the blocks of a walk over pixels x panels have in common.
  struct BlockWalk {
    const ConvU8S8Args& args;
    IndexRange pixels;
    uint8_t* panel;
    int32_t* sums;  // two blocks
    float* f32_block;
  };
  /// A block whose sums are made and whose requantization is not.
  struct Pending {
    int64_t panel = -1, pixel = 0, rows = 0;
    int32_t* sums = nullptr;
  };

  size_t panel_weight_bytes(IndexRange panels) const {
    const auto offset = [&](int64_t p) {
      return p < static_cast<int64_t>(packed_.panels.size()) ? packed_.panels[static_cast<size_t>(p)].weights_offset
                                                             : packed_.weights_bytes;
    };
    return offset(panels.end) - offset(panels.begin);
  }

  /// Starts the sums of one block, then requantizes the block before it: the tile unit and the vector units have
  /// nothing to wait for each other. next_p, next_at: the block after this one, whose outputs are brought near.
  void advance(const BlockWalk& walk, int64_t p, int64_t at, int64_t next_p, int64_t next_at, Pending& pending) const {
    const ConvU8S8Args& args = walk.args;
    const ConvU8S8Panel& channels = packed_.panels[static_cast<size_t>(p)];
    const int64_t first = walk.pixels.begin, count = walk.pixels.end - first;
    const int64_t rows = std::min<int64_t>(k_amx_block_rows, count - at);
    const bool is_second = pending.sums == walk.sums;
    Pending now{p, first + at, rows, walk.sums + (is_second ? k_amx_block_rows * k_amx_block_channels : 0)};
    ConvAmxBlock block = {.a = walk.panel + at * panel_stride(),
                          .a_stride = panel_stride(),
                          .weights = packed_.weights + channels.weights_offset,
                          .steps = steps_,
                          .row_tiles = rows > k_amx_tile_rows ? 2 : 1,
                          .vectors = static_cast<int>(vectors_of(channels)),
                          .sums = now.sums};
    if (taps_.is_linear()) {
      block.a = args.x + (first + at) * geometry_.x_pitch + channels.group * (geometry_.ic / geometry_.groups);
      block.a_stride = geometry_.x_pitch;
      if (rows % k_amx_tile_rows != 0 || first + at + rows == args.batch * geometry_.oh * geometry_.ow) {
        copy_tail(block.a, rows, walk.panel);
        block.a = walk.panel;
        block.a_stride = panel_stride();
      }
    }
    if (next_at < count)
      prefetch_outputs(args, packed_.panels[static_cast<size_t>(next_p)], first + next_at,
                       std::min<int64_t>(k_amx_block_rows, count - next_at));
    kernel_.sums(block);
    if (pending.panel >= 0) finish(walk, pending);
    pending = now;
  }
  void finish(const BlockWalk& walk, const Pending& block) const {
    finish(walk.args, packed_.panels[static_cast<size_t>(block.panel)], block.pixel, static_cast<int32_t>(block.rows),
           block.sums, walk.f32_block);
  }

  /// What finish() will read and write may be as far as DRAM; a block before it is long enough to bring it near.
  void prefetch_outputs(const ConvU8S8Args& args, const ConvU8S8Panel& panel, int64_t pixel, int64_t rows) const {
    const WindowGeometry& g = geometry_;
    const int64_t element_bytes = desc_.f32_output ? 4 : 1;
    const std::byte* y =
        static_cast<const std::byte*>(args.y) + (pixel * g.y_pitch + panel.first_channel) * element_bytes;
    for (int64_t r = 0; r < rows; ++r, y += g.y_pitch * element_bytes) __builtin_prefetch(y, 1, 3);
    if (!desc_.has_residual) return;
    const uint8_t* residual = args.residual + pixel * g.residual_pitch + panel.first_channel;
    for (int64_t r = 0; r < rows; ++r, residual += g.residual_pitch) __builtin_prefetch(residual, 0, 3);
  }

  void finish(const ConvU8S8Args& args, const ConvU8S8Panel& panel, int64_t pixel, int32_t rows, const int32_t* sums,
              float* f32_block) const {
    const WindowGeometry& g = geometry_;
    ConvU8S8Run run;
    run.bias = packed_.bias.data() + panel.lane_offset;
    run.multiplier = packed_.multiplier.data() + panel.lane_offset;
    if (desc_.has_residual) run.residual = args.residual + pixel * g.residual_pitch + panel.first_channel;
    run.residual_step = g.residual_pitch;
    const int64_t element_bytes = desc_.f32_output ? 4 : 1;
    run.y = static_cast<std::byte*>(args.y) + (pixel * g.y_pitch + panel.first_channel) * element_bytes;
    run.y_step = g.y_pitch;
    run.row_count = rows;
    run.channels = static_cast<int32_t>(panel.channels);
    run.residual_zero_point = desc_.residual_zero_point;
    run.residual_multiplier = desc_.residual_multiplier;
    run.y_zero_point = desc_.y_zero_point;
    run.lo = desc_.lo;
    run.hi = desc_.hi;
    run.f32_output = f32_;
    const size_t channels = static_cast<size_t>(panel.channels);
    if (!f32_ || desc_.f32_output) {
      kernel_.finish(run, sums);
      if (!f32_ || desc_.activation.kind == ActivationKind::none) return;
      for (int64_t r = 0; r < rows; ++r)
        activation_.activate(static_cast<float*>(run.y) + r * run.y_step, channels, desc_.activation);
      return;
    }
    ConvU8S8Run values = run;
    values.y = f32_block;
    values.y_step = panel.channels;
    kernel_.finish(values, sums);
    activation_.activate(f32_block, channels * static_cast<size_t>(rows), desc_.activation);
    for (int64_t r = 0; r < rows; ++r)
      activation_.quantize(f32_block + static_cast<size_t>(r) * channels, channels, desc_.inverse_y_scale,
                           desc_.y_zero_point, desc_.lo, desc_.hi, static_cast<uint8_t*>(run.y) + r * run.y_step);
  }

  ConvU8S8Desc desc_;  // its spans are not used after construction
  ConvAmxKernel kernel_;
  CutBy cut_;
  ConvU8S8Kernel form_;
  int64_t merge_;
  WindowGeometry geometry_;  // with merged groups
  TapTable taps_;
  bool f32_;
  ActivationKernels activation_;
  PlanarSource planar_;
  PackedConvU8S8 packed_;
  int64_t positions_, steps_;
  AlignedBytes pad_;
  int64_t block_pixels_ = k_amx_block_rows;
};

}  // namespace

#if defined(__x86_64__)
const ConvAmxKernel conv_amx_kernel = {conv_amx_configure, conv_amx_sums, conv_amx_gather, conv_amx_finish};
#else
const ConvAmxKernel conv_amx_kernel = {};
#endif

std::unique_ptr<const ConvU8S8> make_conv_u8s8_amx(const ConvU8S8Desc& desc, const ConvAmxKernel& kernel, CutBy cut,
                                                   Isa isa) {
  return std::make_unique<ConvU8S8Amx>(desc, kernel, cut, isa);
}

}  // namespace octet
