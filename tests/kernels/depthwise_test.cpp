#include "kernels/depthwise/depthwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned.h"
#include "base/bf16.h"
#include "kernels/conv_cases.h"
#include "kernels/depthwise/depthwise_bf16.h"
#include "kernels/depthwise/depthwise_f32.h"
#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"
#include "tensor/half.h"

namespace octet {
namespace {

using test::Buffer;
using test::Random;

enum class Form { plain, residual, silu_codes, floats, floats_residual };

WindowGeometry geometry(int64_t c, int64_t k, int64_t stride, int64_t ih, int64_t iw, int64_t dilation = 1) {
  WindowGeometry g;
  g.ic = g.oc = g.groups = c;
  g.ih = ih, g.iw = iw, g.kh = g.kw = k;
  g.stride_h = g.stride_w = stride;
  g.dilation_h = g.dilation_w = dilation;
  g.pad_top = g.pad_left = (k - 1) / 2 * dilation;
  g.oh = (ih + 2 * g.pad_top - dilation * (k - 1) - 1) / stride + 1;
  g.ow = (iw + 2 * g.pad_left - dilation * (k - 1) - 1) / stride + 1;
  g.x_pitch = g.y_pitch = g.residual_pitch = channel_pitch(c);
  return g;
}

struct Layer {
  WindowGeometry g;
  int64_t batch;
  ConvU8S8Desc desc;
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
  std::vector<float> multiplier;
  Buffer<uint8_t> x, residual;

  Layer(const WindowGeometry& geometry, int64_t n, Form form, Random& random, float scale = 1.0f)
      : g(geometry),
        batch(n),
        weights(static_cast<size_t>(g.ic * g.kh * g.kw)),
        bias(static_cast<size_t>(g.ic)),
        multiplier(static_cast<size_t>(g.ic)),
        x(static_cast<size_t>(n * g.ih * g.iw * g.x_pitch)),
        residual(static_cast<size_t>(n * g.oh * g.ow * g.residual_pitch)) {
    for (int8_t& w : weights) w = random.weight();
    for (int32_t& b : bias) b = static_cast<int32_t>(random.integer(-20000, 20000));
    for (float& m : multiplier) m = scale * random.real(0.0005f, 0.02f);
    random.fill(x.data(), x.size());
    random.fill(residual.data(), residual.size());
    desc.geometry = g;
    desc.weights = weights;
    desc.bias = bias;
    desc.multiplier = multiplier;
    desc.x_zero_point = static_cast<int32_t>(random.integer(0, 255));
    desc.y_zero_point = static_cast<int32_t>(random.integer(0, 255));
    desc.lo = static_cast<int32_t>(random.integer(0, 1)) * desc.y_zero_point;
    desc.hi = static_cast<int32_t>(random.integer(desc.lo, 255));
    desc.has_residual = form == Form::residual || form == Form::floats_residual;
    desc.residual_zero_point = static_cast<int32_t>(random.integer(0, 255));
    desc.residual_multiplier = random.real(0.1f, 2.0f);
    desc.f32_output = form == Form::floats || form == Form::floats_residual;
    if (form == Form::silu_codes) desc.activation.kind = ActivationKind::silu;
    if (form == Form::floats_residual) desc.activation.kind = ActivationKind::relu;
    desc.inverse_y_scale = 17.3f;
  }

  size_t outputs() const { return static_cast<size_t>(batch * g.oh * g.ow * g.y_pitch); }

