// src/passes/merge_duplicates.cpp: nodes of one op with equal attributes and inputs compute the same: one is kept.
// Small constants count as equal when their contents are, so that equal Q/DQ pairs meet.

#include <algorithm>
#include <map>

#include "base/hash.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr size_t k_max_compared_bytes = 64;  // scalars, axes and pads; weights are compared by identity

std::string key_of(const Graph& graph, ValueId v) {
  const Tensor* tensor = v == k_absent ? nullptr : graph.constant(v);
  if (!tensor || tensor->size_bytes() > k_max_compared_bytes) return "#" + std::to_string(v);
  const std::span<const std::byte> bytes = tensor->bytes();
  std::string key = std::string(name(tensor->dtype())) + to_string(tensor->dims()) + "=";
  for (const std::byte b : bytes) key += std::to_string(std::to_integer<int>(b)) + ".";
  return key;
}

struct WriteAttribute {
  std::string& key;
  void operator()(int64_t x) const { key += std::to_string(x) + ","; }
  void operator()(float x) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    key += std::to_string(bits) + ",";
  }
  void operator()(const std::string& x) const { key += std::to_string(x.size()) + ":" + x; }
  void operator()(const Tensor& x) const {
    key += std::string(name(x.dtype())) + to_string(x.dims()) + to_hex(hash_bytes(x.bytes()));
  }
  template <class T>
  void operator()(const std::vector<T>& list) const {
    key += "[";
    for (const T& x : list) (*this)(x);
    key += "]";
  }
};

std::string key_of(const Graph& graph, const Node& node) {
  std::string key(node.op->name);
  for (const auto& [attribute_name, attribute] : node.attributes) {
    key += "|" + attribute_name + "=" + std::to_string(attribute.index()) + ":";
    std::visit(WriteAttribute{key}, attribute);
  }
  for (const ValueId v : node.inputs) key += "|" + key_of(graph, v);
  return key + "|" + std::to_string(node.outputs.size());
}

/// Every output of `from` that is there is also there in `to` and is no graph output.
bool can_stand_in(const Editor& editor, const Node& from, const Node& to) {
  for (size_t i = 0; i < from.outputs.size(); ++i) {
    if (from.outputs[i] == k_absent) continue;
    if (to.outputs[i] == k_absent || editor.is_output(from.outputs[i])) return false;
  }
  return true;
}

}  // namespace

Result<Changed> merge_duplicates(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  std::map<std::string, NodeId> first;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const auto [at, fresh] = first.emplace(key_of(graph, editor.node(id)), id);
    if (fresh || !can_stand_in(editor, editor.node(id), editor.node(at->second))) continue;
    const Node copy = editor.node(id);
    for (size_t i = 0; i < copy.outputs.size(); ++i)
      if (copy.outputs[i] != k_absent) editor.replace_uses(copy.outputs[i], editor.node(at->second).outputs[i]);
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
