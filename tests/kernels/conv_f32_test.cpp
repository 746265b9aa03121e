#include "kernels/conv_f32/conv_f32.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/aligned.h"
#include "kernels/conv_cases.h"
#include "kernels/guarded.h"
#include "kernels/implicit_gemm/tap_classes.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/phase_cases.h"
#include "kernels/ran_isa.h"
#include "kernels/random_rows.h"

namespace octet {
namespace {

constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

struct Layer {
  explicit Layer(const ConvCase& conv_case, uint32_t seed = 1) : shape(conv_case), random(seed) {
    const WindowGeometry g = shape.geometry();
    desc.geometry = g;
    // The channels between C and the pitch are NaN: they must count for nothing.
    x.assign(buffer_elements<float>(shape.batch, g.ih, g.iw, g.x_pitch), k_nan);
    residual.assign(buffer_elements<float>(shape.batch, g.oh, g.ow, g.residual_pitch), k_nan);
    for (int64_t p = 0; p < shape.batch * g.ih * g.iw; ++p)
      for (int64_t c = 0; c < g.ic; ++c) x[static_cast<size_t>(p * g.x_pitch + c)] = number();
    for (int64_t p = 0; p < shape.batch * g.oh * g.ow; ++p)
      for (int64_t c = 0; c < g.oc; ++c) residual[static_cast<size_t>(p * g.residual_pitch + c)] = number();
    weights.resize(static_cast<size_t>(shape.weight_count()));
    bias.resize(static_cast<size_t>(g.oc));
    for (float& w : weights) w = number();
    for (float& b : bias) b = number();
  }

  float number() { return std::normal_distribution<float>()(random); }

  std::unique_ptr<const ConvF32> make(Isa isa, std::string_view variant = {}) {
    desc.weights = weights;
    desc.bias = bias;
    return ConvF32::make(desc, isa, variant);
  }

  /// All chunks for `threads` workers, one after the other; y starts as 90 everywhere and comes back with its pitch.
  std::vector<float> run(Isa isa, int threads, std::string_view variant = {}) {
    const WindowGeometry& g = desc.geometry;
    std::vector<float> before(buffer_elements<float>(shape.batch, g.oh, g.ow, g.y_pitch), 90.0f);
    const std::unique_ptr<const ConvF32> layer = make(isa, variant);
    const AlignedBytes scratch = allocate_aligned(layer->scratch_bytes());
    Guarded<float> input(x), added(residual);
    Guarded<float> y(before);
    const ConvF32Args args = {shape.batch, input.data(), added.data(), y.data()};
    const int64_t chunks = layer->chunks(shape.batch, threads);
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) layer->run_chunk(args, chunk, threads, scratch.get());
    return y.values();
  }

  ConvCase shape;
  std::mt19937 random;
  ConvF32Desc desc;
  std::vector<float> x, residual, weights, bias;
};

/// Every way on the best ISA, those of lesser ISAs among them. Exact, not within a tolerance: every ISA does the same
/// fma in the same order. Elements outside the layer's channels must be as they were.
void expect_judged(Layer& layer, const std::vector<int>& threads = {1}) {
  const std::vector<float> want = layer.run(Isa::scalar, 1);
  const Isa isa = available_isas().back();
  for (const int workers : threads)
    for (const ConvVariant& variant : conv_f32_variants(layer.desc.geometry, layer.shape.batch, isa, workers)) {
      if (!variant.refused.empty()) continue;
      const std::vector<float> got = layer.run(isa, workers, variant.name);
      const auto [a, b] = std::mismatch(want.begin(), want.end(), got.begin(),
                                        [](float p, float q) { return p == q || (std::isnan(p) && std::isnan(q)); });
      const int64_t index = a - want.begin(), pitch = layer.desc.geometry.y_pitch;
      ASSERT_TRUE(a == want.end()) << variant.name << ", " << workers << " threads, " << layer.shape << ": pixel "
                                   << index / pitch << " channel " << index % pitch << " is " << *b << ", want " << *a;
    }
}

TEST(ConvF32, every_isa_has_the_judges_bits_on_every_geometry_and_thread_count) {
  uint32_t seed = 1;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed);
    layer.desc.has_residual = seed++ % 3 == 0;
    expect_judged(layer, {1, 2, 3, 7});
  }
}

