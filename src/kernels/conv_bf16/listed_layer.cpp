// Tiles read pairs of neighbouring channels of bfloat16. An input of bfloat16 with an even number of channels in a
// group is read where it lies; others are copied first, rounded where they are FP32: the input rows of some output
// rows, or, of a stem's few channels, the whole row of positions of each output pixel, gathered out of the compact
// copy.

#include "kernels/conv_bf16/listed_layer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "base/aligned.h"
#include "base/ceil_div.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_bf16/stem_rows.h"
#include "kernels/implicit_gemm/listed_packing.h"
#include "kernels/implicit_gemm/listed_tiles.h"
#include "kernels/implicit_gemm/listed_walk.h"

namespace octet {
namespace {

/// As k_conv_u8s8_packing.
constexpr int k_packing = 2;
/// Most bytes of a copy of input rows.
constexpr int64_t k_copy_bytes = 128 << 10;
constexpr float k_infinity = std::numeric_limits<float>::infinity();

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }
size_t bytes_of(bool is_bf16) { return is_bf16 ? sizeof(uint16_t) : sizeof(float); }
std::byte* at(const void* base, int64_t elements, bool is_bf16) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(base)) +
         elements * static_cast<int64_t>(bytes_of(is_bf16));
}

enum class Input : uint8_t { in_place, copied, gathered };

/// No pair crosses the end of a group or of a pixel.
bool has_whole_pairs(const WindowGeometry& g) { return g.ic / g.groups % 2 == 0 && g.x_pitch % 2 == 0; }

Input input_of(const ConvBf16Desc& desc) {
  if (reads_compact_copy(desc.geometry)) return Input::gathered;
  return desc.x_is_bf16 && has_whole_pairs(desc.geometry) ? Input::in_place : Input::copied;
}

/// Pairs of a gathered row, and from row to row: room for what gathering writes behind them, and an odd number of cache
/// lines, so that rows do not meet in a few sets of L1.
int64_t gathered_pairs(const WindowGeometry& g) { return ceil_div(g.kh * g.kw * g.ic, 2); }
int64_t gathered_pitch(const WindowGeometry& g) {
  const int64_t lines = ceil_div(gathered_pairs(g) + 32, 16);
  return 16 * (lines + 1 - lines % 2);
}

/// What the tiles see: positions are pairs.
WindowGeometry paired(const ConvBf16Desc& desc) {
  WindowGeometry g = desc.geometry;
  const Input input = input_of(desc);
  if (input == Input::gathered) {
    g.ic = gathered_pairs(desc.geometry), g.x_pitch = gathered_pitch(desc.geometry);
    g.ih = g.oh, g.iw = g.ow, g.kh = g.kw = g.stride_h = g.stride_w = g.dilation_h = g.dilation_w = 1;
    g.pad_top = g.pad_left = 0;
    return g;
  }
  g.x_pitch = has_whole_pairs(g) ? g.x_pitch / 2 : g.groups * ceil_div(g.ic / g.groups, 2);
  g.ic = g.groups * ceil_div(g.ic / g.groups, 2);
  return g;
}

