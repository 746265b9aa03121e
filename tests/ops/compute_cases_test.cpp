// Convolutions, products, pools, activations, Q/DQ and the integer ops against ONNX Runtime and numpy. The .inc files
// are made by make_compute_cases.py.
#include "evaluate.h"

namespace octet::testing {
namespace {

constexpr const char* k_compute[] = {
#include "compute_cases.inc"
};
constexpr const char* k_smooth[] = {
#include "smooth_cases.inc"
};
constexpr const char* k_integer[] = {
#include "integer_conv_cases.inc"
#include "integer_gemm_cases.inc"
#include "integer_pair_cases.inc"
#include "integer_pool_cases.inc"
};
constexpr const char* k_same_pool[] = {
#include "same_pool_cases.inc"
};

TEST(ComputeCases, float_ops_on_small_integers_give_exactly_the_numbers_of_onnx_runtime) {
  for (const char* text : k_compute) expect_pairs_equal(text);
}

TEST(ComputeCases, functions_that_round_are_within_a_few_units_in_the_last_place_of_onnx_runtime) {
  for (const char* text : k_smooth) expect_pairs_equal(text, /*tolerance=*/2e-6);  // its float formulas: < 16 ulp
}

TEST(ComputeCases, integer_ops_give_the_codes_of_an_evaluation_of_the_readme_in_numpy) {
  for (const char* text : k_integer) expect_pairs_equal(text);
}

TEST(ComputeCases, pools_with_auto_pad_count_dilations_and_never_cut_the_input) {
  for (const char* text : k_same_pool) expect_pairs_equal(text);
}

}  // namespace
}  // namespace octet::testing
