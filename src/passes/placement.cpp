#include "passes/placement.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "passes/epilogue.h"

namespace octet {
namespace {

bool all_finite(const Tensor& tensor) {
  const std::span<const float> all = tensor.as<float>();
  return std::all_of(all.begin(), all.end(), [](float x) { return std::isfinite(x); });
}

bool is_f32_of_rank(const Value& value, size_t rank) {
  return value.dtype == DType::f32 && value.shape && value.shape->size() == rank;
}

/// Why a Conv, Gemm or MatMul cannot be an integer layer; empty when it can.
std::string weighted_obstacle(const Graph& graph, const Node& node) {
  const bool conv = is_op(node, "Conv"), gemm = is_op(node, "Gemm");
  const Tensor* w = constant_of(graph, input(node, 1), DType::f32);
  if (!w) return "float: its weight is not a constant";
  if (!conv && !gemm) return "float: more than one outer extent is unknown, or its weight is not a matrix";
  const size_t rank = !conv ? 2 : w->rank() == 5 ? 5 : 4;
  if (w->rank() != rank || !is_f32_of_rank(graph.value(node.inputs[0]), rank))
    return conv ? "float: only 2-D and 3-D convolutions have an integer form" : "float: its input is not a matrix";
  if (graph.constant(node.inputs[0])) return "float: its input is a constant";
  const bool plain = int_attribute(node, "transA", 0) == 0 && int_attribute(node, "transB", 0) != 0 &&
                     float_attribute(node, "alpha", 1.0f) == 1.0f && float_attribute(node, "beta", 1.0f) == 1.0f;
  if (gemm && !plain) return "float: transA, alpha or beta";
  const int64_t channels = w->dims()[0];
  if (input(node, 2) != k_absent) {
    const Tensor* b = constant_of(graph, input(node, 2), DType::f32);
    if (!b || b->rank() != 1 || b->size() != channels) return "float: its bias is not a constant vector";
    if (!all_finite(*b)) return "float: its bias is not finite";
  }
  if (!all_finite(*w)) return "float: its weight is not finite";
  // |acc| <= 255 * 127 * K + |bias code|, and placement keeps |bias code| <= 2^30.
  const int64_t k = channels == 0 ? 0 : w->size() / channels;
  if (channels == 0 || 255.0 * 127.0 * static_cast<double>(k) + 0x1p30 >= 0x1p31)
    return "float: 255 * 127 * " + std::to_string(k) + " products + bias could reach 2^31 and overflow int32";
  return {};
}

/// A product of two activations (attention).
bool is_product(const Graph& graph, const Node& node) {
  return is_op(node, "MatMul") && !graph.constant(node.inputs[0]) && !graph.constant(node.inputs[1]);
}

/// Why it cannot be an integer product; empty when it can.
std::string product_obstacle(const Graph& graph, const Node& node) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const Value& v = graph.value(node.inputs[i]);
    if (v.dtype != DType::f32 || !v.shape || v.shape->size() < 2) return "float: an operand is not an f32 matrix";
  }
  const Dim& k = graph.value(node.inputs[0]).shape->back();
  if (!k.known()) return "float: the inner extent is unknown";
  if (255.0 * 255.0 * static_cast<double>(k.value) >= 0x1p31)
    return "float: 255 * 255 * " + std::to_string(k.value) + " could reach 2^31 and overflow int32";
  return {};
}

class Placer {
 public:
  Placer(const Editor& editor, const std::function<bool(ValueId)>& has_range, const std::vector<bool>& keep_float)
      : editor_(editor), graph_(editor.graph()), has_range_(has_range), keep_float_(keep_float) {
    const size_t values = graph_.values.size(), nodes = graph_.nodes.size();
    placement_.wanted.assign(values, false);
    placement_.group.resize(values);
    std::iota(placement_.group.begin(), placement_.group.end(), 0);
    placement_.int8.assign(nodes, false);
    placement_.takes.resize(nodes);
    placement_.decision.resize(nodes);
    host_.assign(nodes, -1);
    has_codes_.assign(values, Answer::unknown);
  }

