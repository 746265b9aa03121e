#include "kernels/conv_u8s8/conv_u8s8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/conv_u8s8/tile_layer.h"
#include "kernels/conv_u8s8_data.h"
#include "kernels/implicit_gemm/pixel_classes.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/layout/layout.h"
#include "kernels/phase_cases.h"

namespace octet {
namespace {

/// The AMX layer with plain loops in place of its tiles: what surrounds them is tested on machines without AMX too.
constexpr std::string_view k_emulated_amx = "emulated amx";

/// What a call leaves in tiles: rows 16 to 31.
thread_local std::array<int32_t, k_amx_tile_rows * k_amx_block_channels> emulated_upper{};

void emulated_flush(const ConvAmxUpper& upper) {
  for (int r = 0; upper.sums && r < k_amx_tile_rows; ++r)
    for (int c = 0; c < 16 * upper.vectors; ++c) {
      const int i = r * k_amx_block_channels + c;
      upper.sums[i] = emulated_upper[static_cast<size_t>(i)];
    }
}

void emulated_sums(const ConvAmxBlock& block) {
  const auto* weights = static_cast<const int8_t*>(block.weights);
  std::array<int32_t, k_amx_block_rows * k_amx_block_channels> sums{};
  for (int r = 0; r < 16 * block.row_tiles; ++r)
    for (int v = 0; v < block.vectors; ++v)
      for (int lane = 0; lane < 16; ++lane) {
        int32_t sum = block.bias[16 * v + lane];
        for (int64_t s = 0; s < block.segments; ++s)
          for (int64_t k = 0; k < 64 * block.steps; ++k) {
            const int64_t tile = (s * block.steps + k / 64) * block.vectors + v;
            sum += block.a[r / 16][r % 16 * block.a_stride + block.segment_list[s].x + k] *
                   weights[tile * 1024 + k % 64 / 4 * 64 + lane * 4 + k % 4];
          }
        sums[static_cast<size_t>(r * k_amx_block_channels + 16 * v + lane)] = sum;
      }
  emulated_flush(block.upper);
  if (const ConvAmxPending& pending = block.pending; pending.run) {
    for (int first = 0; first < pending.run->row_count; first += 4)
      pending.finish(*pending.run, pending.sums, pending.sum_rows, first, std::min(first + 4, pending.run->row_count));
  }
  std::copy(sums.begin(), sums.begin() + emulated_upper.size(), block.sums);
  std::copy(sums.begin() + emulated_upper.size(), sums.end(), emulated_upper.begin());
}

ConvAmxKernel emulated_amx() {
  ConvAmxKernel kernel = conv_amx_kernel;
  kernel.configure = [](int64_t) {};
  kernel.sums = emulated_sums;
  kernel.flush = emulated_flush;
  return kernel;
}

/// A layer and its data. Fill the fields, then run on any ISA.
struct Layer : ConvU8S8Data {
  using ConvU8S8Data::ConvU8S8Data;

  std::unique_ptr<const ConvU8S8> make(Isa isa, std::string_view variant = {}) {
    describe();
    if (variant == k_emulated_amx) return make_conv_u8s8_amx(desc, emulated_amx(), CutBy::automatic, Isa::avx512_vnni);
    return ConvU8S8::make(desc, isa, variant);
  }
  template <class T>
  std::vector<T> run(Isa isa, int threads, std::string_view variant = {}) {
    return run_layer<T>(*make(isa, variant), threads);
  }
};

/// Every way to run the layer on the best ISA, those of lesser ISAs among them. The whole buffers are compared: bytes
/// outside the layer's channels must be as they were.
template <class T>
void expect_judged(Layer& layer, const std::vector<int>& threads = {1}) {
  const std::vector<T> want = layer.run<T>(Isa::scalar, 1);
  const Isa isa = available_isas().back();
  for (const int workers : threads) {
    std::vector<ConvVariant> variants = conv_u8s8_variants(layer.desc, layer.shape.batch, isa, workers);
    if (has_isa(Isa::avx512_vnni)) variants.push_back({std::string(k_emulated_amx), "", 0});
    for (const ConvVariant& variant : variants) {
      if (!variant.refused.empty()) continue;
      const std::vector<T> got = layer.run<T>(isa, workers, variant.name);
      const auto [a, b] = std::mismatch(want.begin(), want.end(), got.begin());
      const int64_t index = a - want.begin(), pitch = layer.desc.geometry.y_pitch;
      ASSERT_TRUE(a == want.end()) << variant.name << ", " << workers << " threads, " << layer.shape << ": pixel "
                                   << index / pitch << " channel " << index % pitch << " is " << +*b << ", want "
                                   << +*a;
    }
  }
}

TEST(ConvU8S8, every_isa_equals_the_judge_on_every_geometry) {
  uint32_t seed = 1;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed++);
    expect_judged<uint8_t>(layer, {1, 2, 3, 7});
  }
}

TEST(ConvU8S8, panels_without_weights_in_some_taps_equal_the_judge) {
  uint32_t seed = 1;
  for (const ConvCase& c : phase_cases()) {
    Layer layer(c, seed);
    if (seed % 3 == 0) layer.with_residual(131, 0.37f);
    clear_taps(layer.weights, c, seed % 2 == 0, seed % 5 == 0);
    ++seed;
    expect_judged<uint8_t>(layer, {1, 2, 7});
  }
}

TEST(ConvU8S8, a_layer_made_for_a_run_equals_the_judge_in_it_and_in_others) {
  uint32_t seed = 1;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed++);
    for (const ExpectedRun& expected : expected_runs(c.batch)) {
      SCOPED_TRACE("made for a batch of " + std::to_string(expected.batch));
      layer.desc.expected = expected;
      ASSERT_NO_FATAL_FAILURE(expect_judged<uint8_t>(layer, threads_of(expected, c.batch)));
    }
  }
}

