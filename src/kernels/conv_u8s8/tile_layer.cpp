// AMX: blocks of pixels whose rows lie in a panel, then panels of 32 output channels over all of them, 32 pixels at a
// time, so that a panel's weights come from memory once per block. Weights that stay in L1 are met the other way round.
//
// Flat layers (stride 1, whole steps of channels) need no row per pixel and tap: the block's input rows are copied with
// the padding between them, and a tap of 32 neighbouring positions is 32 pixels of the copy. Positions between the rows
// are computed too and not stored.

#include "kernels/conv_u8s8/tile_layer.h"

#include <algorithm>
#include <cstring>
#include <vector>

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

constexpr int32_t k_in_order[k_amx_block_rows] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                  16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

/// What finish() has to know about up to 32 positions: which of them are pixels, and which pixels of the block.
struct AmxPositions {
  int32_t count = 0;
  int32_t sum_rows[k_amx_block_rows];
  int32_t pixels[k_amx_block_rows];
};

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
    choose_flat();
  }

  const char* kernel_name() const override { return is_flat_ ? "amx 32x32 flat" : form_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 8 * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }
  int64_t chunks(int64_t batch, int threads) const override {
    const ConvGrid grid = conv_grid(work(batch), threads, cut_);
    return grid.pixel_parts * grid.panel_parts;
  }
  size_t scratch_bytes() const override {
    if (is_flat_) return flat_bytes() + positions_bytes() + 2 * sums_bytes() + f32_bytes();
    return table_bytes() + round_up(taps_.copy_bytes(block_pixels_)) + panel_bytes() + 2 * sums_bytes() + f32_bytes();
  }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    kernel_.configure();
    const ConvWork all = work(args.batch);
    const ConvGrid grid = conv_grid(all, threads, cut_);
    const IndexRange panels = part_of(all.panels, grid.panel_parts, chunk % grid.panel_parts);
    if (is_flat_) {
      const IndexRange rows = part_of(args.batch * geometry_.oh, grid.pixel_parts, chunk / grid.panel_parts);
      return run_flat(args, rows, panels, scratch);
    }
    const IndexRange pixels = part_of(all.pixels, grid.pixel_parts, chunk / grid.panel_parts, k_amx_block_rows);
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

  /// Flat where that is expected to take less time than a row per pixel and tap: such rows are written and read at some
  /// 24 bytes per cycle, products are made at some 600 per cycle, for the positions between the rows too.
  void choose_flat() {
    const WindowGeometry& g = geometry_;
    const int64_t channels = g.ic / g.groups;
    if (taps_.is_compact() || taps_.is_linear() || g.stride_h != 1 || g.stride_w != 1 ||
        channels % k_amx_step_bytes != 0)
      return;
    const int64_t right = std::max<int64_t>(0, g.ow - 1 + (g.kw - 1) * g.dilation_w + 1 - g.pad_left - g.iw);
    flat_width_ = g.iw + std::max(g.pad_left, right);
    const int64_t halo = (g.kh - 1) * g.dilation_h;
    flat_rows_ = std::clamp<int64_t>(k_panel_bytes / (flat_width_ * g.x_pitch) - halo, 1, g.oh);
    flat_rows_ = (g.oh + (g.oh + flat_rows_ - 1) / flat_rows_ - 1) / ((g.oh + flat_rows_ - 1) / flat_rows_);
    const double blocks = static_cast<double>((g.oh + flat_rows_ - 1) / flat_rows_);
    const double positions = blocks * static_cast<double>(round_to(flat_positions(flat_rows_), k_amx_tile_rows));
    const auto depth = static_cast<double>(positions_), pixels = static_cast<double>(g.oh * g.ow);
    const double products_per_position = depth * static_cast<double>(g.oc / g.groups) / 600;
    const double copied = blocks * static_cast<double>((flat_rows_ + halo) * flat_width_ * channels);
    const double flat = positions * products_per_position + copied / 24;
    const double gathered = pixels * products_per_position + pixels * depth / 24;
    if (flat >= gathered) return;
    is_flat_ = true;
    segments_.clear();
    for (int64_t ky = 0; ky < g.kh; ++ky)
      for (int64_t kx = 0; kx < g.kw; ++kx)
        segments_.push_back({(ky * g.dilation_h * flat_width_ + kx * g.dilation_w) * g.x_pitch, 0});
    steps_ = channels / k_amx_step_bytes;
  }
  /// Positions from the first pixel of `rows` output rows to the last.
  int64_t flat_positions(int64_t rows) const { return (rows - 1) * flat_width_ + geometry_.ow; }
  int64_t flat_blocks() const { return (flat_positions(flat_rows_) + k_amx_block_rows - 1) / k_amx_block_rows; }
  /// Rows and padding, and what the last tile and its taps read behind them.
  size_t flat_bytes() const {
    const int64_t halo = (geometry_.kh - 1) * geometry_.dilation_h;
    const int64_t pixels = (flat_rows_ + halo + 1) * flat_width_ + k_amx_block_rows;
    return round_up(static_cast<size_t>(pixels * geometry_.x_pitch) + 64);
  }
  size_t positions_bytes() const { return round_up(sizeof(AmxPositions) * static_cast<size_t>(flat_blocks())); }

  void copy_flat(const uint8_t* x, int64_t image, int64_t oy, int64_t rows, uint8_t* to) const {
    const WindowGeometry& g = geometry_;
    const auto bytes = [&](int64_t pixels) { return static_cast<size_t>(pixels * g.x_pitch); };
    const int padding = desc_.x_zero_point;
    const int64_t behind = flat_width_ - g.pad_left - g.iw, halo = (g.kh - 1) * g.dilation_h;
    for (int64_t r = 0; r < rows + halo; ++r, to += bytes(flat_width_)) {
      const int64_t iy = oy - g.pad_top + r;
      if (iy < 0 || iy >= g.ih) {
        std::memset(to, padding, bytes(flat_width_));
        continue;
      }
      std::memset(to, padding, bytes(g.pad_left));
      std::memcpy(to + bytes(g.pad_left), x + bytes((image * g.ih + iy) * g.iw), bytes(g.iw));
      std::memset(to + bytes(g.pad_left + g.iw), padding, bytes(behind));
    }
    std::memset(to, padding, bytes(flat_width_ - g.iw));  // behind the last row
  }

  void list_positions(int64_t rows, AmxPositions* lists) const {
    const int64_t positions = flat_positions(rows);
    int64_t ox = 0;
    int32_t pixel = 0;
    for (int64_t at = 0; at < positions; at += k_amx_block_rows, ++lists) {
      lists->count = 0;
      for (int32_t r = 0; r < k_amx_block_rows && at + r < positions; ++r) {
        if (ox < geometry_.ow) {
          lists->sum_rows[lists->count] = r;
          lists->pixels[lists->count++] = pixel++;
        }
        if (++ox == flat_width_) ox = 0;
      }
    }
  }

  /// Output rows of the batch; a block of them lies in one image.
  void run_flat(const ConvU8S8Args& args, IndexRange rows, IndexRange panels, std::byte* scratch) const {
    const WindowGeometry& g = geometry_;
    auto* const copy = reinterpret_cast<uint8_t*>(scratch);
    auto* const lists = reinterpret_cast<AmxPositions*>(scratch + flat_bytes());
    auto* const sums = reinterpret_cast<int32_t*>(scratch + flat_bytes() + positions_bytes());
    auto* const f32_block = reinterpret_cast<float*>(sums) + 2 * k_amx_block_rows * k_amx_block_channels;
    int64_t listed = 0;
    for (int64_t first = rows.begin; first < rows.end;) {
      const int64_t image = first / g.oh, oy = first % g.oh;
      const int64_t count = std::min({flat_rows_, g.oh - oy, rows.end - first});
      copy_flat(args.x, image, oy, count, copy);
      if (listed != count) list_positions(count, lists);
      listed = count;
      walk_panels({.args = args,
                   .first_pixel = first * g.ow,
                   .positions = flat_positions(count),
                   .panel = copy,
                   .lists = lists,
                   .sums = sums,
                   .f32_block = f32_block},
                  panels, [](int64_t) {});
      first += count;
    }
  }

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
    walk_panels({.args = args,
                 .first_pixel = pixels.begin,
                 .positions = count,
                 .panel = panel,
                 .lists = nullptr,
                 .sums = sums,
                 .f32_block = f32_block},
                panels, gather_group);
  }

  /// What the blocks of a walk over pixels x panels have in common.
  struct BlockWalk {
    const ConvU8S8Args& args;
    int64_t first_pixel, positions;
    uint8_t* panel;
    const AmxPositions* lists;  // of each 32 positions; null = every position is a pixel
    int32_t* sums;              // two blocks
    float* f32_block;
  };
  /// A block whose sums are made and whose requantization is not.
  struct Pending {
    int64_t panel = -1, at = 0;
    int32_t* sums = nullptr;
  };

  template <class F>
  void walk_panels(const BlockWalk& walk, IndexRange panels, F&& gather_group) const {
    Pending pending;
    if (geometry_.groups == 1 && panel_weight_bytes(panels) <= k_near_weight_bytes) {
      gather_group(0);
      for (int64_t at = 0; at < walk.positions; at += k_amx_block_rows)
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
        for (int64_t at = 0; at < walk.positions; at += k_amx_block_rows)
          advance(walk, p, at, p, at + k_amx_block_rows, pending);
      }
    }
    if (pending.panel >= 0) finish(walk, pending);
  }

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
    const int64_t rows = std::min<int64_t>(k_amx_block_rows, walk.positions - at);
    const bool is_second = pending.sums == walk.sums;
    Pending now{p, at, walk.sums + (is_second ? k_amx_block_rows * k_amx_block_channels : 0)};
    ConvAmxBlock block = {.a = walk.panel + at * panel_stride(),
                          .a_stride = panel_stride(),
                          .weights = packed_.weights + channels.weights_offset,
                          .segment_list = segments_.data(),
                          .segments = static_cast<int64_t>(segments_.size()),
                          .steps = steps_,
                          .row_tiles = rows > k_amx_tile_rows ? 2 : 1,
                          .vectors = static_cast<int>(vectors_of(channels)),
                          .sums = now.sums};
    if (is_flat_) {
      block.a = walk.panel + at * geometry_.x_pitch + channels.group * (geometry_.ic / geometry_.groups);
      block.a_stride = geometry_.x_pitch;
    } else if (taps_.is_linear()) {
      const int64_t pixel = walk.first_pixel + at;
      block.a = args.x + pixel * geometry_.x_pitch + channels.group * (geometry_.ic / geometry_.groups);
      block.a_stride = geometry_.x_pitch;
      if (rows % k_amx_tile_rows != 0 || pixel + rows == args.batch * geometry_.oh * geometry_.ow) {
        copy_tail(block.a, rows, walk.panel);
        block.a = walk.panel;
        block.a_stride = panel_stride();
      }
    }
    if (streams_weights_ && next_p == p) prefetch_weights(walk, p, at, block);
    if (next_at < walk.positions) prefetch_outputs(walk, packed_.panels[static_cast<size_t>(next_p)], next_at);
    kernel_.sums(block);
    if (pending.panel >= 0) finish(walk, pending);
    pending = now;
  }

  /// Each block of 32 positions brings its share of the next panel's weights near.
  void prefetch_weights(const BlockWalk& walk, int64_t p, int64_t at, ConvAmxBlock& block) const {
    if (p + 1 >= static_cast<int64_t>(packed_.panels.size())) return;
    const int64_t blocks = (walk.positions + k_amx_block_rows - 1) / k_amx_block_rows;
    const int64_t lines_per_step = k_amx_tile_rows * block.vectors;
    const int64_t own = (lines_per_step + blocks - 1) / blocks;
    block.prefetch_lines = static_cast<int>(own);
    block.prefetch = reinterpret_cast<const char*>(packed_.weights) +
                     packed_.panels[static_cast<size_t>(p + 1)].weights_offset +
                     at / k_amx_block_rows * own * 64 * block.steps * block.segments;
  }

  /// Which of the 32 positions from `at` on are pixels.
  struct Pixels {
    int32_t count;
    const int32_t* sum_rows;
    const int32_t* pixels;  // from first_pixel
    int64_t first_pixel;
  };
  static Pixels pixels_of(const BlockWalk& walk, int64_t at) {
    if (walk.lists) {
      const AmxPositions& list = walk.lists[at / k_amx_block_rows];
      return {list.count, list.sum_rows, list.pixels, walk.first_pixel};
    }
    const auto count = static_cast<int32_t>(std::min<int64_t>(k_amx_block_rows, walk.positions - at));
    return {count, k_in_order, k_in_order, walk.first_pixel + at};
  }

  /// What finish() will read and write may be as far as DRAM; a block before it is long enough to bring it near.
  void prefetch_outputs(const BlockWalk& walk, const ConvU8S8Panel& panel, int64_t at) const {
    const WindowGeometry& g = geometry_;
    const Pixels own = pixels_of(walk, at);
    const int64_t element_bytes = desc_.f32_output ? 4 : 1;
    const std::byte* y = static_cast<const std::byte*>(walk.args.y) +
                         (own.first_pixel * g.y_pitch + panel.first_channel) * element_bytes;
    for (int32_t i = 0; i < own.count; ++i) __builtin_prefetch(y + own.pixels[i] * g.y_pitch * element_bytes, 1, 3);
    if (!desc_.has_residual) return;
    const uint8_t* residual = walk.args.residual + own.first_pixel * g.residual_pitch + panel.first_channel;
    for (int32_t i = 0; i < own.count; ++i) __builtin_prefetch(residual + own.pixels[i] * g.residual_pitch, 0, 3);
  }

  void finish(const BlockWalk& walk, const Pending& block) const {
    const WindowGeometry& g = geometry_;
    const ConvU8S8Args& args = walk.args;
    const ConvU8S8Panel& panel = packed_.panels[static_cast<size_t>(block.panel)];
    const Pixels own = pixels_of(walk, block.at);
    const int64_t pixel = own.first_pixel;
    const int32_t rows = own.count;
    if (rows == 0) return;  // only positions between the rows
    ConvU8S8Run run;
    run.bias = packed_.bias.data() + panel.lane_offset;
    run.multiplier = packed_.multiplier.data() + panel.lane_offset;
    if (desc_.has_residual) run.residual = args.residual + pixel * g.residual_pitch + panel.first_channel;
    run.residual_step = g.residual_pitch;
    run.residual_pixels = run.y_pixels = own.pixels;
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
      kernel_.finish(run, block.sums, own.sum_rows);
      if (!f32_ || desc_.activation.kind == ActivationKind::none) return;
      for (int32_t r = 0; r < rows; ++r)
        activation_.activate(static_cast<float*>(run.y) + own.pixels[r] * run.y_step, channels, desc_.activation);
      return;
    }
    ConvU8S8Run values = run;
    values.y = walk.f32_block;
    values.y_step = panel.channels;
    values.y_pixels = k_in_order;
    kernel_.finish(values, block.sums, own.sum_rows);
    activation_.activate(walk.f32_block, channels * static_cast<size_t>(rows), desc_.activation);
    for (int32_t r = 0; r < rows; ++r)
      activation_.quantize(walk.f32_block + static_cast<size_t>(r) * channels, channels, desc_.inverse_y_scale,
                           desc_.y_zero_point, desc_.lo, desc_.hi,
                           static_cast<uint8_t*>(run.y) + own.pixels[r] * run.y_step);
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
  std::vector<WindowSegment> segments_ = {{0, 0}};  // one, of all positions, unless flat
  bool is_flat_ = false;
  int64_t flat_width_ = 0, flat_rows_ = 0;  // pixels of a copied row; output rows of a block
  bool streams_weights_ = packed_.weights_bytes > k_resident_weight_bytes;
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
