// What inference says with symbolic and unknown extents, and what it refuses.
#include <algorithm>

#include "evaluate.h"

namespace octet::testing {
namespace {

/// The type of op(x, constants...) for x of the given type. Constants are s64 lists.
std::string of(const std::string& x, const std::string& op, const std::vector<std::string>& lists = {},
               const std::string& attributes = "") {
  std::string text = "graph (x: " + x + ") -> (y) {", arguments = "x";
  for (size_t i = 0; i < lists.size(); ++i) {
    const std::string& list = lists[i];
    if (list == "_") {
      arguments += ", _";
      continue;
    }
    const std::string c = "c" + std::to_string(i);
    const auto length = list.empty() ? 0 : std::count(list.begin(), list.end(), ',') + 1;
    text += "const " + c + ": s64[" + std::to_string(length) + "] = {" + list + "} ";
    arguments += ", " + c;
  }
  text += "y = " + op + "(" + arguments + (attributes.empty() ? "" : ", " + attributes) + ") @n }";
  const std::string answer = inferred(text);
  const std::string place = "line 1: node 'n' (" + op + "): ";
  return answer.starts_with(place) ? answer.substr(place.size()) : answer;
}

TEST(InferReshape, a_symbolic_batch_keeps_its_name_where_the_rest_cancels) {
  EXPECT_EQ(of("f32[N,512,1,1]", "Reshape", {"-1,512"}), "f32[N,512]");
  EXPECT_EQ(of("f32[N,512,1,1]", "Reshape", {"0,-1"}), "f32[N,512]");
  EXPECT_EQ(of("f32[N,C,4,4]", "Reshape", {"0,0,-1"}), "f32[N,C,16]");
  EXPECT_EQ(of("f32[N,C,4]", "Reshape", {"0,-1"}), "f32[N,?]");
  EXPECT_EQ(of("f32[N,6]", "Reshape", {"-1,3"}), "f32[?,3]");
  EXPECT_EQ(of("f32[N,6]", "Reshape", {"1,6"}), "f32[1,6]");
  EXPECT_EQ(of("f32", "Reshape", {"0,-1,3"}), "f32[?,?,3]");
  EXPECT_EQ(of("f32[2,0]", "Reshape", {"0,-1"}), "f32[2,0]");
  EXPECT_EQ(of("f32[0,3]", "Reshape", {"0,-1"}), "f32[0,3]");
}

TEST(InferReshape, an_unknown_target_still_tells_the_rank) {
  EXPECT_EQ(inferred("graph (x: f32[6], s: s64[2]) -> (y) { y = Reshape(x, s) }"), "f32[?,?]");
  EXPECT_EQ(inferred("graph (x: f32[6], s: s64[K]) -> (y) { y = Reshape(x, s) }"), "f32");
  EXPECT_EQ(inferred("graph (x: f32[6], s: s64[60000000000]) -> (y) { y = Reshape(x, s) }"), "f32");
}

TEST(InferReshape, impossible_targets_are_refused) {
  EXPECT_EQ(of("f32[2,3]", "Reshape", {"-1,-1"}), "target has 2 extents of -1, expected at most one");
  EXPECT_EQ(of("f32[2,3]", "Reshape", {"-2,3"}), "target [-2,3] has an extent below -1");
  EXPECT_EQ(of("f32[2,3]", "Reshape", {"4,-1"}), "cannot reshape [2,3] to [4,-1]: no extent fits the -1");
  EXPECT_EQ(of("f32[2,3]", "Reshape", {"5"}), "cannot reshape [2,3] to [5]: the numbers of elements differ");
  EXPECT_EQ(of("f32[2,3]", "Reshape", {"2,3,0"}), "target [2,3,0] copies extent 2, but the input is [2,3]");
  EXPECT_EQ(of("f32[0,3]", "Reshape", {"0,-1"}, "allowzero=1"),
            "target has both 0 and -1, which allowzero=1 makes ambiguous");
  EXPECT_EQ(of("f32[N]", "Reshape", {"9223372036854775807,9223372036854775807"}),
            "output 0 of shape [9223372036854775807,9223372036854775807] is negative or has more than 2^36 elements");
  EXPECT_EQ(of("f32[N]", "Reshape", {"9223372036854775807,-1"}),
            "cannot reshape [N] to [9223372036854775807,-1]: no extent fits the -1");
}

TEST(InferFlatten, one_symbol_beside_ones_keeps_its_name) {
  EXPECT_EQ(of("f32[N,512,1,1]", "Flatten"), "f32[N,512]");
  EXPECT_EQ(of("f32[N,512,7,7]", "Flatten", {}, "axis=1"), "f32[N,25088]");
  EXPECT_EQ(of("f32[N,1,1]", "Flatten", {}, "axis=2"), "f32[N,1]");
  EXPECT_EQ(of("f32[N,2]", "Flatten", {}, "axis=2"), "f32[?,1]");
  EXPECT_EQ(of("f32[N,0]", "Flatten", {}, "axis=2"), "f32[0,1]");
  EXPECT_EQ(of("f32", "Flatten"), "f32[?,?]");
  EXPECT_EQ(of("f32[2,3]", "Flatten", {}, "axis=3"), "axis 3 is out of range for the input [2,3]");
  EXPECT_EQ(of("f32[2,3]", "Flatten", {}, "axis=-9223372036854775808"),
            "axis -9223372036854775808 is out of range for the input [2,3]");
}

TEST(InferMovement, extents_that_are_not_touched_keep_their_names) {
  EXPECT_EQ(of("u8[N,3,H,W]", "Transpose", {}, "perm=[0,2,3,1]"), "u8[N,H,W,3]");
  EXPECT_EQ(of("f32[N,1,W]", "Squeeze", {"1"}), "f32[N,W]");
  EXPECT_EQ(of("f32[N,1,W]", "Squeeze"), "f32");  // N may be 1
  EXPECT_EQ(of("f32[N,W]", "Unsqueeze", {"0,3"}), "f32[1,N,W,1]");
  EXPECT_EQ(of("f32[N,8]", "Slice", {"0", "9223372036854775807", "0"}), "f32[N,8]");
  EXPECT_EQ(of("f32[N,8]", "Slice", {"0,0", "2147483647,3"}), "f32[N,3]");
  EXPECT_EQ(of("f32[N,8]", "Slice", {"1", "9223372036854775807", "0"}), "f32[?,8]");
  EXPECT_EQ(of("f32[N,8]", "Slice", {"-9223372036854775808", "9223372036854775807", "1", "-9223372036854775808"}),
            "f32[N,0]");
  EXPECT_EQ(of("f32[N,8]", "Slice", {"9223372036854775807", "-9223372036854775808", "1", "-9223372036854775808"}),
            "f32[N,1]");
  EXPECT_EQ(of("f32[N,8]", "Gather", {"0,1,2"}, "axis=1"), "f32[N,3]");
  EXPECT_EQ(of("f32[N,8]", "Tile", {"1,2"}), "f32[N,16]");
  EXPECT_EQ(of("f32[N,8]", "Tile", {"2,0"}), "f32[?,0]");
  EXPECT_EQ(of("f32[N,8]", "Expand", {"4,1,8"}), "f32[4,N,8]");
  EXPECT_EQ(of("f32[N,8]", "Pad", {"0,1,0,1"}), "f32[N,10]");
  EXPECT_EQ(of("f32[N,8]", "Pad", {"1,0,0,0"}), "f32[?,8]");
  EXPECT_EQ(of("f32[N,3,H,W]", "Shape"), "s64[4]");
  EXPECT_EQ(of("f32", "Shape"), "s64[?]");
  EXPECT_EQ(of("f32[N,8]", "ReduceMean", {"1"}), "f32[N,1]");
  EXPECT_EQ(of("f32[N,8]", "ReduceMean", {"1"}, "keepdims=0"), "f32[N]");
  EXPECT_EQ(of("f32[N,8]", "ArgMax", {}, "axis=1, keepdims=0"), "s64[N]");
  EXPECT_EQ(of("f32[N,8]", "Cast", {}, "to=\"f16\""), "f16[N,8]");
  EXPECT_EQ(of("f32[N,8,2,W]", "DepthToSpace", {}, "blocksize=2"), "f32[N,2,4,?]");
  EXPECT_EQ(of("f32[N,8,2,W]", "SpaceToDepth", {}, "blocksize=1"), "f32[N,8,2,W]");
}

TEST(InferConcat, known_extents_win_over_unknown_ones) {
  EXPECT_EQ(inferred("graph (a: f32[N,2], b: f32[3,4]) -> (y) { y = Concat(a, b, axis=1) }"), "f32[3,6]");
  EXPECT_EQ(inferred("graph (a: f32[N,2], b: f32[M,4]) -> (y) { y = Concat(a, b, axis=-1) }"), "f32[N,6]");
  EXPECT_EQ(inferred("graph (a: f32[N,2], b: f32[1,2]) -> (y) { y = Concat(a, b, axis=0) }"), "f32[?,2]");
  EXPECT_EQ(inferred("graph (a: f32[1,2], b: f32) -> (y) { y = Concat(a, b, axis=0) }"), "f32");
}

TEST(InferBroadcast, an_unknown_extent_beside_a_number_is_that_number) {
  const auto sum = [](const std::string& a, const std::string& b) {
    return inferred("graph (a: " + a + ", b: " + b + ") -> (y) { y = Add(a, b) @n }");
  };
  EXPECT_EQ(sum("f32[N,3]", "f32[N,1]"), "f32[N,3]");
  EXPECT_EQ(sum("f32[N,3]", "f32[3]"), "f32[N,3]");
  EXPECT_EQ(sum("f32[N,3]", "f32[7,3]"), "f32[7,3]");
  EXPECT_EQ(sum("f32[N]", "f32[M]"), "f32[?]");
  EXPECT_EQ(sum("f32[N]", "f32[0]"), "f32[0]");
  EXPECT_EQ(sum("f32[N]", "f32"), "f32");
  EXPECT_EQ(sum("f32[2,3]", "f32[2]"),
            "line 1: node 'n' (Add): shapes [2,3] and [2] do not broadcast: extents must be equal or 1");
  EXPECT_EQ(sum("f32[2]", "s64[2]"), "line 1: node 'n' (Add): input 1 is s64, expected f32 as input 0");
  EXPECT_EQ(sum("f32[1048576,1]", "f32[1048576]"),
            "line 1: node 'n' (Add): output 0 of shape [1048576,1048576] is negative or has more than 2^36 elements");
}

TEST(InferSplit, parts_have_their_own_extents) {
  EXPECT_EQ(inferred("graph (x: f32[N,5]) -> (c) { a, b, c = Split(x, axis=1, num_outputs=3) }"), "f32[N,1]");
  EXPECT_EQ(inferred("graph (x: f32[N,6]) -> (c) { a, b, c = Split(x, axis=1) }"), "f32[N,2]");
  EXPECT_EQ(inferred("graph (x: f32[N,6]) -> (a) { a, _ = Split(x, axis=0) }"), "f32[?,6]");
  const std::string place = "line 1: node of 'a' (Split): ";
  EXPECT_EQ(inferred("graph (x: f32[5]) -> (a) { a, b = Split(x) }"),
            place + "extent 5 cannot be split into 2 equal parts");
  EXPECT_EQ(inferred("graph (x: f32[5]) -> (a) { a, b, c, d = Split(x, num_outputs=4) }"),
            place + "extent 5 is too short for 4 parts");
  EXPECT_EQ(inferred("graph (x: f32[5]) -> (a) { a, b = Split(x, num_outputs=3) }"),
            place + "num_outputs is 3, but there are 2 outputs");
  EXPECT_EQ(inferred("graph (x: f32[5]) -> (a) { const s: s64[2] = {2, 4} a, b = Split(x, s) }"),
            place + "sizes [2,4] add up to 6, expected 5");
  EXPECT_EQ(inferred("graph (x: f32[5]) -> (a) { const s: s64[2] = {-1, 6} a, b = Split(x, s) }"),
            place + "size -1 is not possible");
}

// A conversion to an integer is defined for what fits one.
TEST(InferResize, extents_that_fit_no_integer_are_refused) {
  EXPECT_EQ(inferred("graph (x: f32[0]) -> (y) { const s: f32[1] = {inf} y = Resize(x, _, s) @n }"),
            "line 1: node 'n' (Resize): scale inf of axis 0 is not possible");
  EXPECT_EQ(inferred("graph (x: f32[1,1073741824]) -> (y) { const s: s64[2] = {68719476736, 1} "
                     "y = Resize(x, _, _, s, keep_aspect_ratio_policy=\"not_smaller\") @n }"),
            "line 1: node 'n' (Resize): a kept aspect ratio makes axis 1 too long");
}

TEST(InferMovement, hostile_numbers_are_refused_with_a_reason) {
  EXPECT_EQ(of("f32[2,3]", "Transpose", {}, "perm=[0,0]"), "axis 0 is given twice");
  EXPECT_EQ(of("f32[2,3]", "Transpose", {}, "perm=[0,2]"), "axis 2 is out of range for rank 2, expected -2 to 1");
  EXPECT_EQ(of("f32[2,3]", "Transpose", {}, "perm=[1,-2]"), "perm [1,-2] has a negative axis");
  EXPECT_EQ(of("f32[2,3]", "Transpose", {}, "perm=[0]"), "perm [0] has 1 axes, but the input has rank 2");
  EXPECT_EQ(of("f32[2,3]", "Transpose", {}, "perm=1"), "attribute 'perm' is of kind int, expected ints");
  EXPECT_EQ(of("f32[2,3]", "Squeeze", {"1"}), "axis 1 of [2,3] is not 1 and cannot be squeezed");
  EXPECT_EQ(of("f32[2,3]", "Unsqueeze", {"3"}), "axis 3 is out of range for rank 3, expected -3 to 2");
  EXPECT_EQ(of("f32[2,3]", "Slice", {"0", "1", "0", "0"}), "a step of 0");
  EXPECT_EQ(of("f32[2,3]", "Slice", {"0", "1,2"}),
            "starts, ends, axes and steps must be of one length, at most the rank 2");
  EXPECT_EQ(of("f32[2,3]", "Concat"), "attribute 'axis' is missing, but it is required");
  EXPECT_EQ(of("f32[2,3]", "Tile", {"-1,1"}), "repeats [-1,1] has an impossible number");
  EXPECT_EQ(of("f32[2,3]", "Tile", {"68719476736,1"}), "the product of [2,68719476736] is more than 2^36");
  EXPECT_EQ(of("f32[2,3]", "Expand", {"-1,3"}), "shape [-1,3] has a negative extent");
  EXPECT_EQ(of("f32[2,3]", "Pad", {"0,0,0,9223372036854775807"}), "a pad of 9223372036854775807");
  EXPECT_EQ(of("f32[2,3]", "Pad", {"0,-2,0,-2"}), "pads -2 and -2 do not fit an extent of 3");
  EXPECT_EQ(of("f32[2,3]", "Pad", {"0,3,0,0"}, "mode=\"reflect\""), "pads 3 and 0 do not fit an extent of 3");
  EXPECT_EQ(of("f32[2,3]", "Pad", {"0,0"}), "has 2 pads, expected 4");
  EXPECT_EQ(of("f32[2,3]", "Pad", {"0,0,0,0"}, "mode=\"mirror\""),
            "mode 'mirror' is not one of constant, reflect, edge, wrap");
  EXPECT_EQ(of("f32[2,3]", "Gather", {"0"}, "axis=2"), "axis 2 is out of range for rank 2, expected -2 to 1");
  EXPECT_EQ(of("f32[2,3]", "Cast", {}, "to=\"float\""),
            "attribute 'to' is 'float', expected the word of a dtype such as f32 or s64");
  EXPECT_EQ(of("f32[2,3]", "Softmax", {}, "axis=2"), "axis 2 is out of range for rank 2, expected -2 to 1");
  EXPECT_EQ(of("f32[1,6,2,2]", "DepthToSpace", {}, "blocksize=2"), "extent 6 is not a multiple of 4");
  EXPECT_EQ(of("f32[1,6,2,2]", "DepthToSpace", {}, "blocksize=4294967296"),
            "blocksize is 4294967296, expected 1 to 65536");
  EXPECT_EQ(of("f32[1,6,2,2]", "Resize"), "needs scales or sizes with 4 numbers, one for each axis");
  EXPECT_EQ(of("f32[1,6,2,2]", "Resize", {"_", "_", "1,1,99999999999,1"}),
            "size 99999999999 of axis 2 is not possible");
  EXPECT_EQ(of("f32[1,6,2,2]", "Resize", {"_", "_", "1,6,4,4"}, "mode=\"cube\""), "mode 'cube' is not known to ONNX");
  EXPECT_EQ(of("f32[2,3]", "LayerNormalization", {"1,1"}), "input 1 is s64, expected f32 as input 0");
  EXPECT_EQ(of("s64[2,3]", "Sqrt"), "input 0 is s64, expected a float dtype");
  EXPECT_EQ(of("f32[2,0]", "ArgMax", {}, "axis=1"), "has no element to choose on axis 1");
  EXPECT_EQ(inferred("graph () -> (y) { const s: s64[1] = {-1} y = ConstantOfShape(s) @n }"),
            "line 1: node 'n' (ConstantOfShape): shape [-1] is negative or too large");
  EXPECT_EQ(
      inferred("graph () -> (y) { const a: s64[] = {0} const b: s64[] = {9223372036854775807} const d: s64[] = {1} "
               "y = Range(a, b, d) @n }"),
      "line 1: node 'n' (Range): would have more than 2^36 elements");
}

TEST(Reference, evaluation_refuses_what_only_the_values_show) {
  EXPECT_EQ(error_of("graph () -> (y) { const x: s64[2] = {1,2} const i: s64[1] = {2} y = Gather(x, i) @n }"),
            "node 'n' (Gather): index 2 is out of range for the extent 2");
  EXPECT_EQ(error_of("graph () -> (y) { const x: s64[2] = {1,2} const z: s64[2] = {1,0} y = Div(x, z) @n }"),
            "node 'n' (Div): divides an integer by zero");
  EXPECT_EQ(error_of("graph () -> (y) { const x: bool[1] = {1} y = Exp(x) @n }"),
            "line 1: node 'n' (Exp): input 0 is bool, expected a float dtype");
  EXPECT_EQ(error_of("graph () -> (y) { const x: bool[1] = {1} y = Neg(x) @n }"),
            "line 1: node 'n' (Neg): is not defined for bool");
}

TEST(Reference, integers_wrap_at_their_ends) {  // two's complement, by hand
  expect_pairs_equal(
      "graph () -> (y, w) { const x: s64[2] = {-9223372036854775808, 7} const d: s64[1] = {-1} y = Div(x, d) "
      "const w: s64[2] = {-9223372036854775808, -7} }");
  expect_pairs_equal("graph () -> (y, w) { const x: s8[2] = {-128, 100} y = Abs(x) const w: s8[2] = {-128, 100} }");
  expect_pairs_equal("graph () -> (y, w) { const x: s8[2] = {-128, 100} y = Add(x, x) const w: s8[2] = {0, -56} }");
  expect_pairs_equal("graph () -> (y, w) { const x: u16[1] = {65535} y = Mul(x, x) const w: u16[1] = {1} }");
}

TEST(Reference, casts_saturate_where_onnx_leaves_it_open) {
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f32[6] = {nan, inf, -inf, 1e10, -129, 127.9} y = Cast(x, to=\"s8\") "
      "const w: s8[6] = {0, 127, -128, 127, -128, 127} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f64[4] = {9.3e18, -9.3e18, 9223372036854775807, 0.9} y = Cast(x, to=\"s64\") "
      "const w: s64[4] = {9223372036854775807, -9223372036854775808, 9223372036854775807, 0} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f32[3] = {-1, 1.8446744e19, 255.5} y = Cast(x, to=\"u64\") "
      "const w: u64[3] = {0, 18446744073709551615, 255} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f32[3] = {nan, 0, -0.0} y = Cast(x, to=\"bool\") const w: bool[3] = {1, 0, 0} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f32[3] = {1.00390625, 1.01171875, inf} y = Cast(x, to=\"bf16\") "
      "const w: bf16[3] = {1, 1.015625, inf} }");  // ties to even in the 8th bit
}

TEST(Reference, a_range_of_extreme_integers_is_exact) {
  expect_pairs_equal(
      "graph () -> (y, w) { const a: s64[] = {-9223372036854775808} const b: s64[] = {-9223372036854775803} "
      "const d: s64[] = {2} y = Range(a, b, d) "
      "const w: s64[3] = {-9223372036854775808, -9223372036854775806, -9223372036854775804} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const a: s64[] = {9223372036854775807} const b: s64[] = {-9223372036854775808} "
      "const d: s64[] = {-9223372036854775808} y = Range(a, b, d) const w: s64[2] = {9223372036854775807, -1} }");
}

TEST(Reference, reductions_over_nothing_follow_the_rules_of_the_file) {
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f32[2,0] = {} const a: s64[1] = {1} y = ReduceMax(x, a) "
      "const w: f32[2,1] = {-inf, -inf} }");
  expect_pairs_equal("graph () -> (y, w) { const x: s8[0] = {} y = ReduceMin(x, keepdims=0) const w: s8[] = {127} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f32[2,0] = {} const a: s64[1] = {1} y = ReduceMean(x, a) "
      "const w: f32[2,1] = {nan, nan} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: bool[2,0] = {} const a: s64[1] = {1} y = ReduceMin(x, a) "
      "const w: bool[2,1] = {1, 1} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: s8[2,0] = {} const a: s64[1] = {1} y = ReduceLogSumExp(x, a) "
      "const w: s8[2,1] = {-128, -128} }");
  expect_pairs_equal("graph () -> (y, w) { const x: f32[2] = {nan, 5} y = ReduceMax(x) const w: f32[1] = {nan} }");
  expect_pairs_equal("graph () -> (y, w) { const x: f32[2] = {5, nan} y = ReduceMin(x) const w: f32[1] = {nan} }");
}

// numpy.logaddexp.reduce answers so.
TEST(Reference, a_log_sum_exp_keeps_the_nan_that_an_infinity_follows) {
  const std::pair<std::string, std::string> cases[] = {{"nan, inf, 1", "nan"},
                                                       {"inf, nan, 1", "nan"},
                                                       {"-inf, nan, 1", "nan"},
                                                       {"1, inf, 1", "inf"},
                                                       {"-inf, -inf, -inf", "-inf"}};
  for (const auto& [x, y] : cases)
    expect_pairs_equal("graph () -> (y, w) { const x: f32[3] = {" + x + "} y = ReduceLogSumExp(x) const w: f32[1] = {" +
                       y + "} }");
}

TEST(Reference, roots_and_logarithms_of_integers_that_have_none_are_the_lowest_or_0) {
  // log 0 is -inf, and the logarithm of -2 and the root of a sum of squares that wrapped to -2^62 are NaN.
  expect_pairs_equal(
      "graph () -> (y, w) { const x: s64[2] = {0, 0} y = ReduceLogSum(x) const w: s64[1] = {-9223372036854775808} }");
  expect_pairs_equal("graph () -> (y, w) { const x: u64[2] = {0, 0} y = ReduceLogSum(x) const w: u64[1] = {0} }");
  expect_pairs_equal("graph () -> (y, w) { const x: s64[2] = {-3, 1} y = ReduceLogSum(x) const w: s64[1] = {0} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: s64[3] = {2147483648, 2147483648, 2147483648} y = ReduceL2(x) "
      "const w: s64[1] = {0} }");
}

// A line of a reduction is longer than what it takes up at a time, in the middle and at the end.
TEST(Reference, reductions_of_long_lines_take_up_every_element) {
  for (const int n : {255, 256, 257, 1000}) {
    const std::string extent = std::to_string(n), last = std::to_string(n - 1);
    expect_pairs_equal("graph () -> (y, w) { const f: s64[] = {0} const l: s64[] = {" + extent +
                       "} const s: s64[] = {1} x = Range(f, l, s) y = ReduceSum(x, keepdims=0) const w: s64[] = {" +
                       std::to_string(n * (n - 1) / 2) + "} }");
    expect_pairs_equal("graph () -> (y, w) { const f: s64[] = {0} const l: s64[] = {" + extent +
                       "} const s: s64[] = {1} x = Range(f, l, s) y = ReduceMax(x, keepdims=0) const w: s64[] = {" +
                       last + "} }");
  }
}

TEST(Reference, short_floats_compute_in_float_and_round_once) {
  // 2049 is no half; 2048 + 1 ties to the even 2048, 2050 + 1 to 2052. 1 + 2^-7 is the next bf16 after 1.
  expect_pairs_equal(
      "graph () -> (y, w) { const x: f16[2] = {2048, 2050} const z: f16[1] = {1} y = Add(x, z) "
      "const w: f16[2] = {2048, 2052} }");
  expect_pairs_equal(
      "graph () -> (y, w) { const x: bf16[1] = {1} const z: bf16[1] = {0.0078125} y = Add(x, z) "
      "const w: bf16[1] = {1.0078125} }");
  expect_pairs_equal("graph () -> (y, w) { const x: f16[3] = {1, 2, 2047} y = ReduceSum(x) const w: f16[1] = {2050} }");
}

TEST(Reference, the_first_nan_is_the_extreme_of_arg_max) {
  expect_pairs_equal("graph () -> (y, w) { const x: f32[4] = {1, nan, 9, nan} y = ArgMax(x) const w: s64[1] = {1} }");
  expect_pairs_equal("graph () -> (y, w) { const x: f32[4] = {1, nan, 9, nan} y = ArgMin(x) const w: s64[1] = {1} }");
}

TEST(InferBf16, weights_are_bfloat16_but_those_of_depthwise_layers) {
  const auto conv = [](const std::string& x, const std::string& w, int group) {
    return inferred("graph (x: " + x + ", w: " + w + ") -> (y) { y = Bf16Conv(x, w, group=" + std::to_string(group) +
                    ", to=\"bf16\") @n }");
  };
  EXPECT_EQ(conv("f32[1,4,5,5]", "bf16[6,4,1,1]", 1), "bf16[1,6,5,5]");
  EXPECT_EQ(conv("bf16[1,4,5,5]", "f32[4,1,3,3]", 4), "bf16[1,4,3,3]");
  EXPECT_EQ(conv("bf16[1,4,5,5]", "f32[6,4,1,1]", 1), "line 1: node 'n' (Bf16Conv): input 1 is f32, expected bf16");
  EXPECT_EQ(conv("bf16[1,4,5,5]", "f32[4,2,3,3]", 2), "line 1: node 'n' (Bf16Conv): input 1 is f32, expected bf16");
  EXPECT_EQ(conv("f16[1,4,5,5]", "bf16[6,4,1,1]", 1),
            "line 1: node 'n' (Bf16Conv): input 0 is f16, expected f32 or bf16");
  EXPECT_EQ(inferred("graph (x: f32[2,4], w: f32[3,4]) -> (y) { y = Bf16Gemm(x, w, to=\"f32\") @n }"),
            "line 1: node 'n' (Bf16Gemm): input 1 is f32, expected bf16");
}

TEST(InferEyeLike, has_the_extents_of_a_matrix_and_the_dtype_it_names) {
  EXPECT_EQ(of("f32[N,3]", "EyeLike"), "f32[N,3]");
  EXPECT_EQ(of("f32", "EyeLike"), "f32[?,?]");
  EXPECT_EQ(of("bool[2,3]", "EyeLike", {}, "dtype=\"s64\", k=9223372036854775807"), "s64[2,3]");
  EXPECT_EQ(of("f32[2,3]", "EyeLike", {}, "k=-9223372036854775808"), "f32[2,3]");
  EXPECT_EQ(of("f32[2]", "EyeLike"), "input 0 has shape [2], expected rank 2");
  EXPECT_EQ(of("f32[2,3]", "EyeLike", {}, "dtype=\"s4\""),
            "attribute 'dtype' is 's4', expected a dtype of floats, integers or bool");
  EXPECT_EQ(of("f32[2,3]", "EyeLike", {}, "dtype=\"f33\""),
            "attribute 'dtype' is 'f33', expected a dtype of floats, integers or bool");
}

TEST(InferCircular, wants_floats) {
  EXPECT_EQ(of("f16[N,3]", "Sin"), "f16[N,3]");
  EXPECT_EQ(of("s32[3]", "Cos"), "input 0 is s32, expected a float dtype");
}

TEST(InferGridSample, has_the_channels_of_the_image_and_the_extents_of_the_grid) {
  const auto sampled = [](const std::string& x, const std::string& grid, const std::string& rest = "") {
    const std::string answer =
        inferred("graph (x: " + x + ", g: " + grid + ") -> (y) { y = GridSample(x, g" + rest + ") @n }");
    const std::string place = "line 1: node 'n' (GridSample): ";
    return answer.starts_with(place) ? answer.substr(place.size()) : answer;
  };
  EXPECT_EQ(sampled("f16[N,C,8,8]", "f32[N,H,5,2]"), "f16[N,C,H,5]");
  EXPECT_EQ(sampled("f32[2,3,8]", "f32[?,7,1]"), "f32[2,3,7]");
  EXPECT_EQ(sampled("f32", "f32[2,7,1]"), "f32");
  EXPECT_EQ(sampled("f32[2,3,8,8]", "f32[3,4,5,2]"), "x [2,3,8,8] and grid [3,4,5,2]: the batches differ");
  EXPECT_EQ(sampled("f32[2,3,8,8]", "f32[2,4,5,3]"),
            "x [2,3,8,8] and grid [2,4,5,3]: the last extent of grid is not the number of spatial axes");
  EXPECT_EQ(sampled("f32[2,3,8,8]", "f32[2,4,2]"), "x [2,3,8,8] and grid [2,4,2]: the ranks differ");
  EXPECT_EQ(sampled("f32[2,3,1,1,1,1]", "f32[2,1,1,1,1,4]"), "x [2,3,1,1,1,1] has not 1 to 3 spatial axes");
  EXPECT_EQ(sampled("f32[2,3,8]", "s64[2,4,1]"), "input 1 is s64, expected a float dtype");
  EXPECT_EQ(sampled("f32[2,3,8]", "f32[2,4,1]", ", mode=\"bilinear\""),
            "mode is 'bilinear', expected linear, nearest or cubic");
  EXPECT_EQ(sampled("f32[2,3,8]", "f32[2,4,1]", ", padding_mode=\"edge\""),
            "padding_mode is 'edge', expected zeros, border or reflection");
}

TEST(InferRareOps, refuse_what_they_are_not_defined_for) {
  EXPECT_EQ(of("f32[N]", "IsNaN"), "bool[N]");
  EXPECT_EQ(of("s32[N]", "IsInf"), "input 0 is s32, expected a float dtype");
  EXPECT_EQ(of("f32[N]", "BitwiseNot"), "is not defined for f32");
  EXPECT_EQ(of("u8[N]", "BitwiseNot"), "u8[N]");
  EXPECT_EQ(of("bool[N]", "Shrink"), "is not defined for bool");
  EXPECT_EQ(of("f32[N]", "LpNormalization", {}, "p=3"), "p is 3, expected 1 or 2");
  EXPECT_EQ(of("f32[N]", "LpNormalization", {}, "axis=1"), "axis 1 is out of range for rank 1, expected -1 to 0");
  EXPECT_EQ(of("f32[N]", "Hardmax", {}, "axis=1"), "axis 1 is out of range for rank 1, expected -1 to 0");
  EXPECT_EQ(of("f32[N,2]", "MeanVarianceNormalization"), "axis 2 is out of range for rank 2, expected -2 to 1");
  EXPECT_EQ(of("f32[N,2]", "MeanVarianceNormalization", {}, "axes=[0,-2]"), "axis -2 is given twice");
  EXPECT_EQ(inferred("graph (x: u8[N,2], n: u8[2]) -> (y) { y = BitShift(x, n, direction=\"UP\") @n }"),
            "line 1: node 'n' (BitShift): direction is 'UP', expected LEFT or RIGHT");
  EXPECT_EQ(inferred("graph (x: s8[N,2], n: s8[2]) -> (y) { y = BitShift(x, n, direction=\"LEFT\") @n }"),
            "line 1: node 'n' (BitShift): is not defined for s8");
}

}  // namespace
}  // namespace octet::testing
