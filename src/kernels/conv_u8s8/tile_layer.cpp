// AMX: codes are gathered, copied or read where they lie, and requantized behind their sums; the walk is tile_walk.h's.

#include "kernels/conv_u8s8/tile_layer.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/tile_copy.h"
#include "kernels/implicit_gemm/tile_plan.h"
#include "kernels/implicit_gemm/tile_positions.h"
#include "kernels/implicit_gemm/tile_walk.h"

namespace octet {
namespace {

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

TileRows rows_of(const AmxCopy& copy, const TapTable& taps) {
  return copy.is_used() ? TileRows::copied : taps.is_linear() ? TileRows::input : TileRows::gathered;
}

class ConvU8S8Amx;
using CodesWalk = TileWalk<ConvU8S8Amx, ConvU8S8Args, ConvU8S8Run, int32_t, ConvAmxGather>;

/// Behind a block's sums: its floats, where these become codes.
class ConvU8S8Amx final : public ConvU8S8, private CodesWalk {
  friend CodesWalk;
  friend CodesWalk::Pipeline;

 public:
  ConvU8S8Amx(const ConvU8S8Desc& desc, const ConvAmxKernel& kernel, CutBy cut, Isa isa, int64_t merge,
              const TapTable& taps, const AmxCopy& copy)
      : CodesWalk(kernel, cut, with_merged_groups(desc.geometry, merge), rows_of(copy, taps), copy,
                  taps.segments() * taps.segment_elements()),
        desc_(desc),
        gather_(kernel.gather),
        taps_(taps),
        form_(packing_form(needs_whole_steps(copy, taps))),
        f32_(needs_f32(desc)),
        activation_(activation_kernels(isa)),
        to_codes_(activation_codes(desc, isa)),
        image_(image_source(desc, isa)),
        packed_(pack_conv_u8s8(desc, merge, taps_, form_, f32_)),
        pad_(allocate_aligned(static_cast<size_t>(taps_.pad_elements()))),
        clamp_(code_clamp(desc)) {
    std::memset(pad_.get(), desc.x_zero_point, static_cast<size_t>(taps_.pad_elements()));
    fit_to_weights(static_cast<int64_t>(packed_.weights_bytes));
    std::vector<TilePanel> panels;
    for (const ConvU8S8Panel& p : packed_.panels)
      panels.push_back({p.group, p.first_channel, p.channels, p.weights_offset, p.lane_offset});
    set_weights(std::move(panels), packed_.weights, packed_.weights_bytes, packed_.bias.data());
    expect(desc.expected, desc.f32_output ? 4 : 1);
    if (!taps_.is_compact()) return;
    int64_t rows = 1;  // of the compact copy: about 16 KB of input
    while (rows < geometry().oh && taps_.compact_bytes((rows + 1) * geometry().ow) <= (16u << 10)) ++rows;
    limit_block(rows * geometry().ow);
  }

  const char* kernel_name() const override { return rows() == TileRows::copied ? "amx 32x32 copy" : form_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 8 * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }
  int64_t chunks(int64_t batch, int threads) const override { return chunk_count(batch, threads); }
  int64_t spare_bytes(int64_t batch) const override { return TilePlan::spare_bytes(batch); }
  std::span<const std::byte> read_by(int64_t worker, int64_t batch, int threads) const override {
    return panel_weights(worker_panels(batch, worker, threads));
  }
  size_t scratch_bytes() const override {
    const bool has_floats = f32_ && !desc_.f32_output;
    return scratch_bytes_for(copy_bytes(), source_bytes(), has_floats ? sizeof(float) * k_block_sums : 0);
  }
  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    run(args, chunk, threads, copy_bytes(), source_bytes(), scratch);
  }

