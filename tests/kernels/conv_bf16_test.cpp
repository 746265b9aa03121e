#include "kernels/conv_bf16/conv_bf16.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "base/aligned.h"
#include "base/bf16.h"
#include "kernels/conv_bf16/scalar.h"
#include "kernels/conv_bf16/tile_layer.h"
#include "kernels/conv_cases.h"
#include "kernels/guarded.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "tensor/half.h"

namespace octet {
namespace {

constexpr float k_nan = std::numeric_limits<float>::quiet_NaN();

/// Elements of an activation: f32, or bfloat16 in the low halves of nothing else.
struct Elements {
  bool is_bf16 = false;
  std::vector<float> f32;
  std::vector<uint16_t> bf16;

  Elements(bool brain, const std::vector<float>& values) : is_bf16(brain) {
    if (!brain) f32 = values;
    for (size_t i = 0; brain && i < values.size(); ++i) bf16.push_back(float_to_bfloat16(values[i]));
  }
  std::vector<float> values() const {
    if (!is_bf16) return f32;
    std::vector<float> wide;
    for (const uint16_t v : bf16) wide.push_back(bfloat16_to_float(v));
    return wide;
  }
};

struct Layer {
  explicit Layer(const ConvCase& conv_case, uint32_t seed = 1) : shape(conv_case), random(seed) {
    const WindowGeometry g = shape.geometry();
    desc.geometry = g;
    // The channels between C and the pitch are NaN: they must count for nothing.
    x.assign(static_cast<size_t>(shape.batch * g.ih * g.iw * g.x_pitch), k_nan);
    residual.assign(static_cast<size_t>(shape.batch * g.oh * g.ow * g.residual_pitch), k_nan);
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

  template <class F>
  std::vector<float> run_layer(int threads, F&& make) {
    const WindowGeometry& g = desc.geometry;
    std::vector<uint16_t> w;
    for (const float v : weights) w.push_back(float_to_bfloat16(v));
    desc.weights = w;
    desc.bias = bias;
    const std::unique_ptr<const ConvBf16> layer = make(desc);
    ran = layer->kernel_name();
    const auto pixels = static_cast<size_t>(shape.batch * g.oh * g.ow * g.y_pitch);
    const auto with_tail = [&](std::vector<float> values, bool is_bf16) {
      if (!desc.planar_x) values.resize(values.size() + k_tail_bytes / (is_bf16 ? 2 : 4), k_nan);
      return values;
    };
    const Elements xs(desc.x_is_bf16, with_tail(x, desc.x_is_bf16));
    const Elements rs(desc.residual_is_bf16, with_tail(residual, desc.residual_is_bf16));
    Elements ys(desc.y_is_bf16, std::vector<float>(pixels + k_tail_bytes / (desc.y_is_bf16 ? 2 : 4), 90.0f));
    Guarded<float> xf(xs.f32), rf(rs.f32), yf(ys.f32);
    Guarded<uint16_t> xb(xs.bf16), rb(rs.bf16), yb(ys.bf16);
    const auto either = [](bool is_bf16, Guarded<float>& f, Guarded<uint16_t>& b) {
      return is_bf16 ? static_cast<void*>(b.data()) : static_cast<void*>(f.data());
    };
    const AlignedBytes scratch = allocate_aligned(layer->scratch_bytes());
    std::fill_n(reinterpret_cast<uint8_t*>(scratch.get()), layer->scratch_bytes(), uint8_t{0xff});  // NaN, all of it
    const ConvBf16Args args = {shape.batch, either(desc.x_is_bf16, xf, xb), either(desc.residual_is_bf16, rf, rb),
                               either(desc.y_is_bf16, yf, yb)};
    const int64_t chunks = layer->chunks(shape.batch, threads);
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) layer->run_chunk(args, chunk, threads, scratch.get());
    ys.f32 = yf.values(), ys.bf16 = yb.values();
    return ys.values();
  }

