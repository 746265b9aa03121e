// What running the three layers of an inverted residual, or of a bottleneck, strip by strip wins: 1x1, 3x3 (depthwise
// or dense) and 1x1 over the whole picture, against strips of rows whose inner rows stay in one small buffer.
//
// FP32: kernels/strips_f32, as the CPU back end runs it, of the first two layers, the last two, and all three.
// INT8, which has no such layer: the strips compute no row twice, as a rolling buffer would have it, and share nothing
// else; so the figure is what a fusion could reach at best. A dense 3x3 runs the direct way.
//
// usage: octet_strips_bench [u8]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/aligned.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/conventions.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/strips_f32/strips_f32.h"

namespace octet {
namespace {

struct Block {
  int64_t size, in, expanded, out, stride;
  bool is_depthwise = true;  // the 3x3
};

/// A layer of one picture of `rows` x `width` input pixels, padded at the sides only.
class Layer {
 public:
  Layer(int64_t rows, int64_t width, int64_t ic, int64_t oc, int64_t kernel, int64_t stride, bool has_residual,
        bool is_depthwise = false) {
    WindowGeometry g;
    g.ih = rows, g.iw = width, g.ic = ic, g.oc = oc, g.kh = g.kw = kernel, g.stride_h = g.stride_w = stride;
    g.pad_left = kernel / 2;
    g.oh = (rows - kernel) / stride + 1, g.ow = (width + kernel / 2 * 2 - kernel) / stride + 1;
    g.groups = is_depthwise ? ic : 1;
    g.x_pitch = channel_pitch(ic), g.y_pitch = g.residual_pitch = channel_pitch(oc);
    const std::vector<int8_t> weights(static_cast<size_t>(oc * ic / g.groups * kernel * kernel), 3);
    const std::vector<float> multiplier(static_cast<size_t>(oc), 0.0007f);
    ConvU8S8Desc desc;
    desc.geometry = g;
    desc.weights = weights;
    desc.multiplier = multiplier;
    desc.has_residual = has_residual;
    desc.residual_multiplier = 0.5f;
    const Isa isa = available_isas().back();
    layer_ = is_depthwise ? make_depthwise_u8s8(desc, isa) : ConvU8S8::make(desc, isa);
    scratch_ = allocate_aligned(layer_->scratch_bytes());
  }
  void run(const std::byte* x, const std::byte* residual, std::byte* y) const {
    const ConvU8S8Args args = {.batch = 1,
                               .x = reinterpret_cast<const uint8_t*>(x),
                               .residual = reinterpret_cast<const uint8_t*>(residual),
                               .y = y};
    for (int64_t chunk = layer_->chunks(1, 1); chunk > 0; --chunk)
      layer_->run_chunk(args, chunk - 1, 1, scratch_.get());
  }

