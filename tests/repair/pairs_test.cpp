// Repairs of QuantizeLinear/DequantizeLinear pairs.
#include "repair/repairing.h"

namespace octet {
namespace {

// ---- eager_zero_points: PyTorch's eager qint8 export ----

const std::string k_eager_constants = R"(const s: f32[] = {0.5} const s8z: s8[] = {0} const u8z: u8[] = {0} )";
const std::string k_stub =
    R"(q0 = QuantizeLinear(x, s, s8z) @stub c0 = Cast(q0, to="s8") d0 = DequantizeLinear(c0, s, s8z) )";

TEST(EagerZeroPoints, uint8_zero_points_of_an_export_with_a_signed_stub_become_int8) {
  expect_mended(
      "eager_zero_points",
      "graph (x: f32[N,4]) -> (y) {" + k_eager_constants + k_stub +
          R"(r = Sigmoid(d0) q1 = QuantizeLinear(r, s, u8z) @q1 c1 = Cast(q1, to="u8") y = DequantizeLinear(c1, s, u8z) })",
      "graph (x: f32[N,4]) -> (y) { const q1_zero_point: s8[] = {0} const y_zero_point: s8[] = {0}" +
          std::string("const s: f32[] = {0.5} const s8z: s8[] = {0} ") + k_stub +
          R"(r = Sigmoid(d0) q1 = QuantizeLinear(r, s, q1_zero_point) @q1 c1 = Cast(q1, to="s8")
             y = DequantizeLinear(c1, s, y_zero_point) })",
      {"q1: u8 zero point 0, scale 0.5 -> s8 zero point 0, scale 0.5; negative values are kept and 127 steps are the "
       "most, as in the network that was exported"});
}
TEST(EagerZeroPoints, without_the_signed_stub_uint8_stays) {
  expect_untouched("eager_zero_points",
                   "graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const u8z: u8[] = {0}"
                   R"(q1 = QuantizeLinear(x, s, u8z) c1 = Cast(q1, to="u8") y = DequantizeLinear(c1, s, u8z) })");
}
TEST(EagerZeroPoints, without_the_casts_uint8_stays) {
  expect_untouched("eager_zero_points",
                   "graph (x: f32[N,4]) -> (y) {" + k_eager_constants + k_stub +
                       "r = Relu(d0) q1 = QuantizeLinear(r, s, u8z) y = DequantizeLinear(q1, s, u8z) }");
}
TEST(EagerZeroPoints, one_true_zero_point_says_that_the_file_means_what_it_says) {
  expect_untouched(
      "eager_zero_points",
      "graph (x: f32[N,4]) -> (y) { const z3: u8[] = {3} " + k_eager_constants + k_stub +
          R"(r = Relu(d0) q1 = QuantizeLinear(r, s, u8z) c1 = Cast(q1, to="u8") d1 = DequantizeLinear(c1, s, u8z)
                          q2 = QuantizeLinear(d1, s, z3) c2 = Cast(q2, to="u8") y = DequantizeLinear(c2, s, z3) })");
}
TEST(EagerZeroPoints, an_unsigned_stub_is_not_eager_qint8) {
  expect_untouched("eager_zero_points",
                   "graph (x: f32[N,4]) -> (y) {" + k_eager_constants +
                       R"(q0 = QuantizeLinear(x, s, u8z) c0 = Cast(q0, to="u8") d0 = DequantizeLinear(c0, s, u8z)
                          r = Relu(d0) q1 = QuantizeLinear(r, s, s8z) c1 = Cast(q1, to="s8") y = DequantizeLinear(c1, s, s8z) })");
}