  /// The bytes of y, those between C and the pitch left out; the test fails where a kernel wrote them.
  template <class T>
  std::vector<T> run(Isa isa, int threads) const {
    const auto conv = make_depthwise_u8s8(desc, isa);
    Buffer<T> y(outputs(), T{77});
    const AlignedBytes scratch = allocate_aligned(conv->scratch_bytes());
    const ConvU8S8Args args = {batch, x.data(), residual.data(), y.data()};
    for (int64_t chunk = conv->chunks(batch, threads) - 1; chunk >= 0; --chunk)
      conv->run_chunk(args, chunk, threads, scratch.get());
    EXPECT_TRUE(y.is_guard_intact());
    std::vector<T> values;
    for (size_t i = 0; i < y.size(); ++i) {
      const bool is_channel = static_cast<int64_t>(i) % g.y_pitch < g.ic;
      if (is_channel) values.push_back(y[i]);
      EXPECT_TRUE(is_channel || y[i] == T{77}) << "padding channel written";
    }
    return values;
  }
};

std::string describe(const WindowGeometry& g, Isa isa, Form form, int threads) {
  return std::string(name(isa)) + " c" + std::to_string(g.ic) + " k" + std::to_string(g.kh) + "x" +
         std::to_string(g.kw) + " s" + std::to_string(g.stride_h) + " d" + std::to_string(g.dilation_h) + " " +
         std::to_string(g.ih) + "x" + std::to_string(g.iw) + " form " + std::to_string(static_cast<int>(form)) +
         " threads " + std::to_string(threads);
}

void expect_every_isa_agrees(const WindowGeometry& g, int64_t batch, Form form, Random& random) {
  Layer layer(g, batch, form, random);
  layer.desc.expected = {batch, 3};
  for (const Isa isa : available_isas()) {
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(describe(g, isa, form, threads));
      if (layer.desc.f32_output)
        ASSERT_EQ(test::bits(layer.run<float>(isa, threads)), test::bits(layer.run<float>(Isa::scalar, 1)));
      else
        ASSERT_EQ(layer.run<uint8_t>(isa, threads), layer.run<uint8_t>(Isa::scalar, 1));
    }
  }
}

constexpr Form k_forms[] = {Form::plain, Form::residual, Form::silu_codes, Form::floats, Form::floats_residual};

TEST(DepthwiseU8S8, a_layer_made_for_a_run_gives_the_scalar_bytes_in_it_and_in_others) {
  Random random(13);
  for (const int64_t batch : {1, 2, 5})
    for (const int64_t c : {17, 96, 200})
      for (const Form form : {Form::plain, Form::residual}) {
        const WindowGeometry g = geometry(c, 3, 1, 9, 13);
        Layer layer(g, batch, form, random);
        const std::vector<uint8_t> want = layer.run<uint8_t>(Isa::scalar, 1);
        for (const ExpectedRun& expected : expected_runs(batch)) {
          layer.desc.expected = expected;
          for (const Isa isa : available_isas())
            for (const int threads : threads_of(expected, batch))
              ASSERT_EQ(layer.run<uint8_t>(isa, threads), want)
                  << describe(g, isa, form, threads) << ", " << batch << " images, made for " << expected.batch;
        }
      }
}

TEST(DepthwiseU8S8, every_isa_gives_the_scalar_bytes_for_every_tile_and_channel_tail) {
  Random random(1);
  for (const int64_t k : {1, 3, 5, 7})
    for (const int64_t stride : {1, 2})
      for (const int64_t c : {1, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 100, 128, 144})
        expect_every_isa_agrees(geometry(c, k, stride, 9, 13), 1, k_forms[random.integer(0, 4)], random);
}

// Silu of some thousand outputs is looked up where the ISA can.
TEST(DepthwiseU8S8, every_isa_gives_the_scalar_bytes_for_forms_of_many_outputs) {
  Random random(12);
  for (const Form form : k_forms)
    for (const int64_t k : {3, 5})
      for (const int64_t c : {24, 64, 144}) expect_every_isa_agrees(geometry(c, k, 1, 15, 17), 2, form, random);
}

TEST(DepthwiseU8S8, every_isa_gives_the_scalar_bytes_for_every_form_and_image_size) {
  Random random(2);
  for (const Form form : k_forms)
    for (const auto& [ih, iw] : {std::pair{1, 1}, {2, 3}, {4, 4}, {7, 7}, {8, 5}, {3, 16}, {14, 14}})
      for (const int64_t k : {1, 3, 5})
        for (const int64_t stride : {1, 2}) expect_every_isa_agrees(geometry(40, k, stride, ih, iw), 2, form, random);
}

TEST(DepthwiseU8S8, every_isa_gives_the_scalar_bytes_for_windows_without_a_tile_of_their_own) {
  Random random(3);
  for (const int64_t k : {1, 2, 3, 4, 7, 9})
    for (const int64_t stride : {1, 3})
      for (const int64_t dilation : {1, 2})
        expect_every_isa_agrees(geometry(70, k, stride, 19, 18, dilation), 1, k_forms[random.integer(0, 4)], random);
  WindowGeometry g = geometry(80, 3, 1, 6, 9);
  g.kh = 1, g.pad_top = 0;
  expect_every_isa_agrees(g, 1, Form::plain, random);
}

// A scale and a shift per channel; a bias that no float holds, alone in its layer, must not be rounded on the way.
TEST(DepthwiseU8S8, every_isa_gives_the_scalar_bytes_without_a_window) {
  Random random(8);
  for (const int64_t c : {1, 16, 31, 32, 33, 48, 64, 65, 96, 100, 160})
    for (const auto& [ih, iw] : {std::pair{1, 1}, {1, 2}, {3, 5}, {7, 7}, {20, 28}})
      for (const int32_t bias : {20000, (1 << 24) - 127 * (32768 + 255) - 255 * 127, (1 << 24) + 1, 1 << 28}) {
        WindowGeometry g = geometry(c, 1, 1, ih, iw);
        g.residual_pitch = random.integer(0, 1) == 0 ? 0 : g.residual_pitch;
        const Form form = k_forms[random.integer(0, 4)];
        g.x_pitch += random.integer(0, 1) * 32, g.y_pitch += random.integer(0, 1) * 48;  // others' channels between
        Layer layer(g, 2, form, random, 20000.0f / static_cast<float>(bias));
        for (int32_t& b : layer.bias)
          if (random.integer(0, 3) == 0) b = random.integer(0, 1) == 0 ? bias : -bias;
        layer.residual = Buffer<uint8_t>(static_cast<size_t>(2 * ih * iw * channel_pitch(c)));
        random.fill(layer.residual.data(), layer.residual.size());
        for (const Isa isa : available_isas())
          for (const int threads : {1, 3}) {
            SCOPED_TRACE(describe(g, isa, form, threads) + " bias " + std::to_string(bias));
            if (layer.desc.f32_output)
              ASSERT_EQ(test::bits(layer.run<float>(isa, threads)), test::bits(layer.run<float>(Isa::scalar, 1)));
            else
              ASSERT_EQ(layer.run<uint8_t>(isa, threads), layer.run<uint8_t>(Isa::scalar, 1));
          }
      }
}

TEST(DepthwiseU8S8, pads_may_be_absent_or_wider_than_the_window) {
  Random random(4);
  for (const int64_t pad : {0, 4}) {
    WindowGeometry g = geometry(36, 3, 1, 8, 8);
    g.pad_top = g.pad_left = pad;
    g.oh = g.ow = 8 + 2 * pad - 2;
    expect_every_isa_agrees(g, 1, Form::plain, random);
  }
}

// Every way in which rows and columns fall into tiles, walks, and halves of a block, whatever the pads are.
TEST(DepthwiseU8S8, every_isa_gives_the_scalar_bytes_for_any_image_and_pads) {
  Random random(14);
  for (int i = 0; i < 200; ++i) {
    const int64_t k = random.integer(0, 2) == 0 ? 5 : 3;
    WindowGeometry g = geometry(random.integer(1, 200), k, random.integer(1, 2), random.integer(1, 13),
                                random.integer(1, random.integer(0, 4) == 0 ? 140 : 20));
    g.pad_top = random.integer(0, k), g.pad_left = random.integer(0, k);
    const int64_t rows = g.ih + g.pad_top + random.integer(0, k), columns = g.iw + g.pad_left + random.integer(0, k);
    if (rows < k || columns < k) continue;
    g.oh = (rows - k) / g.stride_h + 1, g.ow = (columns - k) / g.stride_w + 1;
    g.x_pitch += random.integer(0, 1) * 32, g.y_pitch += random.integer(0, 1) * 48;  // others' channels between
    expect_every_isa_agrees(g, random.integer(1, 2), k_forms[random.integer(0, 4)], random);
  }
}

/// A dilated window of stride 1 on an image of up to 16 x 20 pixels, with any pads.
WindowGeometry dilated_geometry(int64_t channels, Random& random) {
  const int64_t k = 3 + 2 * random.integer(0, 2);
  WindowGeometry g = geometry(channels, k, 1, random.integer(1, 16), random.integer(1, 20), random.integer(2, 6));
  if (random.integer(0, 7) == 0) g.dilation_w += 1;  // no lattice then
  const int64_t height = g.dilation_h * (k - 1) + 1, width = g.dilation_w * (k - 1) + 1;
  if (random.integer(0, 1) == 0) g.pad_top = random.integer(0, height), g.pad_left = random.integer(0, width);
  g.oh = std::max<int64_t>(g.ih + 2 * g.pad_top - height, 0) + 1;
  g.ow = std::max<int64_t>(g.iw + 2 * g.pad_left - width, 0) + 1;
  g.x_pitch += random.integer(0, 1) * 32, g.y_pitch += random.integer(0, 1) * 48;  // others' channels between
  return g;
}

TEST(DepthwiseU8S8, every_isa_gives_the_scalar_bytes_for_dilated_windows) {
  Random random(15);
  for (int i = 0; i < 250; ++i)
    expect_every_isa_agrees(dilated_geometry(random.integer(1, 200), random), random.integer(1, 2),
                            k_forms[random.integer(0, 4)], random);
}

// By hand: a column x = 1 2 3 4 5 under w = 1 10 100 two rows apart, padding 2: each output's rows are every other one.
TEST(DepthwiseU8S8, taps_of_a_dilated_window_lie_on_a_lattice) {
  WindowGeometry g = geometry(1, 3, 1, 5, 1, 2);
  Buffer<uint8_t> x(5 * 16), y(5 * 16);
  for (size_t i = 0; i < 5; ++i) x[i * 16] = static_cast<uint8_t>(i + 1);
  const std::vector<int8_t> w = {0, 1, 0, 0, 10, 0, 0, 100, 0};
  const std::vector<float> m = {0.25f};
  for (const Isa isa : available_isas()) {
    ConvU8S8Desc desc;
    desc.geometry = g, desc.weights = w, desc.multiplier = m;
    const auto conv = make_depthwise_u8s8(desc, isa);
    const AlignedBytes scratch = allocate_aligned(conv->scratch_bytes());
    for (int64_t chunk = 0; chunk < conv->chunks(1, 1); ++chunk)
      conv->run_chunk({1, x.data(), nullptr, y.data()}, chunk, 1, scratch.get());
    // 10 + 300 = 310, 20 + 400, 1 + 30 + 500, 2 + 40, 3 + 50; quarters, clamped to 255, ties to even.
    EXPECT_EQ((std::vector<int>{y[0], y[16], y[32], y[48], y[64]}), (std::vector<int>{78, 105, 133, 10, 13}))
        << name(isa);
  }
}

/// x of a layer with fewer input channels than outputs, as one that has each channel as often as it is read.
template <class T>
Buffer<T> repeated(const Buffer<T>& x, const WindowGeometry& g, int64_t pitch) {
  const int64_t pixels = static_cast<int64_t>(x.size()) / g.x_pitch;
  Buffer<T> all(static_cast<size_t>(pixels * pitch));
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t c = 0; c < g.oc; ++c)
      all[static_cast<size_t>(p * pitch + c)] = x[static_cast<size_t>(p * g.x_pitch + c / (g.oc / g.ic))];
  return all;
}

