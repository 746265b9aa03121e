// Layers that run in strips against the same layers one after the other: the same bits.
#include "kernels/strips_f32/strips_f32.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

/// A convolution with padding that keeps an image's size at stride 1.
WindowGeometry geometry(int64_t ih, int64_t iw, int64_t ic, int64_t oc, int64_t k, int64_t stride,
                        int64_t dilation = 1) {
  WindowGeometry g;
  g.ih = ih, g.iw = iw, g.ic = ic, g.oc = oc, g.kh = g.kw = k;
  g.stride_h = g.stride_w = stride, g.dilation_h = g.dilation_w = dilation;
  g.pad_top = g.pad_left = k / 2 * dilation;
  g.oh = (ih - 1) / stride + 1, g.ow = (iw - 1) / stride + 1;
  g.x_pitch = channel_pitch(ic), g.y_pitch = g.residual_pitch = channel_pitch(oc);
  return g;
}

struct Part {
  ConvF32Desc desc;
  std::vector<float> weights, bias;

  Part(const WindowGeometry& g, ActivationParams activation, Random& random)
      : weights(static_cast<size_t>(g.oc * g.ic / g.groups * g.kh * g.kw)), bias(static_cast<size_t>(g.oc)) {
    random.fill(weights.data(), weights.size(), 0.5f);
    random.fill(bias.data(), bias.size());
    desc.geometry = g;
    desc.weights = weights;
    desc.bias = bias;
    desc.activation = activation;
  }
};

size_t input_floats(const WindowGeometry& g, int64_t batch) {
  return static_cast<size_t>(batch * g.ih * g.iw * g.x_pitch);
}
size_t output_floats(const WindowGeometry& g, int64_t batch) {
  return static_cast<size_t>(batch * g.oh * g.ow * g.y_pitch);
}

std::vector<float> run(const ConvF32& layer, const WindowGeometry& last, int64_t batch, int threads, const float* x,
                       const float* residual) {
  Buffer<float> y(output_floats(last, batch), 77.0f);
  const AlignedBytes scratch = allocate_aligned(layer.scratch_bytes() + 64);
  // From the last chunk on: none counts on another.
  for (int64_t chunk = layer.chunks(batch, threads); chunk-- > 0;)
    layer.run_chunk({batch, x, residual, y.data()}, chunk, threads, scratch.get());
  EXPECT_TRUE(y.is_guard_intact());
  return y.values();
}

/// Strips of all parts given against the layers in turn, on every ISA, however the rows fall into chunks.
void expect_same_bits(const Part* expand, const Part& depthwise, const Part* project, int64_t batch, Random& random,
                      const std::string& where) {
  const WindowGeometry& first = (expand ? expand : &depthwise)->desc.geometry;
  const WindowGeometry& last = (project ? project : &depthwise)->desc.geometry;
  Buffer<float> x(input_floats(first, batch)), residual(output_floats(last, batch));
  random.fill(x.data(), x.size());
  random.fill(residual.data(), residual.size());
  for (const Isa isa : available_isas()) {
    std::vector<float> value = x.values();
    const auto step = [&](const ConvF32& layer, const WindowGeometry& g) {
      value.resize(value.size() + 64);
      value = run(layer, g, batch, 1, value.data(), residual.data());
    };
    if (expand) step(*ConvF32::make(expand->desc, isa), expand->desc.geometry);
    step(*make_depthwise_f32(depthwise.desc, isa), depthwise.desc.geometry);
    if (project) step(*ConvF32::make(project->desc, isa), project->desc.geometry);
    const auto strips = make_strips_f32({.expand = expand ? &expand->desc : nullptr,
                                         .depthwise = &depthwise.desc,
                                         .project = project ? &project->desc : nullptr},
                                        isa);
    ASSERT_NE(strips, nullptr) << where;
    for (const int threads : {1, 2, 3})
      ASSERT_EQ(test::bits(run(*strips, last, batch, threads, x.data(), residual.data())), test::bits(value))
          << where << " on " << name(isa) << ", " << threads << " threads";
  }
}

constexpr ActivationParams k_relu6 = {ActivationKind::clip, 0.0f, 6.0f}, k_relu = {ActivationKind::relu},
                           k_silu = {ActivationKind::silu}, k_none = {};

WindowGeometry depthwise_of(WindowGeometry g) {
  g.groups = g.ic;
  return g;
}

