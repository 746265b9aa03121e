// Files as such: what is kept, what is tolerated with a note, what is refused with which words.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "onnx/reading.h"

namespace octet::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const Extents k_image = {Dim(std::string("N")), 3, 8, 8};

/// x -> Identity -> y.
ModelBuilder identity_model(int64_t opset = 13) {
  return ModelBuilder(opset).input("x", k_image).node({"Identity", {"x"}, {"y"}, {}, "copy"}).output("y");
}

TEST(ReadOnnx, keeps_names_dtypes_and_symbolic_extents) {
  const Result<OnnxModel> model = read(identity_model());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(print(model->graph), "graph g (x: f32[N,3,8,8]) -> (y) {\n  y = Identity(x) @copy : f32[N,3,8,8]\n}\n");
  EXPECT_EQ(model->info.opset, 13);
  EXPECT_EQ(model->info.ir_version, 8);
  EXPECT_EQ(model->info.producer, "test");
  EXPECT_THAT(model->info.notes, IsEmpty());
}

TEST(ReadOnnx, keeps_a_node_without_a_name_without_one) {
  const Result<OnnxModel> model =
      read(ModelBuilder(13).input("x", k_image).node({"Identity", {"x"}, {"y"}}).output("y"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.nodes[0].name, "");
}

TEST(ReadOnnx, renames_the_second_of_two_nodes_of_one_name_and_says_so) {
  const Result<OnnxModel> model = read(ModelBuilder(13)
                                           .input("x", k_image)
                                           .node({"Identity", {"x"}, {"a"}, {}, "n"})
                                           .node({"Identity", {"a"}, {"y"}, {}, "n"})
                                           .output("y"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.nodes[1].name, "n_1");
  EXPECT_THAT(model->info.notes, ElementsAre(HasSubstr("two nodes are called 'n'")));
}

TEST(ReadOnnx, sorts_nodes_and_says_so) {
  const Result<OnnxModel> model = read(ModelBuilder(13)
                                           .input("x", k_image)
                                           .node({"Identity", {"b"}, {"y"}, {}, "third"})
                                           .node({"Identity", {"x"}, {"a"}, {}, "first"})
                                           .node({"Identity", {"a"}, {"b"}, {}, "second"})
                                           .output("y"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.nodes[0].name, "first");
  EXPECT_EQ(model->graph.nodes[2].name, "third");
  EXPECT_THAT(model->info.notes, ElementsAre(HasSubstr("not in topological order")));
}

TEST(ReadOnnx, refuses_a_cycle_and_names_a_node_on_it) {
  EXPECT_THAT(message_of(ModelBuilder(13)
                             .input("x", k_image)
                             .node({"Identity", {"c"}, {"y"}, {}, "behind"})
                             .node({"Add", {"x", "c"}, {"b"}, {}, "one"})
                             .node({"Identity", {"b"}, {"c"}, {}, "two"})
                             .output("y")),
              AllOf(HasSubstr("lies on a cycle"), Not(HasSubstr("behind"))));
}

TEST(ReadOnnx, takes_an_initializer_that_is_an_input_too_as_a_constant) {
  for (const int64_t ir_version : {3, 8}) {
    ModelBuilder builder(13, ir_version);
    builder.input("x", {2}).input("w", {2}).initializer("w", f32s({2}, {1, 2}));
    const Result<OnnxModel> model = read(builder.node({"Add", {"x", "w"}, {"y"}}).output("y"));
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->graph.inputs.size(), 1u);
    EXPECT_EQ(model->info.notes.size(), ir_version < 4 ? 0u : 1u);
  }
}

TEST(ReadOnnx, drops_what_nobody_names) {
  const std::string text = outcome(identity_model().initializer("spare", f32s({1}, {3})));
  EXPECT_THAT(text, Not(HasSubstr("spare")));
}

TEST(ReadOnnx, lets_inference_decide_and_notes_a_stored_shape_that_disagrees) {
  const Result<OnnxModel> model = read(ModelBuilder(13)
                                           .input("x", {2, 3})
                                           .node({"Identity", {"x"}, {"a"}})
                                           .node({"Identity", {"a"}, {"y"}})
                                           .value_info("a", {2, 4})
                                           .output("y"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(to_string(*model->graph.value(model->graph.nodes[0].outputs[0]).shape), "[2,3]");
  EXPECT_THAT(model->info.notes, ElementsAre(HasSubstr("value 'a' is stored as f32[2,4], but is f32[2,3]")));
}

TEST(ReadOnnx, fills_unknown_extents_from_stored_shapes) {
  const Result<OnnxModel> model = read(ModelBuilder(13)
                                           .input("x", {Dim(std::string("N")), 3})
                                           .input("shape", {2}, DType::s64)
                                           .node({"Reshape", {"x", "shape"}, {"y"}})
                                           .value_info("y", {Dim(std::string("M")), 6})
                                           .output("y"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(to_string(*model->graph.value(model->graph.outputs[0]).shape), "[M,6]");
  EXPECT_THAT(model->info.notes, IsEmpty());
}

TEST(ReadOnnx, lists_every_unknown_op_in_one_message) {
  EXPECT_THAT(message_of(identity_model()
                             .import_opset("com.acme", 3)
                             .node({"Frobnicate", {"x"}, {"a"}, {}, "one"})
                             .node({"Wobble", {"x"}, {"b"}, {}, "two"})
                             .node({"Frobnicate", {"a"}, {"c"}})
                             .node({"FancyConv", {"x"}, {"d"}, {}, "four", "com.acme"})),
              HasSubstr("4 nodes cannot be read. Frobnicate (opset 13): octet has no such op: node 'one', node of 'c'; "
                        "Wobble (opset 13): octet has no such op: node 'two'; com.acme:FancyConv (opset 3): domain "
                        "'com.acme' is not supported: node 'four'"));
}

TEST(ReadOnnx, refuses_octets_own_ops_under_onnx_names) {
  EXPECT_THAT(message_of(identity_model().node({"FusedConv", {"x", "x"}, {"z"}})), HasSubstr("octet has no such op"));
}

TEST(ReadOnnx, ignores_imports_that_nobody_uses) {
  EXPECT_THAT(outcome(identity_model().import_opset("com.microsoft", 1).import_opset("ai.onnx.ml", 5)),
              HasSubstr("y = Identity(x)"));
}

TEST(ReadOnnx, refuses_loops_and_wrong_calls_by_node) {
  EXPECT_THAT(message_of(identity_model().node({"If", {"x"}, {"z"}, {}, "branch"})),
              HasSubstr("node 'branch' (If): its condition 'x' is not known before the network runs"));
  EXPECT_THAT(message_of(identity_model().node({"Loop", {"x"}, {"z"}, {}, "turns"})),
              AllOf(HasSubstr("loops are not supported"), HasSubstr("node 'turns'")));
  EXPECT_THAT(message_of(identity_model().function("mine", "Block").node({"Block", {"x"}, {"z"}, {}, "b1", "mine"})),
              HasSubstr("node 'b1' (Block): has more inputs or outputs than the function it calls"));
  WireWriter graph_attribute;
  graph_attribute.text(onnx_field::attribute::name, "body");
  graph_attribute.message(onnx_field::attribute::g, WireWriter());
  EXPECT_THAT(
      message_of(
          ModelBuilder(13).input("x", k_image).node({"Identity", {"x"}, {"y"}, {graph_attribute}, "odd"}).output("y")),
      HasSubstr("node 'odd' (Identity): attribute 'body' is a subgraph"));
}

TEST(ReadOnnx, refuses_opsets_outside_7_to_28_and_a_file_without_one) {
  EXPECT_THAT(message_of(identity_model(6)), HasSubstr("the file is of opset 6; octet reads 7 to 28"));
  EXPECT_THAT(message_of(identity_model(29)), HasSubstr("the file is of opset 29"));
  EXPECT_THAT(message_of(identity_model(0)), HasSubstr("imports no opset of ai.onnx"));
  EXPECT_THAT(message_of(identity_model(13).import_opset("ai.onnx", 17)), HasSubstr("twice, as opset 13 and 17"));
  EXPECT_THAT(outcome(identity_model(7)), HasSubstr("Identity"));
  EXPECT_THAT(outcome(identity_model(23)), HasSubstr("Identity"));
}

TEST(ReadOnnx, refuses_missing_and_doubled_values_by_name) {
  EXPECT_THAT(message_of(ModelBuilder(13).input("x", k_image).node({"Identity", {"z"}, {"y"}, {}, "n"}).output("y")),
              HasSubstr("node 'n' (Identity): input 'z' is made by no node"));
  EXPECT_THAT(message_of(identity_model().node({"Identity", {"x"}, {"y"}, {}, "again"})),
              HasSubstr("node 'again' (Identity) makes 'y', which exists already"));
  EXPECT_THAT(message_of(identity_model().node({"Identity", {"y"}, {"x"}, {}, "back"})),
              HasSubstr("node 'back' (Identity) makes 'x', which exists already"));
  EXPECT_THAT(message_of(identity_model().output("nowhere")), HasSubstr("graph output 'nowhere' is made by no node"));
  EXPECT_THAT(message_of(identity_model().output("y")), HasSubstr("graph output 'y' is listed twice"));
  EXPECT_THAT(message_of(identity_model().input("x", k_image)), HasSubstr("graph input 'x' is listed twice"));
  EXPECT_THAT(message_of(ModelBuilder(13).input("x", k_image)), HasSubstr("the graph has no outputs"));
}

TEST(ReadOnnx, tells_what_another_file_begins_as) {
  const auto message = [](std::string_view text) {
    std::vector<std::byte> bytes;
    for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
    return outcome(read(std::move(bytes)));
  };
  EXPECT_THAT(message("\xff\xd8\xff\xe0 a picture"), HasSubstr("not an ONNX model; it begins as a JPEG picture"));
  EXPECT_THAT(message("PK\x03\x04 an archive"), HasSubstr("PyTorch's checkpoints are: octet import reads those"));
  EXPECT_THAT(message("\x1c\x07\x07\x07TFL3 a model"), HasSubstr("it begins as a TensorFlow Lite model"));
  EXPECT_THAT(message("just text"), Not(HasSubstr("it begins as")));
}

TEST(ReadOnnx, takes_an_extent_of_minus_one_as_free_and_tells_it) {
  const Result<OnnxModel> model =
      read(ModelBuilder(13).input("x", {-1, 3}).node({"Identity", {"x"}, {"y"}}).output("y"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(to_string(*model->graph.value(model->graph.inputs[0]).shape), "[?,3]");
  EXPECT_THAT(model->info.notes, Contains("graph input 'x' has an extent of -1, taken as free: [?,3]"));
}

TEST(ReadOnnx, refuses_negative_and_overflowing_extents) {
  EXPECT_THAT(message_of(ModelBuilder(13).input("x", {1, -2}).node({"Identity", {"x"}, {"y"}}).output("y")),
              HasSubstr("'x' has the extent -2"));
  const int64_t huge = int64_t{1} << 40;
  EXPECT_THAT(message_of(ModelBuilder(13).input("x", {huge}).node({"Identity", {"x"}, {"y"}}).output("y")),
              HasSubstr("graph input 'x' of shape [1099511627776] is too large"));
  EXPECT_THAT(message_of(ModelBuilder(13)
                             .input("x", {int64_t{1} << 32, int64_t{1} << 32, 4})  // the product is 2^66
                             .node({"Identity", {"x"}, {"y"}})
                             .output("y")),
              HasSubstr("too large"));
}

TEST(ReadOnnx, refuses_inputs_that_are_no_tensors) {
  WireWriter sequence, type, value;
  type.message(4, WireWriter());  // TypeProto.sequence_type
  value.text(onnx_field::value_info::name, "x");
  value.message(onnx_field::value_info::type, type);
  ModelBuilder builder(13);
  builder.graph().message(onnx_field::graph::input, value);
  EXPECT_THAT(message_of(builder.node({"Identity", {"x"}, {"y"}}).output("y")),
              HasSubstr("graph input 'x' is not a dense tensor"));
  ModelBuilder strings(13);
  strings.graph().message(onnx_field::graph::input, value_proto("x", 8, {1}));
  EXPECT_THAT(message_of(strings.node({"Identity", {"x"}, {"y"}}).output("y")),
              HasSubstr("graph input 'x' is of STRING, which octet has not"));
}

TEST(ReadOnnx, refuses_an_attribute_given_twice_or_unknown) {
  const auto with = [](std::vector<WireWriter> attributes) {
    return ModelBuilder(13).input("x", k_image).node({"Flatten", {"x"}, {"y"}, std::move(attributes), "f"}).output("y");
  };
  EXPECT_THAT(message_of(with({int_attribute_proto("axis", 1), int_attribute_proto("axis", 1)})),
              HasSubstr("node 'f' (Flatten): attribute 'axis' is given twice"));
  EXPECT_THAT(message_of(with({int_attribute_proto("magic", 4)})),
              HasSubstr("node 'f' (Flatten): attribute 'magic' = 4 is not supported"));
  EXPECT_THAT(message_of(with({float_attribute_proto("axis", 1)})), HasSubstr("attribute 'axis' is of kind float"));
}

TEST(ReadOnnx, tells_an_empty_a_foreign_and_a_truncated_file_apart) {
  EXPECT_THAT(outcome(read(std::vector<std::byte>())), HasSubstr("the file is empty"));
  const std::string text = "#!/usr/bin/env python\n";
  std::vector<std::byte> script(text.size());
  std::ranges::transform(text, script.begin(), [](char c) { return static_cast<std::byte>(c); });
  EXPECT_THAT(outcome(read(script)), HasSubstr("not an ONNX model"));
  std::vector<std::byte> cut = identity_model().bytes();
  cut.resize(cut.size() / 2);
  EXPECT_THAT(outcome(read(cut)), HasSubstr("the file is truncated"));
}

TEST(ReadOnnx, has_one_error_for_every_prefix_of_a_file) {
  const std::vector<std::byte> whole = identity_model().initializer("w", f32s({3}, {1, 2, 3})).bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    const Result<OnnxModel> model =
        read(std::vector<std::byte>(whole.begin(), whole.begin() + static_cast<long>(size)));
    ASSERT_FALSE(model) << "the first " << size << " bytes were taken for a model";
    EXPECT_NE(model.error().message, "");
  }
}

TEST(ReadOnnx, makes_a_model_or_one_error_of_any_damaged_file) {
  ModelBuilder builder(13);
  builder.input("x", k_image).initializer("w", f32s({3, 3, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9}));
  builder.node({"Conv", {"x", "w"}, {"c"}, {ints_attribute_proto("pads", {0, 0, 0, 0})}, "conv"});
  builder.node({"Clip", {"c"}, {"y"}, {}, "clip"}).value_info("c", k_image).output("y");
  const std::vector<std::byte> whole = builder.bytes();
  std::mt19937 random(1);
  size_t models = 0;
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::byte> damaged = whole;
    for (unsigned k = 0, n = 1 + random() % 3; k < n; ++k)
      damaged[random() % damaged.size()] = std::byte(random() & 255);
    const Result<OnnxModel> model = read(damaged);
    models += model.has_value();
    EXPECT_TRUE(model || !model.error().message.empty());
  }
  EXPECT_GT(models, 100u);  // a changed weight or name still makes a model
}

TEST(ReadOnnx, names_the_path_of_a_file_that_is_not_there) {
  const Result<OnnxModel> model = read_onnx("no/such/file.onnx");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::io);
  EXPECT_THAT(model.error().message, HasSubstr("no/such/file.onnx"));
}

}  // namespace
}  // namespace octet::test