TEST(ConvF32, panels_without_weights_in_some_taps_have_the_judges_bits) {
  uint32_t seed = 1;
  for (const ConvCase& c : phase_cases()) {
    Layer layer(c, seed);
    layer.desc.has_residual = seed % 3 == 0;
    clear_taps(layer.weights, c, seed % 2 == 0, seed % 5 == 0);
    ++seed;
    expect_judged(layer, {1, 2, 7});
  }
}

TEST(ConvF32, a_layer_made_for_a_run_has_the_judges_bits_in_it_and_in_others) {
  uint32_t seed = 1;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed++);
    for (const ExpectedRun& expected : expected_runs(c.batch)) {
      SCOPED_TRACE("made for a batch of " + std::to_string(expected.batch));
      layer.desc.expected = expected;
      ASSERT_NO_FATAL_FAILURE(expect_judged(layer, threads_of(expected, c.batch)));
    }
  }
}

TEST(ConvF32, an_image_gives_the_same_bits_alone_and_in_a_batch) {
  for (const Isa isa : available_isas())
    for (const int64_t size : {1, 5}) {
      Layer batch(square(size, 33, 70, 3, 1, 1, 1, 1, 5));
      const std::vector<float> all = batch.run(isa, 2);
      const WindowGeometry& g = batch.desc.geometry;
      for (int64_t image = 0; image < 5; ++image) {
        Layer alone = batch;
        alone.shape.batch = 1;
        alone.x.erase(alone.x.begin(), alone.x.begin() + image * g.ih * g.iw * g.x_pitch);
        const std::vector<float> y = alone.run(isa, 1);
        for (int64_t i = 0; i < g.oh * g.ow * g.y_pitch; ++i)
          ASSERT_EQ(y[static_cast<size_t>(i)], all[static_cast<size_t>(image * g.oh * g.ow * g.y_pitch + i)])
              << name(isa) << " image " << image;
      }
    }
}

TEST(ConvF32, is_near_a_sum_in_double_precision) {
  for (const ConvCase& c : {square(6, 40, 20, 3, 1, 1), square(9, 3, 20, 7, 2, 3), square(4, 24, 36, 3, 2, 1, 1, 3)}) {
    Layer layer(c);
    const WindowGeometry& g = layer.desc.geometry;
    const std::vector<float> y = layer.run(available_isas().back(), 1);
    const int64_t channels = g.ic / g.groups;
    for (int64_t oy = 0; oy < g.oh; ++oy)
      for (int64_t ox = 0; ox < g.ow; ++ox)
        for (int64_t oc = 0; oc < g.oc; ++oc) {
          double sum = layer.bias[static_cast<size_t>(oc)], size = std::abs(sum);
          for (int64_t ic = 0; ic < channels; ++ic)
            for (int64_t ky = 0; ky < g.kh; ++ky)
              for (int64_t kx = 0; kx < g.kw; ++kx) {
                const int64_t iy = oy * g.stride_h - g.pad_top + ky, ix = ox * g.stride_w - g.pad_left + kx;
                if (iy < 0 || ix < 0 || iy >= g.ih || ix >= g.iw) continue;
                const int64_t in = oc / (g.oc / g.groups) * channels + ic;
                const double term =
                    static_cast<double>(layer.x[static_cast<size_t>((iy * g.iw + ix) * g.x_pitch + in)]) *
                    layer.weights[static_cast<size_t>(((oc * channels + ic) * g.kh + ky) * g.kw + kx)];
                sum += term;
                size += std::abs(term);
              }
          // A chain of k roundings of partial sums no larger than `size`: far below k * 2^-24 * size.
          EXPECT_NEAR(y[static_cast<size_t>((oy * g.ow + ox) * g.y_pitch + oc)], sum, 1e-5 * size);
        }
  }
}