struct Shape {
  int64_t ih, iw, in, channels, out, k, stride, dilation;
};
// Wide enough for several strips; the last two fit one.
constexpr Shape k_shapes[] = {{37, 61, 16, 88, 24, 3, 1, 1}, {38, 64, 24, 96, 16, 3, 2, 1},
                              {29, 53, 8, 72, 40, 5, 1, 1},  {41, 47, 16, 80, 16, 5, 2, 1},
                              {33, 50, 16, 64, 8, 3, 1, 2},  {30, 48, 16, 96, 16, 3, 3, 1},
                              {7, 5, 20, 33, 20, 3, 1, 1},   {1, 1, 16, 16, 16, 3, 1, 1}};

TEST(StripsF32, give_the_bits_of_their_layers) {
  Random random(1);
  int n = 0;
  for (const Shape& s : k_shapes) {
    const ActivationParams activations[] = {k_relu6, k_relu, k_silu, k_none};
    const ActivationParams activation = activations[n++ % 4];
    const Part expand(geometry(s.ih, s.iw, s.in, s.channels, 1, 1), activation, random);
    const Part depthwise(depthwise_of(geometry(s.ih, s.iw, s.channels, s.channels, s.k, s.stride, s.dilation)),
                         activation, random);
    const WindowGeometry& middle = depthwise.desc.geometry;
    Part project(geometry(middle.oh, middle.ow, s.channels, s.out, 1, 1), n % 2 == 0 ? k_relu : k_none, random);
    project.desc.has_residual = n % 3 != 0;
    const std::string where = "shape " + std::to_string(n);
    for (const int64_t batch : {1, 3}) {
      expect_same_bits(&expand, depthwise, &project, batch, random, where + ", all three");
      expect_same_bits(&expand, depthwise, nullptr, batch, random, where + ", first two");
      expect_same_bits(nullptr, depthwise, &project, batch, random, where + ", last two");
    }
  }
}

TEST(StripsF32, begin_with_a_layer_that_has_a_window) {
  Random random(2);
  for (const int64_t channels : {3, 20}) {  // a stem that reads a compact copy, and one that does not
    const Part stem(geometry(75, 119, channels, 48, 3, 2), k_relu6, random);
    const WindowGeometry& g = stem.desc.geometry;
    const Part depthwise(depthwise_of(geometry(g.oh, g.ow, 48, 48, 3, 1)), k_relu6, random);
    const Part project(geometry(g.oh, g.ow, 48, 16, 1, 1), k_none, random);
    for (const int64_t batch : {1, 2})
      expect_same_bits(&stem, depthwise, &project, batch, random, "stem of " + std::to_string(channels));
  }
}

TEST(StripsF32, keep_little_between_the_layers) {
  const WindowGeometry g = depthwise_of(geometry(112, 112, 96, 96, 3, 2));
  const int64_t bytes = strips_f32_bytes(g, true, true);
  EXPECT_LE(bytes, 256 << 10);
  EXPECT_GE(bytes, 4 * 3 * g.iw * g.x_pitch);  // a row needs three
}

TEST(StripsF32, refuse_layers_that_do_not_go_together) {
  Random random(3);
  const Part expand(geometry(8, 8, 16, 32, 1, 1), k_none, random);
  const Part depthwise(depthwise_of(geometry(8, 8, 32, 32, 3, 1)), k_none, random);
  const Part project(geometry(8, 8, 32, 16, 1, 1), k_none, random);
  const Part window(geometry(8, 8, 32, 16, 3, 1), k_none, random);
  const Part narrow(geometry(8, 8, 16, 24, 1, 1), k_none, random);
  const auto make = [](const Part* first, const Part& middle, const Part* last) {
    return make_strips_f32(
        {.expand = first ? &first->desc : nullptr, .depthwise = &middle.desc, .project = last ? &last->desc : nullptr},
        Isa::scalar);
  };
  EXPECT_NE(make(&expand, depthwise, &project), nullptr);
  EXPECT_EQ(make(nullptr, depthwise, nullptr), nullptr);
  EXPECT_EQ(make(&expand, depthwise, &window), nullptr);
  EXPECT_EQ(make(&narrow, depthwise, &project), nullptr);
  EXPECT_EQ(make(&expand, window, &project), nullptr);
  Part with_residual(expand.desc.geometry, k_none, random);
  with_residual.desc.has_residual = true;
  EXPECT_EQ(make(&with_residual, depthwise, &project), nullptr);
}

}  // namespace
}  // namespace octet
