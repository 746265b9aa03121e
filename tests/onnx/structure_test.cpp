// What a file may hold besides plain nodes: sparse initializers, functions, an If on a known condition, IR versions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/reading.h"

namespace octet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

WireWriter node_proto(const std::string& op, const std::vector<std::string>& inputs,
                      const std::vector<std::string>& outputs, const std::vector<WireWriter>& attributes = {},
                      const std::string& domain = "") {
  WireWriter out;
  for (const std::string& v : inputs) out.text(onnx_field::node::input, v);
  for (const std::string& v : outputs) out.text(onnx_field::node::output, v);
  out.text(onnx_field::node::op_type, op);
  for (const WireWriter& a : attributes) out.message(onnx_field::node::attribute, a);
  if (!domain.empty()) out.text(onnx_field::node::domain, domain);
  return out;
}

WireWriter opset_proto(const std::string& domain, int64_t version) {
  WireWriter out;
  out.text(onnx_field::opset::domain, domain);
  out.integer(onnx_field::opset::version, version);
  return out;
}

/// A model of x f32[2,3] -> y with these nodes, and what else is added.
std::vector<std::byte> model_bytes(const std::vector<WireWriter>& nodes,
                                   const std::vector<std::pair<uint32_t, WireWriter>>& in_graph = {},
                                   const std::vector<WireWriter>& functions = {}, int64_t ir_version = 8) {
  WireWriter graph;
  for (const WireWriter& node : nodes) graph.message(onnx_field::graph::node, node);
  graph.text(onnx_field::graph::name, "g");
  for (const auto& [field, message] : in_graph) graph.message(field, message);
  graph.message(onnx_field::graph::input, value_proto("x", 1, {2, 3}));
  graph.message(onnx_field::graph::output, value_proto("y", 1, {2, 3}));
  WireWriter model;
  model.integer(onnx_field::model::ir_version, ir_version);
  model.message(onnx_field::model::graph, graph);
  model.message(onnx_field::model::opset_import, opset_proto("", 17));
  for (const WireWriter& f : functions) model.message(onnx_field::model::functions, f);
  return model.finish();
}

std::string outcome_of(std::vector<std::byte> bytes) { return outcome(read(std::move(bytes))); }

WireWriter sparse_proto(const Tensor& indices) {
  WireWriter out;
  out.message(1, tensor_proto("w", f32s({2}, {5, 7})));
  out.message(2, tensor_proto("", indices));
  for (const int64_t d : {2, 3}) out.integer(3, d);
  return out;
}

TEST(SparseInitializer, becomes_dense_from_positions_or_coordinates) {
  const auto with = [](const Tensor& indices) {
    return outcome_of(model_bytes({node_proto("Add", {"x", "w"}, {"y"})},
                                  {{onnx_field::graph::sparse_initializer, sparse_proto(indices)}}));
  };
  const std::string wanted = "const w: f32[2,3] = {0, 5, 0, 0, 0, 7}";
  EXPECT_THAT(with(s64s({1, 5})), HasSubstr(wanted));
  const int64_t coordinates[] = {0, 1, 1, 2};
  EXPECT_THAT(with(s64_tensor({2, 2}, coordinates)), HasSubstr(wanted));
  EXPECT_THAT(with(s64s({1, 6})), HasSubstr("sparse tensor 'w': index 1 lies outside [2,3]"));
  EXPECT_THAT(with(s64s({1, 2, 3})), HasSubstr("has 2 values and s64 indices [3]"));
}

/// twice(a) = LeakyRelu(a, alpha=@slope) + a
WireWriter function_proto(bool has_default) {
  WireWriter reference;
  reference.text(onnx_field::attribute::name, "alpha");
  reference.text(onnx_field::attribute::ref_attr_name, "slope");
  reference.integer(onnx_field::attribute::type, 1);
  WireWriter f;
  f.text(onnx_field::function::name, "Twice");
  f.text(onnx_field::function::input, "a");
  f.text(onnx_field::function::output, "b");
  f.message(onnx_field::function::node, node_proto("LeakyRelu", {"a"}, {"h"}, {reference}));
  f.message(onnx_field::function::node, node_proto("Add", {"h", "a"}, {"b"}));
  f.text(onnx_field::function::domain, "mine");
  if (has_default) f.message(onnx_field::function::attribute_proto, float_attribute_proto("slope", 0.25f));
  return f;
}