TEST(ConvF32, every_activation_equals_the_judge) {
  const ActivationParams activations[] = {
      {ActivationKind::relu, 0, 0},       {ActivationKind::clip, 0, 6},
      {ActivationKind::clip, -1, 0.5f},   {ActivationKind::leaky_relu, 0.1f, 0},
      {ActivationKind::sigmoid, 0, 0},    {ActivationKind::hard_sigmoid, 0.2f, 0.5f},
      {ActivationKind::hard_swish, 0, 0}, {ActivationKind::silu, 0, 0},
      {ActivationKind::tanh_, 0, 0}};
  for (const ActivationParams& activation : activations)
    for (const int64_t oc : {5, 64, 90})
      for (const bool has_residual : {false, true}) {
        Layer layer(square(6, 19, oc, 3, 1, 1, 1, 1, 2));
        layer.desc.activation = activation;
        layer.desc.has_residual = has_residual;
        expect_judged(layer, {1, 3});
      }
}

TEST(ConvF32, a_clamp_waits_for_the_whole_reduction) {
  Layer layer(square(3, 700, 16, 3, 1, 1));  // several blocks
  layer.desc.activation = {ActivationKind::clip, -3, 3};
  layer.desc.has_residual = true;
  expect_judged(layer);
}

TEST(ConvF32, nan_and_infinity_pass_through) {
  for (const Isa isa : available_isas()) {
    Layer layer(square(3, 4, 20, 1));
    layer.desc.activation = {ActivationKind::relu, 0, 0};
    layer.x[0] = k_nan;
    layer.x[16] = std::numeric_limits<float>::infinity();
    const std::vector<float> y = layer.run(isa, 1);
    for (size_t c = 0; c < 20; ++c) {
      EXPECT_TRUE(std::isnan(y[c])) << name(isa) << " channel " << c;
      EXPECT_EQ(y[32 + c], layer.weights[4 * c] > 0 ? std::numeric_limits<float>::infinity() : 0.0f) << name(isa);
      EXPECT_FALSE(std::isnan(y[64 + c])) << name(isa) << " channel " << c;
    }
  }
}

TEST(ConvF32, layers_without_bias_start_at_zero) {
  Layer layer(square(4, 20, 40, 3, 1, 1));
  layer.bias.clear();
  expect_judged(layer);
}

TEST(ConvF32, a_channel_slice_of_a_wider_buffer_is_written_without_touching_its_neighbours) {
  for (const int64_t oc : {5, 16, 70}) {
    Layer layer(square(6, 19, oc, 3, 1, 1, 1, 1, 2));
    layer.desc.geometry.y_pitch = 96;
    expect_judged(layer);
  }
}

TEST(ConvF32, the_isa_asked_for_is_the_one_that_runs) {
  // FP32 has no use for the integer dot product of avx_vnni: that machine runs avx2's function.
  Layer layer(square(3, 8, 8, 1));
  for (const Isa isa : available_isas()) {
    const std::string want = float_isa_of(isa);
    EXPECT_EQ(std::string(layer.make(isa)->kernel_name()).substr(0, want.size()), want);
  }
}

/// Whether output o of an axis reads the image at position k of the kernel.
bool is_inside(int64_t o, int64_t k, int64_t stride, int64_t pad, int64_t dilation, int64_t in) {
  const int64_t at = o * stride - pad + k * dilation;
  return at >= 0 && at < in;
}