/// Another window of the image, of any extents: mostly such as no tile is made for.
void set_uneven_window(WindowGeometry& g, Random& random) {
  g.kh = random.integer(1, 4), g.kw = random.integer(1, 5);
  g.stride_h = random.integer(1, 3), g.stride_w = random.integer(1, 3);
  g.dilation_h = random.integer(1, 2), g.dilation_w = random.integer(1, 2);
  const int64_t height = (g.kh - 1) * g.dilation_h + 1, width = (g.kw - 1) * g.dilation_w + 1;
  g.pad_top = random.integer(0, height - 1), g.pad_left = random.integer(0, width - 1);
  g.oh = std::max<int64_t>(g.ih + 2 * g.pad_top - height, 0) / g.stride_h + 1;
  g.ow = std::max<int64_t>(g.iw + 2 * g.pad_left - width, 0) / g.stride_w + 1;
}

/// Some window, and of its oc = ic channels so many outputs for each input channel.
WindowGeometry repeated_geometry(int64_t ic, int64_t repeats, Random& random) {
  const int64_t k = 1 + 2 * random.integer(0, 3), stride = random.integer(1, 2);
  const int64_t dilation = stride == 1 && k > 1 ? random.integer(1, 3) : 1;
  const bool is_large = random.integer(0, 5) == 0;  // more input than is made at a time
  WindowGeometry g = geometry(ic * repeats, k, stride, random.integer(1, is_large ? 70 : 14),
                              random.integer(1, is_large ? 70 : 20), dilation);
  g.y_pitch += random.integer(0, 1) * 48;
  if (random.integer(0, 2) == 0) set_uneven_window(g, random);
  return g;
}

