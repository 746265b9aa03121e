// AMX: rows of bfloat16, rounded on the way where the input is FP32, and zero behind the channels of a tap or behind
// all positions; the walk is tile_walk.h's.
//
// Few channels would be zeros for the most part, or a row per pixel to gather. They are copied as they are, with one of
// zeros where that makes segments even, and a segment falls into steps shorter than 32 positions that end where it
// does: what lies behind it belongs to other windows and may be NaN.

#include "kernels/conv_bf16/tile_layer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_bf16/packing.h"
#include "kernels/conv_bf16/stem_rows.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/tile_copy.h"
#include "kernels/implicit_gemm/tile_plan.h"
#include "kernels/implicit_gemm/tile_positions.h"
#include "kernels/implicit_gemm/tile_walk.h"

namespace octet {
namespace {

constexpr int64_t k_step = 32;  // positions
constexpr float k_infinity = std::numeric_limits<float>::infinity();

int64_t round_to(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
size_t bytes_of(bool is_bf16) { return is_bf16 ? sizeof(uint16_t) : sizeof(float); }
std::byte* at(const void* base, int64_t elements, bool is_bf16) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(base)) +
         elements * static_cast<int64_t>(bytes_of(is_bf16));
}

/// Steps of a whole segment without a rest; none where these are more than twice as many as there could be.
struct Steps {
  int64_t count = 0, bytes = k_amx_step_bytes;
};
Steps short_steps(int64_t segment_bytes) {
  const int64_t least = (segment_bytes + k_amx_step_bytes - 1) / k_amx_step_bytes;
  for (int64_t n = least; n <= 2 * least; ++n)
    if (segment_bytes % (4 * n) == 0) return {n, segment_bytes / n};
  return {};
}

/// What tiles read, in bytes: `channels` of each group.
WindowGeometry geometry_of_rows(WindowGeometry g, int64_t channels) {
  g.ic = g.x_pitch = static_cast<int64_t>(sizeof(uint16_t)) * g.groups * channels;
  return g;
}

/// Channels of a group as rows have them, and the steps of a segment: whole ones unless shorter ones take less time.
struct RowChannels {
  int64_t count;
  bool is_whole = true;  // padded to whole steps
  Steps steps = {};
  int64_t all_steps = 0;
};
RowChannels row_channels(const ConvBf16Desc& desc) {
  const WindowGeometry& g = desc.geometry;
  const int64_t channels = g.ic / g.groups;
  const RowChannels whole = {.count = round_to(channels, k_step)};
  if (g.groups > 1 || channels == whole.count) return whole;
  const TapTable input(g, bytes_of(desc.x_is_bf16), k_amx_tile_rows);
  if (input.is_linear()) {  // where the input lies, or gathered
    // Where it lies there may be more steps, each as long as a whole one.
    const int64_t bytes = 2 * channels;
    const Steps steps = short_steps(bytes);
    const double in_place = amx_product_cycles(steps.count * k_amx_step_bytes, g.oc);
    const double gathered = amx_product_cycles(round_to(bytes, k_amx_step_bytes), g.oc) + amx_gather_cycles(bytes, 1);
    const bool is_short = desc.x_is_bf16 && steps.count > 0 && in_place <= gathered;
    return is_short ? RowChannels{channels, false, steps, steps.count} : whole;
  }
  constexpr int64_t k_stem_channels = 4;
  const bool is_stem = reads_compact_copy(g);
  RowChannels best = whole;
  for (int64_t c = channels; c <= (is_stem ? k_stem_channels : whole.count); ++c) {
    const TapTable taps(geometry_of_rows(g, c), 1, k_amx_tile_rows);
    const Steps steps = short_steps(taps.segment_elements());
    const int64_t all = taps.segments() * steps.count;
    if (all > 0 && (best.is_whole || all < best.all_steps)) best = {c, c == whole.count, steps, all};
  }
  return best;
}

/// How a layer's rows come about.
struct Plan {
  RowChannels channels;
  WindowGeometry geometry;  // channels in bytes
  TapTable taps;            // of the input as it is
  TapTable copy_taps;       // of geometry
  TileRows rows = TileRows::gathered;
  AmxCopy copy;
  std::vector<int64_t> order = {};  // of weights, as pack_conv_bf16 wants it
  int64_t row_bytes = 0, step_bytes = k_amx_step_bytes;

