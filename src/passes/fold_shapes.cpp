// src/passes/fold_shapes.cpp: follows small integer tensors that are computed from shapes, element by element, and
// writes those that are fully known as constants: Shape and Size of known extents, Shape -> Gather of the one extent
// that is known although others are not. The shape of a Reshape may keep one open element: it becomes -1, or 0 (copy)
// where it is the extent of x at that place: view(x.size(0), -1) stays free in the batch.

#include <algorithm>
#include <map>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

struct Element {
  std::optional<int64_t> value;
  std::string symbol;  // of an extent that is not known; may be empty
};
/// A rank-0 or rank-1 integer tensor.
struct Ints {
  std::vector<Element> elements;
  bool scalar = false;
};
using Followed = std::map<ValueId, Ints>;

// Shapes have few elements; longer lists are data.
constexpr int64_t k_max_elements_followed = 64;

std::optional<Ints> ints_of(const Graph& graph, const Followed& followed, ValueId v) {
  if (v == k_absent) return std::nullopt;
  if (const auto at = followed.find(v); at != followed.end()) return at->second;
  const Tensor* tensor = graph.constant(v);
  if (!tensor || tensor->rank() > 1 || tensor->size() > k_max_elements_followed) return std::nullopt;
  const std::optional<std::vector<int64_t>> values = constant_ints(graph, v);
  if (!values) return std::nullopt;
  Ints ints{{}, tensor->rank() == 0};
  for (const int64_t x : *values) ints.elements.push_back({x, {}});
  return ints;
}

std::optional<Ints> follow_shape(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  if (!x.shape) return std::nullopt;
  const auto rank = static_cast<int64_t>(x.shape->size());
  const auto bounded = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  Ints ints;
  for (int64_t i = bounded(int_attribute(node, "start", 0)); i < bounded(int_attribute(node, "end", rank)); ++i) {
    const Dim& dim = (*x.shape)[static_cast<size_t>(i)];
    ints.elements.push_back({dim.known() ? std::optional(dim.value) : std::nullopt, dim.symbol});
  }
  return ints;
}

std::optional<Ints> follow_size(const Graph& graph, const Node& node) {
  const Value& x = graph.value(node.inputs[0]);
  const std::optional<Dims> dims = x.shape ? known_dims(*x.shape) : std::nullopt;
  const std::optional<int64_t> count = dims ? element_count(*dims) : std::nullopt;
  if (!count) return std::nullopt;
  return Ints{{{*count, {}}}, true};
}

std::optional<Ints> follow_gather(const Graph& graph, const Node& node, const Followed& followed) {
  const std::optional<Ints> data = ints_of(graph, followed, node.inputs[0]);
  const std::optional<Ints> at = ints_of(graph, followed, node.inputs[1]);
  if (!data || data->scalar || !at) return std::nullopt;
  Ints ints{{}, at->scalar};
  const auto size = static_cast<int64_t>(data->elements.size());
  for (const Element& element : at->elements) {
    if (!element.value || *element.value < -size || *element.value >= size) return std::nullopt;
    ints.elements.push_back(data->elements[static_cast<size_t>((*element.value + size) % size)]);
  }
  return ints;
}

std::optional<Ints> follow_slice(const Graph& graph, const Node& node, const Followed& followed) {
  const std::optional<Ints> data = ints_of(graph, followed, node.inputs[0]);
  const auto starts = constant_ints(graph, input(node, 1)), ends = constant_ints(graph, input(node, 2));
  if (!data || data->scalar || !starts || !ends || starts->size() != 1 || ends->size() != 1) return std::nullopt;
  const auto steps = input(node, 4) == k_absent ? std::vector<int64_t>{1} : constant_ints(graph, input(node, 4));
  if (!steps || steps->size() != 1 || steps->front() != 1) return std::nullopt;
  const auto size = static_cast<int64_t>(data->elements.size());
  const auto bounded = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  Ints ints;
  for (int64_t i = bounded(starts->front()); i < bounded(ends->front()); ++i)
    ints.elements.push_back(data->elements[static_cast<size_t>(i)]);
  return ints;
}

std::optional<Ints> follow_concat(const Graph& graph, const Node& node, const Followed& followed) {
  Ints all;
  for (const ValueId v : node.inputs) {
    const std::optional<Ints> part = ints_of(graph, followed, v);
    if (!part || part->scalar) return std::nullopt;
    all.elements.insert(all.elements.end(), part->elements.begin(), part->elements.end());
  }
  return all;
}

/// Squeeze, Unsqueeze and Reshape between a scalar and one element; Cast and Identity.
std::optional<Ints> follow_same_elements(const Graph& graph, const Node& node, const Followed& followed) {
  std::optional<Ints> x = ints_of(graph, followed, node.inputs[0]);
  const Value& y = graph.value(node.outputs[0]);
  if (!x || !y.shape || y.shape->size() > 1 || is_float(y.dtype)) return std::nullopt;
  x->scalar = y.shape->empty();
  return x;
}

std::optional<int64_t> calculate(const Node& node, int64_t a, int64_t b) {
  int64_t result = 0;
  if (is_op(node, "Div")) return a >= 0 && b > 0 ? std::optional(a / b) : std::nullopt;
  const bool overflow = is_op(node, "Add")   ? __builtin_add_overflow(a, b, &result)
                        : is_op(node, "Sub") ? __builtin_sub_overflow(a, b, &result)
                                             : __builtin_mul_overflow(a, b, &result);
  return overflow ? std::nullopt : std::optional(result);
}

