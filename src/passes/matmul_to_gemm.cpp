// src/passes/matmul_to_gemm.cpp: MatMul of x by a constant [K, N] matrix, with the Add of a constant [N] behind it,
// becomes Gemm. x of another rank is reshaped to [rows, K] and back when at most one of its outer extents is unknown.
// The weight may lie behind DequantizeLinear. Products of two activations (attention) stay MatMul.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// An initializer, or the DequantizeLinear of one.
bool is_weight(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  if (graph.constant(v)) return true;
  const Node* dequantize = editor.producer(v, "DequantizeLinear");
  return dequantize && graph.constant(dequantize->inputs[0]);
}

/// The Add of an [N] constant that alone reads the product; -1 if there is none.
NodeId bias_add(const Editor& editor, ValueId product, int64_t n, ValueId& bias) {
  const NodeId add = editor.only_reader(product);
  if (add < 0 || !is_op(editor.node(add), "Add")) return -1;
  const Node& node = editor.node(add);
  bias = node.inputs[node.inputs[0] == product ? 1 : 0];
  const Value& b = editor.graph().value(bias);
  return is_weight(editor, bias) && b.shape && b.shape->size() == 1 && extent(b, 0) == n ? add : -1;
}

/// The target of the Reshape that brings the outer extents of x back; nothing when two of them are unknown.
std::optional<std::vector<int64_t>> outer_shape(const Shape& x, int64_t n) {
  if (x.size() == 1) return std::vector<int64_t>{n};  // a vector is one row and stays a vector
  std::vector<int64_t> shape;
  int unknown = 0;
  for (size_t i = 0; i + 1 < x.size(); ++i) {
    if (x[i].value == 0) return std::nullopt;
    unknown += x[i].known() ? 0 : 1;
    shape.push_back(x[i].value);  // -1 where unknown
  }
  shape.push_back(n);
  if (unknown > 1) return std::nullopt;
  // A known leading extent is a batch that the file fixed; -1 says the same without fixing it again.
  if (unknown == 0) shape.front() = -1;
  return shape;
}

ValueId add_ints(Editor& editor, const std::string& wish, const std::vector<int64_t>& ints) {
  return editor.add_constant(wish, s64_tensor({static_cast<int64_t>(ints.size())}, ints));
}

struct Product {
  NodeId last;  // the MatMul, or the Add behind it
  ValueId x, w, bias;
  int64_t k, n;
  std::string name;
};

void write_gemm(Editor& editor, const Product& p) {
  Graph& graph = editor.graph();
  const ValueId y = editor.node(p.last).outputs[0];
  std::vector<ValueId> inputs{p.x, p.w};
  if (p.bias != k_absent) inputs.push_back(p.bias);
  const Shape x_shape = *graph.value(p.x).shape;
  if (x_shape.size() == 2) {
    editor.replace(p.last, make_node("Gemm", p.name, inputs, {y}));
    return;
  }
  const std::string base = graph.value(y).name;
  const DType dtype = graph.value(y).dtype;
  const ValueId rows = editor.add_value(base + "_rows_in", dtype, Shape{Dim(), Dim(p.k)});
  const ValueId product = editor.add_value(base + "_rows", dtype, Shape{Dim(), Dim(p.n)});
  const ValueId to_rows = add_ints(editor, base + "_rows_shape", {-1, p.k});
  const ValueId back = add_ints(editor, base + "_outer_shape", *outer_shape(x_shape, p.n));
  inputs[0] = rows;
  editor.insert_before(p.last, make_node("Reshape", "", {p.x, to_rows}, {rows}));
  editor.insert_before(p.last, make_node("Gemm", p.name, inputs, {product}));
  editor.replace(p.last, make_node("Reshape", "", {product, back}, {y}));
}

}  // namespace

Result<Changed> matmul_to_gemm(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "MatMul")) continue;
    const Node matmul = editor.node(id);
    const Value &x = graph.value(matmul.inputs[0]), &w = graph.value(matmul.inputs[1]);
    if (x.dtype != DType::f32 || !x.shape || x.shape->empty() || !is_weight(editor, matmul.inputs[1])) continue;
    Product p{id, matmul.inputs[0], matmul.inputs[1], k_absent, extent(w, 0), extent(w, 1), matmul.name};
    if (!w.shape || w.shape->size() != 2 || p.k <= 0 || p.n <= 0) continue;
    if (graph.constant(p.x) || !outer_shape(*x.shape, p.n)) continue;
    ValueId bias = k_absent;
    if (const NodeId add = bias_add(editor, matmul.outputs[0], p.n, bias); add >= 0) {
      p.last = add;
      p.bias = bias;
      editor.remove(id);
    }
    write_gemm(editor, p);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
