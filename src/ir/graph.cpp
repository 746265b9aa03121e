#include "ir/graph.h"

#include <algorithm>
#include <cassert>
#include <queue>
#include <unordered_set>

namespace octet {
namespace {

bool in_range(const Graph& graph, ValueId v) { return v >= 0 && static_cast<size_t>(v) < graph.values.size(); }

bool contains(const std::vector<ValueId>& ids, ValueId v) { return std::find(ids.begin(), ids.end(), v) != ids.end(); }

/// A node that lies on a cycle: from a node that never became ready, unready producers are followed until one repeats.
NodeId node_on_cycle(const Graph& graph, const Uses& uses, const std::vector<int>& missing) {
  const auto stuck = std::find_if(missing.begin(), missing.end(), [](int m) { return m > 0; });
  NodeId at = static_cast<NodeId>(stuck - missing.begin());
  std::vector<bool> seen(graph.nodes.size(), false);
  while (!seen[static_cast<size_t>(at)]) {
    seen[static_cast<size_t>(at)] = true;
    for (const ValueId v : graph.node(at).inputs) {
      const NodeId maker = in_range(graph, v) ? uses.producer[static_cast<size_t>(v)] : -1;
      if (maker < 0 || missing[static_cast<size_t>(maker)] == 0) continue;
      at = maker;
      break;
    }
  }
  return at;
}

template <class T>
T attribute(const Node& node, const std::string& key, T otherwise) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return otherwise;
  const T* value = std::get_if<T>(&found->second);
  return value ? *value : otherwise;
}

}  // namespace

ValueId Graph::add_value(std::string value_name, DType dtype, std::optional<Shape> shape) {
  values.push_back({std::move(value_name), dtype, std::move(shape), {}});
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_constant(std::string value_name, Tensor tensor) {
  const ValueId id = add_value(unique_value_name(value_name), tensor.dtype(), to_shape(tensor.dims()));
  value(id).constant = std::move(tensor);
  return id;
}

std::string Graph::unique_value_name(std::string_view wish) const {
  std::unordered_set<std::string_view> taken;  // only asked, never iterated
  for (const Value& v : values)
    if (v.name.starts_with(wish)) taken.insert(v.name);
  std::string candidate(wish);
  for (int64_t i = 1; candidate.empty() || taken.contains(candidate); ++i)
    candidate = std::string(wish) + "_" + std::to_string(i);
  return candidate;
}

std::optional<ValueId> Graph::find_value(std::string_view wanted) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].name == wanted) return static_cast<ValueId>(i);
  return std::nullopt;
}

const Tensor* Graph::constant(ValueId id) const {
  if (!in_range(*this, id)) return nullptr;
  const std::optional<Tensor>& tensor = value(id).constant;
  return tensor ? &*tensor : nullptr;
}

Uses::Uses(const Graph& graph)
    : producer(graph.values.size(), -1), consumers(graph.values.size()), is_output(graph.values.size(), 0) {
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const ValueId v : graph.nodes[n].outputs)
      if (in_range(graph, v)) producer[static_cast<size_t>(v)] = static_cast<NodeId>(n);
    for (const ValueId v : graph.nodes[n].inputs)
      if (in_range(graph, v)) consumers[static_cast<size_t>(v)].push_back(static_cast<NodeId>(n));
  }
  for (const ValueId v : graph.outputs)
    if (in_range(graph, v)) is_output[static_cast<size_t>(v)] = 1;
}

void replace_uses(Graph& graph, ValueId from, ValueId to) {
  assert(from != to && "a value cannot replace itself");
  for (Node& node : graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  if (!contains(graph.outputs, from)) return;
  if (contains(graph.inputs, to) || contains(graph.outputs, to)) return;  // to's own name must stay
  std::replace(graph.outputs.begin(), graph.outputs.end(), from, to);
  graph.value(to).name = std::move(graph.value(from).name);
  graph.value(from).name.clear();
  graph.value(from).name = graph.unique_value_name(graph.value(to).name + "_old");
}

void remove_nodes(Graph& graph, const std::vector<bool>& marked) {
  assert(marked.size() == graph.nodes.size() && "one mark per node");
  size_t kept = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (marked[n]) continue;
    if (kept != n) graph.nodes[kept] = std::move(graph.nodes[n]);
    ++kept;
  }
  graph.nodes.resize(kept);
}

