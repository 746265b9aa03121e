// Every op of this room's cases against ONNX Runtime. The .inc files are made by make_cases.py.
#include "evaluate.h"

namespace octet::testing {
namespace {

constexpr const char* k_movement[] = {
#include "movement_cases.inc"
};
constexpr const char* k_exact[] = {
#include "exact_cases.inc"
};
constexpr const char* k_close[] = {
#include "close_cases.inc"
};

TEST(ReferenceCases, movement_ops_give_the_elements_of_onnx_runtime) {
  for (const char* text : k_movement) expect_pairs_equal(text);
}

TEST(ReferenceCases, single_float_operations_and_integers_are_exact) {
  for (const char* text : k_exact)
    expect_pairs_equal(text, /*tolerance=*/2e-7);  // ONNX Runtime's reductions sum in float
}

TEST(ReferenceCases, transcendental_functions_are_within_a_few_units_in_the_last_place) {
  for (const char* text : k_close)
    expect_pairs_equal(text, /*tolerance=*/1e-6);  // its vector exp, erf and softmax: < 8 ulp
}

}  // namespace
}  // namespace octet::testing