 private:
  size_t copy_bytes() const {
    return rows() == TileRows::copied && taps_.is_compact() ? taps_.copy_bytes(copy().rows() * geometry().ow) : 0;
  }
  /// [table of taps][compact copy or patches]
  size_t source_bytes() const {
    return rows() == TileRows::gathered ? table_bytes() + taps_.copy_bytes(block_pixels()) : 0;
  }
  size_t table_bytes() const {
    const int64_t tiles = (block_pixels() + k_amx_tile_rows - 1) / k_amx_tile_rows;
    return round_up(static_cast<size_t>(tiles * taps_.segments() * k_amx_tile_rows) * sizeof(std::byte*));
  }

  void copy_rows(const ConvU8S8Args& args, int64_t image, int64_t images, int64_t oy, int64_t rows,
                 std::byte* to) const {
    const WindowGeometry& g = geometry();
    if (taps_.is_compact()) return copy_compact(args, (image * g.oh + oy) * g.ow, rows * g.ow, to);
    for (int64_t i = 0; i < images; ++i)
      copy().copy(image + i, oy, rows, static_cast<uint8_t>(desc_.x_zero_point),
                  reinterpret_cast<uint8_t*>(to) + i * copy().image_bytes(),
                  [&](int64_t first, int64_t pixels, uint8_t* at) {
                    std::memcpy(at, args.x + first * g.x_pitch, static_cast<size_t>(pixels * g.x_pitch));
                  });
  }
  void copy_compact(const ConvU8S8Args& args, int64_t first, int64_t pixels, std::byte* to) const {
    const bool is_image = desc_.reads_image();
    const std::byte* x = is_image ? args.image : reinterpret_cast<const std::byte*>(args.x);
    taps_.copy_compact(x, pad_.get(), first, pixels, to, is_image ? &image_ : nullptr);
  }

  void list(const ConvU8S8Args& args, IndexRange pixels, std::byte* source) const {
    const std::byte** table = reinterpret_cast<const std::byte**>(source);
    std::byte* const copied = source + table_bytes();
    const int64_t count = pixels.end - pixels.begin;
    const TileRuns runs = tile_runs(count, k_amx_tile_rows);
    if (!taps_.is_compact())
      return taps_.fill(reinterpret_cast<const std::byte*>(args.x), pad_.get(), pixels.begin, runs, copied, table);
    copy_compact(args, pixels.begin, count, copied);
    taps_.fill_compact(copied, pixels.begin, runs, table);
  }
  /// The rows of the block's pixels for one group, behind one another in the panel.
  void gather(int64_t group, IndexRange pixels, const std::byte* source, uint8_t* panel) const {
    auto* table = reinterpret_cast<const uint8_t* const*>(source);
    const TileRuns runs = tile_runs(pixels.end - pixels.begin, k_amx_tile_rows);
    ConvAmxGather row = {.row_step = k_amx_tile_rows,
                         .segments = taps_.segments(),
                         .first_position = group * (geometry().ic / geometry().groups),
                         .bytes = taps_.segment_elements(),
                         .to = panel};
    for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += taps_.segments() * k_amx_tile_rows) {
      const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
      for (int64_t r = 0; r < rows; ++r, row.to += row_step()) {
        row.rows = table + r;
        gather_(row);
      }
    }
  }

  const uint8_t* input_row(const ConvU8S8Args& args, int64_t pixel) const {
    return args.x + pixel * geometry().x_pitch;
  }
  /// A last block of a linear layer that does not fill its tiles: rows behind the input may not be read.
  void copy_tail(const ConvU8S8Args& args, int64_t first, int64_t rows, int64_t group, uint8_t* panel) const {
    const int64_t channels = geometry().ic / geometry().groups;
    for (int64_t r = 0; r < rows; ++r) {
      const uint8_t* const pixel = input_row(args, first + r) + group * channels;
      gather_({.rows = &pixel, .segments = 1, .bytes = channels, .to = panel + r * row_step()});
    }
  }

