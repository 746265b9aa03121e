// Graph -> ModelProto. The same graph gives the same bytes: constants in the order of their ids, other values in the
// order of the nodes, attributes by name.

#include <algorithm>

#include "base/file.h"
#include "ir/op.h"
#include "onnx/lowering.h"
#include "onnx/onnx.h"
#include "onnx/schema.h"
#include "onnx/wire.h"
#include "onnx/written_opset.h"

namespace octet {
namespace {

/// IR version 8 came with opset 15, 9 with opset 19, 10 with 21, 11 with 23; readers of older opsets take 8 too.
constexpr int64_t ir_version_for(int64_t opset) {
  if (opset < 19) return 8;
  return opset < 21 ? 9 : opset < 23 ? 10 : 11;
}

/// Two elements to a byte, the first in the low half.
std::string packed_halves(const Tensor& tensor) {
  std::string packed((static_cast<size_t>(tensor.size()) + 1) / 2, '\0');
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const unsigned half = static_cast<unsigned>(tensor.bytes()[static_cast<size_t>(i)]) & 15u;
    char& byte = packed[static_cast<size_t>(i / 2)];
    byte = static_cast<char>(static_cast<unsigned char>(byte) | (i % 2 == 0 ? half : half << 4));
  }
  return packed;
}

WireWriter tensor_message(const Tensor& tensor, std::string_view tensor_name) {
  namespace field = onnx_field::tensor;
  WireWriter out;
  if (!tensor.dims().empty()) out.packed_integers(field::dims, tensor.dims());
  out.integer(field::data_type, onnx_of_dtype(tensor.dtype()));
  if (!tensor_name.empty()) out.text(field::name, tensor_name);
  if (is_four_bit(tensor.dtype())) {
    out.text(field::raw_data, packed_halves(tensor));
  } else {
    out.borrowed_bytes(field::raw_data, tensor.bytes());
  }
  return out;
}

WireWriter value_message(const Value& value) {
  WireWriter tensor_type;
  tensor_type.integer(onnx_field::tensor_type::elem_type, onnx_of_dtype(value.dtype));
  if (value.shape) {
    WireWriter shape;
    for (const Dim& d : *value.shape) {
      WireWriter dim;
      if (d.known()) dim.integer(onnx_field::dim::value, d.value);
      if (!d.known() && !d.symbol.empty()) dim.text(onnx_field::dim::param, d.symbol);
      shape.message(onnx_field::shape::dim, std::move(dim));
    }
    tensor_type.message(onnx_field::tensor_type::shape, std::move(shape));
  }
  WireWriter type;
  type.message(onnx_field::type::tensor_type, std::move(tensor_type));
  WireWriter out;
  out.text(onnx_field::value_info::name, value.name);
  out.message(onnx_field::value_info::type, std::move(type));
  return out;
}

WireWriter attribute_message(const std::string& key, const Attribute& attribute) {
  namespace field = onnx_field::attribute;
  WireWriter out;
  out.text(field::name, key);
  AttributeType type = AttributeType::undefined;
  if (const auto* i = std::get_if<int64_t>(&attribute)) {
    type = AttributeType::integer;
    out.integer(field::i, *i);
  } else if (const auto* f = std::get_if<float>(&attribute)) {
    type = AttributeType::real;
    out.real(field::f, *f);
  } else if (const auto* s = std::get_if<std::string>(&attribute)) {
    type = AttributeType::string;
    out.text(field::s, *s);
  } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&attribute)) {
    type = AttributeType::integers;
    if (!ints->empty()) out.packed_integers(field::ints, *ints);
  } else if (const auto* floats = std::get_if<std::vector<float>>(&attribute)) {
    type = AttributeType::reals;
    if (!floats->empty()) out.packed_reals(field::floats, *floats);
  } else if (const auto* strings = std::get_if<std::vector<std::string>>(&attribute)) {
    type = AttributeType::strings;
    for (const std::string& text : *strings) out.text(field::strings, text);
  } else if (const auto* tensor = std::get_if<Tensor>(&attribute)) {
    type = AttributeType::tensor;
    out.message(field::t, tensor_message(*tensor, {}));
  }
  out.integer(field::type, static_cast<int64_t>(type));
  return out;
}

/// The attributes as ONNX spells them at this opset.
Attributes onnx_attributes(const Node& node, int64_t opset) {
  Attributes attributes = node.attributes;
  drop_younger_attributes(node, opset, attributes);
  if (is_op(node, "Cast")) {
    const std::optional<DType> to = dtype_from_name(string_attribute(node, "to", ""));
    attributes["to"] = onnx_of_dtype(to.value_or(DType::undefined));
  }
  if (is_op(node, "EyeLike") && has_attribute(node, "dtype")) {
    const std::optional<DType> dtype = dtype_from_name(string_attribute(node, "dtype", ""));
    attributes["dtype"] = onnx_of_dtype(dtype.value_or(DType::undefined));
  }
  const bool has_sizes = node.inputs.size() > 1 && node.inputs[1] != k_absent;
  if (is_op(node, "Split") && opset >= 18 && !has_sizes)  // one of the two is required since then
    attributes["num_outputs"] = static_cast<int64_t>(node.outputs.size());
  return attributes;
}

