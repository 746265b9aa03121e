// Seeds of what a file holds besides plain nodes: functions, an If on a known condition, sparse initializers.

#include "onnx_seed_parts.h"

namespace octet::test {
namespace {

WireWriter node_proto(const std::string& op, const std::vector<std::string>& inputs, const std::string& output,
                      const std::vector<WireWriter>& attributes = {}, const std::string& domain = "") {
  WireWriter out;
  for (const std::string& v : inputs) out.text(onnx_field::node::input, v);
  out.text(onnx_field::node::output, output);
  out.text(onnx_field::node::op_type, op);
  for (const WireWriter& a : attributes) out.message(onnx_field::node::attribute, a);
  out.text(onnx_field::node::domain, domain);
  return out;
}

WireWriter name_only(const std::string& name) {
  WireWriter out;
  out.text(onnx_field::value_info::name, name);
  return out;
}

/// The branch calls the function; the function's alpha is the call's slope or its default.
Seed functions() {
  WireWriter reference, function, then_graph, else_graph, then_branch, else_branch, opset;
  reference.text(onnx_field::attribute::name, "alpha");
  reference.text(onnx_field::attribute::ref_attr_name, "slope");
  reference.integer(onnx_field::attribute::type, 1);
  function.text(onnx_field::function::name, "Twice");
  function.text(onnx_field::function::input, "a");
  function.text(onnx_field::function::output, "b");
  function.message(onnx_field::function::node, node_proto("LeakyRelu", {"a"}, "h", {reference}));
  function.message(onnx_field::function::node, node_proto("Softmax", {"h"}, "b"));
  opset.integer(onnx_field::opset::version, 11);
  function.message(onnx_field::function::opset_import, opset);
  function.text(onnx_field::function::domain, "mine");
  function.message(onnx_field::function::attribute_proto, float_attribute_proto("slope", 0.25f));

  then_graph.message(onnx_field::graph::node,
                     node_proto("Twice", {"x"}, "t", {float_attribute_proto("slope", 0.5f)}, "mine"));
  then_graph.message(onnx_field::graph::output, name_only("t"));
  else_graph.message(onnx_field::graph::initializer, tensor_proto("k", scalar_f32(2)));
  else_graph.message(onnx_field::graph::node, node_proto("Mul", {"x", "k"}, "t"));
  else_graph.message(onnx_field::graph::output, name_only("t"));
  then_branch.text(onnx_field::attribute::name, "then_branch");
  then_branch.message(onnx_field::attribute::g, then_graph);
  then_branch.integer(onnx_field::attribute::type, 5);
  else_branch.text(onnx_field::attribute::name, "else_branch");
  else_branch.message(onnx_field::attribute::g, else_graph);
  else_branch.integer(onnx_field::attribute::type, 5);

  ModelBuilder model(17);
  model.import_opset("mine", 1).input("x", {2, 3}).initializer("c", bytes(DType::boolean, {}, {1}));
  model.function(function).node({"Twice", {"x"}, {"m"}, {}, "call", "mine"});
  model.graph().message(onnx_field::graph::node, node_proto("If", {"c"}, "i", {then_branch, else_branch}));
  model.node({"Add", {"m", "i"}, {"y"}, {}, "sum"}).output("y");
  return {"function_and_if", std::move(model)};
}

Seed sparse() {
  WireWriter tensor;
  tensor.message(1, tensor_proto("w", f32_tensor({2}, std::vector<float>{5, 7})));
  tensor.message(2, tensor_proto("", integers({1, 5})));
  for (const int64_t d : {2, 3}) tensor.integer(3, d);
  ModelBuilder model(17);
  model.input("x", {2, 3});
  model.graph().message(onnx_field::graph::sparse_initializer, tensor);
  model.node({"Add", {"x", "w"}, {"y"}, {}, "n"}).output("y");
  return {"sparse", std::move(model)};
}

}  // namespace

std::vector<Seed> seeds_of_structure() {
  std::vector<Seed> seeds;
  seeds.push_back(functions());
  seeds.push_back(sparse());
  return seeds;
}

}  // namespace octet::test
