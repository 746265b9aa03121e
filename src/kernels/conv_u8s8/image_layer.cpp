#include "kernels/conv_u8s8/image_layer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/aligned_vector.h"
#include "kernels/conv_u8s8/packing.h"

namespace octet {
namespace {

constexpr int32_t k_in_order[k_image_pixels] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr int k_side = 4;

int64_t dwords_of(const WindowGeometry& g) { return (g.ic + 3) / 4; }

/// [dword][tap][lane][4]; the bias is the layer's own, since the padding is not there.
void pack(const ConvU8S8Desc& desc, int lanes, const ConvU8S8Panel& panel, int8_t* weights, int32_t* bias) {
  const int64_t ic = desc.geometry.ic, dwords = dwords_of(desc.geometry), tap_bytes = 4 * lanes;
  std::memset(weights, 0, static_cast<size_t>(dwords * k_image_taps * tap_bytes));
  for (int64_t lane = 0; lane < panel.channels; ++lane) {
    const int64_t oc = panel.first_channel + lane;
    const int8_t* from = desc.weights.data() + oc * ic * k_image_taps;
    bias[lane] = desc.bias.empty() ? 0 : desc.bias[static_cast<size_t>(oc)];
    for (int64_t c = 0; c < ic; ++c)
      for (int64_t tap = 0; tap < k_image_taps; ++tap)
        weights[(c / 4 * k_image_taps + tap) * tap_bytes + 4 * lane + c % 4] = *from++;
  }
}

PackedConvU8S8 pack_images(const ConvU8S8Desc& desc, const ConvU8S8ImageKernel& kernel) {
  const int64_t dwords = dwords_of(desc.geometry);
  const ConvPanelOrder order{.lanes = kernel.lanes,
                             .vectors = 1,
                             .vector_bytes = static_cast<size_t>(dwords * k_image_taps * kernel.lanes * 4),
                             .natural_order = true,
                             .form = "u8s8 " + std::string(kernel.name) + ", " + std::to_string(dwords) +
                                     " dwords, packing " + std::to_string(k_conv_u8s8_packing)};
  return pack_panels(desc, order, [&](const ConvU8S8Panel& panel, std::byte* weights, int32_t* bias) {
    pack(desc, kernel.lanes, panel, reinterpret_cast<int8_t*>(weights), bias);
  });
}

class ConvU8S8Images final : public ConvU8S8 {
 public:
  ConvU8S8Images(const ConvU8S8Desc& desc, const ConvU8S8ImageKernel& kernel, CutBy cut)
      : desc_(desc),
        kernel_(kernel),
        cut_(cut),
        packed_(pack_images(desc, kernel)),
        panel_bytes_(static_cast<int64_t>(packed_.weights_bytes / packed_.panels.size())) {
    if (desc.x_zero_point != 0)
      for (const ConvU8S8Panel& panel : packed_.panels) add_pixel_bias(panel);
    const ConvWork all = work(desc.expected.batch);
    known_ = known_cut(desc.expected, all, conv_deal(all, desc.expected.threads, cut));
    desc_.weights = {};
    desc_.bias = {};
    desc_.multiplier = {};
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override {
    return packed_.weights_bytes + 8 * packed_.bias.size() + 4 * pixel_bias_.size();
  }
  PackedConvWeights packed() const override { return packed_.kept; }
  int64_t chunks(int64_t batch, int threads) const override {
    return known_.serves(batch, threads) ? known_.count() : conv_deal(work(batch), threads, cut_).chunks;
  }
  size_t scratch_bytes() const override { return 0; }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte*) const override {
    const ConvChunk own = chunk_at(args.batch, threads, chunk);
    for (const ConvPiece& piece : own.pieces)
      for (int64_t p = piece.panels.begin; p < piece.panels.end; ++p) run_panel(args, p, piece.pixels);
  }

 private:
  ConvChunk chunk_at(int64_t batch, int threads, int64_t chunk) const {
    if (known_.serves(batch, threads)) return known_[chunk];
    const ConvWork all = work(batch);
    const ConvDeal deal = conv_deal(all, threads, cut_);
    return {deal, conv_pieces(all, deal, chunk)};
  }

  /// Pixels are images here.
  ConvWork work(int64_t batch) const {
    return {.pixels = batch,
            .panels = static_cast<int64_t>(packed_.panels.size()),
            .panel_bytes = panel_bytes_,
            .pixel_bytes = k_image_pixels * desc_.geometry.ic,
            .tile_rows = 1};
  }

