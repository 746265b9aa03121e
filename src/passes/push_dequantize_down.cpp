// src/passes/push_dequantize_down.cpp: an op that only moves or selects elements runs on codes: DequantizeLinear moves
// behind it, exactly, and meets the QuantizeLinear there (fuse_quant_lookup ends the pair). The inputs of a Concat with
// other parameters than its result's QuantizeLinear are requantized on the way in, by a table.

#include "passes/epilogue.h"
#include "passes/lookup_table.h"
#include "passes/passes.h"

namespace octet {
namespace {

std::string codes_name(const Graph& graph, ValueId v) { return graph.value(v).name + "_codes"; }

/// The op on codes with a DequantizeLinear behind each of its outputs.
void run_on_codes(Editor& editor, NodeId id, Node mover, const Node& dequantize) {
  Graph& graph = editor.graph();
  const DType codes = graph.value(dequantize.inputs[0]).dtype;
  std::vector<std::pair<ValueId, ValueId>> results;
  for (ValueId& y : mover.outputs) {
    if (y == k_absent) continue;
    const ValueId q = editor.add_value(codes_name(graph, y), codes, graph.value(y).shape);
    results.emplace_back(q, y);
    y = q;
  }
  // The op runs just before its old place, which the last DequantizeLinear takes.
  editor.replace(id, make_node("Identity", "", {}, {}));
  editor.insert_before(id, std::move(mover));
  for (size_t i = 0; i < results.size(); ++i) {
    std::vector<ValueId> inputs = dequantize.inputs;
    inputs[0] = results[i].first;
    const std::string name = dequantize.name.empty() ? "" : unique_node_name(graph, dequantize.name + "_down");
    Node down = make_node("DequantizeLinear", name, inputs, {results[i].second}, dequantize.attributes);
    if (i + 1 == results.size())
      editor.replace(id, std::move(down));
    else
      editor.insert_before(id, std::move(down));
  }
}

/// Pads of real zeros are pads of the zero point.
bool pad_with_zero_point(Editor& editor, Node& pad, const CodeParams& params) {
  Graph& graph = editor.graph();
  if (string_attribute(pad, "mode", "constant") != "constant") return true;
  const ValueId value = input(pad, 2);
  if (value != k_absent && scalar_constant(graph, value) != 0.0f) return false;
  const auto byte = static_cast<uint8_t>(params.zero_point);
  const auto code = static_cast<int8_t>(params.zero_point);
  const Tensor zero = params.dtype == DType::u8 ? Tensor::from<uint8_t>(DType::u8, {}, std::span(&byte, 1))
                                                : Tensor::from<int8_t>(DType::s8, {}, std::span(&code, 1));
  if (pad.inputs.size() < 3) pad.inputs.resize(3, k_absent);
  pad.inputs[2] = editor.add_constant(label(graph, pad) + "_zero", zero);
  return true;
}

/// The QuantizeLinear with these parameters that alone reads v, or -1.
NodeId same_quantize(const Editor& editor, ValueId v, const CodeParams& params) {
  const NodeId reader = editor.only_reader(v);
  if (reader < 0 || !is_op(editor.node(reader), "QuantizeLinear")) return -1;
  return code_params(editor.graph(), editor.node(reader)) == params ? reader : -1;
}

/// The op hands its codes to the readers of the QuantizeLinear behind it.
void take_quantize(Editor& editor, NodeId id, Node mover, NodeId quantize) {
  mover.outputs = editor.node(quantize).outputs;
  editor.remove(quantize);
  editor.replace(id, std::move(mover));
}

bool push_through(Editor& editor, NodeId id) {
  Graph& graph = editor.graph();
  Node mover = editor.node(id);
  const std::optional<Codes> x = codes_behind(editor, mover.inputs[0]);
  if (!x || graph.constant(x->value)) return false;
  // MaxPool's second output holds positions, not elements.
  if (is_op(mover, "MaxPool") && mover.outputs.size() > 1) return false;
  const Node dequantize = *editor.producer(mover.inputs[0], "DequantizeLinear");
  if (is_op(mover, "Pad") && !pad_with_zero_point(editor, mover, x->params)) return false;
  mover.inputs[0] = x->value;
  const NodeId quantize = mover.outputs.size() == 1 ? same_quantize(editor, mover.outputs[0], x->params) : -1;
  if (quantize >= 0)
    take_quantize(editor, id, std::move(mover), quantize);
  else
    run_on_codes(editor, id, std::move(mover), dequantize);
  return true;
}

/// The parameters of the QuantizeLinear that alone reads the Concat, else those that all its inputs have.
std::optional<CodeParams> concat_params(const Editor& editor, const Node& concat, const std::vector<Codes>& inputs) {
  const NodeId reader = editor.only_reader(concat.outputs[0]);
  if (reader >= 0 && is_op(editor.node(reader), "QuantizeLinear"))
    if (const auto params = code_params(editor.graph(), editor.node(reader))) return params;
  for (const Codes& each : inputs)
    if (each.params != inputs.front().params) return std::nullopt;
  return inputs.front().params;
}

/// x's codes in terms of `to`: x itself, or a table before node id.
Result<ValueId> requantized(Editor& editor, NodeId id, const Codes& x, const CodeParams& to) {
  if (x.params == to) return x.value;
  Graph& graph = editor.graph();
  Result<Tensor> table = lookup_table(x.params, std::nullopt, to);
  if (!table) return table.error();
  const std::string base = graph.value(x.value).name + "_requantized";
  const ValueId entries = editor.add_constant(base + "_table", std::move(*table));
  const ValueId y = editor.add_value(base, to.dtype, graph.value(x.value).shape);
  editor.insert_before(id, make_node("QuantLookup", "", {x.value, entries}, {y}));
  return y;
}

/// A DequantizeLinear with fresh constants for params; its input and output are set by the caller.
Node dequantize_with(Editor& editor, const std::string& base, const CodeParams& params) {
  const auto byte = static_cast<uint8_t>(params.zero_point);
  const auto code = static_cast<int8_t>(params.zero_point);
  const Tensor zero = params.dtype == DType::u8 ? Tensor::from<uint8_t>(DType::u8, {}, std::span(&byte, 1))
                                                : Tensor::from<int8_t>(DType::s8, {}, std::span(&code, 1));
  const ValueId scale = editor.add_constant(base + "_scale", scalar_f32(params.scale));
  return make_node("DequantizeLinear", "", {k_absent, scale, editor.add_constant(base + "_zero_point", zero)}, {});
}

Result<bool> push_through_concat(Editor& editor, NodeId id) {
  Graph& graph = editor.graph();
  Node concat = editor.node(id);
  std::vector<Codes> inputs;
  for (const ValueId v : concat.inputs) {
    const std::optional<Codes> codes = codes_behind(editor, v);
    if (!codes || graph.constant(codes->value)) return false;
    inputs.push_back(*codes);
  }
  const std::optional<CodeParams> to = concat_params(editor, concat, inputs);
  if (!to) return false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    Result<ValueId> codes = requantized(editor, id, inputs[i], *to);
    if (!codes) return codes.error();
    concat.inputs[i] = *codes;
  }
  if (const NodeId quantize = same_quantize(editor, concat.outputs[0], *to); quantize >= 0) {
    take_quantize(editor, id, std::move(concat), quantize);
    return true;
  }
  Node dequantize = dequantize_with(editor, graph.value(concat.outputs[0]).name, *to);
  dequantize.inputs[0] = concat.inputs[0];
  run_on_codes(editor, id, std::move(concat), dequantize);
  return true;
}

}  // namespace

Result<Changed> push_dequantize_down(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id)) continue;
    const QuantRole role = editor.node(id).op->quant.role;
    bool pushed = false;
    if (role == QuantRole::same_scale) pushed = push_through(editor, id);
    if (role == QuantRole::shared_scale) {
      Result<bool> done = push_through_concat(editor, id);
      if (!done) return done.error();
      pushed = *done;
    }
    if (pushed) ++changed.count;
  }
  return changed;
}

}  // namespace octet