// The order of a block's pixels is kept once for chunks of other panels and for images one after the other.
TEST(ConvU8S8, blocks_at_the_same_place_in_an_image_and_at_others_equal_the_judge) {
  uint32_t seed = 300;
  for (const ConvCase& c : {square(16, 32, 320, 3, 1, 1, 1, 1, 2), square(7, 96, 200, 3, 1, 1, 1, 1, 9),
                            square(9, 40, 136, 1, 1, 0, 1, 1, 3), square(14, 64, 96, 3, 2, 1, 1, 1, 4)})
    for (const int threads : {1, 2, 3, 8}) {
      Layer layer(c, seed++);
      layer.desc.expected = {c.batch, threads};
      ASSERT_NO_FATAL_FAILURE(expect_judged<uint8_t>(layer, {threads}));
    }
}

TEST(ConvU8S8, the_residual_form_equals_the_judge_on_every_geometry) {
  uint32_t seed = 1000;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed++);
    layer.with_residual(131, 0.37f);
    expect_judged<uint8_t>(layer);
  }
}

TEST(ConvU8S8, values_may_lie_between_the_channels_of_others) {
  uint32_t seed = 4000;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed);
    if (seed++ % 3 == 0) layer.with_residual(131, 0.37f);
    WindowGeometry& g = layer.desc.geometry;
    g.x_pitch += 48, g.y_pitch += 32;
    layer.x.resize(buffer_elements<uint8_t>(c.batch, g.ih, g.iw, g.x_pitch));
    for (uint8_t& code : layer.x) code = static_cast<uint8_t>(layer.random());
    expect_judged<uint8_t>(layer, {1, 3});
  }
}

TEST(ConvU8S8, codes_may_take_the_place_of_the_residual) {
  uint32_t seed = 3000;
  for (const ConvCase& c : conv_cases()) {
    if (c.groups > 1) continue;
    Layer layer(c, seed++);
    layer.with_residual(131, 0.37f);
    const std::vector<uint8_t> want = layer.run<uint8_t>(Isa::scalar, 1);
    layer.in_place = true;
    const Isa isa = available_isas().back();
    std::vector<ConvVariant> variants = conv_u8s8_variants(layer.desc, c.batch, isa, 2);
    variants.push_back({"", "", 0});
    if (has_isa(Isa::avx512_vnni)) variants.push_back({std::string(k_emulated_amx), "", 0});
    const WindowGeometry& g = layer.desc.geometry;
    const auto pitch = static_cast<size_t>(g.y_pitch), pixels = static_cast<size_t>(c.batch * g.oh * g.ow);
    for (const ConvVariant& variant : variants) {
      if (!variant.refused.empty()) continue;
      const std::vector<uint8_t> got = layer.run<uint8_t>(isa, 2, variant.name);
      for (size_t i = 0; i < pixels * pitch; ++i) {
        if (i % pitch < static_cast<size_t>(c.oc)) {
          ASSERT_EQ(got[i], want[i]) << variant.name << ", " << c << ", at " << i;
        }
      }
    }
  }
}

TEST(ConvU8S8, f32_output_has_the_judges_bits_on_every_geometry) {
  uint32_t seed = 2000;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed);
    if (seed++ % 2) layer.with_residual(3, 0.011f);
    layer.desc.f32_output = true;
    expect_judged<float>(layer);
  }
}

TEST(ConvU8S8, layers_without_bias_start_at_zero) {
  Layer layer(square(4, 20, 40, 3, 1, 1));
  layer.bias.clear();
  expect_judged<uint8_t>(layer);
}

TEST(ConvU8S8, extreme_codes_and_weights_do_not_saturate_on_the_way) {
  for (const int x_code : {0, 255})
    for (const int w_code : {-128, -127, 127})
      for (const int zero_point : {0, 128, 255}) {
        Layer layer(square(3, 70, 66, 3, 1, 1));
        std::fill(layer.x.begin(), layer.x.end(), static_cast<uint8_t>(x_code));
        std::fill(layer.weights.begin(), layer.weights.end(), static_cast<int8_t>(w_code));
        layer.desc.x_zero_point = zero_point;
        layer.desc.f32_output = true;  // shows the accumulator itself
        std::fill(layer.multiplier.begin(), layer.multiplier.end(), 1.0f);
        expect_judged<float>(layer);
        layer.desc.f32_output = false;
        std::fill(layer.multiplier.begin(), layer.multiplier.end(), 1e-5f);
        expect_judged<uint8_t>(layer);
      }
}

TEST(ConvU8S8, avx2_adds_pairs_in_16_bits_only_where_they_fit) {
  if (!has_isa(Isa::avx2)) GTEST_SKIP() << "not applicable: no AVX2";
  uint32_t seed = 4000;
  for (const ConvCase& c : conv_cases())
    for (const int most : {127, 255}) {
      Layer layer(c, seed++);
      layer.desc.x_most = most;
      layer.desc.x_zero_point = std::min(layer.desc.x_zero_point, most);
      for (uint8_t& code : layer.x) code = static_cast<uint8_t>(code % 2 == 0 ? most : code & most);
      for (int8_t& w : layer.weights) w = static_cast<int8_t>(w % 3 == 0 ? 127 : w);
      const std::unique_ptr<const ConvU8S8> made = layer.make(Isa::avx2);
      const bool has_pairs = std::count(layer.weights.begin(), layer.weights.end(), 127) > c.oc;
      if (most == 127 || has_pairs) {
        EXPECT_STREQ(made->kernel_name(), most == 127 ? "avx2 6x16 pairs" : "avx2 3x32") << c;
      }
      ASSERT_EQ(layer.run<uint8_t>(Isa::avx2, 2), layer.run<uint8_t>(Isa::scalar, 1)) << c << ", " << most;
    }
  // The last that fit, and the first that do not.
  for (const auto& [most, w, fits] :
       {std::tuple{255, 64, true}, {255, 65, false}, {128, -128, true}, {129, -128, false}}) {
    Layer layer(square(5, 16, 16, 3, 1, 1));
    layer.desc.x_most = most;
    layer.desc.x_zero_point = 0;
    std::fill(layer.weights.begin(), layer.weights.end(), static_cast<int8_t>(w));
    std::fill(layer.x.begin(), layer.x.end(), static_cast<uint8_t>(most));
    EXPECT_STREQ(layer.make(Isa::avx2)->kernel_name(), fits ? "avx2 6x16 pairs" : "avx2 3x32") << most << " x " << w;
    EXPECT_EQ(layer.run<uint8_t>(Isa::avx2, 1), layer.run<uint8_t>(Isa::scalar, 1)) << most << " x " << w;
  }
}

