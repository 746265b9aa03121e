#include "report/evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

TEST(PairedInterval, follows_the_formula_for_paired_proportions) {
  // gained 10, lost 20, n 1000: 1.96 * sqrt(30 - 100 / 1000) / 1000, by hand.
  EXPECT_NEAR(paired_ci95(10, 20, 1000), 1.96 * std::sqrt(29.9) / 1000, 1e-12);
  EXPECT_EQ(paired_ci95(0, 0, 1000), 0);
  EXPECT_EQ(paired_ci95(0, 0, 0), 0);
}

EvaluationReport two_models() {
  EvaluationReport r;
  r.first = {.model = "a.onnx",
             .precision = "fp32",
             .device = "cpu",
             .inputs = {},
             .outputs = {},
             .images = 200,
             .labelled = true,
             .top1_right = 100,
             .top5_right = 150,
             .seconds = 2,
             .note = ""};
  r.second = r.first;
  r.second->top1_right = 99;
  r.comparison =
      Comparison{.agreement = 0.995, .difference = -0.005, .difference_ci95 = 0.0098, .sqnr_db = 30, .cosine = 0.999};
  return r;
}

TEST(EvaluationReport, json_of_two_models_has_the_fixed_names) {
  const std::string json = to_json(two_models());
  for (const char* key : {"\"first\"", "\"second\"", "\"agreement\"", "\"difference\"", "\"difference_ci95\"",
                          "\"top1_right\": 99", "\"images_per_s\": 100.0"})
    EXPECT_NE(json.find(key), std::string::npos) << key << "\n" << json;
}

TEST(EvaluationReport, equal_outputs_have_no_infinite_number_in_json) {
  EvaluationReport r = two_models();
  r.comparison->sqnr_db = std::numeric_limits<double>::infinity();
  EXPECT_NE(to_json(r).find("\"sqnr_db\": null"), std::string::npos);
  EXPECT_NE(to_text(r).find("infinite (equal outputs)"), std::string::npos);
}

TEST(EvaluationReport, without_labels_says_nothing_of_right_answers) {
  EvaluationReport r = two_models();
  r.first.labelled = r.second->labelled = false;
  EXPECT_EQ(to_text(r).find("top-1"), std::string::npos);
  EXPECT_EQ(to_json(r).find("top1"), std::string::npos);
}

}  // namespace
}  // namespace octet
