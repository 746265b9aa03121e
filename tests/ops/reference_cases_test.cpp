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
constexpr const char* k_eye[] = {
#include "eye_cases.inc"
};
constexpr const char* k_circular[] = {
#include "circular_cases.inc"
};
constexpr const char* k_rare[] = {
#include "rare_cases.inc"
};
constexpr const char* k_sampled[] = {
#include "sampled_cases.inc"
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

TEST(ReferenceCases, identity_matrices_are_exact) {
  for (const char* text : k_eye) expect_pairs_equal(text);
}

TEST(ReferenceCases, circular_and_hyperbolic_functions_are_within_a_few_units_in_the_last_place) {
  for (const char* text : k_circular) expect_pairs_equal(text, /*tolerance=*/1e-6);
}

TEST(ReferenceCases, circular_functions_of_short_floats_compute_as_float_and_round_once) {
  // ONNX Runtime has no such kernels. 1.5 and 0.5 are exact; sin 1.5 = 0.99749, atan 0.5 = 0.46365.
  expect_pairs_equal(R"(graph () -> (y0, want0, y1, want1) {
    const x0: f16[2] = {1.5, 0.5}
    const x1: bf16[2] = {1.5, 0.5}
    const want0: f16[2] = {0.99749, 0.47943}
    const want1: bf16[2] = {0.98279, 0.46365}
    y0 = Sin(x0)
    y1 = Atan(x1)
  })");
}

TEST(EyeLike, has_a_diagonal_of_true_and_of_short_floats) {
  expect_pairs_equal(R"(graph () -> (y0, want0, y1, want1) {
    const x: bool[2,3] = {1, 1, 1, 1, 1, 1}
    const want0: bool[2,3] = {0, 1, 0, 0, 0, 1}
    const want1: bf16[2,3] = {1, 0, 0, 0, 1, 0}
    y0 = EyeLike(x, k=1)
    y1 = EyeLike(x, dtype="bf16")
  })");
}

TEST(ReferenceCases, ops_that_few_networks_have_are_within_a_few_units_in_the_last_place) {
  for (const char* text : k_rare) expect_pairs_equal(text, /*tolerance=*/1e-6);
}

TEST(ReferenceCases, samples_of_a_grid_are_those_of_onnx_runtime) {
  for (const char* text : k_sampled) expect_pairs_equal(text, /*tolerance=*/1e-5);  // it interpolates in float
}

TEST(GridSample, takes_coordinates_that_are_no_numbers_or_far_away) {
  expect_pairs_equal(R"(graph () -> (y0, want0, y1, want1, y2, want2) {
    const x: f32[1,1,3] = {1, 2, 4}
    const g: f32[1,5,1] = {nan, inf, -inf, 1e30, -1e30}
    const want0: f32[1,1,5] = {0, 0, 0, 0, 0}
    const want1: f32[1,1,5] = {1, 4, 1, 4, 1}
    y0 = GridSample(x, g)
    y1 = GridSample(x, g, padding_mode="border")
    y = GridSample(x, g, padding_mode="reflection", mode="cubic")
    y2 = IsNaN(y)
    const want2: bool[1,1,5] = {0, 0, 0, 0, 0}
  })");
}

TEST(GridSample, mixes_dtypes_of_image_and_grid) {
  expect_pairs_equal(R"(graph () -> (y0, want0) {
    const x: f16[1,1,3] = {1, 2, 4}
    const g: f64[1,2,1] = {0, 0.3333333333333333}
    const want0: f16[1,1,2] = {2, 3}
    y0 = GridSample(x, g)
  })");
}

TEST(BitShift, by_the_width_or_more_leaves_nothing) {
  expect_pairs_equal(R"(graph () -> (y0, want0, y1, want1) {
    const x: u8[3] = {255, 255, 1}
    const n: u8[3] = {8, 255, 7}
    const want0: u8[3] = {0, 0, 128}
    const want1: u8[3] = {0, 0, 0}
    y0 = BitShift(x, n, direction="LEFT")
    y1 = BitShift(x, n, direction="RIGHT")
  })");
}

TEST(Shrink, of_integers_truncates_and_saturates) {
  expect_pairs_equal(R"(graph () -> (y0, want0, y1, want1) {
    const x: s8[3] = {-100, 0, 100}
    const b: s64[3] = {-9223372036854775808, 1, 9223372036854775807}
    const want0: s8[3] = {-128, 0, 127}
    const want1: s64[3] = {9223372036854775807, 9223372036854775807, 9223372036854775807}
    y0 = Shrink(x, bias=-60.5)
    y1 = Shrink(b, bias=1e30, lambd=-1e30)
  })");
}

void expect_has(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(ScatterElements, tells_what_does_not_fit) {
  const auto scatter = [](const std::string& indices, const std::string& updates, const std::string& rest = "") {
    const std::string text = "graph () -> (y) {\n const x: f32[2,3] = {1, 2, 3, 4, 5, 6}\n const i: s64" + indices +
                             "\n const u: f32" + updates + "\n y = ScatterElements(x, i, u" + rest + ") @n\n}\n";
    return error_of(text);
  };
  EXPECT_EQ(scatter("[1,1] = {2}", "[1,1] = {7}"),
            "node 'n' (ScatterElements): index 2 is out of range for the extent 2");
  EXPECT_EQ(scatter("[3,1] = {0, 1, 0}", "[3,1] = {7, 8, 9}", ", axis=1"),
            "node 'n' (ScatterElements): indices [3,1] are larger than x [2,3]");
  expect_has(scatter("[1,2] = {0, 1}", "[2,1] = {7, 8}"), "indices [1,2] and updates [2,1] differ, expected one shape");
  expect_has(scatter("[2] = {0, 1}", "[2] = {7, 8}"), "input 1 has shape [2], expected rank 2");
  expect_has(scatter("[1,1] = {0}", "[1,1] = {7}", ", reduction=\"sum\""),
             "reduction is 'sum', expected none, add, mul, min or max");
}

}  // namespace
}  // namespace octet::testing
