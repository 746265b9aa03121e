#pragma once
// Writes ModelProto bytes field by field, so that tests can say exactly what a file holds, also what no exporter would
// write.

#include <map>
#include <string>
#include <vector>

#include "onnx/attribute_protos.h"
#include "onnx/schema.h"
#include "onnx/wire.h"
#include "tensor/tensor.h"

namespace octet::test {

using Extents = std::vector<Dim>;

inline WireWriter value_proto(const std::string& name, int64_t element_type, const Extents& shape) {
  WireWriter dims;
  for (const Dim& d : shape) {
    WireWriter dim;
    if (d.symbol.empty()) dim.integer(onnx_field::dim::value, d.value);
    if (!d.symbol.empty()) dim.text(onnx_field::dim::param, d.symbol);
    dims.message(onnx_field::shape::dim, dim);
  }
  WireWriter tensor_type, type, out;
  tensor_type.integer(onnx_field::tensor_type::elem_type, element_type);
  tensor_type.message(onnx_field::tensor_type::shape, dims);
  type.message(onnx_field::type::tensor_type, tensor_type);
  out.text(onnx_field::value_info::name, name);
  out.message(onnx_field::value_info::type, type);
  return out;
}

struct NodeSpec {
  std::string op = {};
  std::vector<std::string> inputs = {}, outputs = {};
  std::vector<WireWriter> attributes = {};
  std::string name = {};
  std::string domain = {};
};

/// x: f32 graph input of a shape, nodes, y: graph output.
class ModelBuilder {
 public:
  explicit ModelBuilder(int64_t opset, int64_t ir_version = 8) : ir_version_(ir_version) { import_opset("", opset); }

  ModelBuilder& import_opset(const std::string& domain, int64_t version) {
    WireWriter row;
    row.text(onnx_field::opset::domain, domain);
    row.integer(onnx_field::opset::version, version);
    opsets_.push_back(row);
    return *this;
  }
  ModelBuilder& input(const std::string& name, const Extents& shape, DType dtype = DType::f32) {
    graph_.message(onnx_field::graph::input, value_proto(name, onnx_of_dtype(dtype), shape));
    return *this;
  }
  ModelBuilder& output(const std::string& name) {
    WireWriter row;
    row.text(onnx_field::value_info::name, name);
    graph_.message(onnx_field::graph::output, row);
    return *this;
  }
  ModelBuilder& value_info(const std::string& name, const Extents& shape, DType dtype = DType::f32) {
    graph_.message(onnx_field::graph::value_info, value_proto(name, onnx_of_dtype(dtype), shape));
    return *this;
  }
  ModelBuilder& initializer(const std::string& name, const Tensor& tensor) {
    return initializer(tensor_proto(name, tensor));
  }
  ModelBuilder& initializer(const WireWriter& tensor) {
    graph_.message(onnx_field::graph::initializer, tensor);
    return *this;
  }
  ModelBuilder& node(const NodeSpec& spec) {
    WireWriter out;
    for (const std::string& i : spec.inputs) out.text(onnx_field::node::input, i);
    for (const std::string& o : spec.outputs) out.text(onnx_field::node::output, o);
    out.text(onnx_field::node::name, spec.name);
    out.text(onnx_field::node::op_type, spec.op);
    out.text(onnx_field::node::domain, spec.domain);
    for (const WireWriter& a : spec.attributes) out.message(onnx_field::node::attribute, a);
    graph_.message(onnx_field::graph::node, out);
    return *this;
  }
  ModelBuilder& function(const std::string& domain, const std::string& name) {
    WireWriter out;
    out.text(onnx_field::function::name, name);
    out.text(onnx_field::function::domain, domain);
    return function(out);
  }
  ModelBuilder& function(const WireWriter& message) {
    functions_.push_back(message);
    return *this;
  }
  WireWriter& graph() { return graph_; }

  std::vector<std::byte> bytes() const {
    WireWriter model;
    model.integer(onnx_field::model::ir_version, ir_version_);
    model.text(onnx_field::model::producer_name, "test");
    WireWriter graph;
    graph.text(onnx_field::graph::name, "g");
    const std::vector<std::byte> rest = graph_.finish();
    std::vector<std::byte> body = graph.finish();
    body.insert(body.end(), rest.begin(), rest.end());
    model.text(onnx_field::model::graph, {reinterpret_cast<const char*>(body.data()), body.size()});
    for (const WireWriter& opset : opsets_) model.message(onnx_field::model::opset_import, opset);
    for (const WireWriter& f : functions_) model.message(onnx_field::model::functions, f);
    return model.finish();
  }

 private:
  int64_t ir_version_;
  WireWriter graph_;
  std::vector<WireWriter> opsets_, functions_;
};

}  // namespace octet::test