  void run_panel(const ConvU8S8Args& args, int64_t p, IndexRange images) const {
    const WindowGeometry& g = desc_.geometry;
    const ConvU8S8Panel& panel = packed_.panels[static_cast<size_t>(p)];
    ConvU8S8Run run = common_run(desc_, false, CodeClamp::any);
    run.weights = packed_.weights + panel.weights_offset;
    run.dwords = dwords_of(g);
    run.multiplier = packed_.multiplier.data() + panel.lane_offset;
    run.bias = packed_.bias.data() + panel.lane_offset;
    if (!pixel_bias_.empty()) {
      run.bias = pixel_bias_.data() + k_image_pixels * panel.lane_offset;
      run.side_bias_step = kernel_.lanes;
    }
    run.y_pixels = run.residual_pixels = k_in_order;
    run.row_count = k_image_pixels;
    run.channels = static_cast<int32_t>(panel.channels);
    run.prefetch = ahead_of(p, args);
    run.prefetch_step = 64 * k_image_taps;
    for (int64_t image = images.begin; image < images.end; ++image) {
      const int64_t first = image * k_image_pixels;
      run.x = args.x + first * g.x_pitch;
      run.y = static_cast<uint8_t*>(args.y) + first * g.y_pitch + panel.first_channel;
      if (desc_.has_residual) run.residual = args.residual + first * g.residual_pitch + panel.first_channel;
      kernel_.run(run, g.x_pitch);
      run.prefetch_step = 0;  // it is near
    }
  }

  /// Where what is wanted behind a panel lies: the next one's weights or the next layer's.
  const char* ahead_of(int64_t p, const ConvU8S8Args& args) const {
    const std::byte* const weights = packed_.weights + p * panel_bytes_;
    if (p + 1 < static_cast<int64_t>(packed_.panels.size()))
      return reinterpret_cast<const char*>(weights + panel_bytes_);
    const bool has_next = static_cast<int64_t>(args.next_weights.size()) >= panel_bytes_;
    return reinterpret_cast<const char*>(has_next ? args.next_weights.data() : weights);
  }

  /// Every pixel's bias, less the zero point's part of the taps that it has. Loads wait for it: the packed weights are
  /// added up as they lie. Modulo 2^32: they may be those of a file that was made to do harm.
  void add_pixel_bias(const ConvU8S8Panel& panel) {
    const int64_t lanes = kernel_.lanes;
    std::vector<int32_t> sums(static_cast<size_t>(k_image_taps * lanes), 0);
    const auto* w = reinterpret_cast<const int8_t*>(packed_.weights + panel.weights_offset);
    for (int64_t d = 0; d < dwords_of(desc_.geometry); ++d)
      for (size_t i = 0; i < sums.size(); ++i, w += 4) sums[i] += w[0] + w[1] + w[2] + w[3];
    for (int64_t pixel = 0; pixel < k_image_pixels; ++pixel)
      for (int64_t lane = 0; lane < lanes; ++lane) {
        uint32_t sum = 0;
        for (int64_t tap = 0; tap < k_image_taps; ++tap) {
          const int64_t y = pixel / k_side + tap / 3 - 1, x = pixel % k_side + tap % 3 - 1;
          if (y >= 0 && y < k_side && x >= 0 && x < k_side)
            sum += static_cast<uint32_t>(sums[static_cast<size_t>(tap * lanes + lane)]);
        }
        const auto bias = static_cast<uint32_t>(packed_.bias[panel.lane_offset + static_cast<size_t>(lane)]);
        pixel_bias_.push_back(static_cast<int32_t>(bias - static_cast<uint32_t>(desc_.x_zero_point) * sum));
      }
  }

  ConvU8S8Desc desc_;  // its spans are not used after construction
  const ConvU8S8ImageKernel& kernel_;
  CutBy cut_;
  PackedConvU8S8 packed_;
  int64_t panel_bytes_;
  KnownCut known_;
  AlignedVector<int32_t> pixel_bias_;  // [panel][pixel][lane]; empty where the zero point is 0
};

}  // namespace

bool is_small_image(const WindowGeometry& g) {
  return g.ih == k_side && g.iw == k_side && g.oh == k_side && g.ow == k_side && g.kh == 3 && g.kw == 3 &&
         g.stride_h == 1 && g.stride_w == 1 && g.dilation_h == 1 && g.dilation_w == 1 && g.pad_top == 1 &&
         g.pad_left == 1 && g.groups == 1;
}

std::unique_ptr<const ConvU8S8> make_conv_u8s8_images(const ConvU8S8Desc& desc, const ConvU8S8ImageKernel& kernel,
                                                      CutBy cut) {
  assert(is_small_image(desc.geometry) && !needs_f32(desc) && !desc.before && !desc.reads_image());
  return std::make_unique<ConvU8S8Images>(desc, kernel, cut);
}

}  // namespace octet
