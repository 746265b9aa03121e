#include "ir/origins.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "ir/editor.h"

namespace octet {
namespace {

constexpr NodeId k_nobody = -1;

size_t at(int32_t id) { return static_cast<size_t>(id); }

/// By node: something that the graph gives depends on it.
std::vector<bool> living(const Graph& graph) {
  std::vector<bool> read(graph.values.size(), false), alive(graph.nodes.size(), false);
  for (const ValueId v : graph.outputs) read[at(v)] = true;
  for (size_t id = graph.nodes.size(); id-- > 0;) {
    const Node& node = graph.nodes[id];
    alive[id] =
        std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId v) { return v != k_absent && read[at(v)]; });
    if (!alive[id]) continue;
    for (const ValueId v : node.inputs)
      if (v != k_absent) read[at(v)] = true;
  }
  return alive;
}

/// The graph after the rewrite, as questions of the nodes before it.
class Heirs {
 public:
  Heirs(const std::vector<Node>& before, const std::vector<ValueId>& outputs, const std::vector<bool>& constant,
        const Graph& after)
      : before_(before), outputs_(outputs), constant_(constant), after_(after), maker_(after.values.size(), k_nobody) {
    const std::vector<bool> alive = living(after);
    for (size_t id = 0; id < after.nodes.size(); ++id) {
      if (!alive[id]) continue;
      const Node& node = after.nodes[id];
      for (const ValueId v : node.outputs)
        if (v != k_absent) maker_[at(v)] = static_cast<NodeId>(id);
      if (!node.name.empty()) by_name_.emplace(node.name, static_cast<NodeId>(id));
      if (node.name.empty() && !node.origins.empty()) by_origin_.emplace(node.origins.front(), static_cast<NodeId>(id));
    }
  }

  /// By node before the rewrite: the one that has its origins now, or k_nobody.
  std::vector<NodeId> find() {
    std::vector<std::vector<std::pair<NodeId, size_t>>> readers(after_.values.size());
    for (size_t id = 0; id < before_.size(); ++id)
      for (size_t i = 0; i < before_[id].inputs.size(); ++i)
        if (const ValueId v = before_[id].inputs[i]; v != k_absent)
          readers[at(v)].emplace_back(static_cast<NodeId>(id), i);
    std::vector<NodeId> heirs(before_.size(), k_nobody);
    for (size_t id = before_.size(); id-- > 0;) {
      heirs[id] = itself(before_[id]);
      for (const ValueId v : before_[id].outputs) {
        if (v == k_absent || heirs[id] != k_nobody) continue;
        for (const auto& [reader, slot] : readers[at(v)]) {
          heirs[id] = behind(heirs[at(reader)], before_[at(reader)], slot);
          if (heirs[id] != k_nobody) break;
        }
        if (heirs[id] == k_nobody) heirs[id] = in_place_of_output(v);
      }
    }
    return heirs;
  }

 private:
  NodeId itself(const Node& node) const {
    if (const auto found = by_name_.find(node.name); found != by_name_.end()) return found->second;
    if (node.name.empty() && !node.origins.empty()) {
      const auto found = by_origin_.find(node.origins.front());
      if (found != by_origin_.end() && after_.node(found->second).op == node.op) return found->second;
    }
    for (const ValueId v : node.outputs)
      if (v != k_absent && maker_[at(v)] != k_nobody) return maker_[at(v)];
    return k_nobody;
  }

  /// What became of a node whose value was read here: taken in by the reader, or left out before it.
  NodeId behind(NodeId now, const Node& reader, size_t slot) const {
    if (now == k_nobody || changed(reader, after_.node(now))) return now;
    const ValueId v = after_.node(now).inputs[slot];
    const NodeId before = v == k_absent ? k_nobody : maker_[at(v)];
    return before == k_nobody ? now : before;
  }

  /// It does something else now: of another op, with other settings or constants, or on codes instead of numbers.
  bool changed(const Node& before, const Node& now) const {
    if (before.op != now.op || before.inputs.size() != now.inputs.size()) return true;
    for (size_t i = 0; i < before.inputs.size(); ++i) {
      const ValueId old = before.inputs[i];
      if (old == k_absent || now.inputs[i] == old) continue;
      if (constant_[at(old)]) return true;
      if (now.inputs[i] != k_absent && after_.value(now.inputs[i]).dtype != after_.value(old).dtype) return true;
    }
    return !same_settings(before.attributes, now.attributes);
  }

  static bool same_settings(const Attributes& a, const Attributes& b) {
    if (a.size() != b.size()) return false;
    return std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
      // Tensors as attributes stay what they are: only the op changes with them.
      return x.first == y.first && x.second.index() == y.second.index() &&
             (std::holds_alternative<Tensor>(x.second) || std::visit(SameAs{y.second}, x.second));
    });
  }

  struct SameAs {
    const Attribute& other;
    bool operator()(const Tensor&) const { return true; }
    template <class T>
    bool operator()(const T& mine) const {
      return mine == std::get<T>(other);
    }
  };

  NodeId in_place_of_output(ValueId v) const {
    for (size_t i = 0; i < outputs_.size() && i < after_.outputs.size(); ++i)
      if (outputs_[i] == v) return maker_[at(after_.outputs[i])];
    return k_nobody;
  }

  const std::vector<Node>& before_;
  const std::vector<ValueId>& outputs_;
  const std::vector<bool>& constant_;
  const Graph& after_;
  std::vector<NodeId> maker_;                     // by value: the living node that makes it now
  std::map<std::string_view, NodeId> by_name_;    // living
  std::map<std::string_view, NodeId> by_origin_;  // those without a name
};

}  // namespace

Origins::Origins(const Graph& graph) {
  const auto has = [](const Node& node) { return !node.origins.empty(); };
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), has)) return;
  nodes_ = graph.nodes;
  outputs_ = graph.outputs;
  for (const Value& value : graph.values) constant_.push_back(value.constant.has_value());
}

void Origins::hand_on(Graph& graph) const {
  if (nodes_.empty()) return;
  const std::vector<NodeId> heirs = Heirs(nodes_, outputs_, constant_, graph).find();
  for (Node& node : graph.nodes) node.origins.clear();
  for (size_t id = 0; id < nodes_.size(); ++id) {
    if (heirs[id] == k_nobody) continue;
    std::vector<std::string>& origins = graph.node(heirs[id]).origins;
    origins.insert(origins.end(), nodes_[id].origins.begin(), nodes_[id].origins.end());
  }
}

std::string joined_name(const Graph& graph, const Node& node) {
  if (node.origins.empty()) return label(graph, node);
  std::string joined;
  for (const std::string& origin : node.origins) joined += (joined.empty() ? "" : " + ") + origin;
  return joined;
}

}  // namespace octet
