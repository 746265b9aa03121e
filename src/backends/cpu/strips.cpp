#include "backends/cpu/strips.h"

#include <algorithm>
#include <utility>

#include "backends/cpu/conv.h"
#include "backends/cpu/step.h"

namespace octet::cpu {
namespace {

/// Values that fill L2 and little more are for the most part still there when they are read.
constexpr double k_beyond_l2 = 1.25;
/// Each strip reads all weights again: they should be no more than a strip, and stay in L2.
constexpr double k_most_weight_bytes = 256 << 10;

bool is_f32_conv(const Graph& graph, const Node& node) {
  if ((!is_op(node, "Conv") && !is_op(node, "FusedConv")) || node.outputs.size() != 1) return false;
  const Tensor* const weights = graph.constant(node.inputs[1]);
  const auto is_image = [&](ValueId v) {
    const Value& value = graph.value(v);
    const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
    return value.dtype == DType::f32 && dims && dims->size() == 4 && element_count(*dims).value_or(0) > 0;
  };
  return weights && weights->dtype() == DType::f32 && weights->dims().size() == 4 && !graph.constant(node.inputs[0]) &&
         is_image(node.inputs[0]) && is_image(node.outputs[0]);
}

bool has_residual(const Node& node) { return node.inputs.size() > 3 && node.inputs[3] != k_absent; }

/// Finds the groups of one graph.
class Finder {
 public:
  Finder(const Graph& graph, const Uses& uses, Isa isa, double l2_bytes)
      : graph_(graph), uses_(uses), isa_(isa), l2_bytes_(l2_bytes), is_taken_(graph.nodes.size(), false) {}

  std::vector<Strips> all() {
    std::vector<Strips> found;
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (!is_depthwise(id)) continue;
      const Strips group = {expand_of(id), id, project_of(id)};
      if ((group.expand < 0 && group.project < 0) || !is_worth_it(group)) continue;
      for (const NodeId node : {group.expand, group.depthwise, group.project})
        if (node >= 0) is_taken_[static_cast<size_t>(node)] = true;
      found.push_back(group);
    }
    return found;
  }

 private:
  StepQuery query(NodeId id) const { return {{graph_, graph_.node(id)}, isa_}; }

  bool is_depthwise(NodeId id) const {
    const Node& node = graph_.node(id);
    return is_f32_conv(graph_, node) && !has_residual(node) && depthwise_f32_step.refuse(query(id)).empty() &&
           query(id).dims(0)[1] == query(id).output_dims()[1];
  }

  bool is_dense(NodeId id) const {
    const Node& node = graph_.node(id);
    return !is_taken_[static_cast<size_t>(id)] && is_f32_conv(graph_, node) && int_attribute(node, "group", 1) == 1 &&
           conv_f32_step.refuse(query(id)).empty();
  }

  NodeId expand_of(NodeId depthwise) const {
    const ValueId x = graph_.node(depthwise).inputs[0];
    const NodeId id = uses_.producer[static_cast<size_t>(x)];
    return id >= 0 && uses_.single_use(x) && is_dense(id) && !has_residual(graph_.node(id)) ? id : -1;
  }

  /// A 1x1 layer that visits every pixel.
  NodeId project_of(NodeId depthwise) const {
    const ValueId y = graph_.node(depthwise).outputs[0];
    if (!uses_.single_use(y)) return -1;
    const NodeId id = uses_.consumers[static_cast<size_t>(y)][0];
    if (!is_dense(id) || graph_.node(id).inputs[0] != y) return -1;
    const Result<WindowGeometry> g = conv_geometry(query(id));
    const bool visits_all = g && g->kh == 1 && g->kw == 1 && g->stride_h == 1 && g->stride_w == 1 && g->pad_top == 0 &&
                            g->pad_left == 0 && g->oh == g->ih && g->ow == g->iw;
    return visits_all ? id : -1;
  }

  double image_bytes(ValueId v) const {
    return static_cast<double>(layout_of(graph_, v).bytes()) / static_cast<double>(layout_of(graph_, v).batch());
  }

  bool is_worth_it(const Strips& group) const {
    double between = 0, weights = 0;
    for (const NodeId id : {group.expand, group.depthwise, group.project}) {
      if (id < 0) continue;
      weights += static_cast<double>(graph_.constant(graph_.node(id).inputs[1])->size_bytes());
      if (id != group.last()) between += image_bytes(graph_.node(id).outputs[0]);
    }
    return between > k_beyond_l2 * l2_bytes_ && weights <= k_most_weight_bytes;
  }

  const Graph& graph_;
  const Uses& uses_;
  Isa isa_;
  double l2_bytes_;
  std::vector<bool> is_taken_;
};

}  // namespace

std::vector<Strips> find_strips(const Graph& graph, const Uses& uses, Isa isa, size_t l2_bytes) {
  if (isa == Isa::scalar) return {};
  return Finder(graph, uses, isa, static_cast<double>(l2_bytes)).all();
}

}  // namespace octet::cpu