/// So many input channels that the layer has up to `most` outputs, now and then up to 1200.
int64_t input_channels(int64_t most, int64_t repeats, Random& random) {
  if (random.integer(0, 5) == 0) most = 1200;
  return random.integer(1, std::max<int64_t>(most / repeats, 2));
}

WindowGeometry with_input_channels(WindowGeometry g, int64_t ic) {
  g.ic = g.groups = ic;
  g.x_pitch = channel_pitch(ic);
  return g;
}

TEST(DepthwiseU8S8, every_isa_gives_the_bytes_of_a_layer_that_has_each_channel_as_often_as_it_is_read) {
  Random random(18);
  for (int i = 0; i < 150; ++i) {
    const int64_t repeats = random.integer(2, random.integer(0, 3) == 0 ? 40 : 4);
    const int64_t ic = input_channels(200, repeats, random);
    const WindowGeometry g = repeated_geometry(ic, repeats, random);
    const Form form = k_forms[random.integer(0, 4)];
    Layer all(g, random.integer(1, 2), form, random);
    Layer layer = all;
    layer.g = layer.desc.geometry = with_input_channels(g, ic);
    layer.x = Buffer<uint8_t>(static_cast<size_t>(all.batch * g.ih * g.iw * layer.g.x_pitch));
    random.fill(layer.x.data(), layer.x.size());
    all.x = repeated(layer.x, layer.g, g.x_pitch);
    layer.desc.weights = all.weights, layer.desc.bias = all.bias, layer.desc.multiplier = all.multiplier;
    layer.g.ic = g.oc;  // whose channels run() looks at
    layer.desc.expected = {layer.batch, 3};
    for (const Isa isa : available_isas())
      for (const int threads : {1, 2, 3}) {
        SCOPED_TRACE(describe(g, isa, form, threads) + " from " + std::to_string(ic));
        if (layer.desc.f32_output)
          ASSERT_EQ(test::bits(layer.run<float>(isa, threads)), test::bits(all.run<float>(Isa::scalar, 1)));
        else
          ASSERT_EQ(layer.run<uint8_t>(isa, threads), all.run<uint8_t>(Isa::scalar, 1));
      }
  }
}

TEST(DepthwiseU8S8, multipliers_that_leave_int32_saturate_on_every_isa) {
  Random random(5);
  const Layer layer(geometry(33, 3, 1, 5, 5), 1, Form::plain, random, 1e7f);
  for (const Isa isa : available_isas()) EXPECT_EQ(layer.run<uint8_t>(isa, 1), layer.run<uint8_t>(Isa::scalar, 1));
}

// By hand: x = 1 2 3 4 (zero point 1), w = 1 -2 3, bias 5, m = 0.5, zy = 10. Sums of (x - 1) w with zero padding:
//   5 + 0 - 0 + 3 = 8;  5 + 0 - 2 + 6 = 9;  5 + 1 - 4 + 9 = 11;  5 + 2 - 6 = 1
// and halves 4, 4.5, 5.5, 0.5 round to 4, 4, 6, 0: ties to even.
TEST(DepthwiseU8S8, rounds_ties_to_even_and_pads_with_the_zero_point) {
  WindowGeometry g = geometry(1, 3, 1, 1, 4);
  g.kh = 1, g.pad_top = 0, g.oh = 1;
  Buffer<uint8_t> x(4 * 16);
  for (size_t i = 0; i < 4; ++i) x[i * 16] = static_cast<uint8_t>(i + 1);
  const std::vector<int8_t> w = {1, -2, 3};
  const std::vector<int32_t> bias = {5};
  const std::vector<float> m = {0.5f};
  for (const Isa isa : available_isas()) {
    Buffer<uint8_t> y(4 * 16);
    ConvU8S8Desc desc;
    desc.geometry = g, desc.weights = w, desc.bias = bias, desc.multiplier = m;
    desc.x_zero_point = 1, desc.y_zero_point = 10;
    const auto conv = make_depthwise_u8s8(desc, isa);
    const AlignedBytes scratch = allocate_aligned(conv->scratch_bytes());
    conv->run_chunk({1, x.data(), nullptr, y.data()}, 0, 1, scratch.get());
    EXPECT_EQ((std::vector<int>{y[0], y[16], y[32], y[48]}), (std::vector<int>{14, 14, 16, 10})) << name(isa);
  }
}

TEST(DepthwiseU8S8, the_named_isa_is_the_one_that_runs) {
  Random random(6);
  const Layer layer(geometry(16, 3, 1, 4, 4), 1, Form::plain, random);
  for (const Isa isa : available_isas())
    EXPECT_EQ(std::string(make_depthwise_u8s8(layer.desc, isa)->kernel_name()),
              std::string(name(std::min(isa, Isa::avx512_vnni))));
}

TEST(DepthwiseU8S8, refuses_a_dense_convolution) {
  Random random(7);
  Layer layer(geometry(16, 3, 1, 4, 4), 1, Form::plain, random);
  layer.desc.geometry.groups = 1;
  EXPECT_EQ(make_depthwise_u8s8(layer.desc, Isa::scalar), nullptr);
}

struct LayerF32 {
  ConvF32Desc desc;
  std::vector<float> weights, bias;
  Buffer<float> x, residual;
  int64_t batch;

