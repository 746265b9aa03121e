#include "backends/cpu/sub_batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "backends/cpu/constants.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/layout.h"
#include "backends/cpu/movement.h"
#include "base/chunk_ranges.h"
#include "ir/op.h"
#include "kernels/conventions.h"
#include "plan/arena.h"
#include "plan/storage_groups.h"

namespace octet::cpu {
namespace {

/// Ops whose answer for an image depends on that image alone, whatever the batch. Concat, Split and the gathers by
/// channels only.
constexpr std::string_view k_convolutions[] = {"Conv", "FusedConv", "Bf16Conv", "QuantConv"};
constexpr std::string_view k_by_image[] = {"MaxPool",
                                           "AveragePool",
                                           "GlobalAveragePool",
                                           "QuantAveragePool",
                                           "QuantGlobalAveragePool",
                                           "Relu",
                                           "Clip",
                                           "LeakyRelu",
                                           "Sigmoid",
                                           "HardSigmoid",
                                           "HardSwish",
                                           "Silu",
                                           "Tanh",
                                           "QuantizeLinear",
                                           "DequantizeLinear",
                                           "QuantAdd",
                                           "QuantMul",
                                           "QuantLookup",
                                           "QuantPixels",
                                           "Add",
                                           "FusedAdd",
                                           "Mul",
                                           "Sub",
                                           "BatchNormalization"};
constexpr std::string_view k_by_channels[] = {"Concat", "Split", "Gather", "JoinedGather"};

template <size_t n>
bool is_one_of(const std::string_view (&names)[n], std::string_view op) {
  return std::find(names, names + n, op) != names + n;
}

Dims dims_of(const Graph& graph, ValueId v) { return *known_dims(*graph.value(v).shape); }

/// The batch of a network: that of its first input of rank 4; 1 = nothing to cut.
int64_t batch_of(const Graph& graph) {
  for (const ValueId v : graph.inputs) {
    const Dims dims = dims_of(graph, v);
    if (dims.size() == 4) return std::max<int64_t>(dims[0], 1);
  }
  return 1;
}

/// A constant that is no convolution's weight may not have an image for each of the batch's.
bool fits_value(const Graph& graph, ValueId v, int64_t batch, bool is_weight) {
  if (v == k_absent) return true;
  if (is_constant(graph, v)) {
    const Dims dims = constant_of(graph, v)->dims();
    return is_weight || dims.size() < 4 || dims[0] == 1;
  }
  const Dims dims = dims_of(graph, v);
  return dims.size() == 4 && dims[0] == batch;
}

/// May the step run for a part of the batch?
bool can_cut(const Graph& graph, const Step& step, int64_t batch) {
  const Node& node = graph.node(step.node);
  const bool is_convolution = is_one_of(k_convolutions, node.op->name);
  const bool by_channels = is_one_of(k_by_channels, node.op->name) && int_attribute(node, "axis", 0) == 1;
  if (!is_convolution && !by_channels && !is_one_of(k_by_image, node.op->name)) return false;
  if (step.tactic.starts_with("reference") || step.tactic.starts_with("nothing")) return false;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (!fits_value(graph, node.inputs[i], batch, is_convolution && i == 1)) return false;
  return std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId v) {
    return v == k_absent || (!is_constant(graph, v) && fits_value(graph, v, batch, false));
  });
}

/// What a step moves: bytes of activations per image, of those the inputs, and of weights.
struct Traffic {
  double activations = 0, inputs = 0, weights = 0;
};
Traffic traffic_of(const Graph& graph, const Node& node, int64_t batch) {
  Traffic t;
  for (const ValueId v : node.inputs) {
    if (v == k_absent) continue;
    if (is_constant(graph, v)) {
      if (const Tensor* tensor = graph.constant(v)) t.weights += static_cast<double>(tensor->size_bytes());
    } else {
      t.inputs += static_cast<double>(layout_of(graph, v).bytes()) / static_cast<double>(batch);
    }
  }
  t.activations = t.inputs;
  for (const ValueId v : node.outputs)
    if (v != k_absent && graph.value(v).shape)
      t.activations += static_cast<double>(layout_of(graph, v).bytes()) / static_cast<double>(batch);
  return t;
}

/// By node. What strips keep between them goes nowhere.
std::vector<Traffic> traffic_of(const Graph& graph, const Neighbours& neighbours, int64_t batch) {
  std::vector<Traffic> all;
  for (const Node& node : graph.nodes) all.push_back(traffic_of(graph, node, batch));
  for (NodeId last = 0; last < static_cast<NodeId>(all.size()); ++last) {
    const Strips* const strips = neighbours.strips_of(last);
    if (!strips) continue;
    Traffic& whole = all[static_cast<size_t>(last)];
    for (const NodeId id : {strips->expand, strips->depthwise}) {
      if (id < 0 || id == last) continue;
      Traffic& own = all[static_cast<size_t>(id)];
      const double between = own.activations - own.inputs;
      whole.inputs += own.inputs - between, whole.activations += own.inputs - between, whole.weights += own.weights;
      own = {};
    }
  }
  return all;
}

