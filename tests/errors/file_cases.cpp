// ONNX files that are damaged, contradict themselves or hold what octet has not.
#include <limits>

#include "errors/cases.h"
#include "octet/model.h"
#include "onnx/model_builder.h"

namespace octet::errors {
namespace {

using test::ModelBuilder;
using test::NodeSpec;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// x: f32[2,3] -> nodes -> y.
ModelBuilder start(int64_t opset = 17) {
  ModelBuilder model(opset);
  model.input("x", {Dim(2), Dim(3)});
  return model;
}
ModelBuilder end(ModelBuilder model) {
  model.output("y");
  return model;
}
ModelBuilder one(const NodeSpec& node, int64_t opset = 17) { return end(start(opset).node(node)); }

const NodeSpec k_relu{.op = "Relu", .inputs = {"x"}, .outputs = {"y"}, .name = "r"};

Tensor f32s(Dims dims, std::vector<float> values) { return f32_tensor(std::move(dims), values); }

struct Named {
  const char* name;
  std::string bytes;
};

std::vector<Named> damaged_bytes() {
  const std::string good = text_of(one(k_relu).bytes());
  std::vector<Named> files = {{"file_empty", ""},
                              {"file_is_a_picture", "\x89PNG\r\n\x1a\n" + std::string(40, '\0')},
                              {"file_is_text", "this is not a network"},
                              {"file_is_html", "<!DOCTYPE html><html><body>404</body></html>"},
                              {"file_cut_in_half", good.substr(0, good.size() / 2)},
                              {"file_cut_by_one_byte", good.substr(0, good.size() - 1)},
                              {"file_without_graph", good.substr(0, 2)},
                              {"file_endless_number", std::string(12, '\xff')},
                              {"file_field_zero", std::string("\x02\x01", 2)},
                              {"file_wrong_wire_type", std::string("\x0d\x01\x02\x03\x04", 5)},
                              {"file_group", std::string("\x0b\x0c", 2)}};
  return files;
}

using Add = std::function<void(const char*, ModelBuilder)>;

NodeSpec with_int(NodeSpec node, const char* key, int64_t value) {
  node.attributes.push_back(test::int_attribute_proto(key, value));
  return node;
}

/// Problems of several stages of the reader in one file.
void stages(const Add& add) {
  const Tensor zero_point = Tensor::from<int8_t>(DType::s8, {}, std::vector<int8_t>{0});
  const NodeSpec quantize{.op = "QuantizeLinear", .inputs = {"a", "s", "z"}, .outputs = {"q"}, .name = "q"};
  const NodeSpec dequantize{.op = "DequantizeLinear", .inputs = {"q", "t", "z"}, .outputs = {"b"}, .name = "dq"};
  const NodeSpec softmax = with_int({.op = "Softmax", .inputs = {"x"}, .outputs = {"c"}, .name = "softmax"}, "axis", 9);
  const NodeSpec sum{.op = "Add", .inputs = {"b", "c"}, .outputs = {"y"}, .name = "sum"};
  const NodeSpec leaky = with_int({.op = "Relu", .inputs = {"x"}, .outputs = {"a"}, .name = "relu"}, "leak", 1);
  add("attribute_scale_and_axis", end(start()
                                          .initializer("s", f32s({}, {0.0f}))
                                          .initializer("t", f32s({}, {0.5f}))
                                          .initializer("z", zero_point)
                                          .node(leaky)
                                          .node(quantize)
                                          .node(dequantize)
                                          .node(softmax)
                                          .node(sum)));
  // Everything hangs behind an operator that octet has not.
  add("behind_an_unknown_op",
      end(start()
              .initializer("s", f32s({}, {-1.0f}))
              .initializer("t", f32s({3}, {0.5f, std::numeric_limits<float>::infinity(), 1.0f}))
              .initializer("z", zero_point)
              .initializer("w", f32s({4, 3, 1}, std::vector<float>(12, 1.0f)))
              .node({.op = "Polish", .inputs = {"x"}, .outputs = {"a"}, .name = "polish"})
              .node(quantize)
              .node(dequantize)
              .node(with_int({.op = "Concat", .inputs = {"b"}, .outputs = {"k"}, .name = "no_axis"}, "axes", 1))
              .node(with_int({.op = "Conv", .inputs = {"b", "w"}, .outputs = {"c"}, .name = "groups"}, "group", 0))
              .node({.op = "Det", .inputs = {"c"}, .outputs = {"d"}, .name = "det"})
              .node({.op = "Cast", .inputs = {"d"}, .outputs = {"y"}, .name = "cast"})));
  // A repair would mend the weight's scale, so it is no problem; the bias between them hides nothing.
  const Tensor codes = Tensor::from<int8_t>(DType::s8, {3, 3}, std::vector<int8_t>{1, 2, 3, 0, 0, 0, 7, 8, 9});
  const Tensor zeros = Tensor::from<int8_t>(DType::s8, {3}, std::vector<int8_t>{0, 0, 0});
  add("a_scale_that_is_mended_is_no_problem",
      end(start()
              .initializer("w", codes)
              .initializer("t", f32s({3}, {0.5f, 0.0f, 1.0f}))
              .initializer("z", zeros)
              .node(with_int({.op = "DequantizeLinear", .inputs = {"w", "t", "z"}, .outputs = {"v"}, .name = "weight"},
                             "axis", 0))
              .node(with_int({.op = "Gemm", .inputs = {"x", "v"}, .outputs = {"g"}, .name = "fc"}, "transB", 1))
              .node({.op = "Polish", .inputs = {"g"}, .outputs = {"y"}, .name = "polish"})));
  WireWriter short_tensor = test::tensor_proto("c", f32s({3}, {1, 2, 3}));
  short_tensor.integer(onnx_field::tensor::dims, 9);
  WireWriter strings;
  strings.integer(onnx_field::tensor::dims, 1);
  strings.integer(onnx_field::tensor::data_type, 8);
  strings.text(onnx_field::tensor::name, "names");
  add("initializers_inputs_and_outputs",
      ModelBuilder(17, 99)
          .input("x", {Dim(2), Dim(3)})
          .input("x", {Dim(2)})
          .input("huge", {Dim(1 << 20), Dim(1 << 20)})
          .initializer(short_tensor)
          .initializer(strings)
          .node({.op = "Add", .inputs = {"x", "c"}, .outputs = {"a"}, .name = "reads_what_is_damaged"})
          .node({.op = "Sigmoid", .inputs = {"huge"}, .outputs = {"b"}, .name = "reads_the_huge"})
          .node({.op = "Relu", .inputs = {"x"}, .outputs = {"b"}, .name = "second"})
          .node({.op = "Add", .inputs = {"x", "f"}, .outputs = {"e"}, .name = "on_a_cycle"})
          .node({.op = "Relu", .inputs = {"e"}, .outputs = {"f"}, .name = "too"})
          .output("b")
          .output("nobody"));
  add("missing_data_file_is_told_once", [] {
    const auto outside = [](const char* name) {
      WireWriter location, tensor;
      location.text(onnx_field::entry::key, "location");
      location.text(onnx_field::entry::value, "not_there.bin");
      tensor.integer(onnx_field::tensor::dims, 3);
      tensor.integer(onnx_field::tensor::data_type, 1);
      tensor.text(onnx_field::tensor::name, name);
      tensor.message(onnx_field::tensor::external_data, location);
      tensor.integer(onnx_field::tensor::data_location, 1);
      return tensor;
    };
    return end(start()
                   .initializer(outside("c"))
                   .initializer(outside("d"))
                   .node({.op = "Add", .inputs = {"x", "c"}, .outputs = {"a"}, .name = "a"})
                   .node({.op = "Add", .inputs = {"a", "d"}, .outputs = {"b"}, .name = "b"})
                   .node(with_int({.op = "Softmax", .inputs = {"b"}, .outputs = {"y"}, .name = "s"}, "axes", 1)));
  }());
}

std::vector<std::pair<const char*, ModelBuilder>> graphs() {
  std::vector<std::pair<const char*, ModelBuilder>> made;
  const auto add = [&](const char* name, ModelBuilder model) { made.emplace_back(name, std::move(model)); };
  add("opset_too_old", one(k_relu, 5));
  add("opset_too_new", one(k_relu, 99));
  add("no_outputs", start().node(k_relu));
  add("output_of_nobody", start().node(k_relu).output("z"));
  add("output_twice", start().node(k_relu).output("y").output("y"));
  add("input_twice", end(start().input("x", {Dim(2)}).node(k_relu)));
  add("input_negative_extent", end(ModelBuilder(17).input("x", {Dim(-7)}).node(k_relu)));
  add("input_too_large", end(ModelBuilder(17).input("x", {Dim(1 << 20), Dim(1 << 20)}).node(k_relu)));
  add("reads_nothing", one({.op = "Relu", .inputs = {"ghost"}, .outputs = {"y"}, .name = "r"}));
  add("cycle", end(start()
                       .node({.op = "Add", .inputs = {"x", "b"}, .outputs = {"a"}, .name = "first"})
                       .node({.op = "Relu", .inputs = {"a"}, .outputs = {"b"}, .name = "second"})
                       .node({.op = "Relu", .inputs = {"b"}, .outputs = {"y"}})));
  add("made_twice", end(start().node(k_relu).node({.op = "Sigmoid", .inputs = {"x"}, .outputs = {"y"}, .name = "s"})));
  add("unknown_ops",
      end(start()
              .node({.op = "Polish", .inputs = {"x"}, .outputs = {"a"}, .name = "p1"})
              .node({.op = "QFoo", .inputs = {"a"}, .outputs = {"b"}, .name = "p2", .domain = "com.acme"})
              .node({.op = "Polish", .inputs = {"b"}, .outputs = {"y"}, .name = "p3"})));
  add("operators_of_other_domains",
      end(start()
              .node({.op = "Scaler", .inputs = {"x"}, .outputs = {"a"}, .name = "scaler", .domain = "ai.onnx.ml"})
              .node({.op = "FusedMatMul",
                     .inputs = {"a", "a"},
                     .outputs = {"b"},
                     .name = "fused",
                     .domain = "com.microsoft"})
              .node({.op = "MatMulNBits", .inputs = {"b"}, .outputs = {"c"}, .name = "n", .domain = "com.microsoft"})
              .node({.op = "Quant", .inputs = {"c"}, .outputs = {"y"}, .name = "q", .domain = "onnx.brevitas"})));
  add("control_flow", one({.op = "Loop", .inputs = {"x"}, .outputs = {"y"}, .name = "loop"}));
  add("attribute_twice",
      one({.op = "Softmax",
           .inputs = {"x"},
           .outputs = {"y"},
           .attributes = {test::int_attribute_proto("axis", 1), test::int_attribute_proto("axis", 0)},
           .name = "s"}));
  add("attribute_wrong_kind", one({.op = "Softmax",
                                   .inputs = {"x"},
                                   .outputs = {"y"},
                                   .attributes = {test::string_attribute_proto("axis", "last")},
                                   .name = "s"}));
  add("attribute_unknown", one({.op = "Relu",
                                .inputs = {"x"},
                                .outputs = {"y"},
                                .attributes = {test::int_attribute_proto("leak", 1)},
                                .name = "r"}));
  add("cast_without_to", one({.op = "Cast", .inputs = {"x"}, .outputs = {"y"}, .name = "c"}));
  add("cast_to_string", one({.op = "Cast",
                             .inputs = {"x"},
                             .outputs = {"y"},
                             .attributes = {test::int_attribute_proto("to", 8)},
                             .name = "c"}));
  add("training_mode", one({.op = "BatchNormalization",
                            .inputs = {"x", "x", "x", "x", "x"},
                            .outputs = {"y"},
                            .attributes = {test::int_attribute_proto("training_mode", 1)},
                            .name = "bn"}));
  add("too_many_inputs", one({.op = "Relu", .inputs = {"x", "x"}, .outputs = {"y"}, .name = "r"}));
  add("no_broadcast", end(start()
                              .initializer("c", f32s({4}, {1, 2, 3, 4}))
                              .node({.op = "Add", .inputs = {"x", "c"}, .outputs = {"y"}, .name = "a"})));
  add("gemm_extents", end(start()
                              .initializer("w", f32s({5, 2}, std::vector<float>(10, 1.0f)))
                              .node({.op = "Gemm", .inputs = {"x", "w"}, .outputs = {"y"}, .name = "fc"})));
  WireWriter short_tensor = test::tensor_proto("c", f32s({3}, {1, 2, 3}));
  short_tensor.integer(onnx_field::tensor::dims, 9);
  add("tensor_too_short",
      end(start().initializer(short_tensor).node({.op = "Add", .inputs = {"x", "c"}, .outputs = {"y"}})));
  WireWriter strings;
  strings.integer(onnx_field::tensor::dims, 1);
  strings.integer(onnx_field::tensor::data_type, 8);
  strings.text(onnx_field::tensor::name, "c");
  add("tensor_of_strings", end(start().initializer(strings).node(k_relu)));
  WireWriter negative;
  negative.integer(onnx_field::tensor::dims, -4);
  negative.integer(onnx_field::tensor::data_type, 1);
  negative.text(onnx_field::tensor::name, "c");
  add("tensor_negative_extent", end(start().initializer(negative).node(k_relu)));
  const Tensor zero_point = Tensor::from<int8_t>(DType::s8, {}, std::vector<int8_t>{0});
  const auto quantize = [&](float scale) {
    return end(start()
                   .initializer("s", f32s({}, {scale}))
                   .initializer("z", zero_point)
                   .node({.op = "QuantizeLinear", .inputs = {"x", "s", "z"}, .outputs = {"q"}, .name = "q"})
                   .node({.op = "DequantizeLinear", .inputs = {"q", "s", "z"}, .outputs = {"y"}, .name = "dq"}));
  };
  add("scale_zero", quantize(0.0f));
  add("scale_infinite", quantize(std::numeric_limits<float>::infinity()));
  add("several_problems", end(start()
                                  .initializer("c", f32s({4}, {1, 2, 3, 4}))
                                  .initializer("w", f32s({5, 2}, std::vector<float>(10, 1.0f)))
                                  .node({.op = "Add", .inputs = {"x", "c"}, .outputs = {"a"}, .name = "a"})
                                  .node({.op = "Relu", .inputs = {"a"}, .outputs = {"b"}, .name = "reads_a"})
                                  .node({.op = "Relu", .inputs = {"ghost"}, .outputs = {"g"}, .name = "g"})
                                  .node({.op = "Gemm", .inputs = {"x", "w"}, .outputs = {"y"}, .name = "fc"})));
  add("two_scales",
      end(start()
              .initializer("s", f32s({}, {0.0f}))
              .initializer("t", f32s({}, {std::numeric_limits<float>::infinity()}))
              .initializer("z", zero_point)
              .node({.op = "QuantizeLinear", .inputs = {"x", "s", "z"}, .outputs = {"q"}, .name = "q"})
              .node({.op = "DequantizeLinear", .inputs = {"q", "s", "z"}, .outputs = {"d"}, .name = "d"})
              .node({.op = "QuantizeLinear", .inputs = {"d", "t", "z"}, .outputs = {"p"}, .name = "p"})
              .node({.op = "DequantizeLinear", .inputs = {"p", "t", "z"}, .outputs = {"y"}, .name = "e"})));
  const auto relu = [](const std::string& x, const std::string& y, const std::string& attribute) {
    NodeSpec spec{.op = "Relu", .inputs = {x}, .outputs = {y}, .name = "makes_" + y};
    spec.attributes = {test::int_attribute_proto(attribute, 3)};
    return spec;
  };
  NodeSpec softmax{.op = "Softmax", .inputs = {"b"}, .outputs = {"y"}, .name = "softmax"};
  softmax.attributes = {test::int_attribute_proto("axis", 9)};
  add("two_attributes_and_an_axis", end(start().node(relu("x", "a", "bar")).node(relu("a", "b", "baz")).node(softmax)));
  // An attribute that some operator has may decide about types: what reads the node is looked at with every type.
  add("attribute_of_another_op", end(start().node(relu("x", "a", "group")).node(relu("a", "y", "baz"))));
  add("unknown_op_and_others", end(start()
                                       .node({.op = "Foo", .inputs = {"x"}, .outputs = {"f"}, .name = "foo"})
                                       .node({.op = "Relu", .inputs = {"f"}, .outputs = {"g"}, .name = "reads_foo"})
                                       .node(relu("x", "a", "bar"))
                                       .node({.op = "Relu", .inputs = {"ghost"}, .outputs = {"h"}, .name = "h"})
                                       .node({.op = "Relu", .inputs = {"a"}, .outputs = {"y"}, .name = "last"})));
  stages(add);
  return made;
}

}  // namespace

std::vector<Case> file_cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, const std::string& bytes) {
    cases.push_back({name, [=] { return error_of(Model::load(scratch_file(name + ".onnx", bytes))); }});
  };
  for (const Named& file : damaged_bytes()) add(file.name, file.bytes);
  for (const auto& [name, model] : graphs()) add(std::string("graph_") + name, text_of(model.bytes()));
  return cases;
}

}  // namespace octet::errors
