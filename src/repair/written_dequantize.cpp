// src/repair/written_dequantize.cpp: DequantizeLinear written out, for codes of a QuantizeLinear and for a layer's
// stored weight, becomes the node that it is, number by number:
//   Cast(q, f32) [- z] -> * s      DequantizeLinear(q, s, z)
// A weight may have one s for each index of an axis. Runs first: computed_parameters would make the weight a float one,
// and the layer with it. A float network that casts its uint8 picture is left alone.

#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct Written {
  ValueId codes = k_absent;
  NodeId last = -1;
  double zero = 0;
  std::vector<double> scales;
  int64_t axis = 0;
  bool subtracts = false;
};

bool is_cast_of_codes(const Graph& graph, const Node& node) {
  if (!is_op(node, "Cast") || string_attribute(node, "to", "") != "f32") return false;
  const DType dtype = graph.value(node.inputs[0]).dtype;
  return dtype == DType::s8 || dtype == DType::u8;
}

/// A layer's weight, perhaps behind a Transpose or Reshape.
bool is_weight(const Editor& editor, ValueId v) {
  for (const NodeId reader : editor.readers(v)) {
    const Node& node = editor.node(reader);
    if (is_layer(node) && node.inputs[1] == v) return true;
    if (is_any(node, {"Transpose", "Reshape"}) && node.inputs[0] == v && is_weight(editor, node.outputs[0]))
      return true;
  }
  return false;
}

std::optional<Written> match(const Editor& editor, NodeId cast) {
  const Graph& graph = editor.graph();
  if (!is_cast_of_codes(graph, editor.node(cast))) return std::nullopt;
  Written made;
  made.codes = editor.node(cast).inputs[0];
  const bool stored = graph.constant(made.codes) != nullptr;
  if (!stored && !editor.producer(made.codes, "QuantizeLinear")) return std::nullopt;
  ValueId at = editor.node(cast).outputs[0];
  NodeId next = editor.only_reader(at);
  if (next >= 0 && is_op(editor.node(next), "Sub") && editor.node(next).inputs[0] == at) {
    const std::optional<float> zero = scalar_constant(graph, editor.node(next).inputs[1]);
    if (!zero || *zero != std::nearbyint(*zero)) return std::nullopt;
    made.zero = double{*zero};
    made.subtracts = true;
    at = editor.node(next).outputs[0];
    next = editor.only_reader(at);
  }
  if (next < 0 || !is_op(editor.node(next), "Mul")) return std::nullopt;
  const Node& mul = editor.node(next);
  made.last = next;
  made.scales = scales_of(graph, mul.inputs[mul.inputs[0] == at ? 1 : 0], made.codes, made.axis);
  const bool is_signed = graph.value(made.codes).dtype == DType::s8;
  if (!are_positive(made.scales) || made.zero < (is_signed ? -128 : 0) || made.zero > (is_signed ? 127 : 255))
    return std::nullopt;
  if (stored && !is_weight(editor, mul.outputs[0])) return std::nullopt;
  return made;
}

void write(Editor& editor, const Written& written, RepairLog& log) {
  Graph& graph = editor.graph();
  const Node last = editor.node(written.last);
  const std::string base = graph.value(written.codes).name;
  const DType dtype = graph.value(written.codes).dtype;
  const bool vector = written.scales.size() > 1;
  const Dims dims = vector ? Dims{static_cast<int64_t>(written.scales.size())} : Dims{};
  const std::vector<float> scales(written.scales.begin(), written.scales.end());
  const std::vector<int32_t> zeros(scales.size(), static_cast<int32_t>(written.zero));
  const ValueId s = editor.add_constant(base + "_scale", f32_tensor(dims, scales));
  const ValueId z = editor.add_constant(base + "_zero_point", code_tensor(dtype, dims, zeros));
  const Attributes axis = vector ? Attributes{{"axis", written.axis}} : Attributes{};
  editor.replace(written.last, make_node("DequantizeLinear", last.name, {written.codes, s, z}, last.outputs, axis));
  log.add(label(graph, last), written.subtracts ? "Cast, Sub, Mul" : "Cast, Mul",
          "DequantizeLinear, " + params_text(graph, editor.node(written.last)));
}

}  // namespace

Result<Done> written_dequantize(Graph& graph, RepairLog& log) {
  if (!holds_q_or_dq(graph)) return Done{};
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id)
    if (const std::optional<Written> written = match(editor, id)) write(editor, *written, log);
  return Done{};
}

}  // namespace octet
