// Each op that older opsets spell differently, read into the one form that the IR has (src/ir/ops/README.md).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/reading.h"

namespace octet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// x: f32[2,4,6,8] -> one node -> y.
ModelBuilder one_node(int64_t opset, NodeSpec spec, const Extents& shape = {2, 4, 6, 8}) {
  ModelBuilder model(opset);
  model.input("x", shape);
  if (spec.inputs.empty()) spec.inputs = {"x"};
  if (spec.outputs.empty()) spec.outputs = {"y"};
  spec.name = "n";
  return model.node(spec).output("y");
}

TEST(Constant, becomes_an_initializer_named_like_its_output) {
  const auto constant = [](const WireWriter& attribute) {
    return outcome(ModelBuilder(13)
                       .input("x", {2})
                       .node({"Constant", {}, {"c"}, {attribute}})
                       .node({"Identity", {"c"}, {"y"}})
                       .output("y"));
  };
  EXPECT_THAT(constant(tensor_attribute_proto("value", f32s({2}, {1, 2}))), HasSubstr("const c: f32[2] = {1, 2}"));
  EXPECT_THAT(constant(float_attribute_proto("value_float", 2.5f)), HasSubstr("const c: f32[] = {2.5}"));
  EXPECT_THAT(constant(int_attribute_proto("value_int", 7)), HasSubstr("const c: s64[] = {7}"));
  EXPECT_THAT(constant(floats_attribute_proto("value_floats", {1, 2})), HasSubstr("const c: f32[2] = {1, 2}"));
  EXPECT_THAT(constant(ints_attribute_proto("value_ints", {3, 4})), HasSubstr("const c: s64[2] = {3, 4}"));
  EXPECT_THAT(constant(string_attribute_proto("value_string", "a")),
              HasSubstr("node of 'c' (Constant): attribute 'value_string' is not supported"));
}

TEST(Dropout, is_the_identity) {
  EXPECT_THAT(outcome(one_node(7, {"Dropout", {}, {"y", "mask"}, {float_attribute_proto("ratio", 0.3f)}})),
              HasSubstr("y = Identity(x) @n"));
  EXPECT_THAT(outcome(one_node(13, {"Dropout", {"x", "r"}}).initializer("r", scalar_f32(0.5f))),
              HasSubstr("y = Identity(x) @n"));
}

TEST(Dropout, has_a_mask_of_ones_and_is_told_when_it_trains) {
  EXPECT_THAT(outcome(one_node(13, {"Dropout", {}, {"y", "mask"}}).output("mask")), HasSubstr("mask = Or("));
  const uint8_t yes = 1, no = 0;
  const auto with = [](const uint8_t& flag) {
    return one_node(13, {"Dropout", {"x", "", "t"}})
        .initializer("t", Tensor::from<uint8_t>(DType::boolean, {}, std::span(&flag, 1)));
  };
  EXPECT_THAT(outcome(with(yes)), HasSubstr("y = Dropout(x, _, t)"));
  EXPECT_THAT(outcome(one_node(13, {"Dropout", {"x", "", "t"}}).input("t", {}, DType::boolean)),
              HasSubstr("y = Dropout(x, _, t)"));
  EXPECT_THAT(outcome(with(no)), HasSubstr("Identity"));
}

TEST(Clip, bounds_of_opset_6_become_inputs) {
  EXPECT_THAT(
      outcome(one_node(7, {"Clip", {}, {}, {float_attribute_proto("min", 0), float_attribute_proto("max", 6)}})),
      AllOf(HasSubstr("const y_min: f32[] = {0}"), HasSubstr("const y_max: f32[] = {6}"),
            HasSubstr("y = Clip(x, y_min, y_max)")));
  EXPECT_THAT(outcome(one_node(7, {"Clip", {}, {}, {float_attribute_proto("max", 6)}})),
              HasSubstr("y = Clip(x, _, y_max)"));
  EXPECT_THAT(outcome(one_node(7, {"Clip"})), HasSubstr("y = Clip(x)"));
}

TEST(Clip, bounds_of_opset_6_take_the_dtype_of_the_input) {
  ModelBuilder model(7);
  model.input("x", {2}, DType::f16).node({"Clip", {"x"}, {"y"}, {float_attribute_proto("max", 6)}}).output("y");
  EXPECT_THAT(outcome(model), HasSubstr("const y_max: f16[] = {6}"));
}

TEST(Slice, bounds_of_opset_1_become_inputs) {
  EXPECT_THAT(outcome(one_node(9, {"Slice",
                                   {},
                                   {},
                                   {ints_attribute_proto("starts", {1}), ints_attribute_proto("ends", {3}),
                                    ints_attribute_proto("axes", {2})}})),
              AllOf(HasSubstr("const y_starts: s64[1] = {1}"), HasSubstr("y = Slice(x, y_starts, y_ends, y_axes)"),
                    HasSubstr("f32[2,4,2,8]")));
}