TEST(EagerZeroPoints, float_ops_may_come_before_the_stub_and_ops_on_codes_stand_in_a_pair) {
  const MendedGraph made =
      mended("eager_zero_points",
             "graph (p: f32[N,4]) -> (y) { const two: f32[] = {2} const to: s64[2] = {-1, 2}" + k_eager_constants +
                 "m = Sub(p, two) e = Div(m, two) x = Transpose(e, perm=[1,0])" + k_stub +
                 R"(r = Sigmoid(d0) q1 = QuantizeLinear(r, s, u8z) c1 = Cast(q1, to="u8") v = Reshape(c1, to)
             y = DequantizeLinear(v, s, u8z) })");
  EXPECT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(print(made.graph).find("u8["), std::string::npos) << print(made.graph);
}
TEST(EagerZeroPoints, a_stub_without_a_cast_or_behind_a_layer_is_none) {
  const std::string later =
      R"(r = Relu(d0) q1 = QuantizeLinear(r, s, u8z) c1 = Cast(q1, to="u8") y = DequantizeLinear(c1, s, u8z) })";
  expect_untouched("eager_zero_points", "graph (x: f32[N,4]) -> (y) {" + k_eager_constants +
                                            "q0 = QuantizeLinear(x, s, s8z) d0 = DequantizeLinear(q0, s, s8z) " +
                                            later);
  expect_untouched("eager_zero_points",
                   "graph (p: f32[N,4]) -> (y) {" + k_eager_constants + "x = Sigmoid(p) " + k_stub + later);
}
TEST(EagerZeroPoints, codes_that_an_op_computes_with_stay) {
  expect_untouched("eager_zero_points",
                   "graph (x: f32[N,4]) -> (y) {" + k_eager_constants + k_stub +
                       R"(r = Relu(d0) q1 = QuantizeLinear(r, s, u8z) c1 = Cast(q1, to="u8") a = Add(c1, c1)
                          y = DequantizeLinear(a, s, u8z) })");
}

// ---- between_pairs ----

TEST(BetweenPairs, a_cast_to_the_codes_own_type_goes) {
  expect_mended("between_pairs",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0}
                   q = QuantizeLinear(x, s, z) c = Cast(q, to="s8") y = DequantizeLinear(c, s, z) @dq })",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) @dq })",
                {"dq: Cast between QuantizeLinear and DequantizeLinear -> removed"});
}
TEST(BetweenPairs, casts_through_a_wider_type_and_identities_go_together) {
  expect_mended("between_pairs",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {7}
                   q = QuantizeLinear(x, s, z) a = Cast(q, to="s32") b = Identity(a) c = Cast(b, to="u8")
                   y = DequantizeLinear(c, s, z) @dq })",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {7}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) @dq })",
                {"dq: Cast, Identity, Cast between QuantizeLinear and DequantizeLinear -> removed"});
}
TEST(BetweenPairs, codes_widened_to_int32_are_dequantized_as_they_were) {
  expect_mended("between_pairs",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {7} const z32: s32[] = {7}
                   q = QuantizeLinear(x, s, z) a = Cast(q, to="s32") y = DequantizeLinear(a, s, z32) @dq })",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {7} const z32_u8: u8[] = {7}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z32_u8) @dq })",
                {"dq: Cast between QuantizeLinear and DequantizeLinear -> removed"});
}
TEST(BetweenPairs, a_cast_that_wraps_codes_stays) {
  expect_untouched("between_pairs",
                   R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {0} const z8: s8[] = {0}
                   q = QuantizeLinear(x, s, z) a = Cast(q, to="s8") y = DequantizeLinear(a, s, z8) })");
}
TEST(BetweenPairs, a_clip_of_codes_becomes_a_clip_of_the_numbers_with_the_same_codes) {
  const char* const before =
      R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.1} const z: s8[] = {3} const lo: s8[] = {-127} const hi: s8[] = {90}
                   q = QuantizeLinear(x, s, z) c = Clip(q, lo, hi) y = DequantizeLinear(c, s, z) @dq })";
  expect_mended(
      "between_pairs", before,
      R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.1} const z: s8[] = {3} const x_low: f32[] = {-13} const x_high: f32[] = {8.7}
                   x_clipped = Clip(x, x_low, x_high) q = QuantizeLinear(x_clipped, s, z) y = DequantizeLinear(q, s, z) @dq })",
      {"dq: Clip between QuantizeLinear and DequantizeLinear -> Clip of the real numbers before QuantizeLinear"});
  expect_same_answers(before, mended("between_pairs", before).graph, {50, 4}, 20.0f);
}
TEST(BetweenPairs, a_clip_that_others_see_stays) {
  expect_untouched(
      "between_pairs",
      R"(graph (x: f32[N,4]) -> (y, e) { const s: f32[] = {0.1} const z: s8[] = {0} const lo: s8[] = {-127} const hi: s8[] = {127}
                   q = QuantizeLinear(x, s, z) c = Clip(q, lo, hi) y = DequantizeLinear(c, s, z) e = DequantizeLinear(q, s, z) })");
}
TEST(BetweenPairs, a_reshape_moves_behind) {
  expect_mended("between_pairs",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0} const d: s64[1] = {-1}
                   q = QuantizeLinear(x, s, z) r = Reshape(q, d) @move y = DequantizeLinear(r, s, z) @dq })",
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0} const d: s64[1] = {-1}
                   q = QuantizeLinear(x, s, z) y_unmoved = DequantizeLinear(q, s, z) @dq y = Reshape(y_unmoved, d) @move_real })",
                {"dq: Reshape between QuantizeLinear and DequantizeLinear -> behind DequantizeLinear"});
}
TEST(BetweenPairs, a_plain_pair_and_an_op_that_computes_stay) {
  expect_untouched("between_pairs", R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) })");
  expect_untouched("between_pairs", R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0}
                   q = QuantizeLinear(x, s, z) a = Add(q, q) y = DequantizeLinear(a, s, z) })");
}