  LayerF32(const WindowGeometry& g, int64_t n, bool with_residual, Random& random)
      : weights(static_cast<size_t>(g.ic * g.kh * g.kw)),
        bias(static_cast<size_t>(g.ic)),
        x(static_cast<size_t>(n * g.ih * g.iw * g.x_pitch)),
        residual(static_cast<size_t>(n * g.oh * g.ow * g.residual_pitch)),
        batch(n) {
    random.fill(weights.data(), weights.size());
    random.fill(bias.data(), bias.size());
    random.fill(x.data(), x.size());
    random.fill(residual.data(), residual.size());
    desc = {.geometry = g, .weights = weights, .bias = bias, .has_residual = with_residual, .activation = {}};
    if (with_residual) desc.activation.kind = ActivationKind::hard_swish;
  }

  std::vector<uint32_t> run(Isa isa, int threads) const {
    const WindowGeometry& g = desc.geometry;
    const auto conv = make_depthwise_f32(desc, isa);
    Buffer<float> y(static_cast<size_t>(batch * g.oh * g.ow * g.y_pitch), 77.0f);
    const AlignedBytes scratch = allocate_aligned(conv->scratch_bytes());
    for (int64_t chunk = 0; chunk < conv->chunks(batch, threads); ++chunk)
      conv->run_chunk({batch, x.data(), residual.data(), y.data()}, chunk, threads, scratch.get());
    EXPECT_TRUE(y.is_guard_intact());
    for (size_t i = 0; i < y.size(); ++i)
      EXPECT_TRUE(static_cast<int64_t>(i) % g.y_pitch < g.oc || y[i] == 77.0f) << "padding channel written";
    return test::bits(y.values());
  }
};

TEST(DepthwiseF32, a_layer_made_for_a_run_gives_the_scalar_bits_in_it_and_in_others) {
  Random random(12);
  for (const int64_t batch : {1, 2, 5})
    for (const int64_t c : {17, 40, 200}) {
      LayerF32 layer(geometry(c, 3, 1, 10, 21), batch, c == 40, random);
      const std::vector<uint32_t> want = layer.run(Isa::scalar, 1);
      for (const ExpectedRun& expected : expected_runs(batch)) {
        layer.desc.expected = expected;
        for (const Isa isa : available_isas())
          for (const int threads : threads_of(expected, batch))
            ASSERT_EQ(layer.run(isa, threads), want)
                << name(isa) << " c" << c << ", " << batch << " images, made for " << expected.batch;
      }
    }
}

TEST(DepthwiseF32, every_isa_gives_the_scalar_bits) {
  Random random(8);
  for (const int64_t c : {1, 8, 15, 16, 17, 40, 72})
    for (const int64_t k : {1, 3, 5, 7})
      for (const int64_t stride : {1, 2}) {
        LayerF32 layer(geometry(c, k, stride, 10, 21, k == 3 ? 2 : 1), 2, c % 2 == 0, random);
        layer.desc.expected = {2, 3};
        for (const Isa isa : available_isas())
          for (const int threads : {1, 2, 3})
            ASSERT_EQ(layer.run(isa, threads), layer.run(Isa::scalar, 1)) << name(isa) << " c" << c << " k" << k;
      }
}

TEST(DepthwiseF32, every_isa_gives_the_scalar_bits_for_any_image_pads_and_dilation) {
  Random random(16);
  for (int i = 0; i < 300; ++i) {
    WindowGeometry g = dilated_geometry(random.integer(1, 100), random);
    if (i % 2 == 0) {
      g.dilation_h = g.dilation_w = 1, g.stride_h = g.stride_w = random.integer(1, 2);
      g.pad_top = std::min(g.pad_top, g.kh), g.pad_left = std::min(g.pad_left, g.kw);
      g.oh = std::max<int64_t>(g.ih + 2 * g.pad_top - g.kh, 0) / g.stride_h + 1;
      g.ow = std::max<int64_t>(g.iw + 2 * g.pad_left - g.kw, 0) / g.stride_w + 1;
    }
    LayerF32 layer(g, random.integer(1, 2), i % 3 == 0, random);
    layer.desc.expected = {layer.batch, 3};
    const std::vector<uint32_t> want = layer.run(Isa::scalar, 1);
    for (const Isa isa : available_isas())
      for (const int threads : {1, 2, 3})
        ASSERT_EQ(layer.run(isa, threads), want)
            << describe(g, isa, Form::floats, threads) << " pads " << g.pad_top << " " << g.pad_left;
  }
}

TEST(DepthwiseF32, every_isa_gives_the_bits_of_a_layer_that_has_each_channel_as_often_as_it_is_read) {
  Random random(19);
  for (int i = 0; i < 150; ++i) {
    const int64_t repeats = random.integer(2, random.integer(0, 3) == 0 ? 40 : 4);
    const int64_t ic = input_channels(100, repeats, random);
    const WindowGeometry g = repeated_geometry(ic, repeats, random);
    LayerF32 all(g, random.integer(1, 2), i % 3 == 0, random);
    LayerF32 layer = all;
    layer.desc.geometry = with_input_channels(g, ic);
    layer.x = Buffer<float>(static_cast<size_t>(all.batch * g.ih * g.iw * layer.desc.geometry.x_pitch));
    random.fill(layer.x.data(), layer.x.size());
    all.x = repeated(layer.x, layer.desc.geometry, g.x_pitch);
    layer.desc.weights = all.weights, layer.desc.bias = all.bias;
    layer.desc.expected = {layer.batch, 3};
    const std::vector<uint32_t> want = all.run(Isa::scalar, 1);
    for (const Isa isa : available_isas())
      for (const int threads : {1, 2, 3})
        ASSERT_EQ(layer.run(isa, threads), want) << describe(g, isa, Form::floats, threads) << " from " << ic;
  }
}