TEST(Function, is_inlined_with_the_attributes_of_its_call_or_its_defaults) {
  const auto twice = [](const std::vector<WireWriter>& attributes, bool has_default) {
    return outcome_of(model_bytes(
        {node_proto("Twice", {"x"}, {"m"}, attributes, "mine"), node_proto("Twice", {"m"}, {"y"}, attributes, "mine")},
        {}, {function_proto(has_default)}));
  };
  EXPECT_THAT(twice({float_attribute_proto("slope", 0.5f)}, true),
              AllOf(HasSubstr("Twice/1/h = LeakyRelu(x, alpha=0.5)"), HasSubstr("m = Add(Twice/1/h, x)"),
                    HasSubstr("Twice/2/h = LeakyRelu(m, alpha=0.5)"), HasSubstr("y = Add(Twice/2/h, m)")));
  EXPECT_THAT(twice({}, true), HasSubstr("LeakyRelu(x, alpha=0.25)"));
  EXPECT_THAT(twice({}, false), AllOf(HasSubstr("LeakyRelu(x)"), Not(HasSubstr("alpha"))));
}

TEST(Function, of_another_opset_than_the_file_is_told) {
  WireWriter f;
  f.text(onnx_field::function::name, "Old");
  f.text(onnx_field::function::input, "a");
  f.text(onnx_field::function::output, "b");
  f.message(onnx_field::function::node, node_proto("Relu", {"a"}, {"b"}));
  f.message(onnx_field::function::opset_import, opset_proto("", 11));
  f.text(onnx_field::function::domain, "mine");
  const Result<OnnxModel> model = read(model_bytes({node_proto("Old", {"x"}, {"y"}, {}, "mine")}, {}, {f}));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->info.notes.size(), 1u);
  EXPECT_THAT(model->info.notes[0], HasSubstr("function 'Old' is of opset 11 in a file of opset "));
}

/// name(a) = b, of these nodes and this opset
WireWriter function_of(const std::string& name, int64_t opset, const std::vector<WireWriter>& nodes) {
  WireWriter f;
  f.text(onnx_field::function::name, name);
  f.text(onnx_field::function::input, "a");
  f.text(onnx_field::function::output, "b");
  for (const WireWriter& node : nodes) f.message(onnx_field::function::node, node);
  if (opset) f.message(onnx_field::function::opset_import, opset_proto("", opset));
  f.text(onnx_field::function::domain, "mine");
  return f;
}

std::string text_of_call(const std::vector<WireWriter>& functions, const std::string& name) {
  return outcome_of(model_bytes({node_proto(name, {"x"}, {"y"}, {}, "mine")}, {}, functions));
}

// The file is of opset 17. What the function's nodes say is what its own opset says.
TEST(Function, of_an_older_opset_is_converted_from_it) {
  // Softmax before 13 takes everything behind the axis (default 1) as one row: of [2,3] that is the last axis.
  // Clip's bounds and Squeeze's axes were attributes, Dropout's ratio too.
  const std::string clip = text_of_call(
      {function_of(
          "Old", 10,
          {node_proto("Clip", {"a"}, {"b"}, {float_attribute_proto("min", 0), float_attribute_proto("max", 6)})})},
      "Old");
  EXPECT_THAT(clip, AllOf(HasSubstr(": f32[] = {6}"), HasSubstr("y = Clip(x, ")));
  const std::string squeeze =
      text_of_call({function_of("Old", 12,
                                {node_proto("Unsqueeze", {"a"}, {"c"}, {ints_attribute_proto("axes", {0})}),
                                 node_proto("Squeeze", {"c"}, {"b"}, {ints_attribute_proto("axes", {0})})})},
                   "Old");
  EXPECT_THAT(squeeze, AllOf(HasSubstr("= Unsqueeze(x, "), HasSubstr("y = Squeeze("), HasSubstr(": s64[1] = {0}")));
  const std::string sum =
      text_of_call({function_of("Old", 11,
                                {node_proto("ReduceSum", {"a"}, {"s"}, {ints_attribute_proto("axes", {1})}),
                                 node_proto("Add", {"a", "s"}, {"b"})})},
                   "Old");
  EXPECT_THAT(sum, AllOf(HasSubstr("= ReduceSum(x, "), HasSubstr(": s64[1] = {1}")));
}