// ---- missing_zero_points ----

TEST(MissingZeroPoints, are_uint8_for_quantize_and_the_codes_type_for_dequantize) {
  expect_mended("missing_zero_points",
                R"(graph (x: f32[N,4], w: s8[4]) -> (y, v) { const s: f32[] = {0.5}
                   q = QuantizeLinear(x, s) @q y = DequantizeLinear(q, s) v = DequantizeLinear(w, s) })",
                R"(graph (x: f32[N,4], w: s8[4]) -> (y, v) { const s: f32[] = {0.5} const q_zero_point: u8[] = {0}
                   const y_zero_point: u8[] = {0} const v_zero_point: s8[] = {0}
                   q = QuantizeLinear(x, s, q_zero_point) @q y = DequantizeLinear(q, s, y_zero_point)
                   v = DequantizeLinear(w, s, v_zero_point) })",
                {"q: no zero point -> u8 zero point 0", "y: no zero point -> u8 zero point 0",
                 "v: no zero point -> s8 zero point 0"});
}
TEST(MissingZeroPoints, an_int32_bias_needs_none) {
  expect_untouched("missing_zero_points",
                   "graph (b: s32[4]) -> (y) { const s: f32[] = {0.5} y = DequantizeLinear(b, s) }");
}

// ---- unsigned_128 ----

TEST(Unsigned128, is_int8_with_zero_point_0) {
  const char* const before = R"(graph (x: f32[N,4]) -> (y, z) { const s: f32[] = {0.5} const z128: u8[] = {128}
                   q = QuantizeLinear(x, s, z128) @q y = DequantizeLinear(q, s, z128) z = DequantizeLinear(q, s, z128) })";
  expect_mended(
      "unsigned_128", before,
      R"(graph (x: f32[N,4]) -> (y, z) { const s: f32[] = {0.5} const z128_s8: s8[] = {0} const z128_s8_1: s8[] = {0} const z128_s8_2: s8[] = {0}
                   q = QuantizeLinear(x, s, z128_s8) @q y = DequantizeLinear(q, s, z128_s8_1) z = DequantizeLinear(q, s, z128_s8_2) })",
      {"q: u8 zero point 128 -> s8 zero point 0"});
  expect_same_answers(before, mended("unsigned_128", before).graph, {20, 4}, 100.0f);
}
TEST(Unsigned128, of_stored_codes_shifts_them) {
  expect_mended("unsigned_128",
                R"(graph () -> (y) { const s: f32[] = {0.5} const w: u8[3] = {0, 128, 255} const z: u8[] = {128}
                   y = DequantizeLinear(w, s, z) })",
                R"(graph () -> (y) { const s: f32[] = {0.5} const w_s8: s8[3] = {-128, 0, 127} const z_s8: s8[] = {0}
                   y = DequantizeLinear(w_s8, s, z_s8) })",
                {"y: u8 zero point 128 -> s8 zero point 0"});
}
TEST(Unsigned128, true_asymmetry_and_codes_that_others_read_stay) {
  expect_untouched("unsigned_128", R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {127}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) })");
  expect_untouched("unsigned_128", R"(graph (x: f32[N,4]) -> (y, q) { const s: f32[] = {0.5} const z: u8[] = {128}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) })");
  expect_untouched("unsigned_128", R"(graph (x: f32[N,4]) -> (y, t) { const s: f32[] = {0.5} const z: u8[] = {128}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) t = Cast(q, to="f32") })");
}