TEST(Pad, widths_of_opset_2_become_inputs) {
  const std::vector<WireWriter> widths = {ints_attribute_proto("pads", {0, 0, 1, 1, 0, 0, 1, 1})};
  EXPECT_THAT(outcome(one_node(9, {"Pad", {}, {}, widths})),
              AllOf(HasSubstr("y = Pad(x, y_pads)"), HasSubstr("f32[2,4,8,10]")));
  std::vector<WireWriter> filled = widths;
  filled.push_back(float_attribute_proto("value", -1));
  EXPECT_THAT(outcome(one_node(9, {"Pad", {}, {}, filled})), HasSubstr("y = Pad(x, y_pads, y_value)"));
}

TEST(Split, sizes_of_opset_2_become_an_input) {
  EXPECT_THAT(
      outcome(one_node(
          11, {"Split", {}, {"y", "z"}, {int_attribute_proto("axis", 1), ints_attribute_proto("split", {1, 3})}})),
      AllOf(HasSubstr("const y_split: s64[2] = {1, 3}"), HasSubstr("y, z = Split(x, y_split, axis=1)")));
}

TEST(Split, keeps_num_outputs_only_where_the_last_part_may_be_shorter) {
  const auto split = [](int64_t axis, const Extents& shape) {
    NodeSpec spec = {"Split", {}, {"y", "b", "c"}};
    spec.attributes = {int_attribute_proto("axis", axis), int_attribute_proto("num_outputs", 3)};
    return outcome(one_node(18, spec, shape));
  };
  EXPECT_THAT(split(-1, {2, 8}), HasSubstr("num_outputs=3) @n : f32[2,3], f32[2,3], f32[2,2]"));
  EXPECT_THAT(split(1, {2, Dim(std::string("C"))}), HasSubstr("Split(x, axis=1, num_outputs=3)"));
  EXPECT_THAT(split(1, {2, 6}), HasSubstr("Split(x, axis=1) @n"));
}

TEST(TopK, keeps_both_outputs_for_onnx_has_none_with_one) {
  EXPECT_THAT(outcome(one_node(9, {"TopK", {}, {"y", "i"}, {int_attribute_proto("k", 2)}})),
              HasSubstr("y, i = TopK(x, y_k)"));
}

TEST(Squeeze, axes_of_opset_1_become_an_input) {
  EXPECT_THAT(outcome(one_node(12, {"Squeeze", {}, {}, {ints_attribute_proto("axes", {0})}}, {1, 3})),
              AllOf(HasSubstr("y = Squeeze(x, y_axes)"), HasSubstr("f32[3]")));
  EXPECT_THAT(outcome(one_node(12, {"Unsqueeze", {}, {}, {ints_attribute_proto("axes", {0, 3})}}, {2, 3})),
              AllOf(HasSubstr("y = Unsqueeze(x, y_axes)"), HasSubstr("f32[1,2,3,1]")));
}

TEST(Reduce, axes_of_opset_13_become_an_input) {
  EXPECT_THAT(
      outcome(one_node(
          17, {"ReduceMean", {}, {}, {ints_attribute_proto("axes", {2, 3}), int_attribute_proto("keepdims", 0)}})),
      AllOf(HasSubstr("const y_axes: s64[2] = {2, 3}"), HasSubstr("ReduceMean(x, y_axes, keepdims=0)"),
            HasSubstr("f32[2,4]")));
  EXPECT_THAT(outcome(one_node(12, {"ReduceSum", {}, {}, {ints_attribute_proto("axes", {1})}})),
              HasSubstr("y = ReduceSum(x, y_axes)"));
  EXPECT_THAT(outcome(one_node(17, {"ReduceMax"})), HasSubstr("y = ReduceMax(x)"));
  EXPECT_THAT(outcome(one_node(18, {"ReduceMean", {"x", "a"}}).initializer("a", s64s({-1}))),
              HasSubstr("y = ReduceMean(x, a)"));
}

TEST(Softmax, of_opset_13_keeps_its_axis) {
  EXPECT_THAT(outcome(one_node(13, {"Softmax"})), HasSubstr("y = Softmax(x) @n"));
  EXPECT_THAT(outcome(one_node(13, {"Softmax", {}, {}, {int_attribute_proto("axis", 1)}})),
              HasSubstr("y = Softmax(x, axis=1)"));
}

TEST(Softmax, of_opset_11_normalizes_rows_of_a_matrix) {
  EXPECT_THAT(
      outcome(one_node(11, {"Softmax"})),
      AllOf(HasSubstr("y_rows = Flatten(x, axis=1)"), HasSubstr("y_normalized = Softmax(y_rows, axis=1) @n"),
            HasSubstr("const y_shape: s64[4] = {2, 4, 6, 8}"), HasSubstr("y = Reshape(y_normalized, y_shape)")));
}