  Placement run() {
    const auto count = static_cast<NodeId>(graph_.nodes.size());
    for (NodeId id = 0; id < count; ++id)
      if (role(id) == QuantRole::weighted) decide_weighted(id);
    for (NodeId id = 0; id < count; ++id)
      if (role(id) == QuantRole::add && !kept(id))
        host_[at(id)] = residual_host(editor_, id, [&](NodeId conv) { return placement_.int8[at(conv)]; });
    for (NodeId id = count; id-- > 0;) decide(id);
    for (NodeId id = 0; id < count; ++id) name_fused(id);
    for (size_t v = 0; v < placement_.group.size(); ++v) placement_.group[v] = find(static_cast<ValueId>(v));
    return std::move(placement_);
  }

 private:
  enum class Answer : uint8_t { unknown, yes, no };

  static size_t at(int32_t id) { return static_cast<size_t>(id); }
  QuantRole role(NodeId id) const { return graph_.node(id).op->quant.role; }
  bool kept(NodeId id) const { return keep_float_[at(id)]; }
  bool is_f32(ValueId v) const { return v != k_absent && graph_.value(v).dtype == DType::f32; }

  /// v itself, or what it was moved from or to, was calibrated.
  bool may_have_codes(ValueId v) const {
    if (has_range_(v)) return true;
    const NodeId maker = editor_.producer(v);
    if (maker >= 0 && role(maker) == QuantRole::same_scale && is_f32(graph_.node(maker).inputs[0]))
      return may_have_codes(graph_.node(maker).inputs[0]);
    return is_moved_to_range(v);
  }

  /// One move after the other may lead to the value that was calibrated: DepthToSpace and the Slice behind it.
  bool is_moved_to_range(ValueId v) const {
    return std::any_of(editor_.readers(v).begin(), editor_.readers(v).end(), [&](NodeId reader) {
      if (role(reader) != QuantRole::same_scale) return false;
      const ValueId moved = graph_.node(reader).outputs[0];
      return has_range_(moved) || is_moved_to_range(moved);
    });
  }

  void decide_product(NodeId id) {
    const Node& node = graph_.node(id);
    std::string obstacle = kept(id) ? "float: asked for" : product_obstacle(graph_, node);
    for (const ValueId v : node.inputs)
      if (obstacle.empty() && !may_have_codes(v)) obstacle = no_range(v);
    if (obstacle.empty()) return take(id, {0, 1});
    placement_.decision[at(id)] = obstacle;
  }

  void decide_weighted(NodeId id) {
    const Node& node = graph_.node(id);
    if (is_product(graph_, node)) return decide_product(id);
    std::string obstacle = kept(id) ? "float: asked for" : weighted_obstacle(graph_, node);
    if (obstacle.empty() && !may_have_codes(node.inputs[0])) obstacle = no_range(node.inputs[0]);
    if (obstacle.empty()) return take(id, {0});
    placement_.decision[at(id)] = obstacle;
  }

  std::string no_range(ValueId v) const { return "float: no range for '" + graph_.value(v).name + "'"; }

  /// Makes the node int8: it reads these inputs as codes.
  void take(NodeId id, std::vector<size_t> inputs) {
    for (const size_t i : inputs) placement_.wanted[at(graph_.node(id).inputs[i])] = true;
    placement_.takes[at(id)] = std::move(inputs);
    placement_.int8[at(id)] = true;
    placement_.decision[at(id)] = "int8";
  }

  /// The value behind the activation that the node's epilogue takes, else its own output. A convolution's epilogue
  /// takes any, QuantAdd and QuantMul take Relu and Clip.
  ValueId result(NodeId id) const {
    const ValueId y = graph_.node(id).outputs[0];
    const NodeId next = editor_.only_reader(y);
    const bool any = role(id) == QuantRole::weighted || host_[at(id)] >= 0;
    const bool fused = next >= 0 && role(next) == QuantRole::activation && !kept(next) &&
                       graph_.node(next).inputs[0] == y && (any || is_clamp(graph_.node(next))) &&
                       match_activation(graph_, graph_.node(next));
    return fused ? graph_.node(next).outputs[0] : y;
  }

  bool has_codes(ValueId v) {
    Answer& answer = has_codes_[at(v)];
    if (answer == Answer::unknown) {
      const NodeId maker = editor_.producer(v);
      const bool yes = weighted_reader(v) || (maker >= 0 && !kept(maker) && makes_codes(maker));
      has_codes_[at(v)] = yes ? Answer::yes : Answer::no;
    }
    return has_codes_[at(v)] == Answer::yes;
  }

