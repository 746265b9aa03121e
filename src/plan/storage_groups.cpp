#include "plan/storage_groups.h"

#include <algorithm>
#include <limits>

namespace octet {
namespace {

/// By value the last node that reads it; graph outputs are read behind all.
std::vector<int32_t> last_readers(const Graph& graph, const StorageRules& rules) {
  std::vector<int32_t> last(graph.values.size(), -1);
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    for (const ValueId v : graph.node(id).inputs)
      if (v != k_absent) last[static_cast<size_t>(v)] = id;
    if (const ValueId beside = rules.reads_beside(id); beside != k_absent) last[static_cast<size_t>(beside)] = id;
  }
  for (const ValueId v : graph.outputs) last[static_cast<size_t>(v)] = std::numeric_limits<int32_t>::max();
  return last;
}

}  // namespace

std::vector<int32_t> storage_groups(const Graph& graph, const StorageRules& rules) {
  const std::vector<int32_t> last = last_readers(graph, rules);
  std::vector<int32_t> of(graph.values.size(), -1), group_last;
  const auto group_of = [&](ValueId v) { return v == k_absent ? -1 : of[static_cast<size_t>(v)]; };
  const auto add = [&](ValueId v, int32_t group) {
    if (v == k_absent || graph.constant(v) || group_of(v) >= 0 || !rules.has_storage(v)) return;
    if (group < 0) group = static_cast<int32_t>(group_last.size()), group_last.push_back(-1);
    of[static_cast<size_t>(v)] = group;
    int32_t& until = group_last[static_cast<size_t>(group)];
    until = std::max(until, last[static_cast<size_t>(v)]);
  };
  const auto host_of = [&](NodeId id) {
    if (const int32_t shared = group_of(rules.shares(id)); shared >= 0) return shared;
    const int32_t over = group_of(rules.overwrites(id));
    if (over < 0 || group_last[static_cast<size_t>(over)] > id || group_of(rules.reads_beside(id)) == over) return -1;
    const std::vector<ValueId>& inputs = graph.node(id).inputs;
    return std::count_if(inputs.begin(), inputs.end(), [&](ValueId v) { return group_of(v) == over; }) == 1 ? over : -1;
  };
  for (const ValueId v : graph.inputs) add(v, -1);
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    const Node& node = graph.node(id);
    for (size_t i = 0; i < node.outputs.size(); ++i) add(node.outputs[i], i == 0 ? host_of(id) : -1);
  }
  return of;
}

}  // namespace octet
