// src/plan/make_plan.cpp: chooses a tactic for each node and lays the values out in one arena.
//
// A value lives from the step that makes it to the last step that reads it; a step's outputs never
// overlap its inputs. Values that share storage (Reshape of a dense value, a residual sum in the place of what it adds
// to) live as one.
#include <algorithm>
#include <utility>

#include "base/weight_memory.h"
#include "ir/op.h"
#include "plan/arena.h"
#include "plan/backend.h"
#include "plan/storage_groups.h"

namespace octet {
namespace {

constexpr int32_t k_before_first = -1;  // the step that makes graph inputs

Result<Done> check_shape(const Graph& graph, ValueId v) {
  if (v == k_absent) return Done{};
  const Value& value = graph.value(v);
  if (value.constant || (value.shape && known_dims(*value.shape))) return Done{};
  return Error{ErrorCode::bad_argument,
               "value '" + value.name + "' has " + (value.shape ? "shape " + to_string(*value.shape) : "unknown rank") +
                   ", a plan needs all extents: give --batch N, and for an input of free height or "
                   "width --preprocess with a crop or --shapes NAME:1x3x224x224"};
}

Result<Done> check_shapes(const Graph& graph) {
  for (const ValueId v : graph.inputs) {
    if (Result<Done> known = check_shape(graph, v); !known) return known;
  }
  for (const Node& node : graph.nodes) {
    for (const ValueId v : node.outputs) {
      if (Result<Done> known = check_shape(graph, v); !known) return known;
    }
  }
  return Done{};
}

std::string node_text(const Graph& graph, const Node& node) {
  std::string text = "node '" + node.name + "'";
  if (node.name.empty() && !node.outputs.empty() && node.outputs[0] != k_absent)
    text = "the node that makes '" + graph.value(node.outputs[0]).name + "'";
  return text + " (" + std::string(node.op->name) + ")";
}

/// The supported tactic of smallest cost, the first among equals; null when all are refused.
const Tactic* cheapest(const std::vector<Tactic>& tactics) {
  const Tactic* best = nullptr;
  for (const Tactic& tactic : tactics) {
    if (tactic.refused.empty() && (!best || tactic.cost_us < best->cost_us)) best = &tactic;
  }
  return best;
}

/// The tactic of that name, if it is supported.
const Tactic* named(const std::vector<Tactic>& tactics, const std::string& name) {
  for (const Tactic& tactic : tactics)
    if (tactic.name == name && tactic.refused.empty()) return &tactic;
  return nullptr;
}

std::string reasons(const std::vector<Tactic>& tactics) {
  if (tactics.empty()) return "the op is unknown to this back end";
  std::string text;
  for (const Tactic& tactic : tactics)
    text += (text.empty() ? "" : "; ") + tactic.name + ": " + (tactic.refused.empty() ? "supported" : tactic.refused);
  return text;
}

Result<std::vector<Step>> choose_tactics(const Graph& graph, const Backend& backend, const TacticChoice& choice) {
  std::vector<Step> steps;
  std::vector<std::string> refused;
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    const std::vector<Tactic> tactics = backend.tactics(graph, id);
    const size_t n = static_cast<size_t>(id);
    const bool is_chosen = n < choice.size() && !choice[n].empty();
    if (const Tactic* best = is_chosen ? named(tactics, choice[n]) : cheapest(tactics)) {
      steps.push_back({id, best->name});
    } else {
      const std::string wish = is_chosen ? "tactic '" + choice[n] + "' is not to be had: " : "";
      refused.push_back(node_text(graph, graph.node(id)) + ": " + wish + reasons(tactics));
    }
  }
  if (refused.empty()) return steps;
  std::string text = "back end '" + std::string(backend.name()) + "' cannot run " + std::to_string(refused.size()) +
                     (refused.size() == 1 ? " step" : " steps");
  for (const std::string& line : refused) text += "\n  " + line;
  return Error{ErrorCode::unsupported, text};
}

/// Values that share one address range.
struct Group : ArenaRange {
  std::vector<ValueId> values;
};

/// The storage groups of a graph: `of[v]` is v's group or -1 for a value without storage.
struct Groups {
  std::vector<Group> all;
  std::vector<int32_t> of;

