#include "kernels/conv_u8s8/conv_u8s8.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_u8s8/conv_u8s8_isa.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/conv_u8s8/scalar.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tap_table.h"

namespace octet {
namespace {

const ConvU8S8Kernel* pick_kernel(Isa isa) {
#define OCTET_KERNEL(entry, kernel) \
  if (isa >= Isa::entry) return &kernel;
#include "kernels/conv_u8s8/kernels.def"
#undef OCTET_KERNEL
  return nullptr;
}

/// Relu and Clip of a code are bounds already; every other activation needs the value as f32.
bool needs_f32(const ConvU8S8Desc& desc) {
  const ActivationKind kind = desc.activation.kind;
  const bool is_bound = kind == ActivationKind::none || kind == ActivationKind::relu || kind == ActivationKind::clip;
  return desc.f32_output || !is_bound;
}

WindowGeometry with_merged_groups(WindowGeometry geometry, int64_t merge) {
  geometry.groups /= merge;
  return geometry;
}

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

/// One packed layer for one inner function. Scratch of a worker: [tap table][compact input][f32 tile].
class ConvU8S8Packed final : public ConvU8S8 {
 public:
  ConvU8S8Packed(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        merge_(merged_groups(desc.geometry, kernel.lanes)),
        geometry_(with_merged_groups(desc.geometry, merge_)),
        taps_(geometry_, 1),
        f32_(needs_f32(desc)),
        activation_(activation_kernels(isa)),
        packed_(pack_conv_u8s8(desc, merge_, taps_, kernel, f32_)),
        pad_(allocate_aligned(static_cast<size_t>(taps_.pad_elements()))),
        block_pixels_(conv_block_pixels(work(1))) {
    std::memset(pad_.get(), desc.x_zero_point, static_cast<size_t>(taps_.pad_elements()));
    if (taps_.is_compact()) block_pixels_ = std::min(block_pixels_, compact_block_pixels());
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 8 * packed_.bias.size(); }

  int64_t chunks(int64_t batch, int threads) const override {
    const ConvGrid grid = conv_grid(work(batch), threads);
    return grid.pixel_parts * grid.panel_parts;
  }

  size_t scratch_bytes() const override {
    return table_bytes() + round_up(taps_.compact_bytes(block_pixels_)) + tile_bytes();
  }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const ConvWork all = work(args.batch);
    const ConvGrid grid = conv_grid(all, threads);
    const IndexRange pixels = part_of(all.pixels, grid.pixel_parts, chunk / grid.panel_parts, k_tile_rows);
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
  /// Rows of a block's compact copy should stay in L1: at most about 16 KB of input.
  int64_t compact_block_pixels() const {
    int64_t rows = 1;
    while (rows < geometry_.oh && taps_.compact_bytes((rows + 1) * geometry_.ow) <= (16u << 10)) ++rows;
    return rows * geometry_.ow;
  }

  ConvWork work(int64_t batch) const {
    const WindowGeometry& g = geometry_;
    const int64_t panels = static_cast<int64_t>(packed_.panels.size());
    return {.pixels = batch * g.oh * g.ow,
            .panels = panels,
            .panel_bytes = static_cast<int64_t>(packed_.weights_bytes) / panels,
            .pixel_bytes = g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw),
            .segments = taps_.segments()};
  }

  int64_t block_tiles(int64_t pixels) const { return (pixels + k_tile_rows - 1) / k_tile_rows; }
  /// Bytes of one tile's pointers.
  int64_t table_stride() const { return taps_.segments() * k_tile_rows; }
  size_t table_bytes() const {
    return round_up(static_cast<size_t>(block_tiles(block_pixels_) * table_stride()) * sizeof(std::byte*));
  }
  /// Only form 3 to a code passes through an f32 tile.
  size_t tile_bytes() const {
    const bool through_tile = f32_ && !desc_.f32_output;
    return through_tile ? sizeof(float) * static_cast<size_t>(k_tile_rows * kernel_.lanes * kernel_.vectors) : 0;
  }

  void run_block(const ConvU8S8Args& args, IndexRange pixels, IndexRange panels, std::byte* scratch) const {
    const std::byte** table = reinterpret_cast<const std::byte**>(scratch);
    std::byte* const compact = scratch + table_bytes();
    std::byte* const f32_tile = compact + round_up(taps_.compact_bytes(block_pixels_));
    const std::byte* x = reinterpret_cast<const std::byte*>(args.x);
    const int64_t count = pixels.end - pixels.begin, tiles = block_tiles(count);
    if (taps_.is_compact()) taps_.copy_compact(x, pad_.get(), pixels.begin, count, compact);
    int64_t group = -1;
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const ConvU8S8Panel& panel = packed_.panels[static_cast<size_t>(p)];
      if (panel.group != group) {
        group = panel.group;
        fill_tables(x, compact, pixels, group, table);
      }
      for (int64_t t = 0; t < tiles; ++t) {
        const IndexRange part = part_of(count, tiles, t);
        run_tile(args, panel, {pixels.begin + part.begin, pixels.begin + part.end}, table + t * table_stride(),
                 f32_tile);
      }
    }
  }