TEST(Softmax, of_opset_11_is_the_new_one_where_only_one_axis_is_left) {
  EXPECT_THAT(outcome(one_node(11, {"Softmax"}, {2, 10})), HasSubstr("y = Softmax(x, axis=1) @n"));
  EXPECT_THAT(outcome(one_node(11, {"Softmax"}, {2, 10, 1, 1})), HasSubstr("y = Softmax(x, axis=1) @n"));
  EXPECT_THAT(outcome(one_node(11, {"LogSoftmax", {}, {}, {int_attribute_proto("axis", -1)}})),
              HasSubstr("y = LogSoftmax(x, axis=3) @n"));
}

TEST(Softmax, of_opset_11_goes_back_to_symbolic_shapes) {
  const Dim n(std::string("N")), h(std::string("H"));
  EXPECT_THAT(outcome(one_node(11, {"Softmax"}, {n, 4, 8})), HasSubstr("const y_shape: s64[3] = {-1, 4, 8}"));
  EXPECT_THAT(outcome(one_node(11, {"Softmax"}, {n, 4, h})), HasSubstr("y_shape = Shape(x)"));
}

TEST(BatchNormalization, drops_what_only_training_reads) {
  const auto model = [](int64_t opset, std::vector<std::string> outputs, std::vector<WireWriter> attributes) {
    ModelBuilder builder =
        one_node(opset, {"BatchNormalization", {"x", "s", "b", "m", "v"}, std::move(outputs), std::move(attributes)});
    for (const char* name : {"s", "b", "m", "v"}) builder.initializer(name, f32s({4}, {1, 2, 3, 4}));
    return builder;
  };
  EXPECT_THAT(outcome(model(7, {"y", "mean", "var", "sm", "sv"},
                            {float_attribute_proto("momentum", 0.9f), int_attribute_proto("spatial", 1)})),
              AllOf(HasSubstr("y = BatchNormalization(x, s, b, m, v)"), Not(HasSubstr("momentum"))));
  EXPECT_THAT(message_of(model(7, {"y", "mean"}, {}).output("mean")),
              HasSubstr("node 'n' (BatchNormalization): output 1 'mean' is used"));
  EXPECT_THAT(outcome(model(14, {"y"}, {int_attribute_proto("training_mode", 1)})),
              AllOf(HasSubstr("y_mean = ReduceMean(x, y_axes, keepdims=0)"), HasSubstr("y_mean, y_var) @n")));
  EXPECT_THAT(message_of(model(7, {"y"}, {int_attribute_proto("spatial", 0)})), HasSubstr("spatial = 0"));
}

TEST(GroupNormalization, of_opset_18_repeats_the_scale_of_a_group_for_its_channels) {
  // However many values the graph holds already.
  for (int more = 0; more < 17; ++more)
    for (const int64_t opset : {18, 20}) {
      ModelBuilder builder =
          one_node(opset, {"GroupNormalization", {"x", "s", "b"}, {}, {int_attribute_proto("num_groups", 2)}});
      builder.initializer("s", f32s({2}, {1, 2})).initializer("b", f32s({2}, {3, 4}));
      for (int i = 0; i < more; ++i) builder.input("more" + std::to_string(i), {1});
      EXPECT_THAT(outcome(builder), AllOf(HasSubstr("const y_scale: f32[4] = {1, 1, 2, 2}"),
                                          HasSubstr("const y_bias: f32[4] = {3, 3, 4, 4}"),
                                          HasSubstr("y = GroupNormalization(x, y_scale, y_bias, num_groups=2)")));
    }
}

TEST(EyeLike, names_its_dtype_by_octets_word) {
  const auto eye = [](int64_t dtype) {
    return one_node(9, {"EyeLike", {}, {}, {int_attribute_proto("dtype", dtype)}}, {2, 3});
  };
  EXPECT_THAT(outcome(one_node(9, {"EyeLike"}, {2, 3})), HasSubstr("y = EyeLike(x) @n : f32[2,3]"));
  EXPECT_THAT(outcome(eye(7)), HasSubstr("y = EyeLike(x, dtype=\"s64\") @n : s64[2,3]"));
  EXPECT_THAT(message_of(eye(8)), HasSubstr("makes STRING, which octet has not"));
  EXPECT_THAT(message_of(eye(-1)), HasSubstr("makes element type -1, which octet has not"));
  EXPECT_THAT(message_of(eye(22)),
              HasSubstr("attribute 'dtype' is 's4', expected a dtype of floats, integers or bool"));
  EXPECT_THAT(message_of(one_node(9, {"EyeLike", {}, {}, {float_attribute_proto("dtype", 1)}}, {2, 3})),
              HasSubstr("attribute 'dtype' is of the wrong kind"));
}