Result<Done> sort_nodes(Graph& graph) {
  const Uses uses(graph);
  const size_t count = graph.nodes.size();
  std::vector<int> missing(count, 0);  // inputs whose producer has not been placed yet
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
  for (size_t n = 0; n < count; ++n) {
    for (const ValueId v : graph.nodes[n].inputs)
      if (in_range(graph, v) && uses.producer[static_cast<size_t>(v)] >= 0) ++missing[n];
    if (missing[n] == 0) ready.push(static_cast<NodeId>(n));
  }
  std::vector<NodeId> order;
  while (!ready.empty()) {
    const NodeId n = ready.top();
    ready.pop();
    order.push_back(n);
    for (const ValueId v : graph.node(n).outputs) {
      if (!in_range(graph, v) || uses.producer[static_cast<size_t>(v)] != n) continue;
      for (const NodeId reader : uses.consumers[static_cast<size_t>(v)])
        if (--missing[static_cast<size_t>(reader)] == 0) ready.push(reader);
    }
  }
  if (order.size() != count) {
    const Node& node = graph.node(node_on_cycle(graph, uses, missing));
    const std::string made =
        node.outputs.empty() || !in_range(graph, node.outputs[0]) ? std::string() : graph.value(node.outputs[0]).name;
    return Error{ErrorCode::bad_model, "the graph has a cycle: node '" + (node.name.empty() ? made : node.name) +
                                           "' needs its own output '" + made + "'"};
  }
  std::vector<Node> sorted;
  sorted.reserve(count);
  for (const NodeId n : order) sorted.push_back(std::move(graph.node(n)));
  graph.nodes = std::move(sorted);
  return Done{};
}

void compact(Graph& graph) {
  std::vector<ValueId> renumbered(graph.values.size(), k_absent);
  std::vector<bool> named(graph.values.size(), false);
  const auto mark = [&](const std::vector<ValueId>& ids) {
    for (const ValueId v : ids)
      if (v != k_absent) named[static_cast<size_t>(v)] = true;
  };
  mark(graph.inputs);
  mark(graph.outputs);
  for (const Node& node : graph.nodes) {
    mark(node.inputs);
    mark(node.outputs);
  }
  std::vector<Value> kept;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (!named[v]) continue;
    renumbered[v] = static_cast<ValueId>(kept.size());
    kept.push_back(std::move(graph.values[v]));
  }
  graph.values = std::move(kept);
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& v : ids)
      if (v != k_absent) v = renumbered[static_cast<size_t>(v)];
  };
  renumber(graph.inputs);
  renumber(graph.outputs);
  for (Node& node : graph.nodes) {
    renumber(node.inputs);
    renumber(node.outputs);
  }
}

int64_t int_attribute(const Node& node, const std::string& key, int64_t otherwise) {
  return attribute<int64_t>(node, key, otherwise);
}
float float_attribute(const Node& node, const std::string& key, float otherwise) {
  return attribute<float>(node, key, otherwise);
}
std::string string_attribute(const Node& node, const std::string& key, std::string otherwise) {
  return attribute<std::string>(node, key, std::move(otherwise));
}
std::vector<int64_t> ints_attribute(const Node& node, const std::string& key, std::vector<int64_t> otherwise) {
  return attribute<std::vector<int64_t>>(node, key, std::move(otherwise));
}
std::vector<float> floats_attribute(const Node& node, const std::string& key, std::vector<float> otherwise) {
  return attribute<std::vector<float>>(node, key, std::move(otherwise));
}
bool has_attribute(const Node& node, const std::string& key) { return node.attributes.contains(key); }

}  // namespace octet