  explicit Plan(const ConvBf16Desc& desc, const StemRows& stem)
      : channels(row_channels(desc)),
        geometry(in_bytes(desc, channels.count)),
        taps(desc.geometry, bytes_of(desc.x_is_bf16), k_amx_tile_rows),
        copy_taps(geometry, 1, k_amx_tile_rows) {
    const WindowGeometry& g = desc.geometry;
    const bool is_stem = reads_compact_copy(g);
    if (!is_stem || !channels.is_whole) copy = AmxCopy(geometry, copy_taps, false, channels.steps.bytes);
    if (copy.is_used()) rows = TileRows::copied;
    if (is_read_in_place(desc, taps, channels.count)) rows = TileRows::input;
    if (rows != TileRows::gathered) step_bytes = channels.steps.bytes;
    if (rows == TileRows::copied) {
      const int64_t taps_of_row = copy_taps.is_by_rows() ? g.kw : 1;
      for (int64_t tap = 0; tap < copy_taps.segments() * taps_of_row; ++tap)
        for (int64_t c = 0; c < channels.count; ++c) order.push_back(c < g.ic / g.groups ? c * g.kh * g.kw + tap : -1);
    } else {
      order = is_stem ? stem.weight_order() : taps.weight_order();
    }
    row_bytes = static_cast<int64_t>(order.size() * sizeof(uint16_t));
    order.resize(static_cast<size_t>(round_to(static_cast<int64_t>(order.size()), step_bytes / 2)), -1);
  }

  static bool is_read_in_place(const ConvBf16Desc& desc, const TapTable& taps, int64_t channels) {
    return taps.is_linear() && desc.x_is_bf16 && channels * desc.geometry.groups == desc.geometry.ic;
  }
  static WindowGeometry in_bytes(const ConvBf16Desc& desc, int64_t channels) {
    const TapTable taps(desc.geometry, bytes_of(desc.x_is_bf16), k_amx_tile_rows);
    WindowGeometry g = geometry_of_rows(desc.geometry, channels);
    if (is_read_in_place(desc, taps, channels)) g.x_pitch = 2 * desc.geometry.x_pitch;
    return g;
  }
};

std::string form_of(const Plan& plan) {
  const char* const rows = plan.rows == TileRows::copied ? "segments in whole steps" : "positions without gaps";
  return "bf16 " + std::string(k_conv_bf16_amx) + ", " + rows + " of " + std::to_string(plan.step_bytes / 2) + ", " +
         std::to_string(plan.channels.count) + " channels, " + std::to_string(plan.order.size());
}

class ConvBf16Amx;
using Bf16Walk = TileWalk<ConvBf16Amx, ConvBf16Args, ConvBf16TileRun, float, ConvBf16Gather>;

/// Behind a block's sums: its floats, where an activation is no clamp.
class ConvBf16Amx final : public ConvBf16, private Bf16Walk {
  friend Bf16Walk;
  friend Bf16Walk::Pipeline;

