#include "report/layer_errors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace octet {
namespace {

TEST(ErrorSums, give_the_textbook_figures) {
  ErrorSums sums;
  sums.add(3, 3.5);
  sums.add(4, 4);
  // 25 / 0.25 = 100: 20 dB. (3*3.5 + 16) / (5 * sqrt(3.5^2 + 16)).
  EXPECT_DOUBLE_EQ(sums.sqnr_db(), 20);
  EXPECT_DOUBLE_EQ(sums.cosine(), 26.5 / (5 * std::sqrt(28.25)));
  EXPECT_DOUBLE_EQ(sums.largest, 0.5);
}

TEST(ErrorSums, equal_values_are_exact_and_zeros_do_not_divide) {
  ErrorSums sums;
  sums.add(0, 0);
  EXPECT_TRUE(std::isinf(sums.sqnr_db()));
  EXPECT_EQ(sums.cosine(), 1);
  EXPECT_EQ(band(sums.sqnr_db()), "exact");
}

TEST(Bands, begin_where_the_text_says) {
  EXPECT_EQ(band(30), "good");
  EXPECT_EQ(band(29.9), "fair");
  EXPECT_EQ(band(20), "fair");
  EXPECT_EQ(band(10), "poor");
  EXPECT_EQ(band(9.9), "broken");
  EXPECT_EQ(band(-3), "broken");
}

TEST(LayerErrors, json_writes_no_infinity_and_leaves_out_layers_without_a_reference) {
  LayerErrorReport report;
  report.layers.resize(2);
  report.layers[0].name = "a";
  report.layers[0].reference = "x";
  report.layers[0].accumulated.add(1, 1);
  const nlohmann::json j = nlohmann::json::parse(to_json(report));
  ASSERT_EQ(j["layers"].size(), 1u);
  EXPECT_TRUE(j["layers"][0]["sqnr_db_accumulated"].is_null());
  EXPECT_TRUE(j["layers"][0]["sqnr_db_own"].is_null());
  EXPECT_NE(to_text(report).find("1 layers make values"), std::string::npos);
}

}  // namespace
}  // namespace octet