/// How a step sees the batch.
struct Cut {
  int64_t images = 1;      // per turn
  bool by_worker = false;  // each worker takes turns of its own

  friend bool operator==(const Cut&, const Cut&) = default;
};

struct Caches {
  double bytes = 0;  // of L2 that activations may take, of all threads together
  int threads = 1;
};

/// Bytes per image that come from behind L2 when the step sees `images` at a time, and what a turn costs beside them:
/// of all threads together, as if each had the same share.
double cost(const Traffic& t, const Cut& cut, int64_t batch, const Caches& caches) {
  constexpr double k_turn_bytes = 48 << 10;  // about a microsecond of copying
  const double n = static_cast<double>(cut.images), threads = caches.threads;
  const double held = n * t.activations, cache_bytes = cut.by_worker ? caches.bytes / threads : caches.bytes;
  const double missing = held > cache_bytes ? 1 - cache_bytes / held : 0;
  if (cut.by_worker) {
    const int64_t whole_turns = batch / cut.images;
    const auto turns = static_cast<double>(whole_turns);
    const double idle = std::ceil(turns / threads) * threads / turns;  // the workers that have a turn less wait
    return idle * (missing * t.activations + (t.weights + k_turn_bytes) / n);
  }
  if (caches.threads == 1) return missing * t.activations + (t.weights + k_turn_bytes) / n;
  // Together: each waits for all others, meets lines that others have made or written to before, and reads the whole
  // input (by channels) or all weights (by pixels).
  const double shared = std::min(t.weights / n + t.inputs * (1 - 1 / threads), threads * t.weights / n);
  return (1 + missing) * t.activations + shared + (1 + threads) * k_turn_bytes / n;
}

/// The cut of every step: the cheapest chain, where a change of it costs what the step reads.
std::vector<Cut> choose_cuts(const Plan& plan, const Neighbours& neighbours, int64_t batch, const Caches& caches) {
  std::vector<Cut> choices;
  for (int64_t n = 1; n <= batch; ++n) {
    if (batch % n != 0) continue;
    if (caches.threads > 1 && batch / n >= caches.threads) choices.push_back({n, true});
    choices.push_back({n, false});
  }
  const size_t steps = plan.steps.size(), last = choices.size() - 1;
  const std::vector<Traffic> traffic = traffic_of(plan.graph, neighbours, batch);
  constexpr double k_never = std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> best(steps + 1, std::vector<double>(choices.size(), 0.0));
  std::vector<std::vector<size_t>> from(steps + 1, std::vector<size_t>(choices.size(), 0));
  for (size_t s = 0; s < steps; ++s) {
    const Traffic& t = traffic[static_cast<size_t>(plan.steps[s].node)];
    const bool may_cut = can_cut(plan.graph, plan.steps[s], batch);
    for (size_t c = 0; c < choices.size(); ++c) {
      double least = k_never;
      for (size_t p = 0; p < choices.size(); ++p) {
        const double chain = best[s][p] + (s > 0 && p != c ? t.inputs : 0);
        if (chain < least) least = chain, from[s + 1][c] = p;
      }
      best[s + 1][c] = may_cut || c == last ? least + cost(t, choices[c], batch, caches) : k_never;
    }
  }
  std::vector<Cut> cuts(steps);
  size_t c = static_cast<size_t>(std::min_element(best[steps].begin(), best[steps].end()) - best[steps].begin());
  for (size_t s = steps; s-- > 0;) {
    cuts[s] = choices[c];
    c = from[s + 1][c];
  }
  return cuts;
}

/// Where values lie: one range per group of values that share storage.
class Places {
 public:
  Places(const Plan& plan, const std::vector<SubBatch>& parts, const Neighbours& neighbours, int threads)
      : plan_(plan), neighbours_(neighbours), threads_(threads) {
    group_values();
    find_lifetimes(parts);
  }

