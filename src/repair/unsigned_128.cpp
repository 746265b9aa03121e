// src/repair/unsigned_128.cpp: uint8 codes with zero point 128 are int8 codes with zero point 0, number by number:
// every code less 128. All nodes that the codes go through change together: QuantizeLinear, DequantizeLinear, what
// moves elements or takes their largest, a Pad's fill and a Clip's bounds. Codes that are an input or output of the
// network (their dtype is its interface), that another node computes with or that are read with another zero point
// stay, which is told as a note. True asymmetry (any other zero point) stays and runs exactly.

#include <algorithm>
#include <unordered_set>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

const char* const k_before = "u8 zero point 128";
const char* const k_after = "s8 zero point 0";

/// All zero points are 128, of uint8.
bool has_128(const Graph& graph, const Node& node) {
  const Tensor* zero = constant_of(graph, input(node, 2), DType::u8);
  if (!zero || zero->size() == 0) return false;
  const std::span<const uint8_t> all = zero->as<uint8_t>();
  return std::all_of(all.begin(), all.end(), [](uint8_t z) { return z == 128; });
}

void make_signed(Editor& editor, NodeId id) {
  Graph& graph = editor.graph();
  const ValueId old = editor.node(id).inputs[2];
  const Tensor& zero = *graph.constant(old);
  const std::vector<int32_t> zeros(static_cast<size_t>(zero.size()), 0);
  editor.set_input(id, 2,
                   editor.add_constant(graph.value(old).name + "_s8", code_tensor(DType::s8, zero.dims(), zeros)));
}

/// A constant of codes, less 128.
void shift_constant(Editor& editor, NodeId reader, size_t i) {
  Graph& graph = editor.graph();
  const ValueId old = editor.node(reader).inputs[i];
  const Tensor& q = *graph.constant(old);
  std::vector<int32_t> codes;
  for (const uint8_t code : q.as<uint8_t>()) codes.push_back(code - 128);
  editor.set_input(reader, i,
                   editor.add_constant(graph.value(old).name + "_s8", code_tensor(DType::s8, q.dims(), codes)));
}

/// Nodes whose output 0 (of Split, every output) holds elements of input 0 and nothing else.
bool moves_elements(const Node& node) {
  return is_any(node, {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Identity", "DepthToSpace",
                       "SpaceToDepth", "Gather", "GatherElements", "GatherND", "Tile", "Expand", "Split", "MaxPool"});
}

/// ConstantOfShape of a code.
const Tensor* fill_of(const Node& node) {
  const auto value = node.attributes.find("value");
  if (!is_op(node, "ConstantOfShape") || value == node.attributes.end()) return nullptr;
  const Tensor* fill = std::get_if<Tensor>(&value->second);
  return fill && fill->dtype() == DType::u8 && fill->size() == 1 ? fill : nullptr;
}
bool fills_with_codes(const Node& node) { return fill_of(node) != nullptr; }

/// The codes that go together: from one value along every node that they go through. `stays` says why they keep their
/// type, empty when they need not.
class Codes {
 public:
  Codes(const Editor& editor, const std::vector<bool>& live, ValueId from) : editor_(editor), live_(live) {
    add(from);
    for (size_t i = 0; i < values.size() && stays.empty(); ++i) follow(values[i]);
  }
  std::vector<ValueId> values;
  std::vector<NodeId> through;  // nodes with constants that are codes: Pad, Clip, Concat, ConstantOfShape, movers
  std::vector<NodeId> quantizes, dequantizes;
  std::string stays;

 private:
  void add(ValueId v) {
    if (known_.insert(v).second) values.push_back(v);
  }
  void add(std::vector<NodeId>& ids, NodeId id) {  // each node goes into one of the lists
    if (listed_.insert(id).second) ids.push_back(id);
  }

  void follow(ValueId v) {
    if (editor_.is_output(v)) stays = "they are the network's output '" + editor_.graph().value(v).name + "'";
    if (editor_.is_input(v)) stays = "they are the network's input '" + editor_.graph().value(v).name + "'";
    const NodeId maker = editor_.producer(v);
    if (maker >= 0 && stays.empty()) pass(maker, v);
    for (const NodeId reader : editor_.readers(v))
      if (stays.empty() && static_cast<size_t>(reader) < live_.size() && live_[static_cast<size_t>(reader)])
        pass(reader, v);
  }