  bool weighted_reader(ValueId v) const {
    return std::any_of(editor_.readers(v).begin(), editor_.readers(v).end(), [&](NodeId reader) {
      if (role(reader) != QuantRole::weighted || !placement_.int8[at(reader)]) return false;
      const std::vector<size_t>& takes = placement_.takes[at(reader)];
      return std::any_of(takes.begin(), takes.end(), [&](size_t i) { return graph_.node(reader).inputs[i] == v; });
    });
  }

  bool makes_codes(NodeId id) {
    const Node& node = graph_.node(id);
    switch (role(id)) {
      case QuantRole::weighted: return placement_.int8[at(id)];
      case QuantRole::add:
        return host_[at(id)] >= 0 || (operands_fit(node) && has_codes(node.inputs[0]) && has_codes(node.inputs[1]));
      case QuantRole::mul: return operands_fit(node) && has_codes(node.inputs[0]) && has_codes(node.inputs[1]);
      case QuantRole::pool_average: return pool_fits(node) && has_codes(node.inputs[0]);
      case QuantRole::same_scale: return is_f32(node.inputs[0]) && has_codes(node.inputs[0]);
      case QuantRole::shared_scale:
        return std::all_of(node.inputs.begin(), node.inputs.end(),
                           [&](ValueId v) { return is_f32(v) && has_codes(v); });
      case QuantRole::activation: return has_table(graph_, node) && has_codes(node.inputs[0]);
      case QuantRole::none: break;
    }
    return false;
  }

  /// What QuantAdd and QuantMul can do: f32, not constant, equal shapes, or for Mul [N, C, 1, 1] beside [N, C, H, W].
  bool operands_fit(const Node& node) const {
    const Value &a = graph_.value(node.inputs[0]), &b = graph_.value(node.inputs[1]);
    if (a.constant || b.constant || a.dtype != DType::f32 || b.dtype != DType::f32) return false;
    if (same_shape(a, b)) return true;
    if (!is_op(node, "Mul") || !is_f32_of_rank(a, 4) || !is_f32_of_rank(b, 4) || extent(a, 1) != extent(b, 1))
      return false;
    const auto is_pixel = [](const Value& v) { return extent(v, 2) == 1 && extent(v, 3) == 1; };
    return is_pixel(a) || is_pixel(b);
  }
  bool pool_fits(const Node& node) const {
    const Value& x = graph_.value(node.inputs[0]);
    return x.dtype == DType::f32 && has_pixels(x);
  }

  bool wanted(ValueId v) const { return v != k_absent && placement_.wanted[at(v)]; }

  void decide(NodeId id) {
    const Node& node = graph_.node(id);
    if (role(id) == QuantRole::weighted || node.outputs.empty() || !is_f32(node.outputs[0])) return;
    std::vector<size_t> inputs;
    std::string reason = kept(id) ? "float: asked for" : choose_inputs(id, inputs);
    if (reason.empty())
      for (const size_t i : inputs)
        if (reason.empty() && !may_have_codes(node.inputs[i])) reason = no_range(node.inputs[i]);
    if (!reason.empty()) {
      placement_.decision[at(id)] = reason;
      return;
    }
    take(id, inputs);
    if (host_[at(id)] >= 0) {
      const NodeId conv = editor_.producer(node.inputs[at(host_[at(id)])]);
      placement_.decision[at(id)] = "fused into " + label(graph_, graph_.node(conv)) + " (int32 + requantized skip)";
    }
    if (role(id) == QuantRole::same_scale || role(id) == QuantRole::shared_scale) share_scale(node, inputs);
  }

