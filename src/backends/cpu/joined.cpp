#include "backends/cpu/joined.h"

#include <algorithm>
#include <span>

#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"
#include "ir/op.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_channel_group = 16;  // as many as a pitch is rounded up to: no padding between neighbours

// Steps that read and write the channels of their values and nothing between them, at any pitch.
constexpr std::string_view k_makers[] = {"QuantConv", "MaxPool", "QuantAveragePool", "QuantLookup", "QuantAdd",
                                         "QuantMul",  "Concat"};
constexpr std::string_view k_readers[] = {"QuantConv",   "MaxPool",  "QuantAveragePool", "QuantGlobalAveragePool",
                                          "QuantLookup", "QuantAdd", "QuantMul",         "Concat"};

bool is_in(std::span<const std::string_view> ops, const Node& node) {
  return std::find(ops.begin(), ops.end(), node.op->name) != ops.end();
}

int64_t times_in(const std::vector<ValueId>& list, ValueId v) { return std::count(list.begin(), list.end(), v); }

std::optional<Dims> image_dims(const Graph& graph, ValueId v) {
  const Value& value = graph.value(v);
  if (!value.shape || value.shape->size() != 4) return std::nullopt;
  return known_dims(*value.shape);
}

bool is_channel_concat(const Node& node) {
  const int64_t axis = int_attribute(node, "axis", 0);
  return is_op(node, "Concat") && (axis == 1 || axis == -3);
}

/// Everything that a value must be by itself, whoever reads it.
bool may_be_joined(const Graph& graph, ValueId v) {
  const std::optional<Dims> dims = image_dims(graph, v);
  return dims && element_count(*dims).value_or(0) > 0 && (*dims)[1] % k_channel_group == 0 &&
         is_code(graph.value(v).dtype) && !is_constant(graph, v) && times_in(graph.inputs, v) == 0 &&
         times_in(graph.outputs, v) == 0 && layout_of(graph, v).is_nhwc();
}

/// A residual is read at its natural pitch only.
bool reads_any_pitch(const Node& node, ValueId v) {
  if (!is_in(k_readers, node)) return false;
  return !is_op(node, "QuantConv") || (node.inputs[0] == v && times_in(node.inputs, v) == 1);
}

struct Part {
  ValueId whole = k_absent;
  int64_t channel = 0;
};

/// The channels of `whole` that v is, when it is the output of this Concat and v is found in it once.
std::optional<Part> part_of(const Graph& graph, const Node& concat, ValueId v) {
  if (!is_channel_concat(concat) || times_in(concat.inputs, v) != 1) return std::nullopt;
  Part part{concat.outputs[0], 0};
  for (const ValueId other : concat.inputs) {
    if (other == v) break;
    const std::optional<Dims> dims = image_dims(graph, other);
    if (!dims) return std::nullopt;
    part.channel += (*dims)[1];
  }
  const bool is_whole_group = part.channel % k_channel_group == 0;
  return is_whole_group && layout_of(graph, part.whole).is_nhwc() ? std::optional(part) : std::nullopt;
}

/// The concatenation in which v lies.
std::optional<Part> direct_part(const Graph& graph, ValueId v) {
  bool is_made = false;
  const Node* concat = nullptr;
  for (const Node& node : graph.nodes) {
    if (times_in(node.outputs, v) > 0) {
      if (!is_in(k_makers, node) || node.outputs.size() != 1) return std::nullopt;
      is_made = true;
    }
    if (times_in(node.inputs, v) == 0) continue;
    if (!reads_any_pitch(node, v)) return std::nullopt;
    if (is_channel_concat(node) && !concat) concat = &node;
  }
  if (!is_made || !concat || !may_be_joined(graph, v)) return std::nullopt;
  return part_of(graph, *concat, v);
}

struct FirstMade {
  NodeId node = -1;
  ValueId value = k_absent;
};

NodeId maker_of(const Graph& graph, ValueId v) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id)
    if (times_in(graph.node(id).outputs, v) > 0) return id;
  return -1;
}

/// Of all that lies in v, v itself included, what is made first.
FirstMade first_made(const Graph& graph, ValueId v) {
  FirstMade first{maker_of(graph, v), v};
  const Node& maker = graph.node(first.node);
  if (!is_channel_concat(maker)) return first;
  for (const ValueId input : maker.inputs) {
    const std::optional<Part> part = direct_part(graph, input);
    if (!part || part->whole != v) continue;
    const FirstMade other = first_made(graph, input);
    if (other.node < first.node) first = other;
  }
  return first;
}

}  // namespace

std::optional<JoinedPlace> joined_place(const Graph& graph, ValueId value) {
  JoinedPlace place{value, 0};
  while (const std::optional<Part> part = direct_part(graph, place.host)) {
    place.host = part->whole;
    place.channel += part->channel;
  }
  return place.host == value ? std::nullopt : std::optional(place);
}

Layout placed_layout(const Graph& graph, ValueId value) {
  Layout layout = layout_of(graph, value);
  const std::optional<JoinedPlace> place = layout.is_nhwc() ? joined_place(graph, value) : std::nullopt;
  if (!place) return layout;
  const int64_t pitch = layout_of(graph, place->host).pitch(), width = layout.dims[3];
  layout.strides = {layout.pixels() * pitch, 1, width * pitch, pitch};
  layout.elements = layout.batch() * layout.pixels() * pitch;
  return layout;
}

ValueId shared_value(const Graph& graph, const Node& node) {
  const ValueId v = node.outputs[0];
  if (v == k_absent || !image_dims(graph, v)) return reshape_alias(graph, node);
  const std::optional<JoinedPlace> place = joined_place(graph, v);
  if (!place && !is_channel_concat(node)) return reshape_alias(graph, node);
  const FirstMade first = first_made(graph, place ? place->host : v);
  return first.value == v ? k_absent : first.value;
}

}  // namespace octet::cpu
