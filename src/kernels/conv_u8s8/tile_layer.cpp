// AMX: blocks of pixels whose rows lie in a panel, then panels of 32 output channels over all of them, 32 pixels at a
// time, so that a panel's weights come from memory once per block. Where a few pixels' rows stay in L1, these meet all
// panels before the next ones: output lines are written as wholes then.
//
// The rows are the input itself (a 1x1 layer that visits every pixel), a copy with padding around its rows
// (tile_copy.h), or one row per pixel, gathered through a table of pointers.

#include "kernels/conv_u8s8/tile_layer.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/conv_u8s8/tile_copy.h"
#include "kernels/implicit_gemm/tap_table.h"

namespace octet {
namespace {

/// Most bytes of a block's panel: a part of L2 (2 MB on CPUs with AMX) beside the weights.
constexpr int64_t k_panel_bytes = 384 << 10;
/// Rows and weights that share L1 with each other.
constexpr int64_t k_near_bytes = 24 << 10;
constexpr int64_t k_block_sums = k_amx_block_rows * k_amx_block_channels;
/// Of the next layer's weights, brought near while the last panel is computed.
constexpr int64_t k_next_bytes = 512 << 10;

constexpr int32_t k_in_order[k_amx_block_rows] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                  16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }
int64_t round_to(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// Weights [step of 64 positions][vector][dword 0..15][lane][4]; positions segment by segment, without gaps, or each
/// segment in steps of its own.
ConvU8S8Kernel packing_form(bool whole_steps) {
  return {.run = nullptr,
          .rows = k_amx_tile_rows,
          .lanes = 16,
          .vectors = 2,
          .widened_weights = false,
          .dot_cycles = 0,
          .name = "amx 32x32",
          .tile_order = true,
          .whole_steps = whole_steps};
}

/// Segments that are whole steps anyway keep the form without gaps.
bool needs_whole_steps(const AmxCopy& copy, const TapTable& taps) {
  return copy.is_used() && taps.segment_elements() % k_amx_step_bytes != 0;
}

/// Scratch of a worker: [copy][lists of positions][sums][f32 block], or, where rows are gathered,
/// [pointer table][compact copy or patches][panel][sums][f32 block].
class ConvU8S8Amx final : public ConvU8S8 {
 public:
  ConvU8S8Amx(const ConvU8S8Desc& desc, const ConvAmxKernel& kernel, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        cut_(cut),
        merge_(merged_groups(desc.geometry, 16)),
        geometry_(merged(desc.geometry, merge_)),
        taps_(geometry_, 1, k_amx_tile_rows),
        copy_(geometry_, taps_),
        form_(packing_form(needs_whole_steps(copy_, taps_))),
        f32_(needs_f32(desc)),
        activation_(activation_kernels(isa)),
        to_codes_(activation_codes(desc, isa)),
        image_(image_source(desc, isa)),
        packed_(pack_conv_u8s8(desc, merge_, taps_, form_, f32_)),
        positions_(taps_.segments() * taps_.segment_elements()),
        steps_((positions_ + k_amx_step_bytes - 1) / k_amx_step_bytes),
        pad_(allocate_aligned(static_cast<size_t>(taps_.pad_elements()))),
        clamp_(code_clamp(desc)) {
    std::memset(pad_.get(), desc.x_zero_point, static_cast<size_t>(taps_.pad_elements()));
    choose_block();
    if (!copy_.is_used()) return;
    segments_ = copy_.segments();
    steps_ = copy_.steps();
  }

  const char* kernel_name() const override { return copy_.is_used() ? "amx 32x32 copy" : form_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 8 * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }
  int64_t chunks(int64_t batch, int threads) const override {
    const ConvGrid grid = conv_grid(work(batch), threads, cut_);
    return grid.pixel_parts * grid.panel_parts;
  }
  size_t scratch_bytes() const override {
    if (copy_.is_used()) return copied_bytes() + round_up(copy_.list_bytes()) + sums_bytes() + f32_bytes();
    return table_bytes() + round_up(taps_.copy_bytes(block_pixels_)) + panel_bytes() + sums_bytes() + f32_bytes();
  }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    kernel_.configure();
    const ConvWork all = work(args.batch);
    const ConvGrid grid = conv_grid(all, threads, cut_);
    const IndexRange panels = part_of(all.panels, grid.panel_parts, chunk % grid.panel_parts);
    if (copy_.is_used()) {
      const IndexRange rows = part_of(args.batch * geometry_.oh, grid.pixel_parts, chunk / grid.panel_parts);
      return run_copied(args, rows, panels, scratch);
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
  static constexpr size_t sums_bytes() { return sizeof(int32_t) * k_block_sums; }
  size_t f32_bytes() const { return f32_ && !desc_.f32_output ? sums_bytes() : 0; }

  size_t copied_bytes() const {
    return round_up(std::max(copy_.bytes(), taps_.is_compact() ? taps_.copy_bytes(copy_.rows() * geometry_.ow) : 0));
  }

  /// Output rows of the batch; a block of them lies in one image, or is several whole images.
  void run_copied(const ConvU8S8Args& args, IndexRange rows, IndexRange panels, std::byte* scratch) const {
    const WindowGeometry& g = geometry_;
    auto* const lists = reinterpret_cast<AmxPositions*>(scratch + copied_bytes());
    auto* const sums = reinterpret_cast<int32_t*>(scratch + copied_bytes() + round_up(copy_.list_bytes()));
    int64_t listed = 0, listed_images = 0, blocks = 0;
    for (int64_t first = rows.begin; first < rows.end;) {
      const int64_t image = first / g.oh, oy = first % g.oh;
      const int64_t count = std::min({copy_.rows(), g.oh - oy, rows.end - first});
      const int64_t images = count == g.oh ? std::min(copy_.images(), (rows.end - first) / g.oh) : 1;
      if (taps_.is_compact()) copy_compact(args, first * g.ow, count * g.ow, scratch);
      for (int64_t i = 0; i < images && !taps_.is_compact(); ++i)
        copy_.copy(args.x, image + i, oy, count, static_cast<uint8_t>(desc_.x_zero_point),
                   reinterpret_cast<uint8_t*>(scratch) + i * copy_.image_bytes());
      if (listed != count || listed_images != images) blocks = copy_.list(count, images, lists);
      listed = count, listed_images = images;
      walk_panels({.args = args,
                   .first_pixel = first * g.ow,
                   .positions = blocks * k_amx_block_rows,
                   .panel = reinterpret_cast<uint8_t*>(scratch),
                   .lists = lists,
                   .sums = sums},
                  panels, [](int64_t) {});
      first += images * count;
    }
  }

  void copy_compact(const ConvU8S8Args& args, int64_t first, int64_t pixels, std::byte* to) const {
    const bool is_image = desc_.reads_image();
    const std::byte* x = is_image ? args.image : reinterpret_cast<const std::byte*>(args.x);
    taps_.copy_compact(x, pad_.get(), first, pixels, to, is_image ? &image_ : nullptr);
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
    const int64_t count = pixels.end - pixels.begin;
    const TileRuns runs = tile_runs(count, k_amx_tile_rows);
    const bool is_direct = taps_.is_linear();
    if (taps_.is_compact()) {
      copy_compact(args, pixels.begin, count, copy);
      taps_.fill_compact(copy, pixels.begin, runs, table);
    } else if (!is_direct) {
      taps_.fill(reinterpret_cast<const std::byte*>(args.x), pad_.get(), pixels.begin, runs, copy, table);
    }
    const auto gather_group = [&](int64_t group) {
      if (!is_direct)
        gather(reinterpret_cast<const uint8_t* const*>(table), runs, group * (geometry_.ic / geometry_.groups), panel);
    };
    walk_panels(
        {.args = args, .first_pixel = pixels.begin, .positions = count, .panel = panel, .lists = nullptr, .sums = sums},
        panels, gather_group);
  }

  /// What the blocks of a walk over pixels x panels have in common.
  struct BlockWalk {
    const ConvU8S8Args& args;
    int64_t first_pixel, positions;
    uint8_t* panel;
    const AmxPositions* lists;  // of each 32 positions; null = every position is a pixel
    int32_t* sums;              // of one block; the f32 block behind them
  };
  /// A block whose sums are made and whose requantization is not.
  struct Pending {
    ConvU8S8Run run = {};               // as finish() is to see it
    void* y = nullptr;                  // where the pixels go in the end
    const int32_t* sum_rows = nullptr;  // null = nothing is pending
    const int32_t* pixels = nullptr;
    int32_t lower = 0;
    ConvAmxUpper upper{};
  };

  /// Positions that meet all panels before the next ones do: as many as stay in L1 beside the next panel, or, where not
  /// even twice 32 do and the weights do not stay there either, all.
  int64_t near_positions(IndexRange panels) const {
    const int64_t row_bytes = 64 * steps_ * static_cast<int64_t>(segments_.size());
    if (panel_weight_bytes(panels) <= k_near_bytes) return k_amx_block_rows;
    if (!taps_.is_linear() || 2 * k_amx_block_rows * row_bytes > k_near_bytes) return INT64_MAX;
    return k_near_bytes / row_bytes / k_amx_block_rows * k_amx_block_rows;
  }

  template <class F>
  void walk_panels(const BlockWalk& walk, IndexRange panels, F&& gather_group) const {
    Pending blocks[2], *pending = &blocks[0], *made = &blocks[1];
    for (Pending& block : blocks) block.run = common_run(desc_, f32_, clamp_);
    const int64_t near = geometry_.groups == 1 ? std::min(near_positions(panels), walk.positions) : walk.positions;
    int64_t group = -1;
    for (int64_t first = 0; first < walk.positions; first += near)
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        const int64_t own_group = packed_.panels[static_cast<size_t>(p)].group;
        if (own_group != group) gather_group(own_group);
        group = own_group;
        const int64_t end = std::min(first + near, walk.positions);
        for (int64_t at = first; at < end; at += k_amx_block_rows) {
          // The block after this one.
          int64_t next_p = p, next_at = at + k_amx_block_rows;
          if (next_at >= end && near < walk.positions)
            next_at = p + 1 < panels.end ? first : end, next_p = p + 1 < panels.end ? p + 1 : panels.begin;
          advance(walk, p, at, next_p, next_at, *pending, *made);
          std::swap(pending, made);
        }
      }
    kernel_.flush(pending->upper);
    if (!pending->sum_rows) return;
    kernel_.finish(pending->run, walk.sums, pending->sum_rows, 0, pending->run.row_count);
    complete(*pending);
  }

  int64_t panel_weight_bytes(IndexRange panels) const {
    const auto offset = [&](int64_t p) {
      return p < static_cast<int64_t>(packed_.panels.size()) ? packed_.panels[static_cast<size_t>(p)].weights_offset
                                                             : packed_.weights_bytes;
    };
    return static_cast<int64_t>(offset(panels.end) - offset(panels.begin));
  }

  /// Where the block's rows lie.
  void find_rows(const BlockWalk& walk, const ConvU8S8Panel& channels, int64_t at, ConvAmxBlock& block) const {
    const int64_t group_offset = channels.group * (geometry_.ic / geometry_.groups);
    if (copy_.is_used()) {
      const AmxPositions& list = walk.lists[at / k_amx_block_rows];
      block.row_tiles = list.row_tiles;
      block.a_stride = copy_.position_bytes();
      for (int i = 0; i < 2; ++i) block.a[i] = walk.panel + list.a[i] + group_offset;
      return;
    }
    const int64_t rows = std::min<int64_t>(k_amx_block_rows, walk.positions - at);
    block.row_tiles = rows > k_amx_tile_rows ? 2 : 1;
    block.a_stride = panel_stride();
    block.a[0] = walk.panel + at * panel_stride();
    if (taps_.is_linear()) {
      const int64_t pixel = walk.first_pixel + at;
      block.a[0] = walk.args.x + pixel * geometry_.x_pitch + group_offset;
      if (rows % k_amx_tile_rows != 0 || pixel + rows == walk.args.batch * geometry_.oh * geometry_.ow) {
        copy_tail(block.a[0], rows, walk.panel);
        block.a[0] = walk.panel;
      } else {
        block.a_stride = geometry_.x_pitch;
      }
    }
    block.a[1] = block.a[0] + k_amx_tile_rows * block.a_stride;
  }

  /// Makes the sums of one block, and finishes the block before it on the way. next_p, next_at: the block after this
  /// one, whose outputs are brought near.
  void advance(const BlockWalk& walk, int64_t p, int64_t at, int64_t next_p, int64_t next_at, const Pending& pending,
               Pending& made) const {
    const ConvU8S8Panel& channels = packed_.panels[static_cast<size_t>(p)];
    ConvAmxBlock block;
    block.bias = packed_.bias.data() + channels.lane_offset;
    block.weights = packed_.weights + channels.weights_offset;
    block.segment_list = segments_.data();
    block.segments = static_cast<int64_t>(segments_.size());
    block.steps = steps_;
    block.vectors = static_cast<int>(vectors_of(channels));
    block.sums = walk.sums;
    block.upper = pending.upper;
    find_rows(walk, channels, at, block);
    if (pending.sum_rows) block.pending = {&pending.run, walk.sums, pending.sum_rows, pending.lower, kernel_.finish};
    if (streams_weights_ && next_p == p) prefetch_weights(walk, p, at, block);
    const ConvU8S8Panel& next = packed_.panels[static_cast<size_t>(next_p)];
    if (next_at < walk.positions && (next_p == p || !shares_lines(next))) prefetch_outputs(walk, next, next_at);
    kernel_.sums(block);
    if (pending.sum_rows) complete(pending);
    made.upper = {block.row_tiles > 1 ? block.sums + k_block_sums / 2 : nullptr, block.vectors};
    note_pending(walk, channels, at, made);
  }

  /// Each block of 32 positions brings its share of the next panel's weights near, or of the next layer's.
  void prefetch_weights(const BlockWalk& walk, int64_t p, int64_t at, ConvAmxBlock& block) const {
    constexpr int64_t k_most_lines = 32;
    const bool is_last = p + 1 == static_cast<int64_t>(packed_.panels.size());
    const std::byte* from = is_last ? walk.args.next_weights.data() : packed_.weights + panel_weight_bytes({0, p + 1});
    const auto next = static_cast<int64_t>(walk.args.next_weights.size());
    const int64_t bytes = is_last ? std::min(next, k_next_bytes) : panel_weight_bytes({p + 1, p + 2});
    const int64_t blocks = (walk.positions + k_amx_block_rows - 1) / k_amx_block_rows;
    const int64_t steps = block.steps * block.segments, all_steps = 64 * steps * blocks;
    const int64_t lines = std::min((bytes + all_steps - 1) / all_steps, k_most_lines);
    const int64_t offset = at / k_amx_block_rows * lines * 64 * steps;
    if (offset >= bytes) return;
    block.prefetch_lines = static_cast<int>(lines);
    block.prefetch = reinterpret_cast<const char*>(from) + offset;
  }

  /// Which of the 32 positions from `at` on are pixels.
  struct Pixels {
    int32_t count, lower;
    const int32_t* sum_rows;
    const int32_t* pixels;  // from first_pixel
    int64_t first_pixel;
  };
  static Pixels pixels_of(const BlockWalk& walk, int64_t at) {
    if (walk.lists) {
      const AmxPositions& list = walk.lists[at / k_amx_block_rows];
      return {list.count, list.lower, list.sum_rows, list.pixels, walk.first_pixel};
    }
    const auto count = static_cast<int32_t>(std::min<int64_t>(k_amx_block_rows, walk.positions - at));
    return {count, std::min(count, k_amx_tile_rows), k_in_order, k_in_order, walk.first_pixel + at};
  }

  /// The panel before has brought near what this one writes to.
  bool shares_lines(const ConvU8S8Panel& panel) const {
    return !desc_.f32_output && geometry_.y_pitch % 64 == 0 && panel.first_channel % 64 != 0;
  }
  /// What finish() will read and write may be as far as DRAM; a block before it is long enough to bring it near.
  void prefetch_outputs(const BlockWalk& walk, const ConvU8S8Panel& panel, int64_t at) const {
    const WindowGeometry& g = geometry_;
    const Pixels own = pixels_of(walk, at);
    const int64_t element_bytes = desc_.f32_output ? 4 : 1;
    const std::byte* y = static_cast<const std::byte*>(walk.args.y) +
                         (own.first_pixel * g.y_pitch + panel.first_channel) * element_bytes;
    const int64_t step = g.y_pitch * element_bytes;
    for (int32_t i = 0; i < own.count; ++i) __builtin_prefetch(y + own.pixels[i] * step, 1, 3);
    if (!desc_.has_residual) return;
    const uint8_t* residual = walk.args.residual + own.first_pixel * g.residual_pitch + panel.first_channel;
    for (int32_t i = 0; i < own.count; ++i) __builtin_prefetch(residual + own.pixels[i] * g.residual_pitch, 0, 3);
  }

  void note_pending(const BlockWalk& walk, const ConvU8S8Panel& panel, int64_t at, Pending& block) const {
    const WindowGeometry& g = geometry_;
    const Pixels own = pixels_of(walk, at);
    block.sum_rows = own.count > 0 ? own.sum_rows : nullptr;  // there may be positions between the rows only
    block.pixels = own.pixels;
    block.lower = own.lower;
    ConvU8S8Run& run = block.run;
    run.multiplier = packed_.multiplier.data() + panel.lane_offset;
    if (desc_.has_residual)
      run.residual = walk.args.residual + own.first_pixel * g.residual_pitch + panel.first_channel;
    run.residual_pixels = run.y_pixels = own.pixels;
    const int64_t element_bytes = desc_.f32_output ? 4 : 1;
    run.y = block.y =
        static_cast<std::byte*>(walk.args.y) + (own.first_pixel * g.y_pitch + panel.first_channel) * element_bytes;
    run.row_count = own.count;
    run.channels = static_cast<int32_t>(panel.channels);
    if (f32_ && !desc_.f32_output) {
      run.y = walk.sums + k_block_sums;
      run.y_step = panel.channels;
      run.y_pixels = k_in_order;
    }
  }

  /// What is left to do behind finish(): the activation of floats, and codes out of them.
  void complete(const Pending& block) const {
    if (!f32_) return;
    const ConvU8S8Run& run = block.run;
    const auto channels = static_cast<size_t>(run.channels), rows = static_cast<size_t>(run.row_count);
    if (!desc_.f32_output) {
      to_codes_.rows(static_cast<float*>(run.y), channels, rows, static_cast<uint8_t*>(block.y), block.pixels,
                     geometry_.y_pitch);
    } else if (desc_.activation.kind != ActivationKind::none) {
      for (size_t r = 0; r < rows; ++r)
        activation_.activate(static_cast<float*>(run.y) + block.pixels[r] * run.y_step, channels, desc_.activation);
    }
  }

  ConvU8S8Desc desc_;  // what its spans hold is not used after construction
  ConvAmxKernel kernel_;
  CutBy cut_;
  int64_t merge_;
  WindowGeometry geometry_;  // with merged groups
  TapTable taps_;
  AmxCopy copy_;
  ConvU8S8Kernel form_;
  bool f32_;
  ActivationKernels activation_;
  ActivationCodes to_codes_;
  ImageSource image_;
  PackedConvU8S8 packed_;
  int64_t positions_, steps_;
  AlignedBytes pad_;
  int64_t block_pixels_ = k_amx_block_rows;
  std::vector<WindowSegment> segments_ = {{0, 0}};  // one, of all positions, unless copied
  CodeClamp clamp_;
  bool streams_weights_ = packed_.weights_bytes > k_near_weight_bytes;
};

}  // namespace

#if defined(__x86_64__)
const ConvAmxKernel conv_amx_kernel = {conv_amx_configure, conv_amx_sums, conv_amx_flush, conv_amx_gather,
                                       conv_amx_finish};
#else
const ConvAmxKernel conv_amx_kernel = {};
#endif

std::unique_ptr<const ConvU8S8> make_conv_u8s8_amx(const ConvU8S8Desc& desc, const ConvAmxKernel& kernel, CutBy cut,
                                                   Isa isa) {
  return std::make_unique<ConvU8S8Amx>(desc, kernel, cut, isa);
}

}  // namespace octet