TEST(GridSample, has_the_modes_of_opset_20) {
  const auto sampled = [](int64_t opset, const char* mode) {
    ModelBuilder model(opset);
    model.input("x", {1, 2, 3, 4}).input("g", {1, 5, 6, 2});
    return model.node({"GridSample", {"x", "g"}, {"y"}, {string_attribute_proto("mode", mode)}}).output("y");
  };
  EXPECT_THAT(outcome(sampled(16, "bilinear")), HasSubstr("y = GridSample(x, g, mode=\"linear\")"));
  EXPECT_THAT(outcome(sampled(16, "bicubic")), HasSubstr("y = GridSample(x, g, mode=\"cubic\")"));
  EXPECT_THAT(outcome(sampled(20, "nearest")), HasSubstr("y = GridSample(x, g, mode=\"nearest\")"));
  EXPECT_THAT(message_of(sampled(20, "bilinear")), HasSubstr("mode is 'bilinear', expected linear, nearest or cubic"));
}

TEST(Scatter, of_opset_9_is_ScatterElements) {
  ModelBuilder model(9);
  model.input("x", {2, 3})
      .input("u", {1, 3})
      .initializer("i", Tensor::from<int64_t>(DType::s64, {1, 3}, std::vector<int64_t>{0, 1, 0}));
  EXPECT_THAT(outcome(model.node({"Scatter", {"x", "i", "u"}, {"y"}, {int_attribute_proto("axis", 0)}}).output("y")),
              HasSubstr("y = ScatterElements(x, i, u, axis=0)"));
}

TEST(Hardmax, of_opset_11_is_of_rows_of_a_matrix) {
  EXPECT_THAT(outcome(one_node(11, {"Hardmax"})),
              AllOf(HasSubstr("y_rows = Flatten(x, axis=1)"), HasSubstr("y_normalized = Hardmax(y_rows, axis=1) @n")));
  EXPECT_THAT(outcome(one_node(13, {"Hardmax"})), HasSubstr("y = Hardmax(x) @n"));
}

TEST(IsInf, drops_what_it_detects_anyway) {
  EXPECT_THAT(
      outcome(one_node(
          10,
          {"IsInf", {}, {}, {int_attribute_proto("detect_negative", 0), int_attribute_proto("detect_positive", 1)}})),
      HasSubstr("y = IsInf(x, detect_negative=0) @n"));
}

TEST(Cast, names_its_dtype_by_octets_word) {
  EXPECT_THAT(outcome(one_node(13, {"Cast", {}, {}, {int_attribute_proto("to", 3)}})), HasSubstr("Cast(x, to=\"s8\")"));
  EXPECT_THAT(
      outcome(one_node(19, {"Cast", {}, {}, {int_attribute_proto("to", 10), int_attribute_proto("saturate", 1)}})),
      HasSubstr("Cast(x, to=\"f16\")"));
  EXPECT_THAT(message_of(one_node(13, {"Cast", {}, {}, {int_attribute_proto("to", 8)}})),
              HasSubstr("node 'n' (Cast): casts to STRING, which octet has not"));
  EXPECT_THAT(message_of(one_node(13, {"Cast"})), HasSubstr("attribute 'to' is missing"));
}

// Opsets 24 to 28 add dtypes that octet has not, and little else to the ops that it has.
TEST(YoungOpsets, are_read_where_their_ops_mean_what_they_meant) {
  for (const int64_t opset : {24, 25, 26, 27, 28}) {
    EXPECT_THAT(outcome(one_node(opset, {"Relu"})), HasSubstr("y = Relu(x) @n")) << opset;
    EXPECT_THAT(
        outcome(one_node(
            opset, {"Cast", {}, {}, {int_attribute_proto("to", 3), string_attribute_proto("round_mode", "down")}})),
        HasSubstr("y = Cast(x, to=\"s8\")"));
  }
  EXPECT_THAT(message_of(one_node(24, {"Cast", {}, {}, {int_attribute_proto("to", 24)}})),
              HasSubstr("casts to FLOAT8E8M0, which octet has not"));
  EXPECT_THAT(message_of(one_node(25, {"Cast", {}, {}, {int_attribute_proto("to", 26)}})), HasSubstr("casts to INT2"));
  EXPECT_THAT(message_of(one_node(28, {"SwiGLU"})), HasSubstr("SwiGLU (opset 28): octet has no such op"));
  EXPECT_THAT(message_of(one_node(28, {"Mod", {"x", "x"}})), HasSubstr("floats need fmod=1"));
  EXPECT_THAT(message_of(one_node(27, {"Range", {"a", "a", "a"}, {}, {int_attribute_proto("stash_type", 10)}})
                             .initializer("a", scalar_f32(1))),
              HasSubstr("stash_type"));
}

TEST(SpaceToDepth, has_the_mode_of_before_only) {
  const auto with = [](const std::string& mode) {
    return one_node(
        28, {"SpaceToDepth", {}, {}, {int_attribute_proto("blocksize", 2), string_attribute_proto("mode", mode)}});
  };
  EXPECT_THAT(outcome(with("DCR")), HasSubstr("y = SpaceToDepth(x, blocksize=2) @n"));
  EXPECT_THAT(message_of(with("CRD")), HasSubstr("node 'n' (SpaceToDepth): mode 'CRD' is not supported, only DCR is"));
}