  /// Bytes of the arena. `slots` gets the places; a value of one cut part only is as large as that part's batch.
  /// Where workers go alone, each has a block for all values of the part: they are not at the same step.
  size_t lay_out(const std::vector<SubBatch>& parts, int64_t batch, std::vector<Slot>& slots) {
    std::vector<ArenaRange> blocks(parts.size());
    std::vector<std::vector<ArenaRange*>> in_block(parts.size());
    std::vector<ArenaRange*> ranges;
    for (Group& group : groups_) {
      const size_t part = static_cast<size_t>(std::max(group.part, 0));
      const int64_t images = group.part >= 0 ? parts[part].images : 0;
      if (images > 0) group.bytes = (group.bytes - k_tail_bytes) / static_cast<size_t>(batch / images) + k_tail_bytes;
      (images > 0 && parts[part].by_worker ? in_block[part] : ranges).push_back(&group);
    }
    std::vector<size_t> worker_bytes(parts.size());
    for (size_t p = 0; p < parts.size(); ++p) {
      if (in_block[p].empty()) continue;
      worker_bytes[p] = (lay_out_arena(in_block[p]) + k_apart - 1) / k_apart * k_apart;
      blocks[p].bytes = worker_bytes[p] * static_cast<size_t>(threads_);
      blocks[p].used_at(static_cast<int32_t>(parts[p].first));
      blocks[p].used_at(static_cast<int32_t>(parts[p].last) - 1);
      ranges.push_back(&blocks[p]);
    }
    const size_t bytes = lay_out_arena(ranges);
    for (size_t p = 0; p < parts.size(); ++p)
      for (ArenaRange* range : in_block[p]) {
        range->offset += blocks[p].offset;
        static_cast<Group*>(range)->worker_bytes = worker_bytes[p];
      }
    for (size_t v = 0; v < slots.size(); ++v)
      if (of_[v] >= 0) slots[v].offset = groups_[static_cast<size_t>(of_[v])].offset;
    return bytes;
  }

  /// The same for one part that sees whole batches, in lanes.
  size_t lay_out_in_lanes(std::vector<Slot>& slots) {
    std::vector<ArenaRange*> ranges;
    for (Group& group : groups_) ranges.push_back(&group);
    const size_t bytes = lay_out_arena_in_lanes(ranges);
    for (size_t v = 0; v < slots.size(); ++v)
      if (of_[v] >= 0) slots[v].offset = groups_[static_cast<size_t>(of_[v])].offset;
    return bytes;
  }

  /// Other parts, or the caller, see the value too.
  bool is_shared(ValueId v) const {
    const int32_t group = of_[static_cast<size_t>(v)];
    return group < 0 || groups_[static_cast<size_t>(group)].part < 0;
  }

  /// Bytes from one worker's block to the next's; 0 of values outside such blocks.
  size_t worker_bytes(ValueId v) const {
    const int32_t group = of_[static_cast<size_t>(v)];
    return group < 0 ? 0 : groups_[static_cast<size_t>(group)].worker_bytes;
  }

 private:
  struct Group : ArenaRange {
    static constexpr int k_nobody = -2, k_several = -1;
    int part = k_nobody;
    size_t worker_bytes = 0;
  };

  void group_values() {
    const Graph& graph = plan_.graph;
    const auto bytes = [&](ValueId v) { return plan_.slots[static_cast<size_t>(v)].bytes; };
    of_ = storage_groups(graph, {.has_storage = [&](ValueId v) { return bytes(v) > 0; },
                                 .shares = [&](NodeId id) { return neighbours_.shared(graph, id); },
                                 .overwrites = [&](NodeId id) { return neighbours_.overwritten(graph, id); },
                                 .reads_beside = [&](NodeId id) { return neighbours_.read_beside(graph, id); }});
    for (size_t v = 0; v < of_.size(); ++v) {
      if (of_[v] < 0) continue;
      const auto group = static_cast<size_t>(of_[v]);
      groups_.resize(std::max(groups_.size(), group + 1));
      groups_[group].bytes = std::max(groups_[group].bytes, bytes(static_cast<ValueId>(v)));
    }
  }

  /// A value that leaves a cut part, or comes into it, lives as long as all turns of the part.
  void find_lifetimes(const std::vector<SubBatch>& parts) {
    const auto end = static_cast<int32_t>(plan_.steps.size());
    for (const ValueId v : plan_.graph.inputs) use(v, -1, -1, Group::k_several);
    for (const ValueId v : plan_.graph.outputs) use(v, end, end, Group::k_several);
    for (const bool spread : {false, true})
      for (size_t p = 0; p < parts.size(); ++p)
        for (size_t s = parts[p].first; s < parts[p].last; ++s) {
          const Node& node = plan_.graph.node(plan_.steps[s].node);
          const std::vector<ValueId> beside = {neighbours_.read_beside(plan_.graph, plan_.steps[s].node)};
          for (const std::vector<ValueId>* values : {&node.inputs, &node.outputs, &beside})
            for (const ValueId v : *values) {
              if (v == k_absent) continue;
              const auto at = static_cast<int32_t>(s);
              const bool whole = spread && parts[p].images > 0 && is_shared(v);
              use(v, whole ? static_cast<int32_t>(parts[p].first) : at,
                  whole ? static_cast<int32_t>(parts[p].last) - 1 : at, static_cast<int>(p));
            }
        }
  }

