// Times every kernel family that is not a dense convolution, on the shapes of ImageNet networks, one thread:
//   octet_elementwise_bench [repeats] [isa]
// Per line the best of `repeats` runs, the bytes that must be read and written per nanosecond, and for depthwise layers
// the multiply-accumulates. Data lie in the caches as the size allows, as they do behind the layer before.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/isa.h"
#include "kernels/activation/activation.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/layout/layout.h"
#include "kernels/pool/pool.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

/// Best seconds of one call; each repeat runs the call often enough to last 20 microseconds.
double best_seconds(int repeats, const std::function<void()>& call) {
  call();
  int calls = 1;
  double best = 1e9;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds / calls);
    calls = std::max(1, static_cast<int>(2e-5 / best));
  }
  return best;
}

/// bytes: read and written. macs: 0 for kernels that do not multiply.
void report(const std::string& what, double seconds, double bytes, double macs) {
  std::printf("%-34s %9.2f us %8.1f GB/s", what.c_str(), seconds * 1e6, bytes / seconds * 1e-9);
  if (macs > 0) std::printf(" %8.1f GMAC/s", macs / seconds * 1e-9);
  std::printf("\n");
}

struct Shape {
  int64_t size, c, kernel, stride, dilation = 1, repeats = 1;  // repeats: outputs per input channel
};

WindowGeometry geometry_of(const Shape& s) {
  WindowGeometry g;
  g.ih = g.iw = s.size;
  g.ic = g.groups = s.c;
  g.oc = s.c * s.repeats;
  g.kh = g.kw = s.kernel;
  g.stride_h = g.stride_w = s.stride;
  g.dilation_h = g.dilation_w = s.dilation;
  g.pad_top = g.pad_left = s.kernel / 2 * s.dilation;
  g.oh = g.ow = (s.size - 1) / s.stride + 1;
  g.x_pitch = channel_pitch(g.ic);
  g.y_pitch = g.residual_pitch = channel_pitch(g.oc);
  return g;
}

std::string name_of(const char* what, const Shape& s) {
  return std::string(what) + " " + std::to_string(s.kernel) + "x" + std::to_string(s.kernel) + " s" +
         std::to_string(s.stride) + " " + std::to_string(s.size) + "x" + std::to_string(s.size) + "x" +
         std::to_string(s.c) + (s.dilation > 1 ? " dilation " + std::to_string(s.dilation) : "") +
         (s.repeats > 1 ? " to " + std::to_string(s.c * s.repeats) : "");
}

/// n elements on a cache line, as in the arena.
template <class T>
class Aligned {
 public:
  explicit Aligned(size_t n) : bytes_(allocate_aligned(n * sizeof(T) + k_tail_bytes)) {}
  T* data() { return reinterpret_cast<T*>(bytes_.get()); }
  T& operator[](size_t i) { return data()[i]; }

 private:
  AlignedBytes bytes_;
};

struct Data {
  Aligned<uint8_t> a, b, y;
  Aligned<float> fa, fb, fy;
  explicit Data(size_t n) : a(n), b(n), y(n), fa(n), fb(n), fy(n) {
    for (size_t i = 0; i < n; ++i) {
      a[i] = static_cast<uint8_t>(i * 37 + i / 256);
      b[i] = static_cast<uint8_t>(i * 91 + i / 128);
      y[i] = 0;
      fa[i] = 0.013f * static_cast<float>(a[i]) - 1.7f;
      fb[i] = 0.017f * static_cast<float>(b[i]) - 2.1f;
      fy[i] = 0.0f;
    }
  }
};