  Group* find(ValueId v) {
    if (v == k_absent || of[static_cast<size_t>(v)] < 0) return nullptr;
    return &all[static_cast<size_t>(of[static_cast<size_t>(v)])];
  }
};

Groups make_groups(const Graph& graph, const Storage& storage, std::vector<Slot>& slots) {
  const auto has_storage = [&](ValueId v) {
    slots[static_cast<size_t>(v)].bytes = storage.bytes[static_cast<size_t>(v)];
    return slots[static_cast<size_t>(v)].bytes > 0;
  };
  Groups groups;
  const auto at = [](const std::vector<ValueId>& by_node) {
    return [&](NodeId id) { return by_node[static_cast<size_t>(id)]; };
  };
  groups.of = storage_groups(graph, {.has_storage = has_storage,
                                     .shares = at(storage.shares),
                                     .overwrites = at(storage.overwrites),
                                     .reads_beside = at(storage.reads_beside)});
  for (const int32_t group : groups.of) groups.all.resize(std::max(groups.all.size(), static_cast<size_t>(group + 1)));
  for (ValueId v = 0; v < static_cast<ValueId>(slots.size()); ++v)
    if (Group* group = groups.find(v)) {
      group->values.push_back(v);
      group->bytes = std::max(group->bytes, slots[static_cast<size_t>(v)].bytes);
    }
  return groups;
}

void find_lifetimes(const Graph& graph, const Storage& storage, Groups& groups) {
  const auto use = [&](ValueId v, int32_t step) {
    if (Group* group = groups.find(v)) group->used_at(step);
  };
  const auto end = static_cast<int32_t>(graph.nodes.size());
  for (const ValueId v : graph.inputs) use(v, k_before_first);
  for (int32_t step = 0; step < end; ++step) {
    for (const ValueId v : graph.node(step).inputs) use(v, step);
    use(storage.reads_beside[static_cast<size_t>(step)], step);
    for (const ValueId v : graph.node(step).outputs) use(v, step);
  }
  for (const ValueId v : graph.outputs) use(v, end);
}

size_t lay_out(Groups& groups) {
  std::vector<ArenaRange*> ranges;
  for (Group& group : groups.all) ranges.push_back(&group);
  return lay_out_arena(ranges);
}

}  // namespace

Result<std::unique_ptr<Workspace>> HostWorkspace::make(size_t bytes) {
  auto made = std::make_unique<HostWorkspace>();
  made->arena = allocate_aligned(bytes);
  if (!made->arena) {
    return Error{ErrorCode::out_of_memory,
                 "no memory for a context's arena of " + std::to_string(bytes) + " bytes: build for a smaller batch"};
  }
  prefer_huge_pages(made->arena.get(), bytes);
  return std::unique_ptr<Workspace>(std::move(made));
}

Storage Backend::storage(const Graph& graph) const {
  Storage all;
  all.bytes.assign(graph.values.size(), 0);
  const auto ask = [&](ValueId v) {
    if (v != k_absent && !graph.constant(v)) all.bytes[static_cast<size_t>(v)] = storage_bytes(graph, v);
  };
  for (const ValueId v : graph.inputs) ask(v);
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    for (const ValueId v : graph.node(id).outputs) ask(v);
    all.shares.push_back(shares_storage(graph, id));
    all.overwrites.push_back(overwrites(graph, id));
  }
  all.reads_beside.assign(graph.nodes.size(), k_absent);
  return all;
}

Result<std::shared_ptr<const Plan>> make_plan(Graph graph, const Backend& backend, const TacticChoice& choice) {
  if (Result<Done> shapes = check_shapes(graph); !shapes) return shapes.error();
  Result<std::vector<Step>> steps = choose_tactics(graph, backend, choice);
  if (!steps) return steps.error();
  auto plan = std::make_shared<Plan>();
  plan->steps = *std::move(steps);
  plan->slots.resize(graph.values.size());
  const Storage storage = backend.storage(graph);
  Groups groups = make_groups(graph, storage, plan->slots);
  find_lifetimes(graph, storage, groups);
  plan->arena_bytes = lay_out(groups);
  for (const Group& group : groups.all) {
    for (const ValueId v : group.values) plan->slots[static_cast<size_t>(v)].offset = group.offset;
  }
  plan->graph = std::move(graph);
  return std::shared_ptr<const Plan>(std::move(plan));
}

}  // namespace octet