TEST(Swish, becomes_a_product_with_a_sigmoid) {
  EXPECT_THAT(outcome(one_node(24, {"Swish"})),
              AllOf(HasSubstr("y_gate = Sigmoid(x)"), HasSubstr("y = Mul(x, y_gate) @n")));
  const auto with = [](float alpha) {
    return one_node(24, {"Swish", {}, {}, {float_attribute_proto("alpha", alpha)}});
  };
  EXPECT_THAT(outcome(with(1)), HasSubstr("y_gate = Sigmoid(x)"));
  EXPECT_THAT(outcome(with(1.5f)),
              AllOf(HasSubstr("const y_alpha: f32[] = {1.5}"), HasSubstr("y_scaled = Mul(x, y_alpha)"),
                    HasSubstr("y_gate = Sigmoid(y_scaled)"), HasSubstr("y = Mul(x, y_gate) @n")));
}

TEST(CastLike, becomes_a_cast_to_the_dtype_of_its_second_input) {
  EXPECT_THAT(outcome(one_node(15, {"CastLike", {"x", "like"}}).initializer("like", s64s({1}))),
              HasSubstr("y = Cast(x, to=\"s64\")"));
}

TEST(QuantizeLinear, counts_its_axis_from_the_front) {
  const std::vector<WireWriter> axis = {int_attribute_proto("axis", -3)};
  EXPECT_THAT(outcome(one_node(13, {"QuantizeLinear", {"x", "s"}, {}, axis}).initializer("s", f32s({4}, {1, 2, 3, 4}))),
              HasSubstr("y = QuantizeLinear(x, s, axis=1)"));
  EXPECT_THAT(outcome(one_node(10, {"QuantizeLinear", {"x", "s"}, {}, axis}).initializer("s", scalar_f32(1))),
              HasSubstr("y = QuantizeLinear(x, s) @n"));
}

// Found by fuzzing: -3 of a vector became -2 when read and -1 when what was written was read again.
TEST(QuantizeLinear, an_axis_before_the_first_stays_as_written) {
  const std::vector<WireWriter> axis = {int_attribute_proto("axis", -3)};
  ModelBuilder model(13);
  model.input("x", {Dim(std::string("N")), 7, 6, Dim(std::string("M"))}).initializer("s", f32s({4}, {1, 2, 3, 4}));
  model.node({"QuantizeLinear", {"s", "x"}, {"y"}, axis, "n"}).output("y");
  EXPECT_THAT(outcome(model), HasSubstr("y = QuantizeLinear(s, x, axis=-3)"));
}

TEST(QuantizeLinear, reads_output_dtype_as_a_zero_point) {
  const auto model = [](int64_t type) {
    return one_node(21, {"QuantizeLinear", {"x", "s"}, {}, {int_attribute_proto("output_dtype", type)}})
        .initializer("s", scalar_f32(1));
  };
  EXPECT_THAT(outcome(model(3)),
              AllOf(HasSubstr("const y_zero_point: s8[] = {0}"), HasSubstr("y = QuantizeLinear(x, s, y_zero_point)")));
  EXPECT_THAT(outcome(model(2)), HasSubstr("y = QuantizeLinear(x, s) @n"));
  EXPECT_THAT(outcome(model(22)), HasSubstr("const y_zero_point: s4[] = {0}"));
  EXPECT_THAT(message_of(model(8)), HasSubstr("output_dtype is STRING"));
}

TEST(QuantizeLinear, without_a_zero_point_takes_the_one_that_its_int8_reader_has) {
  const int8_t code[] = {3};
  const auto model = [&](const std::string& second_scale, std::vector<std::string> first_reader) {
    ModelBuilder built(13);
    built.input("x", {2}).initializer("s", scalar_f32(0.5f)).initializer("t", scalar_f32(0.25f));
    built.initializer("z", Tensor::from<int8_t>(DType::s8, {}, code));
    built.node({"QuantizeLinear", {"x", "s"}, {"q"}, {}, "q"});
    if (!first_reader.empty()) built.node({first_reader[0], {"q", "s"}, {"r"}, {}, "r"}).output("r");
    return built.node({"DequantizeLinear", {"q", second_scale, "z"}, {"y"}, {}, "d"}).output("y");
  };
  EXPECT_THAT(outcome(model("s", {})), HasSubstr("q = QuantizeLinear(x, s, z)"));
  const std::string uint8 = "input 2 is s8, expected u8 as input 0";
  EXPECT_THAT(message_of(model("t", {})), HasSubstr(uint8));
  EXPECT_THAT(message_of(model("s", {"DequantizeLinear"})), HasSubstr(uint8));
}