TEST(ConvU8S8, values_beyond_int32_saturate_to_the_bound_of_their_sign) {
  for (const float m : {1e4f, 1e12f, 1e30f})
    for (const bool with_residual : {false, true}) {
      Layer layer(square(5, 30, 80, 3, 1, 1));
      std::fill(layer.multiplier.begin(), layer.multiplier.end(), m);
      if (with_residual) layer.with_residual(128, 1e9f);
      expect_judged<uint8_t>(layer);
    }
}

TEST(ConvU8S8, lo_and_hi_bound_every_code_for_every_zero_point) {
  for (const int zero_point : {0, 1, 128, 254, 255})
    for (const auto& [lo, hi] : {std::pair{0, 255}, {0, 0}, {255, 255}, {128, 255}, {10, 200}, {3, 127}}) {
      for (const int64_t oc : {70, 16, 24}) {
        Layer layer(square(4, 12, oc, 3, 1, 1));
        layer.desc.y_zero_point = zero_point;
        layer.desc.lo = lo;
        layer.desc.hi = hi;
        expect_judged<uint8_t>(layer);
        layer.with_residual(zero_point, 0.8f);
        expect_judged<uint8_t>(layer);
      }
    }
}

TEST(ConvU8S8, values_about_2_to_the_15_become_the_largest_code_of_7_bits) {
  for (const int64_t kernel : {1, 3})
    for (const double largest : {31999.0, 32767.4, 32767.7, 32768.0, 40000.0, 65540.0}) {
      Layer layer(square(8, 16, 64, kernel, 1, kernel / 2));
      layer.fill_with_largest_products(largest);
      expect_judged<uint8_t>(layer);
    }
}

// What a ResNet's sums are: whole panels and broken ones, residuals behind a Relu, of s8 and of anything. Multipliers:
// usual ones, one that is subnormal, one that saturates.
TEST(ConvU8S8, codes_of_every_panel_width_and_residual_equal_the_judge) {
  uint32_t seed = 5000;
  for (const auto& [y_zero_point, hi] : {std::pair{0, 255}, {0, 127}, {128, 255}})
    for (const int64_t oc : {16, 24, 32, 40, 48, 64, 72, 96, 128})
      for (const int64_t ic : {20, 64}) {
        Layer layer(square(7, ic, oc, ic == 20 ? 3 : 1, 1, ic == 20 ? 1 : 0), seed++);
        layer.desc.y_zero_point = y_zero_point;
        layer.desc.hi = hi;
        expect_judged<uint8_t>(layer);
        for (const int zero_point : {0, 128, 5})
          for (const float m : {0.37f, 1e-40f, 0x1.8p19f}) {
            layer.with_residual(zero_point, m);
            expect_judged<uint8_t>(layer);
          }
      }
}

TEST(ConvU8S8, ties_round_to_the_even_code) {
  // One channel, weight 1: acc = x, m = 0.5, so odd x are ties: 1 -> 0, 3 -> 2, 5 -> 2, 7 -> 4.
  for (const Isa isa : available_isas()) {
    Layer layer(square(4, 1, 1, 1));
    layer.weights = {1};
    layer.bias = {0};
    layer.multiplier = {0.5f};
    layer.desc.x_zero_point = 0;
    layer.desc.y_zero_point = 10;
    for (int i = 0; i < 16; ++i) layer.x[static_cast<size_t>(16 * i)] = static_cast<uint8_t>(i);
    const std::vector<uint8_t> y = layer.run<uint8_t>(isa, 1);
    const int want[16] = {0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 8};
    for (int i = 0; i < 16; ++i) EXPECT_EQ(y[static_cast<size_t>(16 * i)], 10 + want[i]) << name(isa) << " x = " << i;
  }
}

TEST(ConvU8S8, activations_between_accumulator_and_code_equal_the_judge) {
  const ActivationParams activations[] = {{ActivationKind::leaky_relu, 0.1f, 0},
                                          {ActivationKind::sigmoid, 0, 0},
                                          {ActivationKind::hard_sigmoid, 0.2f, 0.5f},
                                          {ActivationKind::hard_swish, 0, 0},
                                          {ActivationKind::silu, 0, 0},
                                          {ActivationKind::tanh_, 0, 0}};
  for (const ActivationParams& activation : activations)
    for (const int64_t oc : {5, 64, 90})
      for (const bool with_residual : {false, true}) {
        Layer layer(square(6, 19, oc, 3, 1, 1, 1, 1, 2));
        if (with_residual) layer.with_residual(60, 0.01f);
        for (float& m : layer.multiplier) m *= 0.05f;  // about -6..6
        layer.desc.activation = activation;
        layer.desc.inverse_y_scale = 30.0f;
        layer.desc.y_zero_point = 40;
        expect_judged<uint8_t>(layer, {1, 3});
      }
}