/// One output by the definition: bias, taps inside the image, residual, clamp.
float output_f32(const LayerF32& layer, int64_t n, int64_t oy, int64_t ox, int64_t c, float lo, float hi) {
  const WindowGeometry& g = layer.desc.geometry;
  float v = layer.bias[static_cast<size_t>(c)];
  for (int64_t kh = 0; kh < g.kh; ++kh)
    for (int64_t kw = 0; kw < g.kw; ++kw) {
      const int64_t iy = oy * g.stride_h - g.pad_top + kh, ix = ox * g.stride_w - g.pad_left + kw;
      if (iy < 0 || iy >= g.ih || ix < 0 || ix >= g.iw) continue;
      v = std::fma(layer.x[static_cast<size_t>(((n * g.ih + iy) * g.iw + ix) * g.x_pitch + c)],
                   layer.weights[static_cast<size_t>((c * g.kh + kh) * g.kw + kw)], v);
    }
  if (layer.desc.has_residual)
    v += layer.residual[static_cast<size_t>(((n * g.oh + oy) * g.ow + ox) * g.residual_pitch + c)];
  return std::min(std::max(v, lo), hi);
}

/// All of it, where a padding channel keeps 77.
std::vector<uint32_t> expected_bits(const LayerF32& layer, float lo, float hi) {
  const WindowGeometry& g = layer.desc.geometry;
  std::vector<float> y(static_cast<size_t>(layer.batch * g.oh * g.ow * g.y_pitch), 77.0f);
  for (int64_t n = 0; n < layer.batch; ++n)
    for (int64_t oy = 0; oy < g.oh; ++oy)
      for (int64_t ox = 0; ox < g.ow; ++ox)
        for (int64_t c = 0; c < g.ic; ++c)
          y[static_cast<size_t>(((n * g.oh + oy) * g.ow + ox) * g.y_pitch + c)] =
              output_f32(layer, n, oy, ox, c, lo, hi);
  return test::bits(y);
}

// Every way in which rows fall into tiles, with and without padding at either side.
TEST(DepthwiseF32, windows_of_3x3_give_the_bits_of_their_definition) {
  constexpr float k_none = std::numeric_limits<float>::infinity();
  Random random(10);
  for (const int64_t stride : {1, 2})
    for (int64_t width = 1; width <= 17; ++width)
      for (const int64_t height : {1, 2, 3, 8, 19})
        for (const int64_t pad : {0, 1}) {
          if (pad == 0 && (width < 3 || height < 3)) continue;
          WindowGeometry g = geometry(width % 2 == 0 ? 32 : 19, 3, stride, height, width);
          g.pad_top = g.pad_left = pad;
          g.oh = (height + 2 * pad - 3) / stride + 1, g.ow = (width + 2 * pad - 3) / stride + 1;
          LayerF32 layer(g, 2, width % 3 == 0, random);
          layer.desc.activation = {ActivationKind::clip, -0.5f, 6.0f};
          if (width % 4 == 1) layer.desc.activation = {ActivationKind::relu};
          if (width % 4 == 2) layer.desc.activation = {};
          const float lo = width % 4 == 2 ? -k_none : width % 4 == 1 ? 0.0f : -0.5f;
          const float hi = width % 4 == 1 || width % 4 == 2 ? k_none : 6.0f;
          const std::vector<uint32_t> expected = expected_bits(layer, lo, hi);
          for (const Isa isa : available_isas())
            for (const int threads : {1, 3})
              ASSERT_EQ(layer.run(isa, threads), expected)
                  << name(isa) << ", " << height << " x " << width << ", stride " << stride << ", padding " << pad;
        }
}

TEST(DepthwiseF32, clamps_keep_nan_and_the_sign_of_zero) {
  for (const bool is_wide : {false, true}) {  // the columns of tiles, and single ones
    const int64_t width = is_wide ? 8 : 1;
    WindowGeometry g = geometry(16, 3, 1, 2, width);
    std::vector<float> w(16 * 9, 0.0f), bias(16, -0.0f);
    for (size_t c = 0; c < 16; ++c) w[c * 9 + 4] = 1.0f;
    Buffer<float> x(static_cast<size_t>(2 * width * 16), -0.0f);
    const float values[] = {std::numeric_limits<float>::quiet_NaN(), 1e30f, -1e30f, -0.0f};
    for (size_t i = 0; i < x.size(); ++i) x[i] = values[i % 16 % 4];  // a channel's taps are all alike
    ConvF32Desc desc = {.geometry = g, .weights = w, .bias = bias, .has_residual = false, .activation = {}};
    desc.activation = {ActivationKind::clip, 0.0f, 6.0f};
    const auto run = [&](Isa isa) {
      Buffer<float> y(x.size());
      make_depthwise_f32(desc, isa)->run_chunk({1, x.data(), nullptr, y.data()}, 0, 1, nullptr);
      return y.values();
    };
    const std::vector<float> scalar = run(Isa::scalar);
    for (size_t i = 0; i < scalar.size(); ++i) {
      const float expected[] = {values[0], 6.0f, 0.0f, -0.0f};
      if (i % 4 == 0)
        EXPECT_TRUE(std::isnan(scalar[i])) << i;
      else
        EXPECT_EQ(std::pair(scalar[i], std::signbit(scalar[i])),
                  std::pair(expected[i % 4], std::signbit(expected[i % 4])))
            << i;
    }
    for (const Isa isa : available_isas()) EXPECT_EQ(test::bits(run(isa)), test::bits(scalar)) << name(isa);
  }
}