WireWriter node_message(const Graph& graph, const Node& node, int64_t opset) {
  namespace field = onnx_field::node;
  WireWriter out;
  for (const ValueId v : node.inputs) out.text(field::input, v == k_absent ? "" : graph.value(v).name);
  for (const ValueId v : node.outputs) out.text(field::output, v == k_absent ? "" : graph.value(v).name);
  if (!node.name.empty()) out.text(field::name, node.name);
  out.text(field::op_type, node.op->name);
  for (const auto& [key, attribute] : onnx_attributes(node, opset))
    out.message(field::attribute, attribute_message(key, attribute));
  return out;
}

enum class Place : uint8_t { unnamed, named, boundary };  // boundary: graph input or output

/// Which values the nodes and the boundary name.
std::vector<Place> places(const Graph& graph) {
  std::vector<Place> out(graph.values.size(), Place::unnamed);
  const auto mark = [&](const std::vector<ValueId>& ids, Place place) {
    for (const ValueId v : ids)
      if (v != k_absent) out[static_cast<size_t>(v)] = std::max(out[static_cast<size_t>(v)], place);
  };
  for (const Node& node : graph.nodes) {
    mark(node.inputs, Place::named);
    mark(node.outputs, Place::named);
  }
  mark(graph.inputs, Place::boundary);
  mark(graph.outputs, Place::boundary);
  return out;
}

WireWriter graph_message(const Graph& graph, int64_t opset) {
  namespace field = onnx_field::graph;
  const std::vector<Place> place = places(graph);
  WireWriter out;
  for (const Node& node : graph.nodes) out.message(field::node, node_message(graph, node, opset));
  out.text(field::name, graph.name.empty() ? "graph" : graph.name);  // the checker refuses an empty name
  for (size_t v = 0; v < graph.values.size(); ++v)
    if (graph.values[v].constant && place[v] != Place::unnamed)
      out.message(field::initializer, tensor_message(*graph.values[v].constant, graph.values[v].name));
  for (const ValueId v : graph.inputs) out.message(field::input, value_message(graph.value(v)));
  for (const ValueId v : graph.outputs) out.message(field::output, value_message(graph.value(v)));
  for (const Node& node : graph.nodes) {
    for (const ValueId v : node.outputs) {
      if (v == k_absent || place[static_cast<size_t>(v)] != Place::named) continue;
      const Value& value = graph.value(v);
      if (value.dtype != DType::undefined && value.shape) out.message(field::value_info, value_message(value));
    }
  }
  return out;
}

/// The opset to write: the one asked for, or the lowest that has every node.
Result<int64_t> choose_opset(const Graph& graph, int64_t wanted) {
  int64_t lowest = k_lowest_opset;
  for (const Node& node : graph.nodes) {
    const int64_t needed = required_opset(graph, node);
    if (wanted != 0 && needed > wanted)
      return NodeContext{graph, node}.error(
          "needs opset " + std::to_string(needed) + ", but opset " + std::to_string(wanted) + " was asked for",
          ErrorCode::unsupported);
    lowest = std::max(lowest, needed);
  }
  return wanted != 0 ? wanted : lowest;
}

}  // namespace

Result<Done> check_written_opset(int64_t opset) {
  if (opset == 0 || (opset >= k_lowest_opset && opset <= k_highest_opset)) return Done{};
  return Error{ErrorCode::bad_argument, "opset " + std::to_string(opset) + " cannot be written; expected " +
                                            std::to_string(k_lowest_opset) + " to " + std::to_string(k_highest_opset)};
}

Result<std::vector<std::byte>> write_onnx(const Graph& graph, const OnnxWriteOptions& options) {
  if (const Result<Done> ok = check_written_opset(options.opset); !ok) return ok.error();
  if (Result<Done> ok = verify(graph); !ok) return ok.error();
  const Result<Graph> lowered = Lowering(graph, options.opset).run();
  if (!lowered) return lowered.error();
  const Result<int64_t> opset = choose_opset(*lowered, options.opset);
  if (!opset) return opset.error();
  WireWriter import;
  import.text(onnx_field::opset::domain, "");
  import.integer(onnx_field::opset::version, *opset);
  WireWriter model;
  model.integer(onnx_field::model::ir_version, ir_version_for(*opset));
  model.text(onnx_field::model::producer_name, "octet");
  model.message(onnx_field::model::graph, graph_message(*lowered, *opset));
  model.message(onnx_field::model::opset_import, std::move(import));
  for (const auto& [key, value] : graph.metadata) {
    WireWriter entry;
    entry.text(onnx_field::string_entry::key, key);
    entry.text(onnx_field::string_entry::value, value);
    model.message(onnx_field::model::metadata_props, std::move(entry));
  }
  return model.finish();
}

Result<Done> write_onnx_file(const std::string& path, const Graph& graph, const OnnxWriteOptions& options) {
  const Result<std::vector<std::byte>> bytes = write_onnx(graph, options);
  if (!bytes) return within(path, bytes.error());
  return write_file_atomically(path, std::span(*bytes));
}

}  // namespace octet