// Layers of some thousand outputs look their codes up where the ISA can.
TEST(ConvU8S8, activations_of_many_outputs_equal_the_judge) {
  for (const ActivationKind kind : {ActivationKind::silu, ActivationKind::sigmoid, ActivationKind::tanh_})
    for (const ConvCase& c : {square(28, 16, 24, 1, 1, 0), square(28, 8, 40, 3, 1, 1), square(17, 3, 100, 3, 1, 1)})
      for (const bool with_residual : {false, true}) {
        Layer layer(c);
        if (with_residual) layer.with_residual(60, 0.01f);
        for (float& m : layer.multiplier) m *= 0.05f;
        layer.desc.activation = {kind};
        layer.desc.inverse_y_scale = kind == ActivationKind::silu ? 30.0f : 127.0f;
        layer.desc.y_zero_point = 40;
        expect_judged<uint8_t>(layer, {1, 3});
      }
}

TEST(ConvU8S8, activations_of_values_beyond_the_tables_equal_the_judge) {
  Layer layer(square(28, 16, 24, 1, 1, 0));
  layer.multiplier[3] = 1e25f;
  layer.desc.activation = {ActivationKind::silu};
  layer.desc.inverse_y_scale = 30.0f;
  layer.desc.y_zero_point = 9;
  expect_judged<uint8_t>(layer);
}

TEST(ConvU8S8, f32_output_may_carry_an_activation) {
  for (const ActivationParams& activation :
       {ActivationParams{ActivationKind::relu, 0, 0}, ActivationParams{ActivationKind::clip, -0.5f, 1.5f},
        ActivationParams{ActivationKind::silu, 0, 0}}) {
    Layer layer(square(6, 19, 90, 3, 1, 1, 1, 1, 2));
    for (float& m : layer.multiplier) m *= 0.05f;
    layer.desc.activation = activation;
    layer.desc.f32_output = true;
    expect_judged<float>(layer);
  }
}

TEST(ConvU8S8, a_channel_slice_of_a_wider_buffer_is_written_without_touching_its_neighbours) {
  for (const int64_t oc : {5, 16, 70}) {
    Layer layer(square(6, 19, oc, 3, 1, 1, 1, 1, 2));
    layer.desc.geometry.y_pitch = 96;
    expect_judged<uint8_t>(layer);
  }
}

TEST(ConvU8S8, equals_numbers_computed_with_numpy) {
  // conv_golden.inc: random codes (numpy's RandomState(7)); acc by explicit loops over int, taps in the padding
  // skipped; form 2 with residual in float32, its fma as a float64 product and sum, which are exact enough for these
  // sizes.
#include "kernels/conv_golden.inc"
  for (const Isa isa : available_isas()) {
    Layer layer({1, 4, 5, 3, 4, 3, 2, 2, 1, 1, 1, 1, 0, 1, 1, 1});
    const WindowGeometry& g = layer.desc.geometry;
    layer.weights.assign(std::begin(k_weights), std::end(k_weights));
    layer.bias.assign(std::begin(k_bias), std::end(k_bias));
    layer.multiplier.assign(std::begin(k_multiplier), std::end(k_multiplier));
    layer.desc.x_zero_point = 120;
    layer.desc.y_zero_point = 100;
    layer.desc.lo = 60;
    layer.desc.hi = 140;
    layer.with_residual(77, 0.25f);
    for (int64_t i = 0; i < g.ih * g.iw * g.ic; ++i) layer.x[static_cast<size_t>(i / 3 * g.x_pitch + i % 3)] = k_x[i];
    for (int64_t i = 0; i < g.oh * g.ow * g.oc; ++i)
      layer.residual[static_cast<size_t>(i / 4 * g.residual_pitch + i % 4)] = k_residual[i];
    const std::vector<uint8_t> y = layer.run<uint8_t>(isa, 1);
    for (int64_t i = 0; i < g.oh * g.ow * g.oc; ++i)
      EXPECT_EQ(y[static_cast<size_t>(i / 4 * g.y_pitch + i % 4)], k_y[i]) << name(isa) << " element " << i;
  }
}

TEST(ConvU8S8, the_isa_asked_for_is_the_one_that_runs) {
  Layer layer(square(4, 256, 256, 1));  // enough for AMX to be the cheapest
  for (const Isa isa : available_isas())
    EXPECT_EQ(std::string(layer.make(isa)->kernel_name()).substr(0, name(isa).size()), name(isa));
}

TEST(ConvU8S8, chunks_serve_every_worker_where_the_work_allows_it) {
  Layer many_pixels(square(56, 16, 16, 1)), many_channels(square(1, 64, 4096, 1));
  for (const Isa isa : fast_isas())
    for (const int threads : {1, 2, 4, 8}) {
      EXPECT_GE(many_pixels.make(isa)->chunks(1, threads), threads);
      EXPECT_GE(many_channels.make(isa)->chunks(1, threads), threads);
    }
}

TEST(ConvU8S8, quantizes_the_callers_image_on_the_way) {
  int compared = 0;
  for (const ConvCase& c : conv_cases()) {
    const WindowGeometry g = c.geometry();
    if (!reads_compact_copy(g)) continue;
    Layer layer(c);
    const int64_t plane = g.ih * g.iw;
    std::vector<float> image(static_cast<size_t>(c.batch * g.ic * plane));
    for (float& v : image) v = 0.125f * static_cast<float>(layer.between(-90, 90));
    if (image.size() > 3) image[1] = 1e30f, image[2] = std::numeric_limits<float>::quiet_NaN();
    layer.set_image(image);
    for (int64_t n = 0; n < c.batch; ++n)
      layout_kernels(Isa::scalar)
          .nchw_to_nhwc_quantize(image.data() + n * g.ic * plane, plane, g.ic, plane, g.x_pitch, 0.05f, 90, 0, 255,
                                 layer.x.data() + n * plane * g.x_pitch);
    const std::vector<uint8_t> want = layer.run<uint8_t>(Isa::scalar, 1);
    std::fill(layer.x.begin(), layer.x.end(), uint8_t{7});  // not to be read
    layer.desc.image_scale = 0.05f;
    layer.desc.image_zero_point = 90;
    EXPECT_FALSE(layer.make(Isa::scalar)) << "the judge reads codes only";
    for (const Isa isa : fast_isas())
      for (const int threads : {1, 3}) ASSERT_EQ(layer.run<uint8_t>(isa, threads), want) << name(isa) << ", " << c;
    if (has_isa(Isa::avx512_vnni)) {
      ASSERT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, 1, k_emulated_amx), want) << "emulated amx, " << c;
    }
    ++compared;
  }
  EXPECT_GE(compared, 20);
}