TEST(TapClasses, have_each_pixel_once_with_the_taps_that_meet_the_image) {
  int cut = 0;
  for (const ConvCase& c : conv_cases()) {
    const WindowGeometry g = c.geometry();
    const int64_t all = c.batch * g.oh * g.ow;
    for (const bool cut_rows : {false, true})
      for (const bool cut_columns : {false, true})
        for (const IndexRange block : {IndexRange{0, all}, IndexRange{all / 3, (2 * all + 2) / 3}}) {
          if (block.begin == block.end) continue;
          const TapClasses classes(g, cut_rows, cut_columns);
          const int64_t count = block.end - block.begin;
          std::vector<int32_t> pixels(static_cast<size_t>(count + 5), -1);
          int64_t counts[TapClasses::k_most] = {};
          classes.sort(block, pixels.data(), counts, 5);
          std::vector<int> met(static_cast<size_t>(count));
          const int32_t* pixel = pixels.data();
          for (size_t i = 0; i < classes.classes().size(); ++i)
            for (int64_t n = 0; n < counts[i]; ++n, ++pixel) {
              ++met.at(static_cast<size_t>(*pixel));
              const int64_t at = block.begin + *pixel, oy = at / g.ow % g.oh, ox = at % g.ow;
              const TapClass& own = classes.classes()[i];
              for (int64_t k = 0; k < g.kh && own.rows.k_end - own.rows.k_begin < g.kh; ++k)
                ASSERT_EQ(k >= own.rows.k_begin && k < own.rows.k_end,
                          is_inside(oy, k, g.stride_h, g.pad_top, g.dilation_h, g.ih))
                    << c;
              for (int64_t k = 0; k < g.kw; ++k) {
                const bool is_read = k >= own.columns.k_begin && k < own.columns.k_end;
                if (is_read && !classes.cuts_columns()) continue;  // from the padding, too
                ASSERT_EQ(is_read, is_inside(ox, k, g.stride_w, g.pad_left, g.dilation_w, g.iw)) << c;
              }
            }
          EXPECT_EQ(pixel, pixels.data() + count) << c;
          EXPECT_TRUE(std::all_of(met.begin(), met.end(), [](int n) { return n == 1; })) << c;
          EXPECT_TRUE(std::all_of(pixels.begin() + count, pixels.end(), [](int32_t p) { return p == 0; }));
          cut += !classes.is_whole();
        }
  }
  EXPECT_GT(cut, 50);
}

TEST(TapClasses, leave_out_padding_where_tiles_stay_filled) {
  const ConvTile tile = {.rows = 6, .lanes = 16, .vectors = 4, .name = "6x64"};
  EXPECT_EQ(TapClasses::cheapest(square(8, 64, 64, 3, 1, 1).geometry(), tile, 64).classes().size(), 9u);
  EXPECT_TRUE(TapClasses::cheapest(square(8, 64, 64, 1).geometry(), tile, 64).is_whole());
  EXPECT_TRUE(TapClasses::cheapest(square(2, 1, 64, 3, 1, 1).geometry(), tile, 1).is_whole())
      << "four tiles in place of one";
}

TEST(ConvF32, costs_are_those_of_the_cpu) {
  const std::vector<Isa> have = available_isas();
  if (std::find(have.begin(), have.end(), Isa::avx512_vnni) == have.end())
    GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  const auto cheapest = [](const ConvCase& c, const ConvCpu& cpu) {
    ConvVariant best;
    for (const ConvVariant& v : conv_f32_variants(c.geometry(), c.batch, Isa::avx512_vnni, 1, cpu))
      if (v.refused.empty() && (best.name.empty() || v.cost_us < best.cost_us)) best = v;
    return best.name;
  };
  const ConvCpu whole = {false, size_t{1} << 20}, half = {true, size_t{1} << 20};
  EXPECT_EQ(cheapest(square(32, 16, 16, 3, 1, 1), whole), "avx512_vnni 12x32");
  EXPECT_EQ(cheapest(square(32, 16, 16, 3, 1, 1), half), "avx512_vnni 8x48");
  for (const ConvCpu& cpu : {whole, half}) EXPECT_EQ(cheapest(square(14, 64, 256, 1), cpu), "avx512_vnni 6x64");
}

TEST(ConvF32, reads_the_callers_planes) {
  int compared = 0;
  for (const ConvCase& c : conv_cases()) {
    const WindowGeometry g = c.geometry();
    if (!reads_compact_copy(g)) continue;
    Layer layer(c);
    const std::vector<float> want = layer.run(Isa::scalar, 1);
    std::vector<float> planes;
    for (int64_t n = 0; n < c.batch; ++n)
      for (int64_t k = 0; k < g.ic; ++k)
        for (int64_t p = 0; p < g.ih * g.iw; ++p)
          planes.push_back(layer.x[static_cast<size_t>((n * g.ih * g.iw + p) * g.x_pitch + k)]);
    layer.x = planes;  // without a tail: what lies behind the caller's buffer is not ours
    layer.desc.planar_x = true;
    for (const Isa isa : available_isas())
      for (const int threads : {1, 3})
        ASSERT_EQ(test::bits(layer.run(isa, threads)), test::bits(want)) << name(isa) << ", " << c;
    ++compared;
  }
  EXPECT_GE(compared, 20);
}

}  // namespace
}  // namespace octet