/// Scratch of a worker: [listed tiles][sums][copy of input rows], or behind the sums
/// [rows of positions][what gathering them takes].
class ConvBf16Listed final : public ConvBf16 {
 public:
  ConvBf16Listed(const ConvBf16Desc& desc, const ConvBf16Kernel& kernel, const ConvTile& tile, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        input_(input_of(desc)),
        paired_(paired(desc)),
        tiles_(paired_, tile, cut, desc.expected),
        stem_(desc, kernel.gather, isa),
        activation_(activation_kernels(isa)),
        packed_(pack()) {
    const ActivationParams& activation = desc.activation;
    if (activation.kind == ActivationKind::relu) lo_ = 0.0f;
    if (activation.kind == ActivationKind::clip) lo_ = activation.p0, hi_ = activation.p1;
    is_clamp_ = activation.kind == ActivationKind::none || activation.kind == ActivationKind::relu ||
                activation.kind == ActivationKind::clip;
    choose_block();
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override { return tiles_.weights_bytes() + sizeof(float) * packed_.bias.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }
  int64_t chunks(int64_t batch, int threads) const override { return tiles_.chunks(batch, threads); }
  size_t scratch_bytes() const override { return tiles_bytes() + sums_bytes() + source_bytes(); }

  void run_chunk(const ConvBf16Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const ConvChunk own = tiles_.chunk(args.batch, threads, chunk);
    for (const ConvPiece& piece : own.pieces) run_piece(args, piece, scratch);
  }

 private:
  ListedWeights pack() const {
    const WindowGeometry& g = desc_.geometry;
    const int64_t channels = g.ic / g.groups, taps = g.kh * g.kw, oc_stride = channels * taps;
    const std::string form = "bf16 " + std::string(kernel_.name) + ", " + std::to_string(tiles_.taps().segments()) +
                             " x " + std::to_string(tiles_.taps().segment_elements()) + " pairs of " +
                             std::to_string(channels) + ", packing " + std::to_string(k_packing);
    const std::vector<int64_t> order = input_ == Input::gathered ? stem_.weight_order() : tiles_.taps().weight_order();
    const auto all = static_cast<int64_t>(order.size());
    return tiles_.pack(desc_.packed, form, desc_.bias, [&](int64_t channel, int64_t k) {
      const auto weight = [&](int64_t i) -> uint32_t {
        return desc_.weights[static_cast<size_t>(channel * oc_stride + i)];
      };
      if (input_ == Input::gathered) {
        const auto first = static_cast<size_t>(2 * k);
        return weight(order[first]) | (2 * k + 1 < all ? weight(order[first + 1]) << 16 : 0);
      }
      const int64_t i = order[static_cast<size_t>(k)], c = 2 * (i / taps), tap = i % taps;
      return weight(c * taps + tap) | (c + 1 < channels ? weight((c + 1) * taps + tap) << 16 : 0);
    });
  }

  /// Output pixels whose input is copied at a time: of a layer that visits every pixel as many as the tiles take,
  /// others whole images or rows of one.
  void choose_block() {
    const WindowGeometry& g = desc_.geometry;
    copied_pixels_ = tiles_.block_pixels();
    if (input_ == Input::in_place || (input_ == Input::copied && tiles_.taps().is_linear())) return;
    if (input_ == Input::gathered) {
      copied_pixels_ = stem_.copied_pixels();
      return;
    }
    int64_t rows = 1;
    const int64_t row_bytes = 4 * g.iw * paired_.x_pitch;
    while (rows < g.oh && input_rows(rows + 1) * row_bytes <= k_copy_bytes) ++rows;
    copied_pixels_ = rows * g.ow;
    if (rows == g.oh) copied_pixels_ *= std::max<int64_t>(k_copy_bytes / (g.ih * row_bytes), 1);
  }
  bool copies_images() const { return copied_pixels_ >= desc_.geometry.oh * desc_.geometry.ow; }
  /// Input rows of so many output rows of an image.
  int64_t input_rows(int64_t rows) const {
    const WindowGeometry& g = desc_.geometry;
    return std::min(g.ih, (rows - 1) * g.stride_h + (g.kh - 1) * g.dilation_h + 1);
  }

  size_t tiles_bytes() const { return round_up(tiles_.scratch_bytes()); }
  bool has_sums() const { return !is_clamp_ || tiles_.blocks().size() > 1; }
  size_t sums_bytes() const {
    return has_sums() ? sizeof(float) * static_cast<size_t>(tiles_.block_pixels() * sums_step()) : 0;
  }
  int64_t sums_step() const { return 16 * kernel_.vectors; }
  size_t rows_bytes() const {
    return round_up(static_cast<size_t>(4 * tiles_.block_pixels() * paired_.x_pitch) + 2 * k_alignment);
  }
  size_t source_bytes() const {
    if (input_ == Input::in_place) return 0;
    if (input_ == Input::gathered) return rows_bytes() + round_up(stem_.scratch_bytes(tiles_.block_pixels()));
    const WindowGeometry& g = desc_.geometry;
    int64_t pixels = copied_pixels_;
    if (!tiles_.taps().is_linear())
      pixels = g.iw * (copies_images() ? g.ih * (copied_pixels_ / (g.oh * g.ow) + 1)
                                       : input_rows(ceil_div(copied_pixels_, g.ow) + 1));
    // What a window reads behind its pixel's channels, and what a copy writes behind the last one.
    return round_up(static_cast<size_t>(4 * pixels * paired_.x_pitch) + 4 * k_alignment);
  }

  void run_piece(const ConvBf16Args& args, const ConvPiece& piece, std::byte* scratch) const {
    std::byte* const source = scratch + tiles_bytes() + sums_bytes();
    if (input_ == Input::in_place)
      return run_pixels(args, static_cast<const std::byte*>(args.x), piece.pixels, piece.panels, scratch);
    const WindowGeometry& g = desc_.geometry;
    const int64_t image_pixels = g.oh * g.ow;
    for (int64_t first = piece.pixels.begin; first < piece.pixels.end;) {
      int64_t count = std::min(copied_pixels_, piece.pixels.end - first);
      const bool is_of_one_image = input_ == Input::gathered || (!tiles_.taps().is_linear() && !copies_images());
      if (is_of_one_image) count = std::min(count, image_pixels - first % image_pixels);
      const IndexRange pixels = {first, first + count};
      if (input_ == Input::gathered)
        run_gathered(args, pixels, piece.panels, scratch, source);
      else
        run_pixels(args, copy_input(args, pixels, source), pixels, piece.panels, scratch);
      first += count;
    }
  }

  /// Where pixel 0 of an input would lie whose pixel `first` lies at `here`.
  static const std::byte* origin(const std::byte* here, int64_t first, int64_t pixel_bytes) {
    return reinterpret_cast<const std::byte*>(reinterpret_cast<intptr_t>(here) - first * pixel_bytes);
  }

  /// Copies the input of these output pixels, rounded; where the input's first pixel would lie in the copy.
  const std::byte* copy_input(const ConvBf16Args& args, IndexRange pixels, std::byte* to) const {
    const WindowGeometry& g = desc_.geometry;
    IndexRange own = pixels;
    if (!tiles_.taps().is_linear()) {
      const auto row_of = [&](int64_t pixel, int64_t ky) {
        const int64_t iy = pixel / g.ow % g.oh * g.stride_h - g.pad_top + ky * g.dilation_h;
        return pixel / (g.oh * g.ow) * g.ih + std::clamp<int64_t>(iy, 0, g.ih - 1);
      };
      own = {row_of(pixels.begin, 0) * g.iw, (row_of(pixels.end - 1, g.kh - 1) + 1) * g.iw};
    }
    const int64_t pitch = 2 * paired_.x_pitch;
    ConvBf16Gather row = {
        .row_step = 1, .segments = 1, .from_f32 = !desc_.x_is_bf16, .to = reinterpret_cast<uint16_t*>(to)};
    const auto copy = [&](int64_t pixel, int64_t channel, int64_t elements) {
      const void* const from = at(args.x, pixel * g.x_pitch + channel, desc_.x_is_bf16);
      row.rows = &from, row.elements = elements;
      kernel_.gather(row);
    };
    if (has_whole_pairs(g)) {
      copy(own.begin, 0, (own.end - own.begin - 1) * pitch + g.ic);  // nothing is read behind the last channel
    } else {
      const int64_t channels = g.ic / g.groups;
      for (int64_t p = own.begin; p < own.end; ++p)
        for (int64_t group = 0; group < g.groups; ++group, row.to += pitch / g.groups)
          copy(p, group * channels, channels);
    }
    return origin(to, own.begin, 2 * pitch);
  }

  void run_gathered(const ConvBf16Args& args, IndexRange pixels, IndexRange panels, std::byte* scratch,
                    std::byte* source) const {
    std::byte* const behind = source + rows_bytes();
    stem_.copy(args.x, pixels, behind);
    tiles_.for_blocks(pixels, [&](IndexRange own) {
      stem_.gather(own, pixels.begin, reinterpret_cast<uint16_t*>(source), 2 * paired_.x_pitch, behind);
      run_pixels(args, origin(source, own.begin, 4 * paired_.x_pitch), own, panels, scratch);
    });
  }

  void run_pixels(const ConvBf16Args& args, const std::byte* x, IndexRange pixels, IndexRange panels,
                  std::byte* scratch) const {
    auto* const sums = reinterpret_cast<float*>(scratch + tiles_bytes());
    tiles_.for_blocks(pixels, [&](IndexRange own) {
      tiles_.run_block<ConvBf16Run>(
          {x}, packed_.weights, own, panels, scratch, kernel_.run,
          [&](const WeightPanel& panel, size_t b) { return block_run(args, panel, b, own.begin, sums); },
          [&](const WeightPanel& panel) {
            if (!is_clamp_) activate(args, panel, own, sums);
          });
    });
  }

  /// What all tiles of one panel and block of the reduction have in common; they begin at pixel `first`.
  ConvBf16Run block_run(const ConvBf16Args& args, const WeightPanel& panel, size_t b, int64_t first,
                        float* sums) const {
    const WindowGeometry& g = desc_.geometry;
    const bool is_first = b == 0, is_last = b + 1 == tiles_.blocks().size(), ends = is_last && is_clamp_;
    ConvBf16Run run;
    run.start = is_first ? packed_.bias.data() + panel.bias_offset : sums;
    run.start_step = is_first ? 0 : sums_step();
    if (desc_.has_residual && is_last)
      run.residual = at(args.residual, first * g.residual_pitch + panel.first_channel, desc_.residual_is_bf16);
    run.residual_step = g.residual_pitch;
    run.residual_is_bf16 = desc_.residual_is_bf16;
    run.y = ends ? static_cast<void*>(y_of(args, panel, first)) : sums;
    run.y_step = ends ? g.y_pitch : sums_step();
    run.y_is_bf16 = ends && desc_.y_is_bf16;
    run.lo = ends ? lo_ : -k_infinity;
    run.hi = ends ? hi_ : k_infinity;
    return run;
  }
  std::byte* y_of(const ConvBf16Args& args, const WeightPanel& panel, int64_t pixel) const {
    return at(args.y, pixel * desc_.geometry.y_pitch + panel.first_channel, desc_.y_is_bf16);
  }

  void activate(const ConvBf16Args& args, const WeightPanel& panel, IndexRange pixels, float* sums) const {
    const int64_t count = pixels.end - pixels.begin;
    for (int64_t r = 0; r < count; ++r)
      activation_.activate(sums + r * sums_step(), static_cast<size_t>(panel.channels), desc_.activation);
    kernel_.finish({.sums = sums,
                    .sums_step = sums_step(),
                    .rows = count,
                    .channels = static_cast<int32_t>(panel.channels),
                    .lo = -k_infinity,
                    .hi = k_infinity,
                    .y = y_of(args, panel, pixels.begin),
                    .y_step = desc_.geometry.y_pitch,
                    .y_is_bf16 = desc_.y_is_bf16});
  }

  ConvBf16Desc desc_;  // its spans are not used after construction
  const ConvBf16Kernel& kernel_;
  Input input_;
  WindowGeometry paired_;
  ListedTiles tiles_;
  StemRows stem_;
  ActivationKernels activation_;
  ListedWeights packed_;
  int64_t copied_pixels_ = 0;
  float lo_ = -k_infinity, hi_ = k_infinity;
  bool is_clamp_ = true;
};

}  // namespace

std::unique_ptr<const ConvBf16> make_conv_bf16_listed(const ConvBf16Desc& desc, const ConvBf16Kernel& kernel,
                                                      const ConvTile& tile, CutBy cut, Isa isa) {
  return std::make_unique<ConvBf16Listed>(desc, kernel, tile, cut, isa);
}

}  // namespace octet