TEST(Function, of_an_older_opset_keeps_its_meaning_of_softmax) {
  // x is [2,3]; Softmax of axis 0 over the whole matrix in opset 11, along the first axis alone in opset 13.
  const WireWriter softmax = node_proto("Softmax", {"a"}, {"b"}, {int_attribute_proto("axis", 0)});
  EXPECT_THAT(text_of_call({function_of("Old", 11, {softmax})}, "Old"),
              AllOf(HasSubstr("= Flatten(x, axis=0)"), HasSubstr("y = Reshape(")));
  EXPECT_THAT(text_of_call({function_of("New", 13, {softmax})}, "New"), HasSubstr("y = Softmax(x, axis=0)"));
  // Without an import the function is of the file's opset.
  EXPECT_THAT(text_of_call({function_of("Same", 0, {softmax})}, "Same"), HasSubstr("y = Softmax(x, axis=0)"));
}

TEST(Function, that_calls_one_of_another_opset_is_converted_in_two) {
  const WireWriter softmax = node_proto("Softmax", {"a"}, {"b"}, {int_attribute_proto("axis", 0)});
  const WireWriter inner = function_of("Inner", 11, {softmax});
  const WireWriter outer = function_of("Outer", 13,
                                       {node_proto("Inner", {"a"}, {"i"}, {}, "mine"),
                                        node_proto("Softmax", {"i"}, {"b"}, {int_attribute_proto("axis", 0)})});
  EXPECT_THAT(text_of_call({inner, outer}, "Outer"),
              AllOf(HasSubstr("= Flatten(x, axis=0)"), HasSubstr("y = Softmax("), HasSubstr(", axis=0)")));
}

TEST(Function, of_an_opset_that_octet_does_not_read_is_refused_by_name) {
  for (const int64_t opset : {6, 29})
    EXPECT_THAT(text_of_call({function_of("Odd", opset, {node_proto("Relu", {"a"}, {"b"})})}, "Odd"),
                HasSubstr("(Odd): function 'Odd' is of opset " + std::to_string(opset) + "; octet reads 7 to 28"));
}

// ONNX Runtime reads the function's nodes by the file's opset (17 here): where that is another meaning it is told.
TEST(Function, whose_operators_changed_in_between_is_an_edit_of_the_report) {
  const auto edits = [](int64_t opset, const WireWriter& node) {
    const Result<OnnxModel> model =
        read(model_bytes({node_proto("Old", {"x"}, {"y"}, {}, "mine")}, {}, {function_of("Old", opset, {node})}));
    EXPECT_TRUE(model) << model.error().message;
    return model ? model->info.edits : std::vector<OnnxEdit>();
  };
  const WireWriter softmax = node_proto("Softmax", {"a"}, {"b"}, {int_attribute_proto("axis", 0)});
  const std::vector<OnnxEdit> told = edits(11, softmax);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].what, "function_opset");
  EXPECT_EQ(told[0].node, "Old/1/Softmax");
  EXPECT_EQ(told[0].before, "Softmax in a function of opset 11, the file is of opset 17");
  EXPECT_EQ(told[0].after, "read as opset 11 has it");
  EXPECT_THAT(told[0].change, HasSubstr("ONNX Runtime reads it as opset 17 has it"));
  EXPECT_TRUE(edits(13, softmax).empty());
  EXPECT_TRUE(edits(11, node_proto("Relu", {"a"}, {"b"})).empty());
}