  /// A node that makes or reads the codes v.
  void pass(NodeId id, ValueId v) {
    const Graph& graph = editor_.graph();
    const Node& node = editor_.node(id);
    // Of nodes with many inputs or outputs all go together: one look at each is enough.
    if (is_op(node, "Concat")) return pass_concat(id);
    if (is_op(node, "Split") && passed_.contains(id)) return;
    const bool first = node.inputs[0] == v && std::count(node.inputs.begin(), node.inputs.end(), v) == 1;
    const bool makes = std::find(node.outputs.begin(), node.outputs.end(), v) != node.outputs.end();
    if (is_q_or_dq(node) && (is_quantize(node) ? makes : first)) {
      if (!has_128(graph, node))
        stays = "node '" + label(graph, node) + "' (" + std::string(node.op->name) + ") has other zero points";
      return add(is_quantize(node) ? quantizes : dequantizes, id);
    }
    if (makes && fills_with_codes(node)) return add(through, id);
    if (is_any(node, {"Shape", "Size"})) return;  // extents, whatever the type
    const bool data = first || (makes && node.outputs[0] == v) || (makes && is_op(node, "Split"));
    const bool fits = data && (moves_elements(node) || (is_op(node, "Pad") && code_or_none(input(node, 2))) ||
                               (is_op(node, "Clip") && code_or_none(input(node, 1)) && code_or_none(input(node, 2))));
    if (!fits) {
      stays = "node '" + label(graph, node) + "' (" + std::string(node.op->name) + ") computes with them";
      return;
    }
    if (is_any(node, {"Pad", "Clip"})) add(through, id);
    if (constant_of(graph, node.inputs[0], DType::u8))
      add(through, id);
    else
      add(node.inputs[0]);
    if (is_op(node, "Split")) passed_.insert(id);
    for (size_t i = 0; i < (is_op(node, "Split") ? node.outputs.size() : 1); ++i)
      if (node.outputs[i] != k_absent) add(node.outputs[i]);
  }

  void pass_concat(NodeId id) {
    if (!passed_.insert(id).second) return;
    through.push_back(id);
    for (const ValueId v : editor_.node(id).inputs)
      if (!constant_of(editor_.graph(), v, DType::u8)) add(v);
    add(editor_.node(id).outputs[0]);
  }

  bool code_or_none(ValueId v) const {
    const Tensor* fill = constant_of(editor_.graph(), v, DType::u8);
    return v == k_absent || (fill && fill->size() == 1);
  }

  const Editor& editor_;
  const std::vector<bool>& live_;      // by node
  std::unordered_set<NodeId> passed_;  // Concats and Splits; only asked
  std::unordered_set<NodeId> listed_;  // only asked
  std::unordered_set<ValueId> known_;  // of values; only asked
};

/// Constants among the codes, the fill of a Pad and the bounds of a Clip, which are 0 and the whole range where they
/// are left out.
void shift_constants(Editor& editor, NodeId id, RepairLog& log) {
  Graph& graph = editor.graph();
  const Node node = editor.node(id);
  const std::string op(node.op->name);
  if (is_op(node, "Pad") && string_attribute(node, "mode", "constant") == "constant" && input(node, 2) == k_absent) {
    Node padded = node;
    padded.inputs.resize(std::max<size_t>(node.inputs.size(), 3), k_absent);
    padded.inputs[2] = editor.add_constant(label(graph, node) + "_fill", code_scalar(DType::s8, -128));
    editor.replace(id, std::move(padded));
    log.add(label(graph, node), "Pad of u8 codes with code 0", "of s8 codes with code -128");
  }
  if (const Tensor* fill = fill_of(node)) {
    Node filled = node;
    filled.attributes["value"] = code_tensor(DType::s8, fill->dims(), std::vector<int32_t>{fill->at<uint8_t>(0) - 128});
    editor.replace(id, std::move(filled));
    log.add(label(graph, node), op + " of a u8 code", "of an s8 code, less 128");
    return;
  }
  bool shifted = false;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!constant_of(graph, node.inputs[i], DType::u8)) continue;
    shift_constant(editor, id, i);
    shifted = true;
  }
  if (shifted) log.add(label(graph, node), op + " with constants of u8 codes", "of s8 codes, each less 128");
}

/// What reads the codes and is not alive (only its extents matter, or nothing) gets them in their old type.
void keep_type_for_others(Editor& editor, const Codes& codes, const std::vector<bool>& live) {
  for (const ValueId v : codes.values) {
    const std::vector<NodeId> readers = editor.readers(v);
    for (const NodeId reader : readers) {
      if (reader >= editor.node_count()) continue;  // such a Cast
      if (live[static_cast<size_t>(reader)] || is_any(editor.node(reader), {"Shape", "Size"})) continue;
      const ValueId as_before = editor.add_value(editor.graph().value(v).name + "_u8", v);
      editor.insert_before(reader, make_node("Cast", "", {v}, {as_before}, {{"to", std::string("u8")}}));
      for (size_t i = 0; i < editor.node(reader).inputs.size(); ++i)
        if (editor.node(reader).inputs[i] == v) editor.set_input(reader, i, as_before);
    }
  }
}

