#include "ir/editor.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace octet {

Editor::Editor(Graph& graph) : graph_(graph), own_(static_cast<NodeId>(graph.nodes.size())) {
  grow();
  for (NodeId id = 0; id < own_; ++id) {
    anchor_.push_back(id);
    gone_.push_back(false);
    link(id);
  }
}

void Editor::grow() {
  producer_.resize(graph_.values.size(), -1);
  readers_.resize(graph_.values.size());
}

void Editor::link(NodeId at) {
  for (const ValueId v : graph_.node(at).outputs)
    if (v != k_absent) producer_[static_cast<size_t>(v)] = at;
  for (const ValueId v : graph_.node(at).inputs)
    if (v != k_absent) readers_[static_cast<size_t>(v)].push_back(at);
}

namespace {

/// Takes one entry out. Edits come in the order of the nodes, so it is near the front.
void take_out(std::vector<NodeId>& readers, NodeId at) {
  const auto found = std::find(readers.begin(), readers.end(), at);
  if (found != readers.end()) readers.erase(found);
}

}  // namespace

void Editor::unlink(NodeId at) {
  for (const ValueId v : graph_.node(at).outputs)
    if (v != k_absent && producer_[static_cast<size_t>(v)] == at) producer_[static_cast<size_t>(v)] = -1;
  for (const ValueId v : graph_.node(at).inputs)
    if (v != k_absent) take_out(readers_[static_cast<size_t>(v)], at);  // once for each input that reads v
}

NodeId Editor::producer(ValueId v) const { return v == k_absent ? -1 : producer_[static_cast<size_t>(v)]; }

const Node* Editor::producer(ValueId v, std::string_view op) const {
  const NodeId id = producer(v);
  return id >= 0 && is_op(graph_.node(id), op) ? &graph_.node(id) : nullptr;
}

bool Editor::is_output(ValueId v) const {
  return std::find(graph_.outputs.begin(), graph_.outputs.end(), v) != graph_.outputs.end();
}
bool Editor::is_input(ValueId v) const {
  return std::find(graph_.inputs.begin(), graph_.inputs.end(), v) != graph_.inputs.end();
}

void Editor::replace(NodeId at, Node node) {
  unlink(at);
  if (node.origins.empty()) node.origins = std::move(graph_.node(at).origins);
  graph_.node(at) = std::move(node);
  link(at);
}

NodeId Editor::insert_before(NodeId anchor, Node node) {
  assert(anchor < own_ && "nodes are inserted before the graph's own nodes");
  const auto id = static_cast<NodeId>(graph_.nodes.size());
  graph_.nodes.push_back(std::move(node));
  anchor_.push_back(anchor);
  gone_.push_back(false);
  link(id);
  return id;
}

void Editor::remove(NodeId at) {
  if (gone(at)) return;
  unlink(at);
  gone_[static_cast<size_t>(at)] = true;
}

bool Editor::replace_uses(ValueId from, ValueId to) {
  const bool output = is_output(from);
  if (output && (producer(to) < 0 || is_output(to))) return false;
  for (const NodeId reader : readers(from)) {  // once for each input that reads it
    std::vector<ValueId>& inputs = graph_.node(reader).inputs;
    *std::find(inputs.begin(), inputs.end(), from) = to;
  }
  if (output) {  // a walk over the whole graph, and both names change
    octet::replace_uses(graph_, from, to);
    names_.clear();
    numbers_.clear();
    named_ = 0;
  }
  std::vector<NodeId>& old = readers_[static_cast<size_t>(from)];
  std::vector<NodeId>& now = readers_[static_cast<size_t>(to)];
  now.insert(now.end(), old.begin(), old.end());
  old.clear();
  return true;
}

void Editor::set_input(NodeId at, size_t input, ValueId v) {
  ValueId& place = graph_.node(at).inputs[input];
  if (place != k_absent) take_out(readers_[static_cast<size_t>(place)], at);
  place = v;
  if (v != k_absent) readers_[static_cast<size_t>(v)].push_back(at);
}

ValueId Editor::add_value(std::string_view wish, ValueId like) {
  const Value& pattern = graph_.value(like);
  return add_value(wish, pattern.dtype, pattern.shape);
}

ValueId Editor::add_value(std::string_view wish, DType dtype, std::optional<Shape> shape) {
  const ValueId v = graph_.add_value(unique_name(wish), dtype, std::move(shape));
  grow();
  return v;
}