TEST(QLinearConv, becomes_its_q_dq_form) {
  const int8_t codes[] = {1, 2, 3, 4, 5, 6, 7, 8};
  const uint8_t zero = 7;
  const int32_t bias[] = {10, 20};
  ModelBuilder model(13);
  model.input("x", {2, 4, 6, 8}, DType::u8);
  model.initializer("xs", scalar_f32(0.5f))
      .initializer("xz", Tensor::from<uint8_t>(DType::u8, {}, std::span(&zero, 1)));
  model.initializer("w", Tensor::from<int8_t>(DType::s8, {2, 4, 1, 1}, codes)).initializer("ws", f32s({2}, {2, 4}));
  model.initializer("b", Tensor::from<int32_t>(DType::s32, {2}, bias)).initializer("ys", scalar_f32(1));
  const NodeSpec conv = {"QLinearConv", {"x", "xs", "xz", "w", "ws", "", "ys", "xz", "b"}, {"y"}, {}, "c"};
  EXPECT_THAT(
      outcome(model.node(conv).output("y")),
      AllOf(HasSubstr("y_dq0 = DequantizeLinear(x, xs, xz)"), HasSubstr("y_dq3 = DequantizeLinear(w, ws, axis=0)"),
            HasSubstr("const y_bias_scale: f32[2] = {1, 2}"),
            HasSubstr("y_dq8 = DequantizeLinear(b, y_bias_scale, axis=0)"),
            HasSubstr("y_real = Conv(y_dq0, y_dq3, y_dq8) @c"), HasSubstr("y = QuantizeLinear(y_real, ys, xz)")));
}