  void fill_tables(const std::byte* x, const std::byte* compact, IndexRange pixels, int64_t group,
                   const std::byte** table) const {
    const int64_t count = pixels.end - pixels.begin, tiles = block_tiles(count);
    for (int64_t t = 0; t < tiles; ++t) {
      const IndexRange part = part_of(count, tiles, t);
      const int64_t first = pixels.begin + part.begin, rows = part.end - part.begin;
      const std::byte** tile_table = table + t * table_stride();
      if (taps_.is_compact())
        taps_.fill_compact(compact, pixels.begin, first, rows, tile_table);
      else
        taps_.fill(x, pad_.get(), first, rows, group * (geometry_.ic / geometry_.groups), tile_table);
    }
  }

  void run_tile(const ConvU8S8Args& args, const ConvU8S8Panel& panel, IndexRange pixels, const std::byte** table,
                std::byte* f32_tile) const {
    const WindowGeometry& g = geometry_;
    const bool through_tile = f32_ && !desc_.f32_output;
    const int64_t y_index = pixels.begin * g.y_pitch + panel.first_channel;
    std::byte* const y = static_cast<std::byte*>(args.y) + y_index * (desc_.f32_output ? 4 : 1);
    ConvU8S8Tile tile;
    tile.rows = reinterpret_cast<const uint8_t* const*>(table);
    tile.segments = taps_.segments();
    tile.dwords = (taps_.segment_elements() + 3) / 4;
    tile.weights = packed_.weights.get() + panel.weights_offset;
    tile.bias = packed_.bias.data() + panel.lane_offset;
    tile.multiplier = packed_.multiplier.data() + panel.lane_offset;
    if (desc_.has_residual) tile.residual = args.residual + pixels.begin * g.residual_pitch + panel.first_channel;
    tile.residual_step = g.residual_pitch;
    tile.y = through_tile ? f32_tile : y;
    tile.y_step = through_tile ? panel.channels : g.y_pitch;
    tile.prefetch = reinterpret_cast<const char*>(tile.weights);
    tile.row_count = static_cast<int32_t>(pixels.end - pixels.begin);
    tile.channels = static_cast<int32_t>(panel.channels);
    tile.residual_zero_point = desc_.residual_zero_point;
    tile.residual_multiplier = desc_.residual_multiplier;
    tile.y_zero_point = desc_.y_zero_point;
    tile.lo = desc_.lo;
    tile.hi = desc_.hi;
    tile.f32_output = f32_;
    kernel_.run(tile);
    if (f32_) finish_f32(tile, y);
  }

  /// Form 3 behind the inner function: the activation, and for a code its quantization.
  void finish_f32(const ConvU8S8Tile& tile, std::byte* y) const {
    float* const v = static_cast<float*>(tile.y);
    const size_t channels = static_cast<size_t>(tile.channels);
    const bool activates = desc_.activation.kind != ActivationKind::none;
    if (desc_.f32_output) {
      for (int64_t r = 0; activates && r < tile.row_count; ++r)
        activation_.activate(v + r * tile.y_step, channels, desc_.activation);
      return;
    }
    if (activates) activation_.activate(v, channels * static_cast<size_t>(tile.row_count), desc_.activation);
    for (int64_t r = 0; r < tile.row_count; ++r)
      activation_.quantize(v + r * tile.y_step, channels, desc_.inverse_y_scale, desc_.y_zero_point, desc_.lo, desc_.hi,
                           reinterpret_cast<uint8_t*>(y) + r * geometry_.y_pitch);
  }

  ConvU8S8Desc desc_;  // its spans are not used after construction
  const ConvU8S8Kernel& kernel_;
  int64_t merge_;
  WindowGeometry geometry_;  // with merged groups
  TapTable taps_;
  bool f32_;
  ActivationKernels activation_;
  PackedConvU8S8 packed_;
  AlignedBytes pad_;  // a pixel of x_zero_point
  int64_t block_pixels_;
};

}  // namespace

std::unique_ptr<const ConvU8S8> ConvU8S8::make(const ConvU8S8Desc& desc, Isa isa) {
  const WindowGeometry& g = desc.geometry;
  assert(g.ic % g.groups == 0 && g.oc % g.groups == 0 && "groups divide both channel counts");
  assert(static_cast<int64_t>(desc.weights.size()) == g.oc * (g.ic / g.groups) * g.kh * g.kw);
  assert(static_cast<int64_t>(desc.multiplier.size()) == g.oc && desc.lo >= 0 && desc.lo <= desc.hi && desc.hi <= 255);
  const ConvU8S8Kernel* kernel = pick_kernel(isa);
  if (!kernel) return make_conv_u8s8_scalar(desc);
  return std::make_unique<ConvU8S8Packed>(desc, *kernel, isa);
}

}  // namespace octet