 private:
  std::unique_ptr<const ConvU8S8> layer_;
  AlignedBytes scratch_;
};

template <class F>
double median_us(F&& f) {
  std::vector<double> us;
  for (int i = 0; i < 300; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(us.begin(), us.end());
  return us[us.size() / 2];
}

AlignedBytes picture(int64_t rows, int64_t width, int64_t channels) {
  return allocate_aligned(static_cast<size_t>(rows * width * channel_pitch(channels)) + k_tail_bytes);
}

void compare(const Block& b) {
  const bool has_residual = b.stride == 1 && b.in == b.out;
  const int64_t rows = b.size / b.stride;
  const AlignedBytes x = picture(b.size, b.size, b.in), expanded = picture(b.size + 2, b.size, b.expanded);
  const AlignedBytes filtered = picture(rows, rows, b.expanded), y = picture(rows, rows, b.out);
  /// `height` output rows after the other; the rows above and below them are those already there.
  const auto time_strips = [&](int64_t height) {
    const Layer expand(height * b.stride, b.size, b.in, b.expanded, 1, 1, false);
    const Layer filter((height - 1) * b.stride + 3, b.size, b.expanded, b.expanded, 3, b.stride, false, b.is_depthwise);
    const Layer project(height, rows, b.expanded, b.out, 1, 1, has_residual);
    const int64_t row_in = b.size * channel_pitch(b.in) * b.stride, row_out = rows * channel_pitch(b.out);
    return median_us([&] {
      for (int64_t row = 0; row < rows; row += height) {
        const std::byte* const from = x.get() + row * row_in;
        expand.run(from, nullptr, expanded.get() + b.size * channel_pitch(b.expanded));
        filter.run(expanded.get(), nullptr, filtered.get());
        project.run(filtered.get(), from, y.get() + row * row_out);
      }
    });
  };
  const double whole = time_strips(rows);
  std::printf("%3lldx%-3lld %3lld-%lld-%lld %s stride %lld: whole %6.1f us", static_cast<long long>(b.size),
              static_cast<long long>(b.size), static_cast<long long>(b.in), static_cast<long long>(b.expanded),
              static_cast<long long>(b.out), b.is_depthwise ? "depthwise" : "dense", static_cast<long long>(b.stride),
              whole);
  for (const int64_t height : {2, 4, 7, 14}) {
    if (height >= rows || rows % height != 0) continue;
    const double us = time_strips(height);
    std::printf("; strips of %lld: %.1f (%.2f times as fast)", static_cast<long long>(height), us, whole / us);
  }
  std::printf("\n");
}

/// A layer of one square picture, "same" padding.
struct LayerF32 {
  ConvF32Desc desc;
  std::vector<float> weights;

  LayerF32(int64_t size, int64_t ic, int64_t oc, int64_t kernel, int64_t stride, bool depthwise, bool has_residual) {
    WindowGeometry& g = desc.geometry;
    g.ih = g.iw = size, g.ic = ic, g.oc = oc, g.kh = g.kw = kernel, g.stride_h = g.stride_w = stride;
    g.pad_top = g.pad_left = kernel / 2;
    g.oh = g.ow = (size - 1) / stride + 1;
    g.groups = depthwise ? ic : 1;
    g.x_pitch = channel_pitch(ic), g.y_pitch = g.residual_pitch = channel_pitch(oc);
    weights.assign(static_cast<size_t>(oc * ic / g.groups * kernel * kernel), 0.1f);
    desc.weights = weights;
    desc.has_residual = has_residual;
    if (kernel > 1 || !has_residual) desc.activation = {ActivationKind::clip, 0.0f, 6.0f};
  }
};

AlignedBytes picture_f32(const WindowGeometry& g, bool is_output) {
  const int64_t floats = is_output ? g.oh * g.ow * g.y_pitch : g.ih * g.iw * g.x_pitch;
  AlignedBytes bytes = allocate_aligned(4 * static_cast<size_t>(floats) + k_tail_bytes);
  std::fill_n(reinterpret_cast<float*>(bytes.get()), floats, 0.5f);
  return bytes;
}

void run_f32(const ConvF32& layer, const AlignedBytes& x, const AlignedBytes& y, const AlignedBytes& residual,
             const AlignedBytes& scratch) {
  layer.run_chunk({.batch = 1,
                   .x = reinterpret_cast<const float*>(x.get()),
                   .residual = reinterpret_cast<const float*>(residual.get()),
                   .y = reinterpret_cast<float*>(y.get())},
                  0, 1, scratch.get());
}

void compare_f32(const Block& b) {
  const int64_t size = b.in == 3 ? (b.size + 1) / 2 : b.size;  // a stem in place of a 1x1
  const bool has_residual = b.stride == 1 && b.in == b.out;
  const LayerF32 expand(b.size, b.in, b.expanded, b.in == 3 ? 3 : 1, b.in == 3 ? 2 : 1, false, false);
  const LayerF32 depthwise(size, b.expanded, b.expanded, 3, b.stride, true, false);
  const LayerF32 project((size - 1) / b.stride + 1, b.expanded, b.out, 1, 1, false, has_residual);
  const Isa isa = available_isas().back();
  const std::unique_ptr<const ConvF32> layers[] = {
      ConvF32::make(expand.desc, isa), make_depthwise_f32(depthwise.desc, isa), ConvF32::make(project.desc, isa)};
  const auto strips = [&](bool first, bool last) {
    return make_strips_f32({.expand = first ? &expand.desc : nullptr,
                            .depthwise = &depthwise.desc,
                            .project = last ? &project.desc : nullptr},
                           isa);
  };
  const std::unique_ptr<const ConvF32> first_two = strips(true, false), last_two = strips(false, true),
                                       all = strips(true, true);
  size_t scratch_bytes = 0;
  for (const ConvF32* layer : {layers[0].get(), layers[2].get(), first_two.get(), last_two.get(), all.get()})
    scratch_bytes = std::max(scratch_bytes, layer->scratch_bytes());
  const AlignedBytes scratch = allocate_aligned(scratch_bytes), none;
  const AlignedBytes x = picture_f32(expand.desc.geometry, false),
                     expanded = picture_f32(depthwise.desc.geometry, false),
                     filtered = picture_f32(depthwise.desc.geometry, true),
                     y = picture_f32(project.desc.geometry, true);
  const auto one = [&](int layer) {
    const AlignedBytes* values[] = {&x, &expanded, &filtered, &y};
    run_f32(*layers[layer], *values[layer], *values[layer + 1], layer == 2 ? x : none, scratch);
  };
  const double us[] = {median_us([&] { one(0), one(1), one(2); }),
                       median_us([&] { run_f32(*first_two, x, filtered, none, scratch), one(2); }),
                       median_us([&] { one(0), run_f32(*last_two, expanded, y, x, scratch); }),
                       median_us([&] { run_f32(*all, x, y, x, scratch); })};
  std::printf(
      "f32 %3lldx%-3lld %3lld-%lld-%lld stride %lld: whole %7.1f us; first two in strips %7.1f (%.2f times as fast), "
      "last two %7.1f (%.2f), all %7.1f (%.2f)\n",
      static_cast<long long>(b.size), static_cast<long long>(b.size), static_cast<long long>(b.in),
      static_cast<long long>(b.expanded), static_cast<long long>(b.out), static_cast<long long>(b.stride), us[0], us[1],
      us[0] / us[1], us[2], us[0] / us[2], us[3], us[0] / us[3]);
}

}  // namespace
}  // namespace octet

int main(int argc, char**) {
  using octet::Block;
  for (const Block& block :
       {Block{224, 3, 32, 16, 1}, Block{112, 16, 96, 24, 2}, Block{56, 24, 144, 24, 1}, Block{56, 24, 144, 32, 2},
        Block{28, 32, 192, 32, 1}, Block{28, 32, 192, 64, 2}, Block{14, 64, 384, 64, 1}, Block{14, 96, 576, 96, 1},
        Block{7, 160, 960, 160, 1}, Block{56, 256, 64, 256, 1, false}, Block{28, 512, 128, 512, 1, false},
        Block{14, 1024, 256, 1024, 1, false}}) {
    if (argc > 1 && block.in > 3)
      octet::compare(block);
    else if (argc == 1 && block.is_depthwise)
      octet::compare_f32(block);
  }
}