const std::string k_128 = "const s: f32[] = {0.5} const z: u8[] = {128} q = QuantizeLinear(x, s, z) ";

// Every node that the codes go through changes with them; before and after give the same numbers.
TEST(Unsigned128, is_followed_through_what_moves_codes_and_takes_their_largest) {
  for (const std::string body : {
           R"(m = MaxPool(q, kernel_shape=[2,2], strides=[1,1], pads=[1,1,0,0]) y = DequantizeLinear(m, s, z))",
           R"(t = Transpose(q, perm=[0,2,3,1]) r = Reshape(t, shape) y = DequantizeLinear(r, s, z))",
           R"(p, o = Split(q, axis=1, num_outputs=2) y = DequantizeLinear(o, s, z) w = DequantizeLinear(p, s, z))",
           R"(i = Identity(q) y = DequantizeLinear(i, s, z) w = DequantizeLinear(q, s, z))",
       }) {
    const std::string text = "graph (x: f32[1,2,4,4]) -> (y" +
                             std::string(body.find(" w =") != std::string::npos ? ", w" : "") +
                             ") { const shape: s64[2] = {4, 8} " + k_128 + body + "}";
    const MendedGraph made = mended("unsigned_128", text);
    EXPECT_EQ(made.rows.size(), 1u) << text;
    for (const RepairRow& row : made.rows) EXPECT_TRUE(row.lossless());
    EXPECT_EQ(print(made.graph).find("u8"), std::string::npos) << print(made.graph);
    expect_same_answers(text, made.graph, {1, 2, 4, 4}, 100.0f);
  }
}
TEST(Unsigned128, shifts_the_fill_of_a_pad_and_the_bounds_of_a_clip) {
  const std::string head =
      "graph (x: f32[1,2,4,4]) -> (y) { const pads: s64[8] = {0,0,1,1,0,0,1,1} const lo: u8[] = {100} "
      "const hi: u8[] = {140} " +
      k_128;
  const auto shifted = [&](const std::string& body, const std::string& printed) {
    const std::string text = head + body + " y = DequantizeLinear(p, s, z) }";
    const MendedGraph made = mended("unsigned_128", text);
    EXPECT_EQ(made.rows.size(), 2u) << text;
    EXPECT_THAT(print(made.graph), testing::HasSubstr(printed));
    expect_same_answers(text, made.graph, {1, 2, 4, 4}, 100.0f);
  };
  shifted("p = Pad(q, pads, lo)", "lo_s8: s8[] = {-28}");
  shifted("p = Pad(q, pads)", "p_fill: s8[] = {-128}");
  shifted("p = Clip(q, lo, hi)", "hi_s8: s8[] = {12}");
  const std::string reflected = head + R"(p = Pad(q, pads, mode="reflect") y = DequantizeLinear(p, s, z) })";
  EXPECT_EQ(mended("unsigned_128", reflected).rows.size(), 1u);
  expect_same_answers(reflected, mended("unsigned_128", reflected).graph, {1, 2, 4, 4}, 100.0f);
}
TEST(Unsigned128, all_parts_of_a_concat_change_or_none) {
  const std::string text = R"(graph (x: f32[N,2], x2: f32[N,2]) -> (y) { const s: f32[] = {0.5} const z: u8[] = {128}
      const k: u8[1,2] = {0, 255} q = QuantizeLinear(x, s, z) p = QuantizeLinear(x2, s, z) c = Concat(q, p, k, axis=0)
      y = DequantizeLinear(c, s, z) })";
  const MendedGraph made = mended("unsigned_128", text);
  EXPECT_EQ(made.rows.size(), 3u);  // two QuantizeLinear, the constant of the Concat
  EXPECT_THAT(print(made.graph), testing::HasSubstr("k_s8: s8[1,2] = {-128, 127}"));
  expect_same_answers(text, made.graph, {3, 2}, 100.0f);
}
TEST(Unsigned128, extents_and_what_nobody_reads_do_not_hold_codes_back) {
  const std::string text = R"(graph (x: f32[1,4]) -> (y, n) { const s: f32[] = {0.5} const z: u8[] = {128}
      q = QuantizeLinear(x, s, z) n = Shape(q) unread = Cast(q, to="f32") y = DequantizeLinear(q, s, z) })";
  const MendedGraph made = mended("unsigned_128", text);
  EXPECT_EQ(made.rows.size(), 1u);
  EXPECT_EQ(print(made.graph).find("u8"), std::string::npos) << print(made.graph);
  EXPECT_EQ(print(made.graph).find("unread"), std::string::npos) << print(made.graph);
  expect_same_answers(text, made.graph, {1, 4}, 100.0f);
}
TEST(Unsigned128, says_why_codes_keep_their_type) {
  const auto note = [](const std::string& outputs, const std::string& body) {
    Graph graph =
        broken("graph (x: f32[1,4], c8: u8[1,4]) -> (" + outputs + ") { const z3: u8[] = {3} " + k_128 + body + "}");
    std::vector<std::string> notes;
    const std::string before = print(graph);
    const Result<std::vector<RepairRow>> rows = repair(graph, {}, &notes);
    EXPECT_TRUE(rows && rows->empty());
    EXPECT_EQ(print(graph), before);
    return notes.empty() ? "no note" : notes[0];
  };
  const std::string keep = "node 'q' (QuantizeLinear): its codes keep u8 zero point 128, since ";
  EXPECT_EQ(note("y, q", "y = DequantizeLinear(q, s, z)"), keep + "they are the network's output 'q'");
  EXPECT_EQ(note("y, w", "y = DequantizeLinear(q, s, z) w = DequantizeLinear(q, s, z3)"),
            keep + "node 'w' (DequantizeLinear) has other zero points");
  EXPECT_EQ(note("y, w", R"(y = DequantizeLinear(q, s, z) w = Cast(q, to="f32"))"),
            keep + "node 'w' (Cast) computes with them");
  EXPECT_EQ(note("y", "c = Concat(q, c8, axis=0) y = DequantizeLinear(c, s, z)"),
            keep + "they are the network's input 'c8'");
  EXPECT_EQ(note("w", "w = DequantizeLinear(c8, s, z) v = Relu(x)"),
            "node 'w' (DequantizeLinear): its codes keep u8 zero point 128, since they are the network's input 'c8'");
}