ValueId Editor::add_constant(std::string_view wish, Tensor tensor) {
  const ValueId v = add_value(wish, tensor.dtype(), to_shape(tensor.dims()));
  graph_.value(v).constant = std::move(tensor);
  return v;
}

std::string Editor::unique_name(std::string_view wish) {
  for (; named_ < graph_.values.size(); ++named_) names_.insert(graph_.values[named_].name);
  std::string candidate(wish);
  if (!candidate.empty() && !names_.contains(candidate)) return candidate;
  int64_t& number = numbers_[candidate];
  do candidate = std::string(wish) + "_" + std::to_string(++number);
  while (names_.contains(candidate));
  return candidate;
}

void Editor::finish() {
  if (finished_) return;
  finished_ = true;
  if (static_cast<size_t>(own_) == graph_.nodes.size() && std::find(gone_.begin(), gone_.end(), true) == gone_.end())
    return;
  std::vector<NodeId> order;
  for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id)
    if (!gone(id)) order.push_back(id);
  // Inserted nodes have larger ids than their anchor but run before it.
  std::stable_sort(order.begin(), order.end(), [&](NodeId a, NodeId b) {
    const NodeId at_a = anchor_[static_cast<size_t>(a)], at_b = anchor_[static_cast<size_t>(b)];
    if (at_a != at_b) return at_a < at_b;
    return (a == at_a) < (b == at_b);
  });
  std::vector<Node> nodes;
  nodes.reserve(order.size());
  for (const NodeId id : order) nodes.push_back(std::move(graph_.node(id)));
  graph_.nodes = std::move(nodes);
}

Node make_node(std::string_view op, std::string name, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
               Attributes attributes) {
  const OpDef* def = find_op(op);
  assert(def && "passes make ops of ops.def only");
  return Node{def, std::move(name), std::move(inputs), std::move(outputs), std::move(attributes)};
}

std::string unique_node_name(const Graph& graph, std::string_view wish) {
  if (wish.empty()) return {};
  std::string candidate(wish);
  const auto taken = [&](const Node& node) { return node.name == candidate; };
  for (int64_t i = 1; std::any_of(graph.nodes.begin(), graph.nodes.end(), taken); ++i)
    candidate = std::string(wish) + "_" + std::to_string(i);
  return candidate;
}

std::string label(const Graph& graph, const Node& node) {
  if (!node.name.empty() || node.outputs.empty() || node.outputs[0] == k_absent) return node.name;
  return graph.value(node.outputs[0]).name;
}

const Tensor* constant_of(const Graph& graph, ValueId v, DType dtype) {
  const Tensor* tensor = v == k_absent ? nullptr : graph.constant(v);
  return tensor && tensor->dtype() == dtype ? tensor : nullptr;
}

std::optional<float> scalar_constant(const Graph& graph, ValueId v) {
  const Tensor* tensor = constant_of(graph, v, DType::f32);
  if (!tensor || tensor->size() != 1) return std::nullopt;
  return tensor->at<float>(0);
}

bool is_scalar(const Graph& graph, ValueId v, double x) {
  const std::optional<float> value = scalar_constant(graph, v);
  return value && std::abs(static_cast<double>(*value) - x) <= 1e-6 * std::abs(x);
}

std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId v) {
  const Tensor* tensor = v == k_absent ? nullptr : graph.constant(v);
  if (!tensor || is_float(tensor->dtype())) return std::nullopt;
  Result<std::vector<int64_t>> ints = to_int64s(*tensor);
  if (!ints) return std::nullopt;
  return std::move(*ints);
}

std::optional<CodeParams> code_params(const Graph& graph, const Node& node) {
  const Tensor* scale = constant_of(graph, input(node, 1), DType::f32);
  if (!scale || scale->size() != 1) return std::nullopt;
  CodeParams params;
  params.scale = scale->at<float>(0);
  params.dtype = is_op(node, "QuantizeLinear") ? graph.value(node.outputs[0]).dtype : graph.value(node.inputs[0]).dtype;
  if (!is_code(params.dtype) || !(params.scale > 0.0f) || !std::isfinite(params.scale)) return std::nullopt;
  const ValueId zero_point = input(node, 2);
  if (zero_point == k_absent) return params;
  const std::optional<std::vector<int64_t>> zero = constant_ints(graph, zero_point);
  if (!zero || zero->size() != 1) return std::nullopt;
  params.zero_point = static_cast<int32_t>(zero->front());
  return params;
}

}  // namespace octet