TEST(ConvU8S8, looks_the_callers_pixels_up_on_the_way) {
  std::vector<ConvCase> cases = conv_cases();
  for (const int64_t ic : {1, 2, 3, 4}) {  // odd widths around those of vectors, bands in the padding, other strides
    cases.push_back({2, 7, 63, ic, 20, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1});
    cases.push_back({1, 5, 64, ic, 20, 5, 5, 1, 2, 1, 1, 2, 0, 2, 5, 1});
    cases.push_back({1, 9, 131, ic, 20, 3, 4, 3, 1, 2, 1, 0, 3, 4, 0, 1});
  }
  cases.push_back({2, 19, 40, 3, 20, 7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1});  // tails
  int compared = 0;
  for (const ConvCase& c : cases) {
    const WindowGeometry g = c.geometry();
    if (!reads_compact_copy(g)) continue;
    Layer layer(c);
    layer.desc.x_zero_point = 13 * (compared % 20);  // what padding is, whatever the tables hold
    const int64_t plane = g.ih * g.iw;
    std::vector<uint8_t> image(static_cast<size_t>(c.batch * g.ic * plane)), tables(static_cast<size_t>(256 * g.ic));
    const int most = compared % 3 == 0 ? 127 : 255;  // AVX2 adds products of 7 bits in pairs
    for (uint8_t& v : image) v = static_cast<uint8_t>(layer.between(0, 255));
    for (uint8_t& v : tables) v = static_cast<uint8_t>(layer.between(0, most));
    layer.desc.x_most = most;
    layer.set_image(image);
    for (int64_t i = 0; i < c.batch * plane; ++i)
      for (int64_t k = 0; k < g.ic; ++k)
        layer.x[static_cast<size_t>(i * g.x_pitch + k)] = tables[static_cast<size_t>(
            256 * k + image[static_cast<size_t>((i / plane * g.ic + k) * plane + i % plane)])];
    const std::vector<uint8_t> want = layer.run<uint8_t>(Isa::scalar, 1);
    std::fill(layer.x.begin(), layer.x.end(), uint8_t{7});  // not to be read
    layer.desc.image_tables = tables;
    EXPECT_FALSE(layer.make(Isa::scalar)) << "the judge reads codes only";
    for (const Isa isa : fast_isas())
      for (const int threads : {1, 2, 3}) ASSERT_EQ(layer.run<uint8_t>(isa, threads), want) << name(isa) << ", " << c;
    if (has_isa(Isa::avx512_vnni)) {
      ASSERT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, 2, k_emulated_amx), want) << "emulated amx, " << c;
    }
    std::vector<uint8_t> pixels;
    for (int64_t i = 0; i < c.batch * plane; ++i)
      for (int64_t k = 0; k < g.ic; ++k)
        pixels.push_back(image[static_cast<size_t>((i / plane * g.ic + k) * plane + i % plane)]);
    layer.set_image(pixels);
    layer.desc.image_is_interleaved = true;
    for (const Isa isa : fast_isas())
      for (const int threads : {1, 3})
        ASSERT_EQ(layer.run<uint8_t>(isa, threads), want) << name(isa) << ", interleaved, " << c;
    if (has_isa(Isa::avx512_vnni)) {
      ASSERT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, 1, k_emulated_amx), want) << "emulated amx, interleaved, " << c;
    }
    ++compared;
  }
  EXPECT_GE(compared, 30);
}

TEST(ConvU8S8, leaves_taps_out_where_images_are_small) {
  for (const int64_t size : {2, 3, 4, 5, 7, 8})
    for (const int64_t ic : {16, 20, 64, 144})
      for (const int64_t batch : {1, 3}) {
        Layer layer(square(size, ic, 72, 3, size == 5 ? 2 : 1, 1, 1, 1, batch));
        layer.with_residual(13, 0.4f);
        expect_judged<uint8_t>(layer, {1, 2, 5});
      }
}

TEST(ConvU8S8, rows_of_4_and_8_pixels_leave_out_the_taps_at_their_sides) {
  int by_rows = 0;
  for (const int64_t size : {4, 8})
    for (const int64_t ic : {16, 80})
      for (const int64_t oc : {16, 24, 48, 200})
        for (const int64_t batch : {1, 3}) {
          Layer layer(square(size, ic, oc, 3, 1, 1, 1, 1, batch));
          const WindowGeometry& g = layer.desc.geometry;
          const ConvTile tile = {.rows = 8, .lanes = 16, .vectors = 3, .dot_cycles = 0.5, .name = ""};
          by_rows += PixelClasses::cheapest(g, false, tile, true).row_width() == size;
          EXPECT_EQ(PixelClasses::cheapest(g, false, tile).row_width(), 0);
          for (const int zero_point : {0, 128}) {  // as behind a Relu, and symmetric
            layer.desc.x_zero_point = zero_point;
            layer.desc.y_zero_point = zero_point;
            layer.desc.has_residual = false;
            expect_judged<uint8_t>(layer, {1, 3});
            layer.with_residual(zero_point, 0.4f);
            expect_judged<uint8_t>(layer, {2});
          }
        }
  EXPECT_GT(by_rows, 10);
  for (const ConvCase& c : {ConvCase{2, 5, 4, 32, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},  // other heights
                            ConvCase{2, 6, 8, 32, 48, 3, 3, 1, 1, 1, 1, 3, 1, 1, 1, 1},  // an output row of padding
                            ConvCase{1, 9, 4, 32, 40, 3, 3, 1, 1, 1, 1, 0, 1, 0, 1, 1},  // padding at the sides only
                            ConvCase{2, 9, 8, 32, 40, 2, 3, 2, 1, 1, 1, 1, 1, 0, 1, 1},  // other heights of window
                            ConvCase{2, 9, 8, 32, 40, 3, 3, 1, 1, 2, 1, 2, 1, 2, 1, 1},  // dilated down
                            ConvCase{2, 8, 8, 32, 40, 3, 3, 1, 1, 1, 1, 1, 2, 1, 0, 1},  // more padding at the left
                            ConvCase{1, 1, 4, 16, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}}) {
    Layer layer(c);
    expect_judged<uint8_t>(layer, {1, 2, 3});
  }
}

