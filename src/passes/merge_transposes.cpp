// src/passes/merge_transposes.cpp: two Transposes with nothing but element-wise ops between them are one behind these
// ops (none where the second undoes the first: remove_identity takes it out), and an Add or the like of two values that
// are transposed alike is transposed once, behind it. Constants and per-channel scales of the ops between are brought
// into the order before the first Transpose. Each rewrite leaves one Transpose less.

#include <numeric>

#include "passes/element_chain.h"
#include "passes/passes.h"

namespace octet {
namespace {

using Perm = std::vector<int64_t>;

std::optional<Perm> perm_of(const Graph& graph, const Node& node) {
  const std::optional<Shape>& shape = graph.value(node.inputs[0]).shape;
  if (!shape) return std::nullopt;
  Perm reversed(shape->size());
  for (size_t i = 0; i < reversed.size(); ++i) reversed[i] = static_cast<int64_t>(reversed.size() - 1 - i);
  return ints_attribute(node, "perm", reversed);
}

Perm inverse(const Perm& perm) {
  Perm result(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) result[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return result;
}

Shape before(const Shape& shape, const Perm& perm) {
  Shape result(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) result[static_cast<size_t>(perm[i])] = shape[i];
  return result;
}

/// The constant in the order before the Transpose: leading extents of 1 are added first.
Result<ValueId> constant_before(Editor& editor, ValueId v, const Perm& perm) {
  const Graph& graph = editor.graph();
  const Tensor& tensor = *graph.constant(v);
  if (tensor.size() == 1 && tensor.rank() <= perm.size()) return v;
  Dims dims(perm.size() - tensor.rank(), 1);
  dims.insert(dims.end(), tensor.dims().begin(), tensor.dims().end());
  const Tensor whole = tensor.reshaped(dims);
  const Node turn = make_node("Transpose", "", {v}, {v}, {{"perm", inverse(perm)}});
  Result<std::vector<Tensor>> turned = turn.op->reference(NodeContext{graph, turn}, std::span(&whole, 1));
  if (!turned) return turned.error();
  return editor.add_constant(graph.value(v).name + "_t", std::move(turned->front()));
}

/// Can the node be told to work in the order before the Transpose?
bool may_pass(const Graph& graph, const Node& node, size_t rank) {
  if (is_any(node, {"QuantizeLinear", "DequantizeLinear"})) return true;
  for (const ValueId v : node.inputs)
    if (const Tensor* tensor = v == k_absent ? nullptr : graph.constant(v); tensor && tensor->rank() > rank)
      return false;
  return true;
}

Result<Done> work_before(Editor& editor, NodeId id, const Perm& perm) {
  Node node = editor.node(id);
  const size_t data = *element_input(editor.graph(), node);
  if (is_any(node, {"QuantizeLinear", "DequantizeLinear"})) {
    const auto rank = static_cast<int64_t>(perm.size());
    const int64_t axis = int_attribute(node, "axis", 1);
    if (!has_scalar_constants(editor.graph(), node))
      node.attributes["axis"] = perm[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
  } else {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (i == data || node.inputs[i] == k_absent) continue;
      const Result<ValueId> moved = constant_before(editor, node.inputs[i], perm);
      if (!moved) return moved.error();
      node.inputs[i] = *moved;
    }
  }
  std::optional<Shape>& shape = editor.graph().value(node.outputs[0]).shape;
  if (shape) shape = before(*shape, perm);
  editor.replace(id, std::move(node));
  return Done{};
}

/// Transpose, element-wise ops, Transpose.
Result<bool> merge_with_one_above(Editor& editor, NodeId id) {
  const Graph& graph = editor.graph();
  const std::optional<Perm> second = perm_of(graph, editor.node(id));
  if (!second) return false;
  const std::optional<ElementChain> chain =
      chain_up(editor, editor.node(id).inputs[0], {"Transpose"},
               [&](const Node& node) { return may_pass(graph, node, second->size()); });
  if (!chain) return false;
  const std::optional<Perm> first = perm_of(graph, editor.node(chain->above));
  if (!first || first->size() != second->size()) return false;  // a constant between added axes
  for (const NodeId between : chain->nodes)
    if (const Result<Done> moved = work_before(editor, between, *first); !moved) return moved.error();
  const ValueId x = editor.node(chain->above).inputs[0];
  if (!chain->nodes.empty())
    editor.set_input(chain->nodes.front(), *element_input(graph, editor.node(chain->nodes.front())), x);
  Node last = editor.node(id);
  if (chain->nodes.empty()) last.inputs[0] = x;
  Perm both;
  for (const int64_t p : *second) both.push_back((*first)[static_cast<size_t>(p)]);
  last.attributes["perm"] = both;
  editor.replace(id, std::move(last));
  editor.remove(chain->above);
  return true;
}

/// The Transpose that makes v, when nobody else reads v.
NodeId transpose_above(const Editor& editor, ValueId v) {
  const NodeId id = editor.single_use(v) ? editor.producer(v) : -1;
  return id >= 0 && is_op(editor.node(id), "Transpose") ? id : -1;
}

/// An op of two values transposed alike.
bool pull_out_of_pair(Editor& editor, NodeId id) {
  Node node = editor.node(id);
  if (!is_any(node, {"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"}) || node.inputs.size() != 2) return false;
  const NodeId a = transpose_above(editor, node.inputs[0]), b = transpose_above(editor, node.inputs[1]);
  if (a < 0 || b < 0) return false;
  const std::optional<Perm> perm = perm_of(editor.graph(), editor.node(a));
  if (!perm || perm_of(editor.graph(), editor.node(b)) != perm) return false;
  const ValueId y = node.outputs[0];
  const Value result = editor.graph().value(y);
  const std::optional<Shape> shape = result.shape ? std::optional(before(*result.shape, *perm)) : std::nullopt;
  const ValueId sum = editor.add_value(result.name + "_t", result.dtype, shape);
  node.inputs = {editor.node(a).inputs[0], editor.node(b).inputs[0]};
  node.outputs = {sum};
  Node turn = make_node("Transpose", editor.node(a).name, {sum}, {y}, {{"perm", *perm}});
  editor.remove(a);
  editor.remove(b);
  editor.replace(id, std::move(turn));
  editor.insert_before(id, std::move(node));
  return true;
}

}  // namespace

Result<Changed> merge_transposes(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id)) continue;
    if (pull_out_of_pair(editor, id)) ++changed.count;
    if (!is_op(editor.node(id), "Transpose")) continue;
    const Result<bool> merged = merge_with_one_above(editor, id);
    if (!merged) return merged.error();
    if (*merged) ++changed.count;
  }
  return changed;
}

}  // namespace octet
