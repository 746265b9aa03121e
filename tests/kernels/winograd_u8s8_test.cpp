#include "kernels/winograd_u8s8/winograd_u8s8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "kernels/conv_u8s8_data.h"
#include "kernels/winograd_u8s8/winograd_isa.h"

namespace octet {
namespace {

/// The kernels that this machine runs.
struct Way {
  Isa isa;
  std::string variant;
};
std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.variant; }

std::vector<Way> ways() {
  std::vector<Isa> have = available_isas();
  std::vector<Way> with;
#define OCTET_KERNEL(isa, kernel) \
  if (std::find(have.begin(), have.end(), Isa::isa) != have.end()) with.push_back({Isa::isa, (kernel).name});
#include "kernels/winograd_u8s8/kernels.def"
#undef OCTET_KERNEL
  return with;
}

/// The codes or floats of every kernel, the whole buffers, against the scalar judge of conv_u8s8.
template <class T>
void expect_judged(ConvU8S8Data& data, const std::vector<int>& threads = {1, 2}) {
  data.describe();
  const std::vector<T> want = data.run_layer<T>(*ConvU8S8::make(data.desc, Isa::scalar), 1);
  for (const Way& way : ways()) {
    ASSERT_EQ(refuse_winograd_u8s8(data.desc.geometry, data.weights, data.desc.x_zero_point, way.isa), "")
        << data.shape;
    const std::unique_ptr<const ConvU8S8> layer = make_winograd_u8s8(data.desc, way.isa, way.variant);
    ASSERT_TRUE(layer);
    ASSERT_EQ(layer->kernel_name(), way.variant);
    for (const int workers : threads) {
      const std::vector<T> got = data.run_layer<T>(*layer, workers);
      const auto [a, b] = std::mismatch(want.begin(), want.end(), got.begin());
      const int64_t index = a - want.begin(), pitch = data.desc.geometry.y_pitch;
      ASSERT_TRUE(a == want.end()) << way << ", " << workers << " threads, " << data.shape << ": pixel "
                                   << index / pitch << " channel " << index % pitch << " is " << +*b << ", want "
                                   << +*a;
    }
  }
}

/// Sizes around one, two and three tiles, uneven pads, channel counts around every block, several blocks of tiles.
std::vector<ConvCase> cases() {
  std::vector<ConvCase> all;
  for (const int64_t ic : {1, 2, 3, 5, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100})
    for (const int64_t oc : {1, 7, 8, 9, 16, 17, 31, 33, 48, 63, 64, 65, 96, 130})
      all.push_back(square(5, ic, oc, 3, 1, 1));
  for (int64_t size = 1; size <= 13; ++size)
    for (const int64_t batch : {1, 3}) all.push_back(square(size, 17, 33, 3, 1, 1, 1, 1, batch));
  for (const int64_t pad : {0, 2, 3})
    for (const int64_t size : {3, 8, 9}) all.push_back(square(size, 20, 40, 3, 1, pad, 1, 1, 2));
  all.push_back({2, 9, 14, 33, 20, 3, 3, 1, 1, 1, 1, 0, 1, 2, 0, 1});
  all.push_back({1, 4, 30, 16, 70, 3, 3, 1, 1, 1, 1, 3, 0, 0, 3, 1});
  all.push_back({1, 1, 25, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  all.push_back({1, 2, 2, 8, 5, 3, 3, 1, 1, 1, 1, 3, 3, 3, 3, 1});  // windows that lie in the padding altogether
  all.push_back(square(32, 64, 64, 3, 1, 1, 1, 1, 2));
  all.push_back(square(23, 100, 72, 3, 1, 1, 1, 1, 3));
  all.push_back(square(14, 256, 48, 3, 1, 1));
  all.push_back(square(8, 80, 200, 3, 1, 1, 1, 1, 9));
  return all;
}

TEST(WinogradU8S8, every_isa_equals_the_judge_on_every_geometry) {
  uint32_t seed = 1;
  for (const ConvCase& c : cases()) {
    ConvU8S8Data data(c, seed++);
    expect_judged<uint8_t>(data, {1, 2, 3, 7});
  }
}

TEST(WinogradU8S8, a_layer_made_for_a_run_equals_the_judge_in_it_and_in_others) {
  uint32_t seed = 300;
  for (const ConvCase& c : cases()) {
    ConvU8S8Data data(c, seed++);
    for (const ExpectedRun& expected : expected_runs(c.batch)) {
      SCOPED_TRACE("made for a batch of " + std::to_string(expected.batch));
      data.desc.expected = expected;
      ASSERT_NO_FATAL_FAILURE(expect_judged<uint8_t>(data, threads_of(expected, c.batch)));
    }
  }
}

TEST(WinogradU8S8, the_sums_themselves_equal_the_judges) {
  uint32_t seed = 500;
  for (const ConvCase& c : cases()) {
    ConvU8S8Data data(c, seed++);
    data.desc.f32_output = true;
    // A sum below 2^24 is a float exactly, so no bit of it hides behind a rounding.
    std::fill(data.multiplier.begin(), data.multiplier.end(), 1.0f);
    expect_judged<float>(data);
  }
}

TEST(WinogradU8S8, the_residual_form_equals_the_judge_and_may_be_in_place) {
  uint32_t seed = 1000;
  for (const ConvCase& c : cases()) {
    ConvU8S8Data data(c, seed++);
    data.with_residual(131, 0.37f);
    expect_judged<uint8_t>(data);
    const std::vector<uint8_t> want = data.run_layer<uint8_t>(*ConvU8S8::make(data.desc, Isa::scalar), 1);
    data.in_place = true;
    const WindowGeometry& g = data.desc.geometry;
    for (const Way& way : ways()) {
      const std::vector<uint8_t> got = data.run_layer<uint8_t>(*make_winograd_u8s8(data.desc, way.isa, way.variant), 2);
      for (int64_t pixel = 0; pixel < c.batch * g.oh * g.ow; ++pixel)
        for (int64_t oc = 0; oc < g.oc; ++oc) {
          const auto at = static_cast<size_t>(pixel * g.y_pitch + oc);
          ASSERT_EQ(got[at], want[at]) << way << ", " << c << ", pixel " << pixel << " channel " << oc;
        }
    }
  }
}

/// The 6 x 6 inputs and 3 x 3 weights that make a transformed input or weight as large as it can be are signs of a row
/// of B^T or G times those of another: every pair of rows, both signs, all channels alike.
TEST(WinogradU8S8, codes_and_weights_that_reach_the_bounds_do_not_overflow) {
  constexpr int k_b[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                             {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
  constexpr int k_g[6][3] = {{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 1}};
  for (const int zero_point : {0, 128, 255})
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j)
        for (const int sign : {1, -1}) {
          // 64 channels of 255 * 128 * 9 stay below 2^25.
          ConvU8S8Data data(square(6, 64, 17, 3, 1, 0));
          for (size_t at = 0; at < 36; ++at) {
            const int product = sign * k_b[i][at / 6] * k_b[j][at % 6];
            std::fill_n(data.x.begin() + static_cast<ptrdiff_t>(at * 64), 64,
                        static_cast<uint8_t>(product > 0 ? 255 : 0));
          }
          for (size_t w = 0; w < data.weights.size(); ++w) {
            const int product = k_g[i][w % 9 / 3] * k_g[j][w % 3] * (w / 576 % 2 == 0 ? 1 : -1);
            data.weights[w] = static_cast<int8_t>(product > 0 ? 127 : -128);
          }
          data.desc.x_zero_point = zero_point;
          data.desc.f32_output = true;
          std::fill(data.multiplier.begin(), data.multiplier.end(), 1.0f);
          expect_judged<float>(data);
        }
}

TEST(WinogradU8S8, equal_codes_and_weights_of_either_end_do_not_overflow) {
  for (const int x_code : {0, 255})
    for (const int w_code : {-128, -127, 127})
      for (const int zero_point : {0, 128, 255})
        for (const int64_t size : {3, 8, 9}) {
          ConvU8S8Data data(square(size, 70, 66, 3, 1, 1));
          std::fill(data.x.begin(), data.x.end(), static_cast<uint8_t>(x_code));
          std::fill(data.weights.begin(), data.weights.end(), static_cast<int8_t>(w_code));
          data.desc.x_zero_point = zero_point;
          data.desc.f32_output = true;
          std::fill(data.multiplier.begin(), data.multiplier.end(), 1.0f);
          expect_judged<float>(data);
          data.desc.f32_output = false;
          std::fill(data.multiplier.begin(), data.multiplier.end(), 1e-5f);
          expect_judged<uint8_t>(data);
        }
}

TEST(WinogradU8S8, a_sum_just_below_two_to_the_25_is_exact_and_one_above_is_refused) {
  // 2^25 = 33,554,432 = 255 * 131,586 + 2: weights that add to 131,586 reach 33,554,430.
  const int64_t ic = 116;
  ConvU8S8Data data(square(4, ic, 3, 3, 1, 1));
  data.desc.x_zero_point = 0;
  std::fill(data.x.begin(), data.x.end(), uint8_t{255});
  std::fill(data.bias.begin(), data.bias.end(), 0);
  int64_t left = 131586;
  for (int64_t w = 0; w < ic * 9; ++w) {
    const auto size = static_cast<int8_t>(std::min<int64_t>(127, left));
    left -= size;
    for (int64_t oc = 0; oc < 3; ++oc)
      data.weights[static_cast<size_t>(oc * ic * 9 + w)] = static_cast<int8_t>(oc == 1 ? -size : size);
  }
  ASSERT_EQ(left, 0);
  data.desc.f32_output = true;
  std::fill(data.multiplier.begin(), data.multiplier.end(), 1.0f);
  expect_judged<float>(data);
  for (const Way& way : ways()) {
    // The four inner pixels see all taps.
    const std::vector<float> y = data.run_layer<float>(*make_winograd_u8s8(data.desc, way.isa, way.variant), 1);
    EXPECT_EQ(y[static_cast<size_t>(5 * data.desc.geometry.y_pitch)], 33554430.0f);
    EXPECT_EQ(y[static_cast<size_t>(5 * data.desc.geometry.y_pitch + 1)], -33554430.0f);
    ++data.weights[static_cast<size_t>(3 * ic * 9 - 1)];
    EXPECT_EQ(refuse_winograd_u8s8(data.desc.geometry, data.weights, 0, way.isa),
              "a sum of output channel 2 may reach 33554685, and 2^25 is too much");
    EXPECT_EQ(refuse_winograd_u8s8(data.desc.geometry, data.weights, 128, way.isa), "")
        << "codes without 128 are smaller";
    EXPECT_NE(refuse_winograd_u8s8(data.desc.geometry, data.weights, 255, way.isa), "") << "-255 * weight";
    std::vector<int8_t> mixed = data.weights;  // no codes give all of both signs
    for (size_t i = 0; i < mixed.size(); i += 2) mixed[i] = static_cast<int8_t>(-mixed[i]);
    EXPECT_EQ(refuse_winograd_u8s8(data.desc.geometry, mixed, 0, way.isa), "");
    --data.weights[static_cast<size_t>(3 * ic * 9 - 1)];
  }
}

TEST(WinogradU8S8, says_which_layers_it_does_not_run) {
  if (ways().empty()) GTEST_SKIP() << "not applicable: no kernel for this machine";
  const Isa isa = ways().back().isa;
  const auto reason = [&](const ConvCase& c) {
    const std::vector<int8_t> weights(static_cast<size_t>(c.weight_count()), 1);
    return refuse_winograd_u8s8(c.geometry(), weights, 0, isa);
  };
  EXPECT_EQ(reason(square(8, 16, 16, 3, 1, 1)), "");
  EXPECT_EQ(reason(square(8, 16, 16, 1)), "the window is not 3x3");
  EXPECT_EQ(reason(square(8, 16, 16, 5, 1, 2)), "the window is not 3x3");
  EXPECT_EQ(reason(square(8, 16, 16, 3, 2, 1)), "only strides and dilations of 1");
  EXPECT_EQ(reason(square(8, 16, 16, 3, 1, 2, 2)), "only strides and dilations of 1");
  EXPECT_EQ(reason(square(8, 16, 16, 3, 1, 1, 1, 2)), "only one group");
  EXPECT_EQ(refuse_winograd_u8s8(square(8, 16, 16, 3, 1, 1).geometry(), {}, 0, Isa::scalar), "no kernel for scalar");
}

TEST(WinogradU8S8, lo_and_hi_bound_every_code_for_every_zero_point) {
  for (const int zero_point : {0, 1, 128, 254, 255})
    for (const auto& [lo, hi] : {std::pair{0, 255}, {0, 0}, {255, 255}, {128, 255}, {10, 200}, {3, 127}})
      for (const int64_t oc : {70, 16, 24, 32, 40}) {
        ConvU8S8Data data(square(6, 12, oc, 3, 1, 1));
        data.desc.y_zero_point = zero_point;
        data.desc.lo = lo;
        data.desc.hi = hi;
        expect_judged<uint8_t>(data);
        data.with_residual(zero_point, 0.8f);
        expect_judged<uint8_t>(data);
      }
}

TEST(WinogradU8S8, values_about_2_to_the_15_become_the_largest_code_of_7_bits) {
  for (const double largest : {31999.0, 32767.4, 32767.7, 32768.0, 40000.0, 65540.0}) {
    ConvU8S8Data data(square(8, 16, 64, 3, 1, 1));
    data.fill_with_largest_products(largest);
    expect_judged<uint8_t>(data);
  }
}

TEST(WinogradU8S8, values_beyond_int32_saturate_to_the_bound_of_their_sign) {
  for (const float m : {1e4f, 1e12f, 1e30f})
    for (const bool with_residual : {false, true}) {
      ConvU8S8Data data(square(5, 30, 80, 3, 1, 1));
      std::fill(data.multiplier.begin(), data.multiplier.end(), m);
      if (with_residual) data.with_residual(128, 1e9f);
      expect_judged<uint8_t>(data);
    }
}

TEST(WinogradU8S8, activations_and_float_outputs_equal_the_judge) {
  for (const ActivationKind kind : {ActivationKind::leaky_relu, ActivationKind::silu, ActivationKind::hard_swish,
                                    ActivationKind::relu, ActivationKind::none})
    for (const int64_t oc : {5, 64, 90})
      for (const bool with_residual : {false, true})
        for (const bool f32 : {false, true}) {
          ConvU8S8Data data(square(6, 19, oc, 3, 1, 1, 1, 1, 2));
          if (with_residual) data.with_residual(60, 0.01f);
          for (float& m : data.multiplier) m *= 0.05f;  // about -6..6
          data.desc.activation = {kind, 0.1f, 0};
          data.desc.inverse_y_scale = 30.0f;
          data.desc.y_zero_point = 40;
          data.desc.f32_output = f32;
          if (kind == ActivationKind::relu) data.desc.lo = 40;
          if (f32)
            expect_judged<float>(data, {1, 3});
          else
            expect_judged<uint8_t>(data, {1, 3});
        }
}

TEST(WinogradU8S8, silu_of_many_outputs_equals_the_judge) {
  ConvU8S8Data data(square(20, 19, 24, 3, 1, 1));
  for (float& m : data.multiplier) m *= 0.05f;
  data.desc.activation = {ActivationKind::silu};
  data.desc.inverse_y_scale = 30.0f;
  data.desc.y_zero_point = 40;
  expect_judged<uint8_t>(data, {1, 3});
}

TEST(WinogradU8S8, codes_that_packs_clamp_saturate_at_both_ends) {
  for (const ConvCase& c :
       {square(14, 64, 96, 3, 1, 1), square(9, 64, 24, 3, 1, 1), square(11, 20, 50, 3, 1, 1),
        square(9, 24, 64, 3, 1, 1), square(13, 40, 200, 3, 1, 1, 1, 1, 2), square(9, 40, 32, 3, 1, 1)})
    for (const PackedRange& range : k_packed_ranges) {
      ConvU8S8Data data(c);
      data.clamp_to(range);
      expect_judged<uint8_t>(data);  // no value leaves 15 bits
      for (float& m : data.multiplier) m *= 8;
      for (const bool with_residual : {false, true}) {
        if (with_residual) data.with_residual(13, 0.4f);
        expect_judged<uint8_t>(data, {1, 2});
      }
      data.desc.hi -= 9;  // no longer what packs clamp
      expect_judged<uint8_t>(data);
    }
}

TEST(WinogradU8S8, a_residual_of_one_pixel_and_a_wider_buffer_are_as_in_the_direct_way) {
  for (const int64_t oc : {5, 16, 70}) {
    ConvU8S8Data data(square(6, 19, oc, 3, 1, 1, 1, 1, 2));
    data.desc.geometry.y_pitch = 96;
    expect_judged<uint8_t>(data);
    data.with_residual(60, 0.2f);
    data.desc.geometry.residual_pitch = 0;
    expect_judged<uint8_t>(data);
  }
}

TEST(WinogradU8S8, packed_weights_are_used_in_place_where_form_and_size_are_theirs) {
  ConvU8S8Data data(square(9, 33, 70, 3, 1, 1));
  data.describe();
  const std::vector<uint8_t> want = data.run_layer<uint8_t>(*ConvU8S8::make(data.desc, Isa::scalar), 1);
  for (const Way& way : ways()) {
    data.describe();
    data.desc.packed = {};
    const std::unique_ptr<const ConvU8S8> first = make_winograd_u8s8(data.desc, way.isa, way.variant);
    data.desc.packed = first->packed();
    const std::vector<int8_t> none(data.weights.size(), 0);
    data.desc.weights = none;  // not to be read
    const std::unique_ptr<const ConvU8S8> second = make_winograd_u8s8(data.desc, way.isa, way.variant);
    EXPECT_EQ(second->packed().bytes.data(), first->packed().bytes.data());
    EXPECT_EQ(data.run_layer<uint8_t>(*second, 1), want) << way;
    data.desc.packed.form += " of another kind";
    data.describe();
    const std::unique_ptr<const ConvU8S8> third = make_winograd_u8s8(data.desc, way.isa, way.variant);
    EXPECT_NE(third->packed().bytes.data(), first->packed().bytes.data());
    EXPECT_TRUE(std::equal(third->packed().bytes.begin(), third->packed().bytes.end(), first->packed().bytes.begin(),
                           first->packed().bytes.end()));
  }
}

TEST(WinogradU8S8, chunks_serve_every_worker_where_the_work_allows_it) {
  ConvU8S8Data many_tiles(square(56, 16, 16, 3, 1, 1)), many_channels(square(4, 32, 2048, 3, 1, 1));
  many_tiles.describe(), many_channels.describe();
  for (const Way& way : ways())
    for (const int threads : {1, 2, 4, 8}) {
      EXPECT_GE(make_winograd_u8s8(many_tiles.desc, way.isa, way.variant)->chunks(1, threads), threads);
      EXPECT_GE(make_winograd_u8s8(many_channels.desc, way.isa, way.variant)->chunks(1, threads), threads);
    }
}

TEST(WinogradU8S8, two_workers_share_four_tiles_that_keep_their_codes_as_pairs_of_tiles) {
  // By channels each would transform all tiles, and write to lines that the other writes to.
  ConvU8S8Data data(square(8, 64, 64, 3, 1, 1), 4711);
  data.describe();
  for (const Way& way : ways()) {
    if (way.variant.find("codes") == std::string_view::npos) continue;
    const std::unique_ptr<const ConvU8S8> layer = make_winograd_u8s8(data.desc, way.isa, way.variant);
    ASSERT_EQ(layer->chunks(1, 2), 2) << way;
    const WindowGeometry& g = data.desc.geometry;
    for (const int64_t half : {0, 1}) {
      const std::vector<uint8_t> got = data.run_chunks<uint8_t>(*layer, 2, half, half + 1);
      const std::vector<uint8_t> want = data.run_layer<uint8_t>(*layer, 1);
      for (int64_t pixel = 32 * half; pixel < 32 * half + 32; ++pixel)
        for (int64_t oc = 0; oc < g.oc; ++oc) {
          const auto at = static_cast<size_t>(pixel * g.y_pitch + oc);
          ASSERT_EQ(got[at], want[at]) << way << ", half " << half << ", pixel " << pixel << " channel " << oc;
        }
    }
  }
}

constexpr ConvCpu k_whole_width = {false, size_t{1} << 20}, k_half_width = {true, size_t{1} << 20},
                  k_far_l3 = {false, size_t{2} << 20};

/// The variant of least cost on that CPU among the family's and the direct ones.
std::string cheapest(const ConvCase& c, const ConvCpu& cpu, int64_t network_bytes = INT64_MAX, int threads = 1,
                     Isa isa = Isa::avx512_vnni) {
  ConvVariant best;
  ConvU8S8Desc desc;
  desc.geometry = c.geometry();
  for (const std::vector<ConvVariant>& list :
       {conv_u8s8_variants(desc, c.batch, isa, threads, cpu),
        winograd_u8s8_variants(c.geometry(), c.batch, isa, network_bytes, threads, cpu)})
    for (const ConvVariant& v : list)
      if (v.refused.empty() && (best.name.empty() || v.cost_us < best.cost_us)) best = v;
  return best.name;
}

#if defined(__x86_64__)
int64_t counted_products = 0;

TEST(WinogradU8S8, tiles_over_the_border_leave_out_the_positions_that_two_outputs_do_not_need) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  WinogradKernel kernel = winograd_u8s8_avx512_vnni;
  kernel.products = [](const WinogradProducts& p) {
    // Positions that four outputs need are 3 and 4 of an axis.
    counted_products +=
        16 * p.tiles + 8 * (p.corners - p.whole_columns) + 8 * p.half_rows + 4 * (p.half_rows - p.whole_columns);
    winograd_u8s8_avx512_vnni.products(p);
  };
  const auto expect_products = [&](const ConvCase& c, int64_t products) {
    ConvU8S8Data data(c);
    data.describe();
    counted_products = 0;
    EXPECT_EQ(data.run_layer<uint8_t>(*make_winograd_u8s8(data.desc, kernel, Isa::avx512_vnni), 1),
              data.run_layer<uint8_t>(*ConvU8S8::make(data.desc, Isa::scalar), 1));
    EXPECT_EQ(counted_products, products) << c;
  };
  expect_products(square(14, 20, 32, 3, 1, 1), 22 * 22);
  expect_products(square(14, 20, 32, 3, 1, 1, 1, 1, 5), 5 * 22 * 22);
  expect_products(square(12, 20, 32, 3, 1, 1), 18 * 18);
  expect_products(square(7, 20, 32, 3, 1, 1), 12 * 12);
  expect_products(square(8, 20, 32, 3, 1, 0), 10 * 10);  // the small tiles' inputs lie in the image
  expect_products({1, 9, 14, 20, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 16 * 22);
}
#endif

TEST(WinogradU8S8, is_the_cheapest_way_where_many_tiles_meet_few_weights) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  for (const ConvCpu& cpu : {k_whole_width, k_half_width, k_far_l3}) {
    EXPECT_EQ(cheapest(square(32, 64, 64, 3, 1, 1), cpu), "avx512_vnni 4x4");
    EXPECT_EQ(cheapest(square(4, 512, 512, 3, 1, 1), cpu), "avx512_vnni 16x16 images");
  }
}

/// direct: its way where weights are many beside the tiles; on_the_edge: where products decide.
void expect_ways_of_256_bits(Isa isa, const std::string& direct, const std::string& on_the_edge) {
  const auto expect_cheapest = [&](const ConvCase& c, const std::string& way) {
    for (const ConvCpu& cpu : {k_whole_width, k_half_width, k_far_l3})
      EXPECT_EQ(cheapest(c, cpu, INT64_MAX, 1, isa), std::string(name(isa)) + way) << c;
  };
  expect_cheapest(square(32, 64, 64, 3, 1, 1), " 4x4");
  expect_cheapest(square(14, 256, 256, 3, 1, 1), " 4x4");
  expect_cheapest(square(4, 512, 512, 3, 1, 1), direct);
  expect_cheapest(square(4, 512, 512, 3, 1, 1, 1, 1, 8), " 4x4");
  expect_cheapest(square(7, 512, 512, 3, 1, 1), on_the_edge);
  expect_cheapest(square(32, 16, 16, 3, 1, 1), on_the_edge);
}

TEST(WinogradU8S8, is_the_cheapest_way_on_avx2_where_weights_are_few_beside_the_tiles) {
  if (!has_isa(Isa::avx2)) GTEST_SKIP() << "not applicable: no AVX2";
  expect_ways_of_256_bits(Isa::avx2, " 3x32", " 4x4");  // products of codes cost three times AVX-VNNI's
}

TEST(WinogradU8S8, is_the_cheapest_way_on_avx_vnni_where_weights_are_few_beside_the_tiles) {
  if (!has_isa(Isa::avx_vnni)) GTEST_SKIP() << "not applicable: no AVX-VNNI";
  expect_ways_of_256_bits(Isa::avx_vnni, " 6x16", " 6x16");
}

TEST(WinogradU8S8, an_engine_takes_kernels_of_its_own_width) {
  const WindowGeometry g = square(8, 16, 16, 3, 1, 1).geometry();
  for (const Isa isa : available_isas()) {
    const std::vector<ConvVariant> variants = winograd_u8s8_variants(g, 1, isa, INT64_MAX, 1);
    EXPECT_EQ(variants.empty(), isa == Isa::scalar) << name(isa);
    for (const ConvVariant& v : variants)
      EXPECT_TRUE(v.name.starts_with(name(isa == Isa::amx ? Isa::avx512_vnni : isa))) << v.name << " on " << name(isa);
  }
}

TEST(WinogradU8S8, costs_are_those_of_the_cpu) {
  if (!has_isa(Isa::avx512_vnni)) GTEST_SKIP() << "not applicable: no AVX512-VNNI";
  // Weights that are transformed on the way cost products where vector units are as wide as the instructions.
  const ConvCase few_tiles = square(8, 256, 256, 3, 1, 1);
  const auto cost_of_codes = [&](const ConvCpu& cpu) {
    for (const ConvVariant& v : winograd_u8s8_variants(few_tiles.geometry(), 1, Isa::avx512_vnni, INT64_MAX, 1, cpu))
      if (v.name == "avx512_vnni 4x4 codes") return v.cost_us;
    return 0.0;
  };
  EXPECT_GT(cost_of_codes(k_whole_width), 1.25 * cost_of_codes(k_half_width));
  EXPECT_EQ(cheapest(few_tiles, k_half_width), "avx512_vnni 4x4 codes");
  EXPECT_EQ(cheapest(few_tiles, k_whole_width), "avx512_vnni 8x48");
  EXPECT_EQ(cheapest(square(7, 512, 512, 3, 1, 1), k_half_width), "avx512_vnni 4x4 codes");
  EXPECT_EQ(cheapest(square(7, 512, 512, 3, 1, 1), k_whole_width), "avx512_vnni 6x64");
  // A network whose codes stay in L2 leaves its transformed weights near: those of eight tiles are worth it then, and
  // those of four not even there.
  const ConvCase small_network = square(8, 64, 64, 3, 1, 1, 1, 1, 2);
  EXPECT_EQ(cheapest(small_network, k_half_width, 256 << 10), "avx512_vnni 4x4");
  EXPECT_EQ(cheapest(small_network, k_half_width, 2 << 20), "avx512_vnni 4x4 codes");
  EXPECT_EQ(cheapest(square(8, 64, 64, 3, 1, 1), k_half_width, 256 << 10), "avx512_vnni 4x4 codes");
  // Two workers would each read all of them.
  EXPECT_EQ(cheapest(small_network, k_half_width, 256 << 10, 2), "avx512_vnni 4x4 codes");
  EXPECT_EQ(cheapest(small_network, k_whole_width, 256 << 10), cheapest(small_network, k_whole_width));
  // Weights that come from a far L3 count double.
  EXPECT_EQ(cheapest(square(16, 128, 128, 3, 1, 1), k_whole_width), "avx512_vnni 4x4");
  EXPECT_NE(cheapest(square(16, 128, 128, 3, 1, 1), k_far_l3), "avx512_vnni 4x4");
  const ConvCase many_weights = square(14, 256, 256, 3, 1, 1, 1, 1, 8);
  EXPECT_EQ(cheapest(many_weights, k_whole_width), "avx512_vnni 4x4");
  EXPECT_EQ(cheapest(many_weights, k_far_l3), "avx512_vnni 6x64");
}

TEST(WinogradU8S8, positions_are_those_of_whole_tiles_and_of_the_small_ones_that_a_variant_takes) {
  for (const std::string_view all_alike : {"avx512_vnni 4x4 codes", "another"})
    EXPECT_EQ(winograd_u8s8_positions(all_alike, 14, 9), 24 * 18) << all_alike;
#if defined(__x86_64__)
  EXPECT_EQ(winograd_u8s8_positions("avx512_vnni 4x4", 14, 9), 22 * 16);
  EXPECT_EQ(winograd_u8s8_positions("avx512_vnni 4x4", 7, 8), 12 * 12);
#endif
}

TEST(WinogradU8S8, weights_that_stay_codes_take_their_own_bytes_beside_the_bias) {
  ConvU8S8Data data(square(8, 64, 48, 3, 1, 1));
  data.describe();
  for (const Way& way : ways()) {
    const size_t per_weight = way.variant.ends_with("codes") ? 1 : 8;
    EXPECT_EQ(make_winograd_u8s8(data.desc, way.isa, way.variant)->packed().bytes.size(),
              data.weights.size() * per_weight + 48 * sizeof(int32_t))
        << way;
  }
  EXPECT_EQ(make_winograd_u8s8(data.desc, available_isas().back(), "another"), nullptr);
}

}  // namespace
}  // namespace octet