  /// Which inputs the node takes as codes, or the reason why it stays float.
  std::string choose_inputs(NodeId id, std::vector<size_t>& inputs) {
    const Node& node = graph_.node(id);
    const bool asked = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId v) { return wanted(v); });
    switch (role(id)) {
      case QuantRole::add: return choose_add(id, inputs);
      case QuantRole::mul: return choose_both(id, inputs);
      case QuantRole::pool_average:
        inputs = {0};
        if (!pool_fits(node)) return "float: only 2-D and 3-D pools have an integer form";
        return asked || has_codes(node.inputs[0]) ? "" : "float: nothing around it has codes";
      case QuantRole::same_scale:
        inputs = {0};
        if (graph_.constant(node.inputs[0])) return "float: its input is a constant";
        return asked ? "" : "float: nothing behind it takes codes";
      case QuantRole::shared_scale: return choose_concat(node, asked, inputs);
      case QuantRole::activation: return choose_activation(id, asked, inputs);
      default: return "float: has no integer form";
    }
  }

  std::string choose_add(NodeId id, std::vector<size_t>& inputs) {
    if (host_[at(id)] < 0) return choose_both(id, inputs);
    const size_t skip = host_[at(id)] == 0 ? 1 : 0;
    inputs = {skip};
    if (wanted(result(id)) || has_codes(graph_.node(id).inputs[skip])) return {};
    host_[at(id)] = -1;
    return "float: nothing around it has codes";
  }

  std::string choose_both(NodeId id, std::vector<size_t>& inputs) {
    const Node& node = graph_.node(id);
    inputs = {0, 1};
    if (!operands_fit(node)) return "float: an operand is a constant, or the shapes differ";
    if (!wanted(result(id))) return "float: nothing behind it takes codes";
    return has_codes(node.inputs[0]) && has_codes(node.inputs[1]) ? "" : "float: an operand has no codes";
  }

  std::string choose_concat(const Node& node, bool asked, std::vector<size_t>& inputs) {
    inputs.resize(node.inputs.size());
    std::iota(inputs.begin(), inputs.end(), size_t{0});
    for (const ValueId v : node.inputs)
      if (!is_f32(v) || graph_.constant(v)) return "float: an input is a constant or not float";
    return asked ? "" : "float: nothing behind it takes codes";
  }

  std::string choose_activation(NodeId id, bool asked, std::vector<size_t>& inputs) {
    const Node& node = graph_.node(id);
    const NodeId maker = editor_.producer(node.inputs[0]);
    if (maker >= 0 && takes_activation(maker) && result(maker) == node.outputs[0])
      return "fused";  // name_fused decides
    inputs = {0};
    if (!has_table(graph_, node)) return "float: no table for it";
    if (!asked) return "float: nothing behind it takes codes";
    return has_codes(node.inputs[0]) ? "" : "float: its input has no codes";
  }

  /// Has an epilogue; whether the node is int8 may not be decided yet.
  bool takes_activation(NodeId id) const {
    if (kept(id)) return false;
    if (role(id) == QuantRole::weighted) return placement_.int8[at(id)];
    return (role(id) == QuantRole::add && (host_[at(id)] >= 0 || operands_fit(graph_.node(id)))) ||
           (role(id) == QuantRole::mul && operands_fit(graph_.node(id)));
  }

  /// An activation in an epilogue is what its layer is.
  void name_fused(NodeId id) {
    std::string& decision = placement_.decision[at(id)];
    if (decision != "fused") return;
    const NodeId maker = editor_.producer(graph_.node(id).inputs[0]);
    placement_.int8[at(id)] = placement_.int8[at(maker)];
    decision = placement_.int8[at(maker)] ? "fused into " + label(graph_, graph_.node(maker))
                                          : "float, as the layer before it";
  }

  void share_scale(const Node& node, const std::vector<size_t>& inputs) {
    const ValueId root = find(node.inputs[inputs.front()]);
    const auto join = [&](ValueId v) {
      if (v != k_absent) placement_.group[at(find(v))] = root;
    };
    for (const size_t i : inputs) join(node.inputs[i]);
    for (const ValueId v : node.outputs)
      if (is_f32(v)) join(v);
  }
  ValueId find(ValueId v) const {
    while (placement_.group[at(v)] != v) v = placement_.group[at(v)];
    return v;
  }

  const Editor& editor_;
  const Graph& graph_;
  const std::function<bool(ValueId)>& has_range_;
  const std::vector<bool>& keep_float_;
  Placement placement_;
  std::vector<int> host_;  // by Add: the operand whose Conv carries it, or -1
  std::vector<Answer> has_codes_;
};

}  // namespace

Placement place(const Editor& editor, const std::function<bool(ValueId)>& has_range,
                const std::vector<bool>& keep_float) {
  return Placer(editor, has_range, keep_float).run();
}

}  // namespace octet