// As fused layers keep them: input rows in a ring that holds no more than the rows asked for read.
TEST(DepthwiseF32, reads_its_rows_from_a_ring) {
  Random random(11);
  for (const int64_t k : {3, 5})
    for (const int64_t stride : {1, 2}) {
      LayerF32 layer(geometry(24, k, stride, 23, 9), 1, true, random);
      const WindowGeometry& g = layer.desc.geometry;
      layer.desc.activation = {ActivationKind::clip, -2.0f, 3.0f};
      const std::vector<uint32_t> expected = layer.run(Isa::scalar, 1);
      constexpr int64_t k_rows = 3;
      const int64_t ring = (k_rows - 1) * stride + k, row = g.iw * g.x_pitch;
      for (const Isa isa : available_isas()) {
        const DepthwiseRowsF32 rows(layer.desc, isa);
        Buffer<float> kept(static_cast<size_t>(ring * row)), y(expected.size(), 77.0f);
        for (int64_t oy = 0, made = 0; oy < g.oh; oy += k_rows) {
          const int64_t oy_end = std::min(g.oh, oy + k_rows);
          for (; made < std::min(g.ih, (oy_end - 1) * stride - g.pad_top + k); ++made)
            std::copy_n(layer.x.data() + made * row, row, kept.data() + made % ring * row);
          rows.run({kept.data(), ring, layer.residual.data(), y.data() + oy * g.ow * g.y_pitch}, {oy, oy_end},
                   {0, g.ic});
        }
        EXPECT_EQ(test::bits(y.values()), expected) << name(isa) << ", window " << k << ", stride " << stride;
      }
    }
}

// Taps outside the image are left out, so an infinite weight there does no harm.
TEST(DepthwiseF32, the_scalar_judge_gives_sums_made_by_hand) {
  WindowGeometry g = geometry(1, 3, 1, 1, 3);
  g.kh = 1, g.pad_top = 0, g.oh = 1;
  Buffer<float> x(3 * 16);
  x[0] = 1.0f, x[16] = 2.0f, x[32] = 4.0f;
  const std::vector<float> w = {0.5f, 10.0f, -1.0f}, bias = {0.25f};
  for (const Isa isa : available_isas()) {
    Buffer<float> y(3 * 16);
    const auto conv =
        make_depthwise_f32({.geometry = g, .weights = w, .bias = bias, .has_residual = false, .activation = {}}, isa);
    conv->run_chunk({1, x.data(), nullptr, y.data()}, 0, 1, nullptr);
    EXPECT_EQ((std::vector<float>{y[0], y[16], y[32]}), (std::vector<float>{8.25f, 16.75f, 41.25f})) << name(isa);
  }
}

/// The layer on AVX512-BF16, padding channels and all, which start as 77; x is rounded first if it is to be bfloat16.
std::vector<uint16_t> run_bf16(LayerF32& layer, bool x_is_bf16, int threads) {
  const WindowGeometry& g = layer.desc.geometry;
  Buffer<uint16_t> x(x_is_bf16 ? layer.x.size() : 0),
      y(static_cast<size_t>(layer.batch * g.oh * g.ow * g.y_pitch), uint16_t{77});
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = float_to_bfloat16(layer.x[i]);
    layer.x[i] = bfloat16_to_float(x[i]);
  }
  const auto conv = make_depthwise_bf16(layer.desc, x_is_bf16, Isa::avx512_vnni);
  const void* const from = x_is_bf16 ? static_cast<const void*>(x.data()) : layer.x.data();
  for (int64_t chunk = 0; chunk < conv->chunks(layer.batch, threads); ++chunk)
    conv->run_chunk({layer.batch, from, nullptr, y.data()}, chunk, threads, nullptr);
  EXPECT_TRUE(y.is_guard_intact());
  return y.values();
}

/// What the scalar layer of floats gives, rounded.
std::vector<uint16_t> rounded_judge(const LayerF32& layer) {
  const WindowGeometry& g = layer.desc.geometry;
  std::vector<uint16_t> want;
  for (const uint32_t bits : layer.run(Isa::scalar, 1)) {
    const bool is_real = static_cast<int64_t>(want.size()) % g.y_pitch < g.ic;
    want.push_back(is_real ? float_to_bfloat16(std::bit_cast<float>(bits)) : 77);
  }
  return want;
}

TEST(DepthwiseBf16, gives_the_scalar_bits_of_what_it_reads_rounded) {
  if (!has_bf16_products(Isa::avx512_vnni)) GTEST_SKIP() << "no AVX512-BF16 here";
  Random random(10);
  for (const int64_t c : {2, 16, 17, 40, 72, 130})
    for (const int64_t k : {1, 3, 5})
      for (const int64_t stride : {1, 2})
        for (const bool x_is_bf16 : {false, true})
          for (const int threads : {1, 3}) {
            LayerF32 layer(geometry(c, k, stride, 10, 21), 2, false, random);
            layer.desc.activation = {ActivationKind::clip, -0.5f, 6};
            const std::vector<uint16_t> got = run_bf16(layer, x_is_bf16, threads);
            ASSERT_EQ(got, rounded_judge(layer)) << c << " channels, kernel " << k << ", stride " << stride;
          }
}

TEST(DepthwiseBf16, gives_the_scalar_bits_for_dilated_windows) {
  if (!has_bf16_products(Isa::avx512_vnni)) GTEST_SKIP() << "no AVX512-BF16 here";
  Random random(17);
  for (int i = 0; i < 60; ++i) {
    LayerF32 layer(dilated_geometry(random.integer(1, 100), random), 2, false, random);
    const std::vector<uint16_t> got = run_bf16(layer, i % 2 == 0, 1 + i % 3);
    ASSERT_EQ(got, rounded_judge(layer)) << describe(layer.desc.geometry, Isa::avx512_vnni, Form::floats, 1 + i % 3);
  }
}