  void use(ValueId v, int32_t first, int32_t last, int part) {
    const int32_t index = of_[static_cast<size_t>(v)];
    if (index < 0) return;
    Group& group = groups_[static_cast<size_t>(index)];
    group.used_at(first);
    group.used_at(last);
    group.part = group.part == Group::k_nobody || group.part == part ? part : Group::k_several;
  }

  const Plan& plan_;
  const Neighbours& neighbours_;
  int threads_;
  std::vector<int32_t> of_;
  std::vector<Group> groups_;
};

/// The plan as the steps of a cut part see it.
std::shared_ptr<const Plan> cut_plan(const Plan& whole, const Places& places, SubBatch& part, int64_t batch) {
  const Neighbours& neighbours = *part.neighbours;
  auto plan = std::make_shared<Plan>(whole);
  part.image_bytes.assign(whole.graph.values.size(), 0);
  part.worker_bytes.assign(whole.graph.values.size(), 0);
  for (size_t s = part.first; s < part.last; ++s) {
    const Node& node = whole.graph.node(whole.steps[s].node);
    const std::vector<ValueId> beside = {image_of(whole.graph, node),
                                         neighbours.read_beside(whole.graph, whole.steps[s].node)};
    for (const std::vector<ValueId>* values : {&node.inputs, &node.outputs, &beside})
      for (const ValueId v : *values) {
        if (v == k_absent || is_constant(whole.graph, v)) continue;
        plan->graph.value(v).shape->front() = Dim{part.images};
        part.worker_bytes[static_cast<size_t>(v)] = places.worker_bytes(v);
        if (!places.is_shared(v)) continue;
        const Layout in_arena = neighbours.layout(whole.graph, v);
        const bool is_callers = whole.slots[static_cast<size_t>(v)].bytes == 0;
        const Layout layout = is_callers ? dense_layout(in_arena.dtype, in_arena.dims) : in_arena;
        part.image_bytes[static_cast<size_t>(v)] = layout.bytes() / static_cast<size_t>(batch);
      }
  }
  return plan;
}

/// Lanes, unless they take much more memory.
void lay_out_for_halves(const Plan& plan, int threads, Arrangement& made) {
  Places places(plan, made.parts, *made.neighbours, threads);
  auto whole = std::make_shared<Plan>(plan);
  const size_t bytes = places.lay_out_in_lanes(whole->slots);
  if (bytes > plan.arena_bytes + plan.arena_bytes / 2) return;
  made.arena_bytes = bytes;
  made.whole = std::move(whole);
}

}  // namespace

Arrangement arrange(const std::shared_ptr<const Plan>& plan, size_t cache_bytes, Isa isa, int threads) {
  const int64_t batch = batch_of(plan->graph);
  Arrangement made;
  made.neighbours = std::make_shared<const Neighbours>(plan->graph, isa, cache_bytes / static_cast<size_t>(threads));
  const size_t steps = plan->steps.size();
  if (batch == 1) {
    made.parts.push_back({.first = 0, .last = steps, .neighbours = made.neighbours});
    made.whole = plan;
    made.arena_bytes = plan->arena_bytes;
    if (threads > 1) lay_out_for_halves(*plan, threads, made);
    made.parts[0].plan = made.whole;
    return made;
  }
  const std::vector<Cut> cuts =
      choose_cuts(*plan, *made.neighbours, batch, {0.8 * static_cast<double>(cache_bytes), threads});
  for (size_t s = 0; s < steps; ++s) {
    if (s == 0 || cuts[s] != cuts[s - 1]) {
      const int64_t images = cuts[s].images == batch ? 0 : cuts[s].images;
      made.parts.push_back(
          {.first = s, .last = s, .images = images, .turns = batch / cuts[s].images, .by_worker = cuts[s].by_worker});
    }
    made.parts.back().last = s + 1;
  }
  Places places(*plan, made.parts, *made.neighbours, threads);
  for (SubBatch& part : made.parts) part.neighbours = made.neighbours;
  auto whole = std::make_shared<Plan>(*plan);
  made.arena_bytes = places.lay_out(made.parts, batch, whole->slots);
  for (SubBatch& part : made.parts) part.plan = part.images > 0 ? cut_plan(*whole, places, part, batch) : whole;
  made.whole = whole;
  return made;
}

}  // namespace octet::cpu