void make_signed(Editor& editor, const Codes& codes, const std::vector<bool>& live, RepairLog& log) {
  Graph& graph = editor.graph();
  keep_type_for_others(editor, codes, live);
  for (const NodeId id : codes.quantizes) {
    log.add(label(graph, editor.node(id)), k_before, k_after);
    make_signed(editor, id);
  }
  for (const NodeId id : codes.dequantizes) make_signed(editor, id);
  for (const NodeId id : codes.through) shift_constants(editor, id, log);
  for (const ValueId v : codes.values) graph.value(v).dtype = DType::s8;
}

/// Nodes whose results' extents follow from their inputs' extents, whatever the numbers are.
bool keeps_extents(const Node& node) {
  return is_any(node, {"Cast",
                       "Identity",
                       "Relu",
                       "Abs",
                       "Neg",
                       "Sigmoid",
                       "Tanh",
                       "Exp",
                       "Sqrt",
                       "Floor",
                       "Ceil",
                       "Round",
                       "Sign",
                       "Softmax",
                       "Clip",
                       "Add",
                       "Sub",
                       "Mul",
                       "Div",
                       "Min",
                       "Max",
                       "Equal",
                       "Greater",
                       "Less",
                       "Not",
                       "And",
                       "Or",
                       "Where",
                       "Concat",
                       "Transpose",
                       "Flatten",
                       "MatMul",
                       "MaxPool",
                       "QuantizeLinear",
                       "MatMulInteger",
                       "DequantizeLinear"});
}

/// By node: whether the numbers that it makes reach an output of the network. Those of which only the extents are asked
/// (Shape, Size) do not matter; what nobody asks for goes after the repair.
std::vector<bool> live_nodes(const Graph& graph) {
  enum Asked : uint8_t { nothing, extents, numbers };
  std::vector<uint8_t> asked(graph.values.size(), nothing);
  std::vector<bool> live(graph.nodes.size(), false);
  const auto ask = [&](ValueId v, Asked what) {
    if (v != k_absent) asked[static_cast<size_t>(v)] = std::max<uint8_t>(asked[static_cast<size_t>(v)], what);
  };
  for (const ValueId v : graph.outputs) ask(v, numbers);
  for (size_t id = graph.nodes.size(); id-- > 0;) {
    const Node& node = graph.nodes[id];
    uint8_t of_node = nothing;
    for (const ValueId v : node.outputs)
      if (v != k_absent) of_node = std::max(of_node, asked[static_cast<size_t>(v)]);
    if (of_node == nothing) continue;
    const bool only_extents = is_any(node, {"Shape", "Size"}) || (of_node == extents && keeps_extents(node));
    live[id] = of_node == numbers || !only_extents;
    for (const ValueId v : node.inputs) ask(v, only_extents ? extents : numbers);
  }
  return live;
}

}  // namespace

Result<Done> unsigned_128(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  const std::vector<bool> live = live_nodes(graph);
  std::vector<bool> seen(graph.values.size(), false);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node node = editor.node(id);
    if (!is_q_or_dq(node) || !has_128(graph, node) || !live[static_cast<size_t>(id)]) continue;
    if (is_dequantize(node) && constant_of(graph, node.inputs[0], DType::u8)) {
      log.add(label(graph, node), k_before, k_after);
      shift_constant(editor, id, 0);
      make_signed(editor, id);
      continue;
    }
    const ValueId from = is_quantize(node) ? node.outputs[0] : node.inputs[0];
    if (static_cast<size_t>(from) >= seen.size() || seen[static_cast<size_t>(from)]) continue;
    const Codes codes(editor, live, from);
    for (const ValueId v : codes.values)
      if (static_cast<size_t>(v) < seen.size()) seen[static_cast<size_t>(v)] = true;
    if (codes.stays.empty() && codes.dequantizes.empty()) continue;  // nobody reads them as numbers
    if (codes.stays.empty())
      make_signed(editor, codes, live, log);
    else
      log.notes.push_back("node '" + label(graph, node) + "' (" + std::string(node.op->name) +
                          "): its codes keep u8 zero point 128, since " + codes.stays);
  }
  return Done{};
}

}  // namespace octet