 public:
  ConvBf16Amx(const ConvBf16Desc& desc, const ConvBf16TileKernel& kernel, CutBy cut, Isa isa, const StemRows& stem,
              const Plan& plan)
      : Bf16Walk(kernel, cut, plan.geometry, plan.rows, plan.copy, plan.row_bytes, plan.step_bytes),
        desc_(desc),
        gather_(kernel.gather),
        finish_(kernel.finish),
        stem_(stem),
        taps_(plan.taps),
        activation_(activation_kernels(isa)),
        packed_(pack_conv_bf16(desc, plan.order, plan.step_bytes / 2, form_of(plan))),
        pad_(bytes_of(desc.x_is_bf16) * static_cast<size_t>(taps_.pad_elements())),
        is_stem_(reads_compact_copy(desc.geometry) && plan.rows == TileRows::gathered) {
    set_weights(packed_.panels, packed_.weights, packed_.weights_bytes, packed_.bias.data());
    expect(desc.expected, static_cast<int64_t>(bytes_of(desc.y_is_bf16)));
    if (is_stem_) limit_block(stem_.copied_pixels());
    const ActivationParams& activation = desc.activation;
    if (activation.kind == ActivationKind::relu) lo_ = 0.0f;
    if (activation.kind == ActivationKind::clip) lo_ = activation.p0, hi_ = activation.p1;
    is_clamp_ = activation.kind == ActivationKind::none || activation.kind == ActivationKind::relu ||
                activation.kind == ActivationKind::clip;
  }

  const char* kernel_name() const override {
    return rows() == TileRows::copied ? "amx_bf16 32x32 copy" : k_conv_bf16_amx;
  }
  size_t packed_bytes() const override { return packed_.weights_bytes + sizeof(float) * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }
  int64_t chunks(int64_t batch, int threads) const override { return chunk_count(batch, threads); }
  size_t scratch_bytes() const override {
    return scratch_bytes_for(0, source_bytes(), is_clamp_ ? 0 : sizeof(float) * k_block_sums);
  }
  void run_chunk(const ConvBf16Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    run(args, chunk, threads, 0, source_bytes(), scratch);
  }

 private:
  /// What a stem takes, or [table of taps][patches].
  size_t source_bytes() const {
    if (rows() != TileRows::gathered) return 0;
    return is_stem_ ? stem_.scratch_bytes(block_pixels()) : table_bytes() + taps_.copy_bytes(block_pixels());
  }
  size_t table_bytes() const {
    const int64_t tiles = (block_pixels() + k_amx_tile_rows - 1) / k_amx_tile_rows;
    return round_up(static_cast<size_t>(tiles * taps_.segments() * k_amx_tile_rows) * sizeof(std::byte*));
  }

  /// `elements` elements of each of `pixels` pixels as bfloat16, zeros up to a whole step behind them and a step more.
  void copy_elements(const ConvBf16Args& args, int64_t first, int64_t elements, uint8_t* to, int64_t pixels = 1,
                     int64_t to_bytes = 0) const {
    const void* const from = at(args.x, first, desc_.x_is_bf16);
    if (pixels == 0) return;
    gather_({.rows = &from,
             .row_step = 1,
             .segments = 1,
             .elements = elements,
             .from_f32 = !desc_.x_is_bf16,
             .to = reinterpret_cast<uint16_t*>(to),
             .repeats = pixels,
             .from_step = desc_.geometry.x_pitch,
             .to_step = to_bytes / 2});
  }
  void copy_rows(const ConvBf16Args& args, int64_t image, int64_t images, int64_t oy, int64_t rows,
                 std::byte* to) const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t channels = g.ic / g.groups, own_bytes = geometry().x_pitch / g.groups;
    const bool is_dense = geometry().x_pitch == 2 * g.x_pitch && channels * 2 == own_bytes;
    for (int64_t i = 0; i < images; ++i)
      copy().copy(image + i, oy, rows, 0, reinterpret_cast<uint8_t*>(to) + i * copy().image_bytes(),
                  [&](int64_t first, int64_t pixels, uint8_t* row) {
                    if (desc_.planar_x) return copy_planes(args, first, pixels, row);
                    if (is_dense) return copy_elements(args, first * g.x_pitch, pixels * g.x_pitch, row);
                    if (g.groups == 1) return copy_elements(args, first * g.x_pitch, channels, row, pixels, own_bytes);
                    for (int64_t p = first; p < first + pixels; ++p)
                      for (int64_t group = 0; group < g.groups; ++group, row += own_bytes)
                        copy_elements(args, p * g.x_pitch + group * channels, channels, row);
                  });
  }