// ---- back_to_back ----

TEST(BackToBack, a_pair_that_quantizes_again_by_the_same_parameters_goes) {
  const char* const before = R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.3} const z: u8[] = {9}
                   q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) q2 = QuantizeLinear(d, s, z) @second y = DequantizeLinear(q2, s, z) })";
  expect_mended("back_to_back", before,
                R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.3} const z: u8[] = {9}
                   q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) })",
                {"second: DequantizeLinear, QuantizeLinear, both u8 zero point 9, scale 0.3 -> removed",
                 "y: the same DequantizeLinear as d -> one for both"});
  expect_same_answers(before, mended("back_to_back", before).graph, {20, 4}, 100.0f);
}
TEST(BackToBack, other_parameters_round_twice_as_written) {
  expect_untouched("back_to_back",
                   R"(graph (x: f32[N,4]) -> (y) { const s: f32[] = {0.3} const t: f32[] = {0.31} const z: u8[] = {9}
                   q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) q2 = QuantizeLinear(d, t, z) y = DequantizeLinear(q2, t, z) })");
}
TEST(BackToBack, twins_become_one_and_relatives_stay_two) {
  expect_mended(
      "back_to_back",
      R"(graph (x: f32[N,4]) -> (a, b) { const s: f32[] = {0.3} const t: f32[] = {0.3} const z: u8[] = {9}
                   q = QuantizeLinear(x, s, z) @q1 r = QuantizeLinear(x, t, z) @q2 d = DequantizeLinear(q, s, z) e = DequantizeLinear(r, s, z)
                   a = Relu(d) b = Sigmoid(e) })",
      R"(graph (x: f32[N,4]) -> (a, b) { const s: f32[] = {0.3} const z: u8[] = {9}
                   q = QuantizeLinear(x, s, z) @q1 d = DequantizeLinear(q, s, z) a = Relu(d) b = Sigmoid(d) })",
      {"q2: the same QuantizeLinear as q1 -> one for both", "e: the same DequantizeLinear as d -> one for both"});
  expect_untouched("back_to_back",
                   R"(graph (x: f32[N,4]) -> (a, b) { const s: f32[] = {0.3} const t: f32[] = {0.4} const z: u8[] = {9}
                   q = QuantizeLinear(x, s, z) r = QuantizeLinear(x, t, z) a = DequantizeLinear(q, s, z) b = DequantizeLinear(r, t, z) })");
}

}  // namespace
}  // namespace octet