TEST(Function, of_an_opset_that_octet_does_not_read_hides_no_other_problem) {
  const std::string text =
      outcome_of(model_bytes({node_proto("Odd", {"x"}, {"m"}, {}, "mine"), node_proto("Bogus", {"m"}, {"y"})}, {},
                             {function_of("Odd", 29, {node_proto("Relu", {"a"}, {"b"})})}));
  EXPECT_THAT(text,
              AllOf(HasSubstr("function 'Odd' is of opset 29"), HasSubstr("Bogus (opset 17): octet has no such op")));
}

TEST(Function, that_calls_itself_is_refused) {
  WireWriter f;
  f.text(onnx_field::function::name, "Loopy");
  f.text(onnx_field::function::input, "a");
  f.text(onnx_field::function::output, "b");
  f.message(onnx_field::function::node, node_proto("Loopy", {"a"}, {"b"}, {}, "mine"));
  f.text(onnx_field::function::domain, "mine");
  EXPECT_THAT(outcome_of(model_bytes({node_proto("Loopy", {"x"}, {"y"}, {}, "mine")}, {}, {f})),
              HasSubstr("functions call each other more than 32 deep"));
}

WireWriter branch_proto(const std::string& name, const std::string& op) {
  WireWriter graph;
  graph.message(onnx_field::graph::node, node_proto(op, {"x"}, {"t"}));
  graph.message(onnx_field::graph::node, node_proto("Mul", {"t", "k"}, {"r"}));
  graph.text(onnx_field::graph::name, name);
  graph.message(onnx_field::graph::initializer, tensor_proto("k", scalar_f32(2)));
  graph.message(onnx_field::graph::output, value_proto("r", 1, {2, 3}));
  WireWriter out;
  out.text(onnx_field::attribute::name, name);
  out.message(onnx_field::attribute::g, graph);
  out.integer(onnx_field::attribute::type, 5);
  return out;
}

WireWriter if_proto(const std::string& condition) {
  return node_proto("If", {condition}, {"y"},
                    {branch_proto("then_branch", "Relu"), branch_proto("else_branch", "Neg")});
}

TEST(If, on_a_constant_is_its_branch) {
  const auto on = [](uint8_t flag) {
    return outcome_of(model_bytes(
        {if_proto("c")}, {{onnx_field::graph::initializer,
                           tensor_proto("c", Tensor::from<uint8_t>(DType::boolean, {}, std::span(&flag, 1)))}}));
  };
  EXPECT_THAT(on(1), AllOf(HasSubstr("y/t = Relu(x)"), HasSubstr("y/r = Mul(y/t, y/k)"), HasSubstr("y = Identity(y/r)"),
                           Not(HasSubstr("Neg"))));
  EXPECT_THAT(on(0), AllOf(HasSubstr("y/t = Neg(x)"), Not(HasSubstr("Relu"))));
}

TEST(If, on_a_known_shape_is_its_branch) {
  const int64_t three = 3, one = 1;
  const std::vector<WireWriter> nodes = {node_proto("Shape", {"x"}, {"s"}), node_proto("Gather", {"s", "one"}, {"n"}),
                                         node_proto("Equal", {"n", "three"}, {"c"}), if_proto("c")};
  const auto number = [](const std::string& name, const int64_t& v) {
    return std::pair(onnx_field::graph::initializer, tensor_proto(name, s64_tensor({}, std::span(&v, 1))));
  };
  EXPECT_THAT(outcome_of(model_bytes(nodes, {number("one", one), number("three", three)})), HasSubstr("y/t = Relu(x)"));
}