  /// Neighbouring pixels of one row of the caller's image.
  void copy_planes(const ConvBf16Args& args, int64_t first, int64_t pixels, uint8_t* to) const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t plane = g.ih * g.iw;
    const void* const from = static_cast<const float*>(args.x) + first / plane * g.ic * plane + first % plane;
    if (pixels == 0) return;
    gather_({.rows = &from,
             .row_step = 1,
             .segments = 1,
             .elements = g.ic,
             .from_f32 = true,
             .to = reinterpret_cast<uint16_t*>(to),
             .repeats = pixels,
             .from_step = 1,
             .to_step = geometry().x_pitch / 2,
             .element_step = plane});
  }

  void list(const ConvBf16Args& args, IndexRange pixels, std::byte* source) const {
    if (is_stem_) return stem_.copy(args.x, pixels, source);
    taps_.fill(static_cast<const std::byte*>(args.x), pad_.data(), pixels.begin,
               tile_runs(pixels.end - pixels.begin, k_amx_tile_rows), source + table_bytes(),
               reinterpret_cast<const std::byte**>(source));
  }
  /// The rows of the block's pixels for one group, behind one another in the panel.
  void gather(int64_t group, IndexRange pixels, std::byte* source, uint8_t* panel) const {
    auto* const to = reinterpret_cast<uint16_t*>(panel);
    if (is_stem_) return stem_.gather(pixels, pixels.begin, to, row_step() / 2, source);
    auto* table = reinterpret_cast<const void* const*>(source);
    const TileRuns runs = tile_runs(pixels.end - pixels.begin, k_amx_tile_rows);
    ConvBf16Gather row = {.row_step = k_amx_tile_rows,
                          .segments = taps_.segments(),
                          .first_position = group * (desc_.geometry.ic / desc_.geometry.groups),
                          .elements = taps_.segment_elements(),
                          .from_f32 = !desc_.x_is_bf16,
                          .to = to};
    for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += taps_.segments() * k_amx_tile_rows) {
      const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
      for (int64_t r = 0; r < rows; ++r, row.to += row_step() / 2) {
        row.rows = table + r;
        gather_(row);
      }
    }
  }

  const uint8_t* input_row(const ConvBf16Args& args, int64_t pixel) const {
    return static_cast<const uint8_t*>(args.x) + pixel * geometry().x_pitch;
  }
  /// A last block of a layer that reads its input itself and does not fill its tiles: rows behind it may not be read.
  void copy_tail(const ConvBf16Args& args, int64_t first, int64_t rows, int64_t group, uint8_t* panel) const {
    const int64_t channels = desc_.geometry.ic / desc_.geometry.groups;
    for (int64_t r = 0; r < rows; ++r)
      copy_elements(args, (first + r) * desc_.geometry.x_pitch + group * channels, channels, panel + r * row_step());
  }

  const WeightsAhead* ahead(const ConvBf16Args&) const { return nullptr; }
  bool shares_lines(const TilePanel&) const { return false; }
  /// What finish() will read and write may be as far as DRAM; a block before it is long enough to bring it near.
  void prefetch_outputs(const ConvBf16Args& args, const TilePanel& panel, const TilePixels& own) const {
    const WindowGeometry& g = desc_.geometry;
    const auto ask = [&](const std::byte* first, int64_t step, bool is_bf16, auto is_written) {
      constexpr int is_write = decltype(is_written)::value;
      const bool is_two = !is_bf16 && panel.channels > 16;
      for (int32_t i = 0; i < own.count; ++i) {
        const std::byte* const line = first + own.pixels[i] * step * static_cast<int64_t>(bytes_of(is_bf16));
        __builtin_prefetch(line, is_write, 3);
        if (is_two) __builtin_prefetch(line + 64, is_write, 3);
      }
    };
    ask(y_of(args, panel, own), g.y_pitch, desc_.y_is_bf16, std::true_type{});
    if (desc_.has_residual)
      ask(residual_of(args, panel, own), g.residual_pitch, desc_.residual_is_bf16, std::false_type{});
  }

  std::byte* y_of(const ConvBf16Args& args, const TilePanel& panel, const TilePixels& own) const {
    return at(args.y, own.first_pixel * desc_.geometry.y_pitch + panel.first_channel, desc_.y_is_bf16);
  }
  const std::byte* residual_of(const ConvBf16Args& args, const TilePanel& panel, const TilePixels& own) const {
    return at(args.residual, own.first_pixel * desc_.geometry.residual_pitch + panel.first_channel,
              desc_.residual_is_bf16);
  }

  ConvBf16TileRun start_run() const {
    return {.residual_step = desc_.geometry.residual_pitch,
            .y_step = is_clamp_ ? desc_.geometry.y_pitch : k_amx_block_channels,
            .lo = lo_,
            .hi = hi_,
            .residual_is_bf16 = desc_.residual_is_bf16,
            .y_is_bf16 = is_clamp_ && desc_.y_is_bf16};
  }
  void note(const ConvBf16Args& args, const TilePanel& panel, const TilePixels& own, float* sums,
            ConvBf16TileRun& run) const {
    if (desc_.has_residual) run.residual = residual_of(args, panel, own);
    run.residual_pixels = own.pixels;
    run.y_pixels = is_clamp_ ? own.pixels : TilePositions::k_in_order;
    run.y = is_clamp_ ? static_cast<void*>(y_of(args, panel, own)) : sums + k_block_sums;
  }
  /// The activation of floats that is no clamp, and where they go then.
  void complete(const ConvBf16Args& args, const TilePanel& panel, const TilePixels& own,
                const ConvBf16TileRun& run) const {
    if (is_clamp_) return;
    auto* const floats = static_cast<float*>(run.y);
    for (int32_t r = 0; r < run.row_count; ++r)
      activation_.activate(floats + r * k_amx_block_channels, static_cast<size_t>(run.channels), desc_.activation);
    ConvBf16TileRun last = run;
    last.residual = nullptr;
    last.y = y_of(args, panel, own), last.y_pixels = own.pixels;
    last.y_step = desc_.geometry.y_pitch, last.y_is_bf16 = desc_.y_is_bf16;
    finish_(last, floats, TilePositions::k_in_order, 0, run.row_count);
  }

  ConvBf16Desc desc_;  // its spans are not used after construction
  void (*gather_)(const ConvBf16Gather& row);
  void (*finish_)(const ConvBf16TileRun& run, const float* sums, const int32_t* sum_rows, int first, int last);
  StemRows stem_;
  TapTable taps_;
  ActivationKernels activation_;
  PackedConvBf16 packed_;
  std::vector<std::byte> pad_;  // a pixel of zeros
  bool is_stem_;
  float lo_ = -k_infinity, hi_ = k_infinity;
  bool is_clamp_ = true;
};

}  // namespace