  ConvCase shape;
  std::mt19937 random;
  ConvBf16Desc desc;
  std::vector<float> x, residual, weights, bias;
  std::string ran;
};

/// What the roundings of a sum can be a fraction of: the same layer of absolute values, without activation.
std::vector<float> sizes(Layer layer) {
  for (auto* values : {&layer.x, &layer.residual, &layer.weights, &layer.bias})
    for (float& v : *values) v = std::abs(v);
  layer.desc.activation = {};
  layer.desc.y_is_bf16 = false;
  return layer.run_layer(1, make_conv_bf16_scalar);
}

/// Sums in another order, and pairs of products that round once or twice: a chain of k roundings stays far below
/// k * 2^-24 of the size; where y is bfloat16 a neighbour of 2^-8 besides. No activation is steeper than 1.5.
struct Judged {
  std::vector<float> want, size;
  explicit Judged(Layer& layer) : want(layer.run_layer(1, make_conv_bf16_scalar)), size(sizes(layer)) {}
};
template <class F>
void expect_near(const Judged& judged, Layer& layer, int threads, const std::string& what, F&& make) {
  const auto& [want, size] = judged;
  const std::vector<float> got = layer.run_layer(threads, make);
  const int64_t pitch = layer.desc.geometry.y_pitch;
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const int64_t pixel = static_cast<int64_t>(i) / pitch, channel = static_cast<int64_t>(i) % pitch;
    const bool is_real =
        pixel < layer.shape.batch * layer.desc.geometry.oh * layer.desc.geometry.ow && channel < layer.desc.geometry.oc;
    const float band = is_real ? 1.5e-5f * size[i] + (layer.desc.y_is_bf16 ? 0.0079f * std::abs(want[i]) : 0.0f) : 0.0f;
    ASSERT_TRUE(std::abs(got[i] - want[i]) <= band || (std::isnan(got[i]) && std::isnan(want[i])))
        << what << ", " << threads << " threads, " << layer.shape << ": pixel " << pixel << " channel " << channel
        << " is " << got[i] << ", want " << want[i] << " +- " << band;
  }
}

std::unique_ptr<const ConvBf16> plain_tiles(const ConvBf16Desc& desc);
std::unique_ptr<const ConvBf16> emulated_tiles(const ConvBf16Desc& desc);

/// Every way of this machine, and the walk and packing of AMX on plain loops.
void expect_judged(Layer& layer, const std::vector<int>& threads = {1}) {
  const Judged judged(layer);
  for (const int workers : threads) {
    for (const Isa isa : available_isas()) {
      if (!has_bf16_products(isa)) continue;
      for (const ConvVariant& variant : conv_bf16_variants(layer.desc.geometry, layer.shape.batch, isa, workers)) {
        if (!variant.refused.empty()) continue;
        ASSERT_NO_FATAL_FAILURE(expect_near(judged, layer, workers, variant.name, [&](const ConvBf16Desc& desc) {
          return ConvBf16::make(desc, isa, variant.name);
        }));
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_near(judged, layer, workers, "plain tiles", plain_tiles));
    if (!has_bf16_products(Isa::avx512_vnni)) continue;
    ASSERT_NO_FATAL_FAILURE(expect_near(judged, layer, workers, "emulated tiles", emulated_tiles));
  }
}

// Plain loops in place of the instructions of AMX, and of AVX512 or not.

/// What a call leaves in tiles: rows 16 to 31.
thread_local std::array<float, k_amx_tile_rows * k_amx_block_channels> plain_upper{};

void plain_flush(const TileUpper<float>& upper) {
  for (int r = 0; upper.sums && r < k_amx_tile_rows; ++r)
    for (int c = 0; c < 16 * upper.vectors; ++c) {
      const int i = r * k_amx_block_channels + c;
      upper.sums[i] = plain_upper[static_cast<size_t>(i)];
    }
}

void plain_sums(const TileBlock<ConvBf16TileRun, float>& block) {
  const auto* weights = static_cast<const uint16_t*>(block.weights);
  std::array<float, k_amx_block_rows * k_amx_block_channels> sums{};
  for (int r = 0; r < 16 * block.row_tiles; ++r)
    for (int v = 0; v < block.vectors; ++v)
      for (int lane = 0; lane < 16; ++lane) {
        float sum = block.bias[16 * v + lane];
        for (int64_t s = 0; s < block.segments; ++s) {
          const auto* x =
              reinterpret_cast<const uint16_t*>(block.a[r / 16] + r % 16 * block.a_stride + block.segment_list[s].x);
          const int64_t step = block.step_bytes / 2;
          for (int64_t k = 0; k < step * block.steps; ++k) {
            const int64_t tile = (s * block.steps + k / step) * block.vectors + v;
            sum += bfloat16_to_float(x[k]) *
                   bfloat16_to_float(weights[tile * 16 * step + k % step / 2 * 32 + lane * 2 + k % 2]);
          }
        }
        sums[static_cast<size_t>(r * k_amx_block_channels + 16 * v + lane)] = sum;
      }
  plain_flush(block.upper);
  if (const auto& pending = block.pending; pending.run) {
    for (int first = 0; first < pending.run->row_count; first += 4)
      pending.finish(*pending.run, pending.sums, pending.sum_rows, first, std::min(first + 4, pending.run->row_count));
  }
  std::copy(sums.begin(), sums.begin() + plain_upper.size(), block.sums);
  std::copy(sums.begin() + plain_upper.size(), sums.end(), plain_upper.begin());
}

void plain_gather(const ConvBf16Gather& row) {
  for (int64_t i = 0; i < row.repeats; ++i) {
    uint16_t* to = row.to + i * row.to_step;
    for (int64_t s = 0; s < row.segments; ++s)
      for (int64_t k = 0; k < row.elements; ++k) {
        const void* const from = row.rows[s * row.row_step];
        const int64_t at = i * row.from_step + row.first_position + k * row.element_step;
        *to++ = row.from_f32 ? float_to_bfloat16(static_cast<const float*>(from)[at])
                             : static_cast<const uint16_t*>(from)[at];
      }
    std::fill_n(to, 32, uint16_t{0});
  }
}

void plain_finish(const ConvBf16TileRun& f, const float* sums, const int32_t* sum_rows, int first, int last) {
  for (int r = first; r < last; ++r)
    for (int32_t c = 0; c < f.channels; ++c) {
      float v = sums[sum_rows[r] * k_amx_block_channels + c];
      if (f.residual) {
        const int64_t at = f.residual_pixels[r] * f.residual_step + c;
        v += f.residual_is_bf16 ? bfloat16_to_float(static_cast<const uint16_t*>(f.residual)[at])
                                : static_cast<const float*>(f.residual)[at];
      }
      v = v < f.lo ? f.lo : v > f.hi ? f.hi : v;
      const int64_t to = f.y_pixels[r] * f.y_step + c;
      if (f.y_is_bf16)
        static_cast<uint16_t*>(f.y)[to] = float_to_bfloat16(v);
      else
        static_cast<float*>(f.y)[to] = v;
    }
}

/// is_finished_plainly: else by AVX512, where this machine has it.
std::unique_ptr<const ConvBf16> tiles(const ConvBf16Desc& desc, bool is_finished_plainly) {
  ConvBf16TileKernel kernel = {[](int64_t) {}, plain_sums, plain_flush, plain_gather, plain_finish};
  if (!is_finished_plainly) kernel.gather = conv_bf16_amx_kernel.gather, kernel.finish = conv_bf16_amx_kernel.finish;
  return make_conv_bf16_tiles(desc, kernel, CutBy::automatic, Isa::scalar);
}
std::unique_ptr<const ConvBf16> plain_tiles(const ConvBf16Desc& desc) { return tiles(desc, true); }
std::unique_ptr<const ConvBf16> emulated_tiles(const ConvBf16Desc& desc) { return tiles(desc, false); }

TEST(ConvBf16, every_isa_is_near_the_judge_on_every_geometry_dtype_and_thread_count) {
  uint32_t seed = 1;
  for (const ConvCase& c : conv_cases()) {
    Layer layer(c, seed);
    layer.desc.has_residual = seed % 3 == 0;
    layer.desc.x_is_bf16 = seed % 2 == 0;
    layer.desc.residual_is_bf16 = seed % 4 < 2;
    layer.desc.y_is_bf16 = seed % 8 < 4;
    ASSERT_NO_FATAL_FAILURE(expect_judged(layer, {seed % 2 == 0 ? 1 : 3}));
    ++seed;
  }
}

TEST(ConvBf16, large_layers_of_several_blocks_and_panels_are_near_the_judge) {
  for (const ConvCase& c : {square(12, 192, 130, 3, 1, 1), square(28, 128, 70, 1), square(7, 640, 96, 1),
                            square(14, 96, 80, 3, 2, 1, 1, 1, 2), square(1, 1000, 170, 1, 1, 0, 1, 1, 37)})
    for (const bool is_bf16 : {false, true}) {
      Layer layer(c);
      layer.desc.x_is_bf16 = layer.desc.y_is_bf16 = layer.desc.residual_is_bf16 = is_bf16;
      layer.desc.has_residual = true;
      ASSERT_NO_FATAL_FAILURE(expect_judged(layer, {is_bf16 ? 1 : 2}));
    }
}

TEST(ConvBf16, inputs_are_rounded_to_nearest_even_before_they_are_multiplied) {
  // 1 + 2^-8 lies half way between 1 and 1 + 2^-7: even is 1. 1 + 3 * 2^-8 goes up. Weights of 1 show it unrounded.
  for (const auto& [value, want] : {std::pair(1.0f + 0x1p-8f, 1.0f), {1.0f + 3 * 0x1p-8f, 1.0f + 0x1p-6f}}) {
    Layer layer(square(3, 16, 16, 1));
    std::fill(layer.x.begin(), layer.x.end(), value);
    std::fill(layer.bias.begin(), layer.bias.end(), 0.0f);
    for (size_t i = 0; i < layer.weights.size(); ++i) layer.weights[i] = i % 16 == 0 ? 1.0f : 0.0f;
    for (const Isa isa : available_isas()) {
      const std::vector<float> y =
          layer.run_layer(1, [&](const ConvBf16Desc& desc) { return ConvBf16::make(desc, isa); });
      EXPECT_EQ(y[0], want) << name(isa);
    }
  }
}

TEST(ConvBf16, every_activation_is_near_the_judge) {
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
        layer.desc.y_is_bf16 = oc == 64;
        ASSERT_NO_FATAL_FAILURE(expect_judged(layer, {1, 3}));
      }
}

TEST(ConvBf16, nan_and_infinity_stay_in_their_pixel) {
  for (const Isa isa : available_isas())
    for (const bool is_bf16 : {false, true}) {
      Layer layer(square(3, 16, 20, 1));
      layer.desc.x_is_bf16 = layer.desc.y_is_bf16 = is_bf16;
      layer.desc.activation = {ActivationKind::relu, 0, 0};
      layer.x[0] = k_nan;
      layer.x[16] = std::numeric_limits<float>::infinity();
      const std::vector<float> y =
          layer.run_layer(1, [&](const ConvBf16Desc& desc) { return ConvBf16::make(desc, isa); });
      for (size_t c = 0; c < 20; ++c) {
        EXPECT_TRUE(std::isnan(y[c])) << name(isa) << " channel " << c;
        EXPECT_EQ(y[32 + c], layer.weights[16 * c] > 0 ? std::numeric_limits<float>::infinity() : 0.0f) << name(isa);
        EXPECT_FALSE(std::isnan(y[64 + c])) << name(isa) << " channel " << c;
      }
    }
}

// Steps of 32 channels reach into what lies behind a tap's 17 or 33, with weights of zero: NaN would not become zero.
TEST(ConvBf16, a_nan_reaches_the_windows_that_meet_it_and_no_others) {
  constexpr int64_t k_size = 6;
  for (const int64_t ic : {17, 33})
    for (const bool is_bf16 : {false, true})
      for (const int64_t pixel : {int64_t{0}, k_size - 1, 2 * k_size + 3, k_size * k_size - 1})
        for (const int64_t channel : {int64_t{0}, ic - 1}) {
          Layer layer(square(k_size, ic, 20, 3, 1, 1));
          layer.desc.x_is_bf16 = layer.desc.y_is_bf16 = is_bf16;
          layer.x[static_cast<size_t>(pixel * layer.desc.geometry.x_pitch + channel)] = k_nan;
          const std::vector<float> judge = layer.run_layer(1, make_conv_bf16_scalar);
          for (int64_t to = 0; to < k_size * k_size; ++to) {
            const bool meets =
                std::abs(to / k_size - pixel / k_size) <= 1 && std::abs(to % k_size - pixel % k_size) <= 1;
            for (int64_t c = 0; c < 20; ++c)
              ASSERT_EQ(std::isnan(judge[static_cast<size_t>(to * layer.desc.geometry.y_pitch + c)]), meets)
                  << "NaN at " << pixel << ", output at " << to << ", channel " << c;
          }
          ASSERT_NO_FATAL_FAILURE(expect_judged(layer)) << "NaN at pixel " << pixel << ", channel " << channel;
        }
}

// Steps of fewer than 32 positions end where a kernel row, a tap or a pixel does.
TEST(ConvBf16, few_channels_are_near_the_judge_and_keep_a_nan_in_its_windows) {
  for (const int64_t ic : {1, 2, 3, 4, 6, 8, 16, 20, 24, 40, 48, 112})
    for (const auto& [kernel, stride] : {std::pair(1, 1), {1, 2}, {2, 1}, {3, 1}, {3, 2}, {5, 1}, {7, 2}})
      for (const bool is_bf16 : {false, true}) {
        Layer layer(square(ic > 8 ? 11 : 35, ic, ic == 3 ? 50 : 16, kernel, stride, kernel / 2, 1, 1, 2));
        layer.desc.x_is_bf16 = layer.desc.y_is_bf16 = is_bf16;
        layer.x[static_cast<size_t>((layer.shape.batch * 17 + 3) * layer.desc.geometry.x_pitch + ic - 1)] = k_nan;
        ASSERT_NO_FATAL_FAILURE(expect_judged(layer, {is_bf16 ? 1 : 3})) << ic << " channels, kernel " << kernel;
      }
}

// One step for each 32 positions at most, or those that a row would otherwise be padded to.
TEST(ConvBf16, few_channels_take_short_steps_where_these_take_less_time) {
  const auto steps = [](const ConvCase& c) { return conv_bf16_short_steps(c.geometry()); };
  EXPECT_EQ(steps(square(224, 3, 64, 7, 2, 3)), 7) << "a stem: one a kernel row";
  EXPECT_EQ(steps(square(32, 16, 16, 3, 1, 1)), 6) << "two of 48 bytes a kernel row, of 9 taps";
  EXPECT_EQ(steps(square(14, 16, 96, 1)), 1);
  EXPECT_EQ(steps(square(14, 24, 144, 1)), 1);
  EXPECT_EQ(steps(square(14, 48, 96, 1)), 2);
  EXPECT_EQ(steps(square(14, 32, 64, 1)), 0) << "whole steps";
  EXPECT_EQ(steps(square(14, 17, 64, 1)), 0) << "no whole number of dwords";
  EXPECT_EQ(steps(square(7, 400, 400, 1)), 0) << "20 steps in place of 13 for each of 400 channels";
  EXPECT_EQ(steps(square(7, 400, 16, 1)), 20) << "20 steps in place of gathering";
}

TEST(ConvBf16, a_channel_slice_of_a_wider_buffer_is_written_without_touching_its_neighbours) {
  for (const int64_t oc : {5, 16, 70}) {
    Layer layer(square(6, 19, oc, 3, 1, 1, 1, 1, 2));
    layer.desc.geometry.y_pitch = 96;
    layer.desc.y_is_bf16 = oc == 70;
    ASSERT_NO_FATAL_FAILURE(expect_judged(layer));
  }
}

TEST(ConvBf16, reads_the_callers_planes) {
  int compared = 0;
  for (const ConvCase& c : conv_cases()) {
    const WindowGeometry g = c.geometry();
    if (!reads_compact_copy(g)) continue;
    Layer layer(c);
    std::vector<float> planes;
    for (int64_t n = 0; n < c.batch; ++n)
      for (int64_t k = 0; k < g.ic; ++k)
        for (int64_t p = 0; p < g.ih * g.iw; ++p)
          planes.push_back(layer.x[static_cast<size_t>((n * g.ih * g.iw + p) * g.x_pitch + k)]);
    layer.x = planes;  // without a tail: what lies behind the caller's buffer is not ours
    layer.desc.planar_x = true;
    ASSERT_NO_FATAL_FAILURE(expect_judged(layer, {1, 3}));
    ++compared;
  }
  EXPECT_GE(compared, 20);
}

TEST(ConvBf16, the_isa_asked_for_is_the_one_that_runs) {
  Layer layer(square(8, 64, 64, 3, 1, 1));
  for (const Isa isa : available_isas()) {
    layer.run_layer(1, [&](const ConvBf16Desc& desc) { return ConvBf16::make(desc, isa); });
    const std::string want = !has_bf16_products(isa) ? "scalar" : isa == Isa::amx ? "amx_bf16" : "avx512_bf16";
    EXPECT_EQ(layer.ran.substr(0, want.size()), want) << name(isa);
  }
}

TEST(ConvBf16, packed_weights_of_another_layer_are_used_in_place) {
  for (const Isa isa : available_isas()) {
    if (!has_bf16_products(isa)) continue;
    Layer layer(square(5, 40, 70, 3, 1, 1));
    std::vector<uint16_t> w;
    for (const float v : layer.weights) w.push_back(float_to_bfloat16(v));
    layer.desc.weights = w;
    layer.desc.bias = layer.bias;
    const std::unique_ptr<const ConvBf16> first = ConvBf16::make(layer.desc, isa);
    layer.desc.packed = first->packed();
    const std::unique_ptr<const ConvBf16> second = ConvBf16::make(layer.desc, isa);
    EXPECT_EQ(second->packed().bytes.data(), first->packed().bytes.data());
    layer.desc.packed.form += " of another kind";
    EXPECT_NE(ConvBf16::make(layer.desc, isa)->packed().bytes.data(), first->packed().bytes.data());
  }
}

}  // namespace
}  // namespace octet