TEST(ConvU8S8, images_of_4x4_keep_their_sums_in_registers_where_they_become_codes) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  const std::string name = "avx512_vnni 16x16 images";
  for (const int64_t ic : {1, 5, 30, 64})
    for (const int64_t oc : {1, 17, 40})
      for (const int64_t batch : {1, 3})
        for (const int zero_point : {0, 77, 255}) {
          Layer layer(square(4, ic, oc, 3, 1, 1, 1, 1, batch));
          layer.desc.x_zero_point = zero_point;
          ASSERT_EQ(layer.make(Isa::avx512_vnni, name)->kernel_name(), name);
          const std::vector<uint8_t> want = layer.run<uint8_t>(Isa::scalar, 1);
          for (const int threads : {1, 2, 5}) EXPECT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, threads, name), want);
        }
  const auto offers = [&](const ConvCase& c) {
    const std::vector<ConvVariant> variants = conv_u8s8_variants(Layer(c).desc, 1, Isa::avx512_vnni, 1);
    return std::any_of(variants.begin(), variants.end(), [&](const ConvVariant& v) { return v.name == name; });
  };
  EXPECT_TRUE(offers(square(4, 16, 16, 3, 1, 1)));
  EXPECT_FALSE(offers(square(5, 16, 16, 3, 1, 1)));
  EXPECT_FALSE(offers(square(4, 16, 16, 3, 1, 1, 1, 2)));
  EXPECT_FALSE(offers(square(4, 16, 16, 5, 1, 2)));
  EXPECT_FALSE(offers({1, 4, 4, 16, 16, 3, 3, 1, 1, 1, 1, 1, 0, 1, 2, 1})) << "padding at one side";
}