/// An If of one output whose two branches are these single nodes, each making 't'.
WireWriter if_of(const std::string& condition, const std::string& output, const WireWriter& then_node,
                 const WireWriter& else_node) {
  const auto branch = [](const std::string& name, const WireWriter& node) {
    WireWriter graph, out, attribute;
    graph.message(onnx_field::graph::node, node);
    out.text(onnx_field::value_info::name, "t");
    graph.message(onnx_field::graph::output, out);
    attribute.text(onnx_field::attribute::name, name);
    attribute.message(onnx_field::attribute::g, graph);
    return attribute;
  };
  return node_proto("If", {condition}, {output}, {branch("then_branch", then_node), branch("else_branch", else_node)});
}

// A branch may call the file's functions; its nodes are of the function's opset.
TEST(If, whose_branch_calls_a_function_is_the_function) {
  const uint8_t yes = 1;
  const auto file = [&](int64_t opset) {
    return model_bytes({if_of("c", "y", node_proto("Old", {"x"}, {"t"}, {}, "mine"), node_proto("Neg", {"x"}, {"t"}))},
                       {{onnx_field::graph::initializer,
                         tensor_proto("c", Tensor::from<uint8_t>(DType::boolean, {}, std::span(&yes, 1)))}},
                       {function_of("Old", opset,
                                    {node_proto("Relu", {"a"}, {"r"}),
                                     node_proto("Softmax", {"r"}, {"b"}, {int_attribute_proto("axis", 0)})})});
  };
  const std::string text = outcome_of(file(11));
  EXPECT_THAT(text, AllOf(HasSubstr("= Relu(x)"), HasSubstr("= Flatten("), HasSubstr("y = Identity(y/t)")));
  // Its opset is told and refused as elsewhere.
  const Result<OnnxModel> model = read(file(11));
  ASSERT_TRUE(model);
  ASSERT_EQ(model->info.edits.size(), 1u);
  EXPECT_EQ(model->info.edits[0].what, "function_opset");
  EXPECT_THAT(outcome_of(file(29)), HasSubstr("function 'Old' is of opset 29; octet reads 7 to 28"));
}

// Scopes of functions are closed: names inside mean the call's values, also where the outside has equal ones.
TEST(If, inside_a_function_called_from_a_branch_sees_its_own_call) {
  const uint8_t yes = 1;
  const auto function = [](const std::string& name, const std::vector<WireWriter>& nodes) {
    WireWriter f;
    f.text(onnx_field::function::name, name);
    f.text(onnx_field::function::input, "a");
    f.text(onnx_field::function::input, "c");
    f.text(onnx_field::function::output, "b");
    for (const WireWriter& node : nodes) f.message(onnx_field::function::node, node);
    f.text(onnx_field::function::domain, "mine");
    return f;
  };
  // Inner(a, c) = {q = Exp(a); If c {Neg q}}; Outer(a, c) = {q = Abs(a); If c {Inner(q, c)}}; the graph has a 'q' and a
  // 't'.
  const WireWriter inner =
      function("Inner", {node_proto("Exp", {"a"}, {"q"}),
                         if_of("c", "b", node_proto("Neg", {"q"}, {"t"}), node_proto("Relu", {"q"}, {"t"}))});
  const WireWriter outer = function(
      "Outer", {node_proto("Abs", {"a"}, {"q"}),
                if_of("c", "b", node_proto("Inner", {"q", "c"}, {"t"}, {}, "mine"), node_proto("Relu", {"a"}, {"t"}))});
  const std::string text =
      outcome_of(model_bytes({node_proto("Sqrt", {"x"}, {"q"}), node_proto("Outer", {"q", "c"}, {"o"}, {}, "mine"),
                              node_proto("Relu", {"o"}, {"t"}), node_proto("Identity", {"t"}, {"y"})},
                             {{onnx_field::graph::initializer,
                               tensor_proto("c", Tensor::from<uint8_t>(DType::boolean, {}, std::span(&yes, 1)))}},
                             {inner, outer}));
  EXPECT_THAT(text, AllOf(HasSubstr("q = Sqrt(x)"), HasSubstr("Outer/1/q = Abs(q)"),
                          HasSubstr("o/Inner/1/q = Exp(Outer/1/q)"), HasSubstr("= Neg(o/Inner/1/q)")));
}