#if defined(__x86_64__)
const ConvBf16TileKernel conv_bf16_amx_kernel = {conv_bf16_amx_configure, conv_bf16_amx_sums, conv_bf16_amx_flush,
                                                 conv_bf16_gather, conv_bf16_amx_finish};
#else
const ConvBf16TileKernel conv_bf16_amx_kernel = {};
#endif

int64_t conv_bf16_short_steps(const WindowGeometry& geometry) {
  ConvBf16Desc desc;
  desc.geometry = geometry, desc.x_is_bf16 = true;
  const RowChannels channels = row_channels(desc);
  if (channels.is_whole) return 0;
  const WindowGeometry rows = geometry_of_rows(geometry, channels.count);
  const TapTable taps(rows, 1, k_amx_tile_rows);
  return taps.is_linear() || AmxCopy(rows, taps, false, channels.steps.bytes).is_used() ? channels.all_steps : 0;
}

std::unique_ptr<const ConvBf16> make_conv_bf16_tiles(const ConvBf16Desc& desc, const ConvBf16TileKernel& kernel,
                                                     CutBy cut, Isa isa) {
  const StemRows stem(desc, kernel.gather, isa);
  return std::make_unique<ConvBf16Amx>(desc, kernel, cut, isa, stem, Plan(desc, stem));
}

}  // namespace octet