TEST(ConvU8S8, neighbours_in_a_row_equal_the_judge_wherever_they_are_offered) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  const auto name_of = [](int64_t rows) { return "avx512_vnni " + std::to_string(rows) + "x16 neighbours"; };
  const auto offers = [&](const ConvU8S8Desc& desc, int64_t rows) {
    for (const ConvVariant& v : conv_u8s8_variants(desc, 1, Isa::avx512_vnni, 1))
      if (v.name == name_of(rows)) return v.refused.empty();
    return false;
  };
  uint32_t seed = 500;
  const auto expect_equal = [&](const ConvCase& c, int64_t rows) {
    Layer layer(c, seed++);
    for (const int zero_point : {0, 77, 128, 255}) {
      SCOPED_TRACE(name_of(rows) + ", zero point " + std::to_string(zero_point));
      layer.desc.x_zero_point = zero_point;
      layer.desc.y_zero_point = zero_point == 77 ? 9 : zero_point == 128 ? 128 : 0;
      layer.desc.has_residual = false;
      layer.desc.expected = {};
      if (zero_point > 100) layer.with_residual(zero_point, 0.4f);
      ASSERT_TRUE(offers(layer.desc, rows)) << c;
      const std::vector<uint8_t> want = layer.run<uint8_t>(Isa::scalar, 1);
      for (const int threads : {1, 2, 3, 7}) {
        ASSERT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, threads, name_of(rows)), want) << c << ", " << threads;
        layer.desc.expected = {c.batch, threads};
        ASSERT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, threads, name_of(rows)), want) << c << ", expected " << threads;
        layer.desc.expected = {};
      }
    }
  };
  for (const int64_t rows : {7, 8, 14, 16})
    for (const int64_t width : {rows, 2 * rows, 5 * rows})
      for (const int64_t batch : {1, 3}) {
        ASSERT_NO_FATAL_FAILURE(expect_equal({batch, 5, width, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, rows));
        ASSERT_NO_FATAL_FAILURE(expect_equal({batch, 1, width, 13, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, rows));
      }
  for (const ConvCase& c : {ConvCase{2, 14, 14, 48, 48, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3},  // groups
                            ConvCase{2, 6, 14, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4},   // merged groups
                            ConvCase{1, 56, 56, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2},  // several blocks
                            ConvCase{2, 9, 28, 80, 11, 2, 3, 1, 1, 1, 1, 2, 1, 0, 1, 1},   // a row of padding
                            ConvCase{1, 40, 14, 16, 16, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1},  // every other row
                            ConvCase{1, 9, 14, 16, 16, 3, 3, 1, 1, 2, 1, 2, 1, 2, 1, 1},   // dilated down
                            ConvCase{1, 9, 14, 16, 16, 1, 3, 1, 1, 1, 1, 0, 1, 0, 1, 1},   // windows of one row
                            ConvCase{1, 9, 14, 16, 16, 3, 3, 1, 1, 1, 1, 0, 1, 0, 1, 1}})  // padding at the sides only
    ASSERT_NO_FATAL_FAILURE(expect_equal(c, c.iw % 14 == 0 ? 14 : 16));
  for (const ConvCase& c : {ConvCase{1, 8, 14, 16, 16, 3, 3, 1, 1, 1, 1, 1, 2, 1, 0, 1},  // more padding at the left
                            ConvCase{1, 8, 28, 16, 16, 3, 3, 1, 2, 1, 1, 1, 1, 1, 1, 1},  // every other column
                            ConvCase{1, 8, 14, 16, 16, 3, 3, 1, 1, 1, 2, 1, 2, 1, 2, 1},  // dilated
                            ConvCase{1, 8, 14, 16, 16, 3, 5, 1, 1, 1, 1, 1, 2, 1, 2, 1},  // wider windows
                            ConvCase{1, 8, 14, 16, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},  // two vectors of channels
                            ConvCase{1, 8, 15, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},  // another width
                            ConvCase{1, 8, 14, 3, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},   // a stem
                            ConvCase{1, 8, 14, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2}})   // groups, merged into one
    EXPECT_FALSE(offers(Layer(c).desc, 14)) << c;
  Layer layer({1, 8, 14, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_TRUE(offers(layer.desc, 14));
  layer.desc.f32_output = true;
  EXPECT_FALSE(offers(layer.desc, 14));
  layer.desc.f32_output = false, layer.desc.activation.kind = ActivationKind::silu;
  EXPECT_FALSE(offers(layer.desc, 14));
}

TEST(ConvU8S8, costs_are_those_of_the_cpu) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  const auto cheapest = [](const ConvCase& c, const ConvCpu& cpu) {
    ConvVariant best;
    for (const ConvVariant& v : conv_u8s8_variants(Layer(c).desc, c.batch, Isa::avx512_vnni, 1, cpu))
      if (v.refused.empty() && (best.name.empty() || v.cost_us < best.cost_us)) best = v;
    return best.name;
  };
  const ConvCpu whole = {false, size_t{1} << 20}, half = {true, size_t{1} << 20};
  // Panels of one vector: two loads beside two products a cycle ask for the highest tile, beside one they cost nothing.
  for (const ConvCase& c : {square(32, 16, 16, 3, 2, 1), square(13, 160, 160, 3, 1, 1, 1, 10)}) {
    EXPECT_EQ(cheapest(c, whole), "avx512_vnni 12x32");
    EXPECT_EQ(cheapest(c, half), "avx512_vnni 8x48");
  }
  for (const ConvCpu& cpu : {whole, half}) {
    EXPECT_EQ(cheapest(square(14, 64, 256, 1, 1, 0), cpu), "avx512_vnni 6x64");
    // Neighbours in a row load each column once: the more of them the better.
    EXPECT_EQ(cheapest(square(32, 16, 16, 3, 1, 1), cpu), "avx512_vnni 16x16 neighbours");
    EXPECT_EQ(cheapest(square(14, 160, 160, 3, 1, 1, 1, 10), cpu), "avx512_vnni 14x16 neighbours");
  }
  EXPECT_EQ(cheapest(square(7, 400, 400, 3, 1, 1, 1, 25), half), "avx512_vnni 7x16 neighbours");
}

TEST(ConvU8S8, images_of_4x4_are_refused_with_the_reason_where_another_kernel_has_to_run) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  const std::string name = "avx512_vnni 16x16 images";
  // 512 channels: by the cost alone the images would be chosen.
  const auto reason = [&](const ConvU8S8Desc& desc) {
    for (const ConvVariant& v : conv_u8s8_variants(desc, 1, Isa::avx512_vnni, 1))
      if (v.name == name) return v.refused;
    return std::string("not offered");
  };
  Layer layer(square(4, 512, 512, 3, 1, 1));
  layer.desc.inverse_y_scale = 20.0f;
  EXPECT_EQ(reason(layer.desc), "");
  for (const ActivationKind bound : {ActivationKind::relu, ActivationKind::clip}) {
    layer.desc.activation.kind = bound;  // in lo and hi
    EXPECT_EQ(reason(layer.desc), "");
  }
  layer.desc.activation.kind = ActivationKind::silu;
  EXPECT_EQ(reason(layer.desc), "knows no activation but Relu and Clip");
  EXPECT_EQ(layer.make(Isa::avx512_vnni, name), nullptr);
  EXPECT_NE(layer.make(Isa::avx512_vnni)->kernel_name(), name);
  layer.desc.f32_output = true;
  EXPECT_EQ(reason(layer.desc), "writes codes, not floats");
  EXPECT_EQ(layer.make(Isa::avx512_vnni, name), nullptr);
  layer.desc.f32_output = false, layer.desc.activation.kind = ActivationKind::none, layer.desc.image_scale = 0.1f;
  EXPECT_EQ(reason(layer.desc), "the layer reads the caller's image");
}

TEST(ConvU8S8, pointwise_layers_of_many_pixels_run_in_blocks_that_begin_in_any_column) {
  for (const int64_t size : {7, 16, 33})
    for (const auto& [ic, oc] : {std::pair(16, 32), std::pair(96, 24), std::pair(24, 144)}) {
      Layer layer(square(size, ic, oc, 1, 1, 0, 1, 1, 8192 / (size * size)));
      expect_judged<uint8_t>(layer, {1, 3});
    }
}

TEST(ConvU8S8, amx_layers_read_taps_from_a_copy_with_padding) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  std::vector<ConvCase> cases = {square(14, 64, 64, 3, 1, 1, 1, 1, 2), square(20, 64, 40, 3, 1, 2, 2),
                                 square(13, 128, 32, 5, 1, 2),         square(12, 128, 64, 3, 1, 1, 1, 2, 2),
                                 square(15, 64, 16, 3, 1, 0, 1, 1, 2), square(60, 192, 32, 3, 1, 1)};
  cases.push_back({2, 14, 9, 64, 24, 3, 2, 1, 1, 1, 1, 2, 0, 0, 1});   // padding at the right only
  cases.push_back({1, 9, 30, 64, 24, 2, 3, 1, 1, 1, 1, 0, 2, 1, 0});   // at the left only
  cases.push_back({1, 12, 12, 64, 24, 3, 3, 1, 1, 1, 1, 1, 1, 2, 3});  // more at the right
  for (const ConvCase& c : cases) {
    Layer layer(c);
    layer.with_residual(13, 0.4f);
    ASSERT_STREQ(layer.make(Isa::avx512_vnni, k_emulated_amx)->kernel_name(), "amx 32x32 copy") << c;
    const std::vector<uint8_t> want = layer.run<uint8_t>(Isa::scalar, 1);
    for (const int threads : {1, 2, 5})
      ASSERT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, threads, k_emulated_amx), want) << threads << " threads, " << c;
    if (has_isa(Isa::amx)) {
      ASSERT_EQ(layer.run<uint8_t>(Isa::amx, 1, "amx 32x32"), want) << c;
    }
    layer.desc.activation.kind = ActivationKind::silu;
    layer.desc.inverse_y_scale = 20.0f;
    ASSERT_EQ(layer.run<uint8_t>(Isa::avx512_vnni, 1, k_emulated_amx), layer.run<uint8_t>(Isa::scalar, 1)) << c;
    layer.desc.f32_output = true;
    ASSERT_EQ(layer.run<float>(Isa::avx512_vnni, 2, k_emulated_amx), layer.run<float>(Isa::scalar, 1)) << c;
  }
}