TEST(If, whose_branches_call_themselves_is_refused) {
  const uint8_t yes = 1;
  WireWriter f;
  f.text(onnx_field::function::name, "Again");
  f.text(onnx_field::function::input, "a");
  f.text(onnx_field::function::input, "c");
  f.text(onnx_field::function::output, "b");
  f.message(onnx_field::function::node,
            if_of("c", "b", node_proto("Again", {"a", "c"}, {"t"}, {}, "mine"), node_proto("Neg", {"a"}, {"t"})));
  f.text(onnx_field::function::domain, "mine");
  EXPECT_THAT(
      outcome_of(model_bytes({node_proto("Again", {"x", "c"}, {"y"}, {}, "mine")},
                             {{onnx_field::graph::initializer,
                               tensor_proto("c", Tensor::from<uint8_t>(DType::boolean, {}, std::span(&yes, 1)))}},
                             {f})),
      HasSubstr("branches lie more than 64 deep in each other"));
}

// A function may hold an If on what its own constants say: names inside are the function's, references the call's.
TEST(Function, with_an_if_on_a_constant_is_its_branch) {
  WireWriter slope;
  slope.text(onnx_field::attribute::name, "alpha");
  slope.text(onnx_field::attribute::ref_attr_name, "slope");
  WireWriter f;
  f.text(onnx_field::function::name, "Twice");
  f.text(onnx_field::function::input, "a");
  f.text(onnx_field::function::input, "flag");
  f.text(onnx_field::function::output, "b");
  f.message(onnx_field::function::node, node_proto("Abs", {"a"}, {"h"}));
  f.message(onnx_field::function::node,
            if_of("flag", "b", node_proto("LeakyRelu", {"h"}, {"t"}, {slope}), node_proto("Add", {"h", "a"}, {"t"})));
  f.text(onnx_field::function::domain, "mine");
  const auto on = [&](uint8_t flag) {
    return outcome_of(
        model_bytes({node_proto("Twice", {"x", "c"}, {"y"}, {float_attribute_proto("slope", 0.5f)}, "mine")},
                    {{onnx_field::graph::initializer,
                      tensor_proto("c", Tensor::from<uint8_t>(DType::boolean, {}, std::span(&flag, 1)))}},
                    {f}));
  };
  EXPECT_THAT(on(1), AllOf(HasSubstr("Twice/1/h = Abs(x)"), HasSubstr("LeakyRelu(Twice/1/h, alpha=0.5)")));
  EXPECT_THAT(on(0), AllOf(HasSubstr("Add(Twice/1/h, x)"), Not(HasSubstr("LeakyRelu"))));
}

TEST(If, on_what_only_the_run_knows_is_refused_by_name) {
  const std::vector<WireWriter> nodes = {node_proto("ReduceMax", {"x"}, {"m"}, {int_attribute_proto("keepdims", 0)}),
                                         node_proto("Cast", {"m"}, {"c"}, {int_attribute_proto("to", 9)}),
                                         if_proto("c")};
  EXPECT_THAT(outcome_of(model_bytes(nodes)),
              HasSubstr("node of 'y' (If): its condition 'c' is not known before the network runs"));
}

TEST(IrVersion, above_14_is_refused_by_name) {
  const std::vector<WireWriter> nodes = {node_proto("Relu", {"x"}, {"y"})};
  for (const int64_t version : {3, 4, 8, 11, 14})
    EXPECT_THAT(outcome_of(model_bytes(nodes, {}, {}, version)), HasSubstr("Relu"));
  EXPECT_THAT(outcome_of(model_bytes(nodes, {}, {}, 15)),
              HasSubstr("the file is of IR version 15; octet reads up to 14"));
}

}  // namespace
}  // namespace octet::test