TEST(QLinearConv, with_the_channels_last_stands_between_two_transposes) {
  const int8_t codes[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const auto conv = [&](const Extents& x) {
    ModelBuilder model(13);
    model.import_opset("com.microsoft", 1).input("x", x, DType::u8).initializer("s", scalar_f32(0.5f));
    model.initializer("w", Tensor::from<int8_t>(DType::s8, {4, 3, 1, 1}, codes));
    const NodeSpec node = {"QLinearConv", {"x", "s", "", "w", "s", "", "s", ""},
                           {"y"},         {int_attribute_proto("channels_last", 1)},
                           "c",           "com.microsoft"};
    return model.node(node).output("y");
  };
  EXPECT_THAT(outcome(conv({1, 6, 5, 3})), AllOf(HasSubstr("= Transpose(y_dq0, perm=[0,3,1,2])"), HasSubstr("@c"),
                                                 HasSubstr("= Transpose(y_channels_first_result, perm=[0,2,3,1])")));
  // A file that says channels first and means last.
  EXPECT_THAT(message_of(conv({1, 3, 6, 5})), HasSubstr("node 'c' (Conv)"));
}

TEST(QLinearAdd, of_com_microsoft_becomes_its_q_dq_form) {
  ModelBuilder model(13);
  model.import_opset("com.microsoft", 1).input("a", {2}, DType::u8).initializer("s", scalar_f32(0.5f));
  model.node({"QLinearAdd", {"a", "s", "", "a", "s", "", "s"}, {"y"}, {}, "n", "com.microsoft"}).output("y");
  EXPECT_THAT(outcome(model),
              AllOf(HasSubstr("y_real = Add(y_dq0, y_dq3) @n"), HasSubstr("y = QuantizeLinear(y_real, s)")));
}

TEST(QLinearConcat, dequantizes_each_part_by_its_own_scale) {
  ModelBuilder model(13);
  model.import_opset("com.microsoft", 1).input("a", {2, 3}, DType::u8).input("b", {2, 4}, DType::u8);
  model.initializer("s", scalar_f32(0.5f)).initializer("t", scalar_f32(0.25f));
  model.node({"QLinearConcat",
              {"s", "", "a", "s", "", "b", "t", ""},
              {"y"},
              {int_attribute_proto("axis", 1)},
              "n",
              "com.microsoft"});
  EXPECT_THAT(outcome(model.output("y")),
              AllOf(HasSubstr("y_dq2 = DequantizeLinear(a, s)"), HasSubstr("y_dq5 = DequantizeLinear(b, t)"),
                    HasSubstr("y_real = Concat(y_dq2, y_dq5, axis=1) @n"), HasSubstr("y = QuantizeLinear(y_real, s)")));
}

TEST(QLinearActivations, of_com_microsoft_become_their_q_dq_form) {
  const auto of = [](const std::string& op, std::vector<WireWriter> attributes) {
    ModelBuilder model(13);
    model.import_opset("com.microsoft", 1).input("a", {2, 3, 4}, DType::u8).initializer("s", scalar_f32(0.5f));
    model.node({op, {"a", "s", "", "s", ""}, {"y"}, std::move(attributes), "n", "com.microsoft"});
    return outcome(model.output("y"));
  };
  EXPECT_THAT(of("QLinearSigmoid", {}), HasSubstr("y_real = Sigmoid(y_dq0) @n"));
  EXPECT_THAT(of("QLinearLeakyRelu", {float_attribute_proto("alpha", 0.5f)}), HasSubstr("LeakyRelu(y_dq0, alpha=0.5)"));
  // opset 12's Softmax takes everything behind the axis as one row.
  const auto softmax = [&](int64_t opset) {
    return of("QLinearSoftmax", {int_attribute_proto("axis", 1), int_attribute_proto("opset", opset)});
  };
  EXPECT_THAT(softmax(13), HasSubstr("y_real = Softmax(y_dq0, axis=1) @n"));
  EXPECT_THAT(softmax(12), HasSubstr("Flatten(y_dq0, axis=1)"));
}

TEST(QLinearWhere, dequantizes_both_sides_by_their_own_scales) {
  const auto model = [](std::vector<std::string> inputs) {
    ModelBuilder made(13);
    made.import_opset("com.microsoft", 1).input("c", {2, 3}, DType::boolean).input("a", {2, 3}, DType::u8);
    made.input("b", {1, 3}, DType::u8).initializer("s", scalar_f32(0.5f)).initializer("t", scalar_f32(0.25f));
    made.node({"QLinearWhere", std::move(inputs), {"y"}, {}, "n", "com.microsoft"});
    return made.output("y");
  };
  EXPECT_THAT(outcome(model({"c", "a", "s", "", "b", "t", "", "s", ""})),
              AllOf(HasSubstr("y_dq1 = DequantizeLinear(a, s)"), HasSubstr("y_dq4 = DequantizeLinear(b, t)"),
                    HasSubstr("y_real = Where(c, y_dq1, y_dq4) @n"), HasSubstr("y = QuantizeLinear(y_real, s)")));
  EXPECT_THAT(message_of(model({"", "a", "s", "", "b", "t", "", "s", ""})), HasSubstr("input 0 is required"));
}

TEST(QGemm, has_alpha_in_the_bias_scale_and_may_end_in_float) {
  const int8_t codes[] = {1, 2};
  const int32_t bias[] = {7};
  ModelBuilder model(13);
  model.import_opset("com.microsoft", 1).input("a", {3, 2}, DType::u8);
  model.initializer("s", scalar_f32(0.5f)).initializer("b", Tensor::from<int8_t>(DType::s8, {2, 1}, codes));
  model.initializer("c", Tensor::from<int32_t>(DType::s32, {1}, bias));
  const NodeSpec gemm = {
      "QGemm", {"a", "s", "", "b", "s", "", "c"}, {"y"}, {float_attribute_proto("alpha", 2.0f)}, "n", "com.microsoft"};
  EXPECT_THAT(outcome(model.node(gemm).output("y")),
              AllOf(HasSubstr("y_bias_scale: f32[] = {0.5}"), HasSubstr("y = Gemm(y_dq0, y_dq3, y_dq6, alpha=2.0) @n"),
                    Not(HasSubstr("QuantizeLinear(y_real"))));
}

TEST(FusedConv, adds_before_the_activation) {
  ModelBuilder model(13);
  model.import_opset("com.microsoft", 1).input("x", {1, 1, 2, 2}).initializer("w", f32s({1, 1, 1, 1}, {2}));
  const NodeSpec conv = {
      "FusedConv",
      {"x", "w", "", "x"},
      {"y"},
      {string_attribute_proto("activation", "LeakyRelu"), floats_attribute_proto("activation_params", {0.25f})},
      "n",
      "com.microsoft"};
  EXPECT_THAT(outcome(model.node(conv).output("y")),
              AllOf(HasSubstr("y_conv = Conv(x, w) @n"), HasSubstr("y_sum = Add(y_conv, x)"),
                    HasSubstr("y = LeakyRelu(y_sum, alpha=0.25)")));
}

TEST(AutoPad, becomes_pads_where_the_extents_are_known) {
  const auto pool = [](const std::string& mode, const Extents& shape, int64_t stride) {
    return outcome(one_node(13,
                            {"MaxPool",
                             {},
                             {},
                             {string_attribute_proto("auto_pad", mode), ints_attribute_proto("kernel_shape", {3, 2}),
                              ints_attribute_proto("strides", {stride, stride})}},
                            shape));
  };
  // in 7, kernel 3, stride 2: out 4, total 3 * 2 + 3 - 7 = 2; in 8, kernel 2: out 4, total 0; in 5, kernel 2: total 1.
  EXPECT_THAT(pool("SAME_UPPER", {1, 1, 7, 8}, 2), AllOf(HasSubstr("pads=[1,0,1,0]"), HasSubstr("f32[1,1,4,4]")));
  EXPECT_THAT(pool("SAME_UPPER", {1, 1, 8, 5}, 2), AllOf(HasSubstr("pads=[0,0,1,1]"), HasSubstr("f32[1,1,4,3]")));
  EXPECT_THAT(pool("SAME_LOWER", {1, 1, 8, 5}, 2), AllOf(HasSubstr("pads=[1,1,0,0]"), HasSubstr("f32[1,1,4,3]")));
  EXPECT_THAT(pool("VALID", {1, 1, 7, 8}, 2), AllOf(Not(HasSubstr("pad")), HasSubstr("f32[1,1,3,4]")));
  EXPECT_THAT(pool("NOTSET", {1, 1, 7, 8}, 2), Not(HasSubstr("pad")));
  const Dim h(std::string("H")), w(std::string("W"));
  EXPECT_THAT(pool("SAME_UPPER", {1, 1, h, w}, 1), HasSubstr("pads=[1,0,1,1]"));  // stride 1 needs no extent
  EXPECT_THAT(pool("SAME_UPPER", {1, 1, h, w}, 2), HasSubstr("auto_pad=\"SAME_UPPER\""));
  EXPECT_THAT(pool("SAME", {1, 1, 7, 8}, 1), HasSubstr("auto_pad 'SAME' is not one of"));
  // Dilations count: a window of 5, total 3 * 2 + 5 - 7 = 4. A stride beyond the kernel: total 4 + 1 - 7, that is none.
  EXPECT_THAT(
      outcome(one_node(19,
                       {"AveragePool",
                        {},
                        {},
                        {string_attribute_proto("auto_pad", "SAME_UPPER"), ints_attribute_proto("kernel_shape", {3, 1}),
                         ints_attribute_proto("dilations", {2, 1}), ints_attribute_proto("strides", {2, 4})}},
                       {1, 1, 7, 7})),
      AllOf(HasSubstr("pads=[2,0,2,0]"), HasSubstr("f32[1,1,4,2]")));
}

TEST(AutoPad, of_a_convolution_reads_the_kernel_from_the_weight) {
  EXPECT_THAT(outcome(one_node(13, {"Conv",
                                    {"x", "w"},
                                    {},
                                    {string_attribute_proto("auto_pad", "SAME_UPPER"),
                                     ints_attribute_proto("dilations", {2, 1})}})
                          .initializer("w", f32s({1, 4, 3, 3}, std::vector<float>(36, 1)))),
              AllOf(HasSubstr("pads=[2,1,2,1]"), HasSubstr("f32[2,1,6,8]")));
}

TEST(MaxPool, keeps_ceil_mode_only_where_it_adds_a_window) {
  const auto pool = [](int64_t extent, int64_t kernel, int64_t stride, int64_t pad) {
    NodeSpec spec = {"MaxPool"};
    spec.attributes = {ints_attribute_proto("kernel_shape", {kernel}), ints_attribute_proto("strides", {stride}),
                       ints_attribute_proto("pads", {pad, pad}), int_attribute_proto("ceil_mode", 1)};
    return outcome(one_node(13, spec, {1, 1, Dim(extent)}));
  };
  EXPECT_THAT(pool(7, 3, 2, 0), Not(HasSubstr("ceil_mode")));  // 4 / 2 is whole
  EXPECT_THAT(pool(8, 3, 2, 0), AllOf(HasSubstr("ceil_mode=1"), HasSubstr("f32[1,1,4]")));
  // (6 - 2) / 3 rounds up to 2, but a third window would start at 6, behind the input.
  EXPECT_THAT(pool(6, 2, 3, 0), AllOf(Not(HasSubstr("ceil_mode")), HasSubstr("f32[1,1,2]")));
  EXPECT_THAT(pool(6, 3, 2, 1), AllOf(HasSubstr("ceil_mode=1"), HasSubstr("f32[1,1,4]")));
}

TEST(MaxPool, makes_indices_only_where_they_are_read) {
  const std::vector<WireWriter> kernel = {ints_attribute_proto("kernel_shape", {2, 2})};
  EXPECT_THAT(outcome(one_node(13, {"MaxPool", {}, {"y", "i"}, kernel}).output("i")),
              HasSubstr("y, i = MaxPool(x, kernel_shape=[2,2])"));
  EXPECT_THAT(outcome(one_node(13, {"MaxPool", {}, {"y", "i"}, kernel})),
              HasSubstr("y = MaxPool(x, kernel_shape=[2,2])"));
}

TEST(Reshape, keeps_allowzero_only_where_the_target_may_hold_a_zero) {
  const auto reshape = [](std::vector<int64_t> target, const Extents& shape) {
    return outcome(one_node(14, {"Reshape", {"x", "s"}, {}, {int_attribute_proto("allowzero", 1)}}, shape)
                       .initializer("s", s64s(std::move(target))));
  };
  EXPECT_THAT(reshape({2, -1}, {2, 6}), HasSubstr("y = Reshape(x, s) @n"));
  EXPECT_THAT(reshape({0, 6}, {0, 6}), HasSubstr("y = Reshape(x, s, allowzero=1)"));
}

TEST(Attributes, that_say_what_their_absence_says_are_dropped) {
  EXPECT_THAT(outcome(one_node(14, {"Reshape", {"x", "s"}, {}, {int_attribute_proto("allowzero", 0)}})
                          .initializer("s", s64s({2, -1}))),
              HasSubstr("y = Reshape(x, s) @n"));
}

}  // namespace
}  // namespace octet::test