  const WeightsAhead* ahead(const ConvU8S8Args& args) const { return args.ahead; }
  bool shares_lines(const TilePanel& panel) const {
    return !desc_.f32_output && geometry().y_pitch % 64 == 0 && panel.first_channel % 64 != 0;
  }
  /// What finish() will read and write may be as far as DRAM; a block before it is long enough to bring it near.
  void prefetch_outputs(const ConvU8S8Args& args, const TilePanel& panel, const TilePixels& own) const {
    const WindowGeometry& g = geometry();
    const int64_t element_bytes = desc_.f32_output ? 4 : 1;
    const std::byte* y =
        static_cast<const std::byte*>(args.y) + (own.first_pixel * g.y_pitch + panel.first_channel) * element_bytes;
    const int64_t step = g.y_pitch * element_bytes;
    for (int32_t i = 0; i < own.count; ++i) __builtin_prefetch(y + own.pixels[i] * step, 1, 3);
    if (!desc_.has_residual) return;
    const uint8_t* residual = args.residual + own.first_pixel * g.residual_pitch + panel.first_channel;
    for (int32_t i = 0; i < own.count; ++i) __builtin_prefetch(residual + own.pixels[i] * g.residual_pitch, 0, 3);
  }

  ConvU8S8Run start_run() const { return common_run(desc_, f32_, clamp_); }
  std::byte* y_of(const ConvU8S8Args& args, int64_t first_channel, int64_t first_pixel) const {
    return static_cast<std::byte*>(args.y) +
           (first_pixel * geometry().y_pitch + first_channel) * (desc_.f32_output ? 4 : 1);
  }
  void note(const ConvU8S8Args& args, const TilePanel& panel, const TilePixels& own, int32_t* sums,
            ConvU8S8Run& run) const {
    const WindowGeometry& g = geometry();
    run.multiplier = packed_.multiplier.data() + panel.lane_offset;
    if (desc_.has_residual) run.residual = args.residual + own.first_pixel * g.residual_pitch + panel.first_channel;
    run.residual_pixels = run.y_pixels = own.pixels;
    run.y = y_of(args, panel.first_channel, own.first_pixel);
    if (!f32_ || desc_.f32_output) return;
    run.y = sums + k_block_sums;
    run.y_step = panel.channels;
    run.y_pixels = TilePositions::k_in_order;
  }

  /// What is left to do behind finish(): the activation of floats, and codes out of them.
  void complete(const ConvU8S8Args& args, const TilePanel& panel, const TilePixels& own, const ConvU8S8Run& run) const {
    if (!f32_) return;
    const auto channels = static_cast<size_t>(run.channels), rows = static_cast<size_t>(run.row_count);
    if (!desc_.f32_output) {
      to_codes_.rows(static_cast<float*>(run.y), channels, rows,
                     reinterpret_cast<uint8_t*>(y_of(args, panel.first_channel, own.first_pixel)), own.pixels,
                     geometry().y_pitch);
    } else if (desc_.activation.kind != ActivationKind::none) {
      for (size_t r = 0; r < rows; ++r)
        activation_.activate(static_cast<float*>(run.y) + own.pixels[r] * run.y_step, channels, desc_.activation);
    }
  }

  ConvU8S8Desc desc_;  // what its spans hold is not used after construction
  void (*gather_)(const ConvAmxGather& row);
  TapTable taps_;
  ConvU8S8Kernel form_;
  bool f32_;
  ActivationKernels activation_;
  ActivationCodes to_codes_;
  ImageSource image_;
  PackedConvU8S8 packed_;
  AlignedBytes pad_;
  CodeClamp clamp_;
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
  const int64_t merge = merged_groups(desc.geometry, 16);
  const WindowGeometry geometry = with_merged_groups(desc.geometry, merge);
  const TapTable taps(geometry, 1, k_amx_tile_rows);
  return std::make_unique<ConvU8S8Amx>(
      desc, kernel, cut, isa, merge, taps,
      AmxCopy(geometry, taps, taps.is_compact(), k_amx_step_bytes, std::max<int64_t>(desc.expected.batch, 1)));
}

}  // namespace octet