void bench_rows(Isa isa, int repeats, Data& d) {
  const ElementwiseKernels k = elementwise_kernels(isa);
  const ActivationKernels act = activation_kernels(isa);
  constexpr size_t n = 56 * 56 * 64;
  constexpr double bytes = n;
  const AddU8Params add = {128, 3, 10, 0, 255, 0.37f, 1.25f};
  const MulU8Params mul = {128, 3, 10, 0, 255, 0.01f};
  const auto row = [&](const char* what, double moved, const std::function<void()>& call) {
    report(what, best_seconds(repeats, call), moved, 0);
  };
  row("add_u8", 3 * bytes, [&] { k.add_u8(d.a.data(), d.b.data(), n, add, d.y.data()); });
  row("mul_u8", 3 * bytes, [&] { k.mul_u8(d.a.data(), d.b.data(), n, mul, d.y.data()); });
  row("mul_u8, rows of 64 (squeeze-excite)", 2 * bytes, [&] {
    for (size_t i = 0; i < n; i += 64) k.mul_u8(d.a.data() + i, d.b.data(), 64, mul, d.y.data() + i);
  });
  row("lookup_u8", 2 * bytes, [&] { k.lookup_u8(d.a.data(), n, d.b.data(), d.y.data()); });
  row("add_f32", 12 * bytes, [&] { k.add_f32(d.fa.data(), d.fb.data(), n, d.fy.data()); });
  row("quantize_f32", 5 * bytes, [&] { k.quantize_f32(d.fa.data(), n, 0.013f, 128, 0, 255, d.y.data()); });
  row("dequantize_u8", 5 * bytes, [&] { k.dequantize_u8(d.a.data(), n, 0.013f, 128, d.fy.data()); });
  row("activation quantize", 5 * bytes, [&] { act.quantize(d.fa.data(), n, 77.0f, 128, 0, 255, d.y.data()); });
  row("silu", 8 * bytes, [&] { act.activate(d.fy.data(), n, {ActivationKind::silu}); });
  row("hard_swish", 8 * bytes, [&] { act.activate(d.fy.data(), n, {ActivationKind::hard_swish}); });
}

void bench_layout(Isa isa, int repeats, Data& d) {
  const LayoutKernels k = layout_kernels(isa);
  for (const auto& [size, c] : {std::pair<int64_t, int64_t>{224, 3}, {56, 64}, {14, 1024}}) {
    const int64_t pixels = size * size, pitch = channel_pitch(c);
    const double values = static_cast<double>(pixels * c), padded = static_cast<double>(pixels * pitch);
    const std::string shape = " " + std::to_string(size) + "x" + std::to_string(size) + "x" + std::to_string(c);
    report("nchw_to_nhwc_quantize" + shape,
           best_seconds(repeats,
                        [&, c = c] {
                          k.nchw_to_nhwc_quantize(d.fa.data(), pixels, c, pixels, pitch, 0.013f, 128, 0, 255,
                                                  d.y.data());
                        }),
           4 * values + padded, 0);
    report(
        "nchw_to_nhwc_f32" + shape,
        best_seconds(repeats, [&, c = c] { k.nchw_to_nhwc_f32(d.fa.data(), pixels, c, pixels, pitch, d.fy.data()); }),
        4 * (values + padded), 0);
    report(
        "nhwc_to_nchw_f32" + shape,
        best_seconds(repeats, [&, c = c] { k.nhwc_to_nchw_f32(d.fa.data(), pitch, c, pixels, pixels, d.fy.data()); }),
        4 * (values + padded), 0);
  }
}

void bench_pool(Isa isa, int repeats, Data& d) {
  const PoolKernels k = pool_kernels(isa);
  const Shape shape = {112, 64, 3, 2};
  const WindowGeometry g = geometry_of(shape);
  const double in = static_cast<double>(g.ih * g.iw * g.ic), out = static_cast<double>(g.oh * g.ow * g.ic);
  const auto rows = [&](const std::function<void(int64_t)>& row) {
    return best_seconds(repeats, [&] {
      for (int64_t oy = 0; oy < g.oh; ++oy) row(oy);
    });
  };
  report(name_of("max_u8", shape),
         rows([&](int64_t oy) { k.max_u8_row(g, d.a.data(), oy, d.y.data() + oy * g.ow * g.y_pitch); }), in + out, 0);
  report(name_of("max_f32", shape),
         rows([&](int64_t oy) { k.max_f32_row(g, d.fa.data(), oy, d.fy.data() + oy * g.ow * g.y_pitch); }),
         4 * (in + out), 0);
  report(
      "global_average_u8 7x7x2048",
      best_seconds(repeats, [&] { k.global_average_u8(d.a.data(), 49, 2048, 2048, 3, 0.02f, 4, 0, 255, d.y.data()); }),
      50.0 * 2048, 0);
  report("global_average_f32 7x7x2048",
         best_seconds(repeats, [&] { k.global_average_f32(d.fa.data(), 49, 2048, 2048, d.fy.data()); }), 200.0 * 2048,
         0);
}