TEST(DepthwiseBf16, a_layer_made_for_a_run_gives_the_scalar_bits_in_it_and_in_others) {
  if (!has_bf16_products(Isa::avx512_vnni)) GTEST_SKIP() << "no AVX512-BF16 here";
  Random random(14);
  for (const int64_t batch : {1, 2, 5})
    for (const int64_t c : {17, 200}) {
      LayerF32 layer(geometry(c, 3, 1, 10, 21), batch, false, random);
      for (const ExpectedRun& expected : expected_runs(batch)) {
        layer.desc.expected = expected;
        for (const int threads : threads_of(expected, batch)) {
          const std::vector<uint16_t> got = run_bf16(layer, true, threads);
          ASSERT_EQ(got, rounded_judge(layer)) << c << " channels, " << batch << " images, made for " << expected.batch;
        }
      }
    }
}

// A weight of 1 in the middle of each window shows what is read and how it is rounded.
TEST(DepthwiseBf16, rounds_ties_to_even_and_keeps_infinities_and_nan_in_their_windows) {
  if (!has_bf16_products(Isa::avx512_vnni)) GTEST_SKIP() << "no AVX512-BF16 here";
  constexpr float k_infinity = std::numeric_limits<float>::infinity();
  // 1 + 2^-8 lies half way between 1 and 1 + 2^-7: even is 1. 1 + 3 * 2^-8 goes up; just above a tie as well.
  const std::pair<float, uint16_t> k_values[] = {
      {1 + 0x1p-8f, 0x3f80},  {1 + 3 * 0x1p-8f, 0x3f82}, {-1 - 0x1p-8f, 0xbf80}, {1 + 0x1p-8f + 0x1p-23f, 0x3f81},
      {k_infinity, 0x7f80},   {-k_infinity, 0xff80},     {0x1.ffp127f, 0x7f80},  {0x1.fefffep127f, 0x7f7f},
      {-0x1.ffp127f, 0xff80}, {0x1p-126f, 0x0080}};
  Random random(15);
  for (const int64_t c : {17, 64})
    for (const auto& [value, want] : k_values) {
      LayerF32 layer(geometry(c, 3, 1, 5, 6), 1, false, random);
      std::fill(layer.weights.begin(), layer.weights.end(), 0.0f);
      for (size_t w = 4; w < layer.weights.size(); w += 9) layer.weights[w] = 1;
      std::fill(layer.bias.begin(), layer.bias.end(), -0.0f);
      std::fill(layer.x.data(), layer.x.data() + layer.x.size(), 0.0f);
      const int64_t pitch = layer.desc.geometry.x_pitch, pixel = 2 * 6 + 3;
      std::fill_n(layer.x.data() + pixel * pitch, c, value);
      const std::vector<uint16_t> y = run_bf16(layer, false, 1);
      for (int64_t i = 0; i < c; ++i)
        EXPECT_EQ(y[static_cast<size_t>(pixel * pitch + i)], want) << value << ", channel " << i;
      EXPECT_EQ(y[0], 0) << value;
    }
  for (const int64_t c : {17, 64})
    for (const int64_t pixel : {0, 5, 2 * 6 + 3, 5 * 6 - 1})
      for (const bool x_is_bf16 : {false, true})
        for (const float value : {std::numeric_limits<float>::quiet_NaN(), k_infinity}) {
          LayerF32 layer(geometry(c, 3, 1, 5, 6), 1, false, random);
          const int64_t pitch = layer.desc.geometry.x_pitch;
          layer.x[static_cast<size_t>(pixel * pitch + c - 1)] = value;
          const std::vector<uint16_t> y = run_bf16(layer, x_is_bf16, 1), judge = rounded_judge(layer);
          for (int64_t to = 0; to < 5 * 6; ++to)
            for (int64_t i = 0; i < c; ++i) {
              const auto at = static_cast<size_t>(to * pitch + i);
              const float got = bfloat16_to_float(y[at]);
              const bool meets = std::abs(to / 6 - pixel / 6) <= 1 && std::abs(to % 6 - pixel % 6) <= 1 && i == c - 1;
              ASSERT_EQ(!std::isfinite(got), meets)
                  << value << " at " << pixel << ", output at " << to << ", channel " << i;
              ASSERT_TRUE(std::isnan(got) ? std::isnan(bfloat16_to_float(judge[at])) : y[at] == judge[at]) << got;
            }
        }
}

TEST(DepthwiseBf16, refuses_what_is_no_clamp_and_no_depthwise_layer) {
  Random random(11);
  LayerF32 layer(geometry(16, 3, 1, 4, 4), 1, false, random);
  for (const Isa isa : available_isas())
    EXPECT_EQ(depthwise_bf16_refuses(layer.desc, isa).empty(), has_bf16_products(isa)) << name(isa);
  if (!has_bf16_products(Isa::avx512_vnni)) return;
  ConvF32Desc other = layer.desc;
  other.activation.kind = ActivationKind::silu;
  EXPECT_EQ(depthwise_bf16_refuses(other, Isa::avx512_vnni), "knows no activation but Relu and Clip");
  other = layer.desc, other.has_residual = true;
  EXPECT_EQ(depthwise_bf16_refuses(other, Isa::avx512_vnni), "has a residual");
  other = layer.desc, other.geometry.groups = 1;
  EXPECT_FALSE(make_depthwise_bf16(other, true, Isa::avx512_vnni));
}

TEST(DepthwiseF32, the_named_isa_is_the_one_that_runs) {
  Random random(9);
  const LayerF32 layer(geometry(16, 3, 1, 4, 4), 1, false, random);
  for (const Isa isa : available_isas()) {
    const std::string ran = make_depthwise_f32(layer.desc, isa)->kernel_name();
    EXPECT_EQ(ran, float_isa_of(isa));
  }
}

}  // namespace
}  // namespace octet