TEST(ConvU8S8, amx_layers_of_kernel_rows_and_of_strides_read_a_copy_too) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  std::vector<ConvCase> cases = {square(37, 3, 64, 7, 2, 3, 1, 1, 2), square(32, 3, 16, 3, 1, 1),
                                 square(18, 4, 40, 5, 3, 2),          square(32, 16, 16, 3, 1, 1, 1, 1, 2),
                                 square(21, 32, 33, 3, 2, 1),         square(28, 64, 72, 3, 2, 1),
                                 square(16, 48, 32, 3, 1, 1)};
  cases.push_back({2, 19, 26, 16, 24, 3, 5, 2, 1, 1, 1, 1, 3, 2, 0});  // a kernel row of 80 bytes: two steps
  for (const ConvCase& c : cases) {
    Layer layer(c);
    ASSERT_STREQ(layer.make(Isa::avx512_vnni, k_emulated_amx)->kernel_name(), "amx 32x32 copy") << c;
    expect_judged<uint8_t>(layer, {1, 2, 3});
  }
}

TEST(ConvU8S8, amx_layers_of_small_images_copy_several_at_a_time) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  std::vector<ConvCase> cases = {square(4, 64, 64, 3, 1, 1, 1, 1, 19),  square(7, 64, 40, 3, 1, 1, 1, 1, 18),
                                 square(2, 128, 32, 3, 1, 1, 1, 1, 33), square(8, 64, 32, 3, 2, 1, 1, 1, 7),
                                 square(5, 128, 32, 3, 1, 1, 1, 2, 5),  square(14, 256, 32, 3, 1, 1, 1, 1, 8)};
  cases.push_back({5, 3, 9, 64, 24, 3, 3, 1, 1, 1, 1, 1, 0, 1, 2, 1});  // more padding at the right
  int copied = 0;
  for (const ConvCase& c : cases) {
    Layer layer(c);
    layer.with_residual(13, 0.4f);
    copied += std::string_view(layer.make(Isa::avx512_vnni, k_emulated_amx)->kernel_name()) == "amx 32x32 copy";
    expect_judged<uint8_t>(layer, {1, 2, 5});
  }
  EXPECT_GE(copied, 5);
}

TEST(ConvU8S8, codes_that_packs_clamp_saturate_at_both_ends) {
  for (const ConvCase& c : {square(14, 64, 96, 1, 1, 0), square(23, 128, 72, 1, 1, 0), square(9, 64, 24, 3, 1, 1),
                            square(6, 20, 50, 3, 2, 1), square(11, 3, 16, 3, 1, 1), square(14, 58, 58, 1),
                            square(13, 40, 44, 1), square(8, 48, 48, 3, 1, 1), square(4, 32, 40, 3, 1, 1)})
    for (const PackedRange& range : k_packed_ranges) {
      Layer layer(c);
      layer.clamp_to(range);
      expect_judged<uint8_t>(layer);  // no value leaves 15 bits
      for (float& m : layer.multiplier) m *= 8;
      for (const bool with_residual : {false, true}) {
        if (with_residual) layer.with_residual(13, 0.4f);
        expect_judged<uint8_t>(layer, {1, 2});
        const std::vector<uint8_t> y = layer.run<uint8_t>(Isa::scalar, 1);
        EXPECT_GT(std::count(y.begin(), y.end(), range.lo), 20) << c;
        EXPECT_GT(std::count(y.begin(), y.end(), range.hi), 20) << c;
      }
      layer.desc.hi -= 9;  // no longer what packs clamp
      expect_judged<uint8_t>(layer);
      layer.desc.hi = range.hi;
      layer.multiplier.front() = 1e6f;  // values beyond 2^31
      expect_judged<uint8_t>(layer);
    }
}

#if defined(__x86_64__)
/// XINUSE of the thread: bit 18 is set while tile registers hold data (xgetbv with ecx = 1).
uint32_t state_in_use() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
  return low;
}

TEST(ConvU8S8, an_amx_layer_leaves_data_in_the_tile_registers) {
  if (!has_isa(Isa::amx)) GTEST_SKIP() << "not applicable: no AMX";
  constexpr uint32_t k_tile_data = 1u << 18;
  Layer layer(square(8, 64, 64, 3, 1, 1));
  __asm__ volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0xc0");  // tilerelease
  ASSERT_EQ(state_in_use() & k_tile_data, 0u);
  layer.run<uint8_t>(Isa::avx512_vnni, 1);
  EXPECT_EQ(state_in_use() & k_tile_data, 0u) << "avx512_vnni has no use for tiles";
  layer.run<uint8_t>(Isa::amx, 1);
  EXPECT_NE(state_in_use() & k_tile_data, 0u) << "no tile instruction ran";
}
#endif

}  // namespace
}  // namespace octet
