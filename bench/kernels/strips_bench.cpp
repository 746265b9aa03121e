// What running the three layers of an inverted residual, or of a bottleneck, strip by strip could win: 1x1, 3x3
// (depthwise or dense) and 1x1 over the whole picture, against strips of rows whose inner rows stay in one small
// buffer. The strips compute no row twice, as a rolling buffer would have it, and share nothing else; so the figure is
// what such a fusion could reach at best. A dense 3x3 runs the direct way.
//
// usage: octet_strips_bench

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/aligned.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/conventions.h"
#include "kernels/depthwise/depthwise.h"

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
double best_us(F&& f) {
  double best = 1e12;
  for (int i = 0; i < 400; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
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
    return best_us([&] {
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

}  // namespace
}  // namespace octet

int main() {
  using octet::Block;
  for (const Block& block :
       {Block{112, 16, 96, 24, 2}, Block{56, 24, 144, 24, 1}, Block{56, 24, 144, 32, 2}, Block{28, 32, 192, 32, 1},
        Block{14, 64, 384, 64, 1}, Block{14, 96, 576, 96, 1}, Block{56, 256, 64, 256, 1, false},
        Block{28, 512, 128, 512, 1, false}, Block{14, 1024, 256, 1024, 1, false}})
    octet::compare(block);
}
