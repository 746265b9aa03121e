#include "onnx/proto.h"

#include "onnx/schema.h"
#include "onnx/wire.h"

namespace octet {
namespace {

/// Parses messages of one file. Each function leaves the first failure in error_ and hands back what it has.
class Parser {
 public:
  explicit Parser(ByteSpan file) : file_(file) {}
  Result<ProtoModel> run();
  Result<ProtoGraph> run_graph(ByteSpan message);

 private:
  ProtoGraph graph(ByteSpan message);
  ProtoNode node(ByteSpan message);
  ProtoValue value(ByteSpan message);
  void value_type(ByteSpan message, ProtoValue& out);
  void tensor_type(ByteSpan message, ProtoValue& out);
  Dim dim(ByteSpan message, ProtoValue& owner);
  ProtoFunction function(ByteSpan message);
  std::pair<std::string_view, int64_t> opset(ByteSpan message);

  WireReader open(ByteSpan message, std::string_view what) const { return WireReader(message, file_.data(), what); }
  void note_failure(const WireReader& in) {
    if (in.failed() && !error_) error_ = in.error();
  }

  ByteSpan file_;
  std::optional<Error> error_;
};

/// -1 is no extent, but what tools write that take an unknown one for a number; other runtimes read it so, too.
Dim Parser::dim(ByteSpan message, ProtoValue& owner) {
  namespace field = onnx_field::dim;
  WireReader in = open(message, "shape");
  Dim out;
  while (in.next()) {
    if (in.number() == field::value) {
      out = Dim(in.integer());
      if (out.value == -1)
        owner.has_minus_one = true;
      else if (!out.known() && !error_)
        error_ = Error{ErrorCode::bad_model, "'" + std::string(owner.name) + "' has the extent " +
                                                 std::to_string(out.value) +
                                                 "; expected a number from 0 up, or a name for an unknown extent"};
    } else if (in.number() == field::param) {
      out = Dim(std::string(in.text()));
    }
  }
  note_failure(in);
  return out;
}

void Parser::tensor_type(ByteSpan message, ProtoValue& out) {
  namespace field = onnx_field::tensor_type;
  WireReader in = open(message, "type");
  while (in.next()) {
    if (in.number() == field::elem_type) out.element_type = in.integer();
    if (in.number() != field::shape) continue;
    out.has_shape = true;
    WireReader dims = open(in.bytes(), "shape");
    while (dims.next())
      if (dims.number() == onnx_field::shape::dim) out.shape.push_back(dim(dims.bytes(), out));
    note_failure(dims);
  }
  note_failure(in);
}

void Parser::value_type(ByteSpan message, ProtoValue& out) {
  namespace field = onnx_field::type;
  WireReader in = open(message, "type");
  while (in.next()) {
    if (in.number() == field::tensor_type) {
      out.is_tensor = true;
      tensor_type(in.bytes(), out);
    }
    if (in.number() != field::denotation) out.has_type = true;
  }
  note_failure(in);
}

ProtoValue Parser::value(ByteSpan message) {
  namespace field = onnx_field::value_info;
  WireReader in = open(message, "value info");
  ProtoValue out;
  ByteSpan type;
  while (in.next()) {
    if (in.number() == field::name) out.name = in.text();
    if (in.number() == field::type) type = in.bytes();
  }
  note_failure(in);
  value_type(type, out);  // after the name, which errors about the type show
  return out;
}

ProtoNode Parser::node(ByteSpan message) {
  namespace field = onnx_field::node;
  WireReader in = open(message, "node");
  ProtoNode out;
  while (in.next()) {
    switch (in.number()) {
      case field::input: out.inputs.push_back(in.text()); break;
      case field::output: out.outputs.push_back(in.text()); break;
      case field::name: out.name = in.text(); break;
      case field::op_type: out.op_type = in.text(); break;
      case field::domain: out.domain = in.text(); break;
      case field::overload: out.overload = in.text(); break;
      case field::attribute: out.attributes.push_back(in.bytes()); break;
      default: break;
    }
  }
  note_failure(in);
  return out;
}

ProtoGraph Parser::graph(ByteSpan message) {
  namespace field = onnx_field::graph;
  WireReader in = open(message, "graph");
  ProtoGraph out;
  while (!error_ && in.next()) {
    switch (in.number()) {
      case field::node: out.nodes.push_back(node(in.bytes())); break;
      case field::name: out.name = in.text(); break;
      case field::initializer: out.initializers.push_back(in.bytes()); break;
      case field::input: out.inputs.push_back(value(in.bytes())); break;
      case field::output: out.outputs.push_back(value(in.bytes())); break;
      case field::value_info: out.value_info.push_back(value(in.bytes())); break;
      case field::sparse_initializer: out.sparse_initializers.push_back(in.bytes()); break;
      default: break;
    }
  }
  note_failure(in);
  return out;
}

ProtoFunction Parser::function(ByteSpan message) {
  namespace field = onnx_field::function;
  WireReader in = open(message, "function");
  ProtoFunction out;
  while (in.next()) {
    switch (in.number()) {
      case field::name: out.name = in.text(); break;
      case field::domain: out.domain = in.text(); break;
      case field::overload: out.overload = in.text(); break;
      case field::input: out.inputs.push_back(in.text()); break;
      case field::output: out.outputs.push_back(in.text()); break;
      case field::node: out.nodes.push_back(node(in.bytes())); break;
      case field::attribute_proto: out.defaults.push_back(in.bytes()); break;
      case field::opset_import:
        if (const auto [domain, version] = opset(in.bytes()); domain.empty() || domain == "ai.onnx")
          out.opset = version;
        break;
      default: break;
    }
  }
  note_failure(in);
  return out;
}

std::pair<std::string_view, int64_t> Parser::opset(ByteSpan message) {
  WireReader in = open(message, "opset import");
  std::pair<std::string_view, int64_t> row;
  while (in.next()) {
    if (in.number() == onnx_field::opset::domain) row.first = in.text();
    if (in.number() == onnx_field::opset::version) row.second = in.integer();
  }
  note_failure(in);
  return row;
}

Result<ProtoGraph> Parser::run_graph(ByteSpan message) {
  ProtoGraph out = graph(message);
  if (error_) return *error_;
  return out;
}

Result<ProtoModel> Parser::run() {
  namespace field = onnx_field::model;
  WireReader in = open(file_, "model");
  ProtoModel out;
  size_t graphs = 0;
  ByteSpan graph_bytes;
  while (in.next()) {
    switch (in.number()) {
      case field::ir_version: out.ir_version = in.integer(); break;
      case field::producer_name: out.producer = in.text(); break;
      case field::graph:
        graph_bytes = in.bytes();
        ++graphs;
        break;
      case field::opset_import: out.opsets.push_back(opset(in.bytes())); break;
      case field::metadata_props: {
        WireReader entry = open(in.bytes(), "metadata entry");
        std::pair<std::string_view, std::string_view> row;
        while (entry.next()) {
          if (entry.number() == onnx_field::string_entry::key) row.first = entry.text();
          if (entry.number() == onnx_field::string_entry::value) row.second = entry.text();
        }
        note_failure(entry);
        out.metadata.push_back(row);
        break;
      }
      case field::functions: out.functions.push_back(function(in.bytes())); break;
      default: break;
    }
  }
  note_failure(in);
  if (!error_ && graphs != 1)
    error_ = Error{ErrorCode::bad_model, "expected one graph, found " + std::to_string(graphs) +
                                             "; this is not an ONNX model, or it was cut off"};
  if (!error_) out.graph = graph(graph_bytes);
  if (error_) return *error_;
  return out;
}

}  // namespace

Result<ProtoModel> parse_model(ByteSpan file) {
  if (file.empty()) return Error{ErrorCode::bad_model, "the file is empty; expected an ONNX model"};
  return Parser(file).run();
}

Result<ProtoGraph> parse_graph_message(ByteSpan message, const std::byte* origin) {
  return Parser(ByteSpan(origin, 0)).run_graph(message);
}

}  // namespace octet
