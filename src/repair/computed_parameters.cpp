// src/repair/computed_parameters.cpp: scales, zero points, codes and biases that the file computes from constants
// (ConstantOfShape, Cast, Identity, Mul, Div, ...) become constants; a double becomes float. Whatever depends on a
// graph input stays as it is: that is dynamic quantization.

#include <algorithm>
#include <cmath>
#include <set>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

constexpr size_t k_most_nodes = 256;  // parameters are made by a handful
constexpr int64_t k_most_elements = int64_t{1} << 26;

/// The nodes behind v in running order; nothing when one of them reads a graph input or quantizes, or v is constant.
std::optional<std::vector<NodeId>> makers(const Editor& editor, ValueId v) {
  std::set<NodeId> found;
  std::vector<ValueId> open{v};
  while (!open.empty()) {
    const ValueId each = open.back();
    open.pop_back();
    if (each == k_absent || editor.graph().constant(each)) continue;
    const NodeId maker = editor.producer(each);
    if (maker < 0 || is_q_or_dq(editor.node(maker)) || !editor.node(maker).op->reference) return std::nullopt;
    if (!found.insert(maker).second) continue;
    if (found.size() > k_most_nodes) return std::nullopt;
    const std::vector<ValueId>& inputs = editor.node(maker).inputs;
    open.insert(open.end(), inputs.begin(), inputs.end());
  }
  if (found.empty()) return std::nullopt;
  return std::vector<NodeId>(found.begin(), found.end());
}

/// The value as the nodes' reference kernels compute it; nothing when one of them cannot.
std::optional<Tensor> computed(const Graph& graph, const std::vector<NodeId>& nodes, ValueId wanted) {
  std::vector<std::pair<ValueId, Tensor>> made;
  const auto find = [&](ValueId v) -> Tensor {
    if (v == k_absent) return {};
    if (const Tensor* constant = graph.constant(v)) return *constant;
    const auto at = std::find_if(made.begin(), made.end(), [&](const auto& each) { return each.first == v; });
    return at == made.end() ? Tensor() : at->second;
  };
  for (const NodeId id : nodes) {
    const Node& node = graph.node(id);
    for (const ValueId v : node.outputs) {
      const std::optional<Dims> dims =
          v == k_absent || !graph.value(v).shape ? std::nullopt : known_dims(*graph.value(v).shape);
      if (v != k_absent && (!dims || element_count(*dims).value_or(k_most_elements + 1) > k_most_elements))
        return std::nullopt;
    }
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) inputs.push_back(find(v));
    Result<std::vector<Tensor>> outputs = node.op->reference(NodeContext{graph, node}, inputs);
    if (!outputs) return std::nullopt;
    for (size_t i = 0; i < node.outputs.size() && i < outputs->size(); ++i)
      made.emplace_back(node.outputs[i], std::move((*outputs)[i]));
  }
  const Tensor tensor = find(wanted);
  return tensor.dtype() == DType::undefined ? std::nullopt : std::optional(tensor);
}

/// "ConstantOfShape, Cast", each op once in running order.
std::string chain_text(const Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::string> ops;
  for (const NodeId id : nodes) {
    std::string op(graph.node(id).op->name);
    if (std::find(ops.begin(), ops.end(), op) == ops.end()) ops.push_back(std::move(op));
  }
  std::string text;
  for (const std::string& op : ops) text += (text.empty() ? "" : ", ") + op;
  return text;
}

/// Whether the nodes write quantization out.
bool rounds(const Graph& graph, const std::vector<NodeId>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) { return is_any(graph.node(id), {"Round", "Floor"}); });
}

std::string constant_text(const Tensor& tensor) {
  const std::string dtype(name(tensor.dtype()));
  if (tensor.size() == 1) return dtype + " constant " + short_text(to_doubles(tensor)[0]);
  return dtype + to_string(tensor.dims()) + " constant";
}

/// A double constant as float; change says by how much.
Tensor narrowed(const Tensor& tensor, std::string& change) {
  std::vector<float> values;
  double largest = 0;
  for (const double x : to_doubles(tensor)) {
    values.push_back(static_cast<float>(x));
    if (x != 0) largest = std::max(largest, std::abs(static_cast<double>(values.back()) / x - 1));
  }
  if (largest > 0) change = "rounded from double to float, by up to " + short_text(largest) + " of a value";
  return f32_tensor(tensor.dims(), values);
}

const char* role_of(const Node& node, size_t i) {
  constexpr const char* k_quantize[] = {"data", "scale", "zero point"};
  constexpr const char* k_layer[] = {"data", "weight", "bias"};
  return is_q_or_dq(node) ? k_quantize[i] : k_layer[i];
}

void make_constant(Editor& editor, NodeId id, size_t i, RepairLog& log) {
  Graph& graph = editor.graph();
  const ValueId v = input(editor.node(id), i);
  if (v == k_absent) return;
  const bool is_scale = is_q_or_dq(editor.node(id)) && i == 1;
  std::optional<Tensor> tensor;
  std::string before, change;
  if (const Tensor* constant = graph.constant(v)) {
    if (!is_scale || constant->dtype() != DType::f64) return;
    tensor = *constant;
    before = "f64 constant";
  } else {
    const std::optional<std::vector<NodeId>> nodes = makers(editor, v);
    if (!nodes) return;
    if (!is_q_or_dq(editor.node(id)) && i == 1 && rounds(graph, *nodes)) return;  // rounding_chains keeps its codes
    tensor = computed(graph, *nodes, v);
    if (!tensor) return;
    before = "computed by " + chain_text(graph, *nodes);
  }
  if (is_scale && tensor->dtype() == DType::f64) tensor = narrowed(*tensor, change);
  log.add(label(graph, editor.node(id)), std::string(role_of(editor.node(id), i)) + " " + before,
          constant_text(*tensor), change);
  editor.set_input(id, i, editor.add_constant(graph.value(v).name + "_constant", std::move(*tensor)));
}

}  // namespace

Result<Done> computed_parameters(Graph& graph, RepairLog& log) {
  if (!holds_q_or_dq(graph)) return Done{};
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const bool quantizes = is_q_or_dq(editor.node(id));
    if (!quantizes && !is_layer(editor.node(id))) continue;
    for (size_t i = quantizes ? 0 : 1; i < 3; ++i) make_constant(editor, id, i, log);
  }
  return Done{};
}

}  // namespace octet
