#include "report/roofline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace octet {
namespace {

using testing::HasSubstr;
using testing::Not;

/// 100 MMAC at 200 GMAC/s are 500 us; the layer takes 800.
RooflineReport report() {
  RooflineReport r;
  r.device = "cpu test";
  r.u8s8_gmacs = 200;
  r.f32_gmacs = 50;
  r.u8s8_instruction = "vpdpbusd zmm";
  r.whole_us = 1190;
  r.layers = {{"in", "QuantizeLinear", "quantize", 50, 0, 1000, false, true},
              {"conv", "QuantConv", "conv_u8s8", 800, 100, 4000, true, false},
              {"head", "FusedConv", "conv_f32", 300, 7.5, 2000, false, false},
              {"pool", "MaxPool", "max_pool", 50, 0, 3000, false, false}};
  return r;
}

TEST(Roofline, splits_the_time_by_what_it_is_spent_on) {
  const std::string text = to_text(report());
  EXPECT_THAT(text, HasSubstr("integer layers, products at the peak: 0.5000 ms, 41.7 %"));
  EXPECT_THAT(text, HasSubstr("integer layers, the rest (requantize, loads, tails): 0.3000 ms, 25.0 %"));
  EXPECT_THAT(text, HasSubstr("float layers with products: 0.3000 ms, 25.0 %"));
  EXPECT_THAT(text, HasSubstr("quantize, dequantize, reformat: 0.0500 ms, 4.2 %"));
  EXPECT_THAT(text, HasSubstr("all others (pooling, additions, movement): 0.0500 ms, 4.2 %"));
  EXPECT_THAT(text, HasSubstr("Integer layers with products run at 62.5 % of the peak (of the whole run: 42.0 %)"));
  EXPECT_THAT(text, HasSubstr("125 GMAC/s, that reads 62.5 % (42.0 %)"));
  EXPECT_THAT(text, Not(HasSubstr("joining threads")));
}

TEST(Roofline, the_peak_is_that_of_all_threads_and_forks_are_shown) {
  RooflineReport r = report();
  r.threads = 2;
  r.u8s8_gmacs = 400;
  r.fork_us = 0.5;
  const std::string text = to_text(r);
  EXPECT_THAT(text, HasSubstr("Peak of 2 threads at the same time, measured in this run: u8 x s8 400 GMAC/s"));
  EXPECT_THAT(text, HasSubstr("products at the peak: 0.2500 ms"));
  EXPECT_THAT(text, HasSubstr("run at 31.2 % of the peak"));
  EXPECT_THAT(text, HasSubstr("about 0.0020 ms (0.50 us each)"));
}

TEST(Roofline, layers_of_bfloat16_are_held_against_its_own_peak) {
  RooflineReport r = report();
  EXPECT_THAT(to_text(r), Not(HasSubstr("bf16")));
  r.bf16_gmacs = 100;
  r.bf16_instruction = "vdpbf16ps zmm";
  r.layers[2].op = "Bf16Conv", r.layers[2].is_bf16 = true;  // 7.5 MMAC in 300 us: 25 GMAC/s
  EXPECT_THAT(to_text(r), HasSubstr("bf16 100 GMAC/s (vdpbf16ps zmm)"));
  EXPECT_THAT(to_json(r), HasSubstr("\"peak_share\": 0.25"));
}

TEST(Roofline, without_a_peak_no_share_is_invented) {
  RooflineReport r = report();
  r.u8s8_gmacs = r.f32_gmacs = 0;
  const std::string text = to_text(r);
  EXPECT_THAT(text, HasSubstr("products at the peak: 0.0000 ms"));
  EXPECT_THAT(text, Not(HasSubstr("Peak of one thread")));
  EXPECT_THAT(text, Not(HasSubstr("of the peak")));
}

TEST(Roofline, shares_of_the_peak_are_of_the_products_that_the_layers_way_needs) {
  RooflineReport r = report();
  r.layers[1].needed_mmac = 40;
  EXPECT_THAT(to_text(r), HasSubstr("integer layers, products at the peak: 0.2000 ms"));
  EXPECT_THAT(to_text(r), HasSubstr("run at 25.0 % of the peak (of the whole run: 16.8 %), by the products that their "
                                    "ways need: 40.0 % of all."));
  EXPECT_THAT(to_text(r), HasSubstr("By all products as the ops define them, 125 GMAC/s, that reads 62.5 % (42.0 %)."));
  EXPECT_THAT(to_json(r), HasSubstr("\"needed_mmac\": 40.0"));
  EXPECT_THAT(to_json(r), HasSubstr("\"gmacs\": 125.0"));
  EXPECT_THAT(to_json(r), HasSubstr("\"peak_share\": 0.25"));
}

TEST(Roofline, a_way_with_fewer_products_may_pass_the_peak_by_the_ops_count_only) {
  RooflineReport r = report();
  r.layers[1].us = 300, r.layers[1].needed_mmac = 50;  // 100 MMAC in 300 us: 333 of 200 GMAC/s
  const PeakShare share = integer_share(r);
  EXPECT_NEAR(share.nominal, 5.0 / 3, 1e-12);
  EXPECT_NEAR(share.needed, 5.0 / 6, 1e-12);
  EXPECT_NEAR(share.needed_part, 0.5, 1e-12);
  EXPECT_THAT(to_text(r), HasSubstr("Need(%)"));
  EXPECT_THAT(to_json(r), HasSubstr("\"needed_part\": 0.5"));
}

TEST(Roofline, a_level_that_could_not_be_measured_alone_has_no_rate) {
  RooflineReport r = report();
  r.l2_gbs = 118, r.l2_read_bytes = 256 << 10;
  r.dram_gbs = 28, r.dram_read_bytes = 1.5 * (1 << 20);
  EXPECT_THAT(to_text(r), HasSubstr("reading 118 GB/s from L2 (256 KiB), from L3 not to be measured alone, "
                                    "28 GB/s from DRAM (1.5 MiB)"));
  EXPECT_THAT(to_json(r), HasSubstr("\"l2_read_bytes\": 262144.0"));
}

TEST(Roofline, json_has_the_same_numbers) {
  const std::string json = to_json(report());
  EXPECT_THAT(json, HasSubstr("\"integer_products\": 500.0"));
  EXPECT_THAT(json, HasSubstr("\"gmacs\": 125.0"));
  EXPECT_THAT(json, HasSubstr("\"peak_share\": 0.625"));
}

}  // namespace
}  // namespace octet