template <class Layer, class Args>
double time_layer(int repeats, const Layer& layer, const Args& args) {
  const AlignedBytes scratch = allocate_aligned(layer.scratch_bytes());
  return best_seconds(repeats, [&] {
    for (int64_t chunk = 0; chunk < layer.chunks(1, 1); ++chunk) layer.run_chunk(args, chunk, 1, scratch.get());
  });
}

void bench_depthwise(Isa isa, int repeats, Data& d) {
  const Shape shapes[] = {{112, 32, 3, 1},      {112, 96, 3, 2},      {56, 144, 3, 1},     {56, 144, 3, 2},
                          {28, 192, 3, 1},      {28, 192, 3, 2},      {14, 384, 3, 1},     {14, 576, 3, 1},
                          {14, 576, 3, 2},      {7, 960, 3, 1},       {112, 64, 3, 1},     {28, 240, 5, 1},
                          {56, 144, 5, 2},      {14, 672, 5, 1},      {7, 1152, 5, 1},     {56, 96, 7, 1},
                          {14, 384, 7, 1},      {14, 672, 5, 1, 2},   {14, 960, 5, 1, 2},  {28, 192, 3, 1, 2},
                          {33, 576, 3, 1, 2},   {33, 384, 3, 1, 4},   {65, 256, 5, 1, 2},  {64, 48, 7, 2, 1, 2},
                          {64, 48, 3, 2, 1, 2}, {32, 96, 7, 2, 1, 2}, {8, 384, 3, 1, 1, 2}};
  std::vector<int8_t> weights(1152 * 49);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<int8_t>(i * 73 % 255 - 127);
  const std::vector<float> weights_f32(weights.begin(), weights.end()), multiplier(1152, 0.001f);
  for (const Shape& shape : shapes) {
    const WindowGeometry g = geometry_of(shape);
    const size_t taps = static_cast<size_t>(g.oc * g.kh * g.kw);
    ConvU8S8Desc desc;
    desc.geometry = g;
    desc.weights = std::span(weights).first(taps);
    desc.multiplier = std::span(multiplier).first(static_cast<size_t>(g.oc));
    const ConvF32Desc desc_f32 = {.geometry = g,
                                  .weights = std::span(weights_f32).first(taps),
                                  .bias = {},
                                  .has_residual = false,
                                  .activation = {}};
    const double macs = static_cast<double>(g.oh * g.ow) * static_cast<double>(taps);
    const double bytes = static_cast<double>(g.ih * g.iw * g.ic + g.oh * g.ow * g.oc);
    report(name_of("depthwise u8s8", shape),
           time_layer(repeats, *make_depthwise_u8s8(desc, isa), ConvU8S8Args{1, d.a.data(), nullptr, d.y.data()}),
           bytes, macs);
    report(name_of("depthwise f32", shape),
           time_layer(repeats, *make_depthwise_f32(desc_f32, isa), ConvF32Args{1, d.fa.data(), nullptr, d.fy.data()}),
           4 * bytes, macs);
  }
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) {
  using namespace octet;
  const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 30;
  const Isa isa = argc > 2 ? isa_from_name(argv[2]).value_or(Isa::scalar) : available_isas().back();
  Data data(112 * 112 * 144);
  std::printf("isa %s, best of %d, one thread\n", std::string(name(isa)).c_str(), repeats);
  bench_rows(isa, repeats, data);
  bench_layout(isa, repeats, data);
  bench_pool(isa, repeats, data);
  bench_depthwise(isa, repeats, data);
  return 0;
}
