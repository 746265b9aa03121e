// Graph -> text. See text.h for the form.

#include "ir/base64.h"
#include "ir/literals.h"
#include "ir/op.h"
#include "ir/text.h"

namespace octet {
namespace {

constexpr int64_t k_most_listed = 64;  // larger tensors print as bytes

std::string value_name(const Graph& graph, ValueId v) {
  if (v == k_absent) return "_";
  // print() is also for graphs that verify() has refused.
  if (v < 0 || static_cast<size_t>(v) >= graph.values.size()) return "<id " + std::to_string(v) + ">";
  return quoted_unless_plain(graph.value(v).name);
}

std::string value_type(const Graph& graph, ValueId v) {
  if (v < 0 || static_cast<size_t>(v) >= graph.values.size()) return "_";
  return type_text(graph.value(v).dtype, graph.value(v).shape);
}

std::string contents(const Tensor& tensor, const PrintOptions& options) {
  if (tensor.size() <= k_most_listed) return "{" + elements_text(tensor) + "}";
  if (options.elide_constants) return "...";
  return "base64 \"" + to_base64(tensor.bytes()) + "\"";
}

template <class T, class F>
std::string list(const std::vector<T>& items, std::string_view empty, F text_of) {
  if (items.empty()) return std::string(empty) + "[]";
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) text += (i ? "," : "") + text_of(items[i]);
  return text + "]";
}

struct AttributeText {
  const PrintOptions& options;
  std::string operator()(int64_t v) const { return std::to_string(v); }
  std::string operator()(float v) const { return float_text(v); }
  std::string operator()(const std::string& v) const { return quoted(v); }
  std::string operator()(const std::vector<int64_t>& v) const {
    return list(v, "ints", [](int64_t i) { return std::to_string(i); });
  }
  std::string operator()(const std::vector<float>& v) const { return list(v, "floats", float_text); }
  std::string operator()(const std::vector<std::string>& v) const {
    return list(v, "strings", [](const std::string& s) { return quoted(s); });
  }
  std::string operator()(const Tensor& v) const {
    return "tensor(" + type_text(v.dtype(), to_shape(v.dims())) + ", " + contents(v, options) + ")";
  }
};

std::string joined(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) text += (i ? ", " : "") + value_name(graph, ids[i]);
  return text;
}

std::string node_line(const Graph& graph, const Node& node, const PrintOptions& options) {
  std::string line = "  " + joined(graph, node.outputs) + " = ";
  line += (node.op ? std::string(node.op->name) : "<no op>") + "(" + joined(graph, node.inputs);
  bool first = node.inputs.empty();
  for (const auto& [key, value] : node.attributes) {
    line += (first ? "" : ", ") + quoted_unless_plain(key) + "=" + std::visit(AttributeText{options}, value);
    first = false;
  }
  line += ")";
  if (!node.name.empty()) line += " @" + quoted_unless_plain(node.name);
  for (size_t i = 0; i < node.outputs.size(); ++i) line += (i ? ", " : " : ") + value_type(graph, node.outputs[i]);
  return line + "\n";
}

/// Constants that a node reads or that are graph outputs; the others mean nothing.
std::vector<bool> named_values(const Graph& graph) {
  std::vector<bool> named(graph.values.size(), false);
  const auto mark = [&](const std::vector<ValueId>& ids) {
    for (const ValueId v : ids)
      if (v >= 0 && static_cast<size_t>(v) < named.size()) named[static_cast<size_t>(v)] = true;
  };
  for (const Node& node : graph.nodes) mark(node.inputs);
  mark(graph.outputs);
  return named;
}

}  // namespace

std::string print(const Graph& graph, const PrintOptions& options) {
  std::string text = "graph ";
  if (!graph.name.empty()) text += quoted_unless_plain(graph.name) + " ";
  text += "(";
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const ValueId v = graph.inputs[i];
    text += (i ? ", " : "") + value_name(graph, v) + ": " + value_type(graph, v);
  }
  text += ") -> (" + joined(graph, graph.outputs) + ") {\n";
  for (const auto& [key, value] : graph.metadata) text += "  @" + quoted(key) + " = " + quoted(value) + "\n";
  const std::vector<bool> named = named_values(graph);
  for (size_t v = 0; v < graph.values.size(); ++v) {
    const Value& value = graph.values[v];
    if (!value.constant || !named[v]) continue;
    text += "  const " + quoted_unless_plain(value.name) + ": " + type_text(value.dtype, value.shape) + " = " +
            contents(*value.constant, options) + "\n";
  }
  for (const Node& node : graph.nodes) text += node_line(graph, node, options);
  return text + "}\n";
}

}  // namespace octet