std::optional<Ints> follow_arithmetic(const Graph& graph, const Node& node, const Followed& followed) {
  const std::optional<Ints> a = ints_of(graph, followed, node.inputs[0]);
  const std::optional<Ints> b = ints_of(graph, followed, node.inputs[1]);
  if (!a || !b || a->elements.empty() || b->elements.empty()) return std::nullopt;
  const size_t count = std::max(a->elements.size(), b->elements.size());
  if ((a->elements.size() != count && a->elements.size() != 1) ||
      (b->elements.size() != count && b->elements.size() != 1))
    return std::nullopt;
  Ints ints{{}, a->scalar && b->scalar};
  for (size_t i = 0; i < count; ++i) {
    const Element& x = a->elements[a->elements.size() == 1 ? 0 : i];
    const Element& y = b->elements[b->elements.size() == 1 ? 0 : i];
    ints.elements.push_back({x.value && y.value ? calculate(node, *x.value, *y.value) : std::nullopt, {}});
  }
  return ints;
}

std::optional<Ints> follow(const Graph& graph, const Node& node, const Followed& followed) {
  if (is_op(node, "Shape")) return follow_shape(graph, node);
  if (is_op(node, "Size")) return follow_size(graph, node);
  if (is_op(node, "Gather")) return follow_gather(graph, node, followed);
  if (is_op(node, "Slice")) return follow_slice(graph, node, followed);
  if (is_op(node, "Concat")) return follow_concat(graph, node, followed);
  if (is_any(node, {"Squeeze", "Unsqueeze", "Reshape", "Cast", "Identity"}))
    return follow_same_elements(graph, node, followed);
  if (is_any(node, {"Add", "Sub", "Mul", "Div"})) return follow_arithmetic(graph, node, followed);
  return std::nullopt;
}

bool all_known(const Ints& ints) {
  return std::all_of(ints.elements.begin(), ints.elements.end(), [](const Element& e) { return e.value.has_value(); });
}

/// The tensor of fully known elements in the integer dtype that the value has; nothing for dtypes shapes never have.
std::optional<Tensor> to_tensor(const Ints& ints, DType dtype) {
  const Dims dims = ints.scalar ? Dims{} : Dims{static_cast<int64_t>(ints.elements.size())};
  std::vector<int64_t> wide;
  std::vector<int32_t> narrow;
  for (const Element& element : ints.elements) {
    wide.push_back(*element.value);
    narrow.push_back(static_cast<int32_t>(*element.value));
    if (dtype == DType::s32 && narrow.back() != wide.back()) return std::nullopt;
  }
  if (dtype == DType::s64) return Tensor::from<int64_t>(dtype, dims, wide);
  if (dtype == DType::s32) return Tensor::from<int32_t>(dtype, dims, narrow);
  return std::nullopt;
}

/// The constant shape for a Reshape whose wanted shape is known but for some elements.
std::optional<std::vector<int64_t>> open_shape(const Graph& graph, const Node& reshape, const Ints& wanted) {
  const Value& x = graph.value(reshape.inputs[0]);
  std::vector<int64_t> shape;
  int open = 0;
  bool has_minus_one = false;
  for (const Element& e : wanted.elements) {
    if (e.value && *e.value == 0) return std::nullopt;  // 0 already means copy: leave such shapes alone
    has_minus_one = has_minus_one || (e.value && *e.value == -1);
  }
  for (size_t i = 0; i < wanted.elements.size(); ++i) {
    const Element& e = wanted.elements[i];
    const bool copies =
        !e.value && !e.symbol.empty() && x.shape && i < x.shape->size() && (*x.shape)[i].symbol == e.symbol;
    if (e.value) {
      shape.push_back(*e.value);
    } else if (copies) {
      shape.push_back(0);
    } else {
      shape.push_back(-1);
      ++open;
    }
  }
  if (open + (has_minus_one ? 1 : 0) > 1) return std::nullopt;
  return shape;
}

/// Writes the shape of a Reshape as a constant where it is known well enough.
bool close_reshape(Editor& editor, NodeId id, const Followed& followed) {
  const Graph& graph = editor.graph();
  const Node& node = editor.node(id);
  if (graph.constant(node.inputs[1]) || int_attribute(node, "allowzero", 0) != 0) return false;
  const auto at = followed.find(node.inputs[1]);
  if (at == followed.end()) return false;
  const std::optional<std::vector<int64_t>> shape = open_shape(graph, node, at->second);
  if (!shape) return false;
  const Dims dims{static_cast<int64_t>(shape->size())};
  const std::string wish = graph.value(node.inputs[1]).name + "_known";
  editor.set_input(id, 1, editor.add_constant(wish, s64_tensor(dims, *shape)));
  return true;
}

}  // namespace

Result<Changed> fold_shapes(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  Followed followed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (is_op(editor.node(id), "Reshape") && close_reshape(editor, id, followed)) ++changed.count;
    const Node& node = editor.node(id);
    std::optional<Ints> ints = follow(graph, node, followed);
    if (!ints || ints->elements.size() > static_cast<size_t>(k_max_elements_followed)) continue;
    const ValueId y = node.outputs[0];
    std::optional<Tensor> tensor = all_known(*ints) ? to_tensor(*ints, graph.value(y).dtype) : std::nullopt;
    if (!tensor || editor.is_output(y)) {
      followed.emplace(y, std::move(*ints));
      continue;
    }
    graph.value(y).shape = to_shape(tensor->dims());
    graph.value(y).constant = std::move(*tensor);
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
