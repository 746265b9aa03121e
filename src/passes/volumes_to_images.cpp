// src/passes/volumes_to_images.cpp: layers of three spatial axes become layers of two, which every kernel knows. A
// volume [N,C,D,H,W] is renamed to planes [N,C,D,H*W] by a Reshape, and is one of frames [N*D,C,H,W] by PlanesToFrames
// (src/ir/ops/README.md); where images lie with their channels last, all three hold the same bytes in the same order.
//   kernel (k,1,1), also (1,1,1), that visits every column:  a Conv of kernel (k,1) of the planes
//   kernel (1,h,w):  a Conv of the frames
//   kernel (k,h,w):  PlanesToFrames puts the k slices that a window meets side by side, as k*C channels; a Conv of
//                    kernel (h,w) of these, whose weights are [outputs, k * inputs, h, w]. The copy has k times the
//                    bytes of the input, of which each meets outputs * h * w products.
//   MaxPool, AveragePool:  of the frames, then of the planes' columns. A window's elements inside the image are a
//                    product of those along each axis, so the averages of averages are the average; not in integers,
//                    where each would round.
//   global pools, activations, Add, Concat of channels, QuantizeLinear ...:  of the planes, where one of their inputs
//                    is one of planes already.
// A Reshape behind each gives the volume back to whatever else reads it; dead_code removes it where nothing does. The
// planes of what a node here makes take the volume's name over, so that taps and ranges find it.
// Left alone: extents that are not known, weights that are no constants, auto_pad that is not resolved, groups of one
// input channel with a window along the depth, and what would be larger than a tensor may be.

#include <algorithm>
#include <cstring>
#include <map>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr size_t k_rank = 5;

/// What a node does along the three spatial axes.
struct Window {
  std::vector<int64_t> kernel, strides, pads, dilations;

  bool is_still(size_t axis) const {
    return kernel[axis] == 1 && strides[axis] == 1 && pads[axis] == 0 && pads[axis + 3] == 0;
  }
  bool is_column() const { return is_still(1) && is_still(2); }
};

std::optional<Dims> volume_dims(const Graph& graph, ValueId v) {
  if (v == k_absent) return std::nullopt;
  const std::optional<Shape>& shape = graph.value(v).shape;
  std::optional<Dims> dims = shape && shape->size() == k_rank ? known_dims(*shape) : std::nullopt;
  return dims && element_count(*dims).value_or(0) > 0 ? dims : std::nullopt;
}

Dims planes_dims(const Dims& volume) { return {volume[0], volume[1], volume[2], volume[3] * volume[4]}; }

std::optional<Window> window_of(const Node& node, const std::vector<int64_t>& kernel) {
  const std::string mode = string_attribute(node, "auto_pad", "NOTSET");
  Window w{kernel, ints_attribute(node, "strides", {1, 1, 1}), ints_attribute(node, "pads", {0, 0, 0, 0, 0, 0}),
           ints_attribute(node, "dilations", {1, 1, 1})};
  const bool fits = w.kernel.size() == 3 && w.strides.size() == 3 && w.pads.size() == 6 && w.dilations.size() == 3;
  return fits && (mode.empty() || mode == "NOTSET") ? std::optional(std::move(w)) : std::nullopt;
}

/// The node's attributes with the window along its depth, (k,1), or along height and width.
Attributes attributes_of(const Node& node, const Window& w, bool along_depth) {
  Attributes made = node.attributes;
  made.erase("auto_pad");
  const auto set = [&](const std::string& key, std::vector<int64_t> values) { made[key] = std::move(values); };
  if (along_depth) {
    set("kernel_shape", {w.kernel[0], 1});
    set("strides", {w.strides[0], 1});
    set("pads", {w.pads[0], 0, w.pads[3], 0});
    set("dilations", {w.dilations[0], 1});
  } else {
    set("kernel_shape", {w.kernel[1], w.kernel[2]});
    set("strides", {w.strides[1], w.strides[2]});
    set("pads", {w.pads[1], w.pads[2], w.pads[4], w.pads[5]});
    set("dilations", {w.dilations[1], w.dilations[2]});
  }
  return made;
}

/// [outputs, inputs of a group, k, h, w] as [outputs, k * inputs of a group, h, w].
Result<Tensor> stacked_weights(const Tensor& w) {
  const Dims& d = w.dims();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(w.dtype(), {d[0], d[1] * d[2], d[3], d[4]});
  if (!made) return made.error();
  const size_t plane = static_cast<size_t>(d[3] * d[4]) * size_of(w.dtype());
  std::byte* to = made->second;
  for (int64_t output = 0; output < d[0]; ++output)
    for (int64_t k = 0; k < d[2]; ++k)
      for (int64_t input = 0; input < d[1]; ++input, to += plane)
        std::memcpy(to, w.bytes().data() + static_cast<size_t>((output * d[1] + input) * d[2] + k) * plane, plane);
  return made->first;
}

class VolumeLowering {
 public:
  explicit VolumeLowering(Graph& graph) : editor_(graph), graph_(graph) {}

  Result<Changed> run() {
    Changed changed;
    for (NodeId id = 0; id < editor_.node_count(); ++id) {
      Result<bool> done = lower(id);
      if (!done) return done.error();
      changed.count += *done;
    }
    editor_.finish();
    for (const auto& [volume, planes] : made_)
      if (!editor_.is_output(volume)) std::swap(graph_.value(volume).name, graph_.value(planes).name);
    return changed;
  }

 private:
  Result<bool> lower(NodeId id) {
    const Node node = editor_.node(id);
    if (node.outputs.size() != 1 || !volume_dims(graph_, node.outputs[0])) return false;
    if (is_any(node, {"Conv", "FusedConv", "QuantConv"})) return convolution(id, node);
    if (is_any(node, {"MaxPool", "AveragePool", "QuantAveragePool"})) return pool(id, node);
    if (is_any(node, {"GlobalAveragePool", "GlobalMaxPool", "QuantGlobalAveragePool"})) return global_pool(id, node);
    return by_element(id, node);
  }

  std::string name_of(ValueId v, const char* suffix) const { return graph_.value(v).name + suffix; }

  ValueId added(NodeId before, Node node, ValueId like, const char* suffix, const Dims& dims) {
    const ValueId y = editor_.add_value(name_of(like, suffix), graph_.value(like).dtype, to_shape(dims));
    node.outputs = {y};
    editor_.insert_before(before, std::move(node));
    return y;
  }

  /// What a Reshape of the value to these dims is told: its batch stays.
  ValueId target(ValueId of, Dims dims) {
    dims[0] = 0;
    return editor_.add_constant(name_of(of, "_dims"), s64_tensor({static_cast<int64_t>(dims.size())}, dims));
  }

  /// The volume as planes.
  ValueId planes(NodeId before, ValueId v) {
    const auto known = planes_.find(v);
    if (known != planes_.end()) return known->second;
    const Dims dims = planes_dims(*volume_dims(graph_, v));
    ValueId made = k_absent;
    if (const Tensor* constant = graph_.constant(v)) {
      made = editor_.add_constant(name_of(v, "_planes"), constant->reshaped(dims));
    } else {
      made = added(before, make_node("Reshape", "", {v, target(v, dims)}, {}), v, "_planes", dims);
    }
    return planes_[v] = made;
  }

  /// The volume of planes in place of the node, for whoever asks for it.
  void give_back(NodeId id, ValueId planes) {
    const ValueId v = editor_.node(id).outputs[0];
    planes_[v] = planes;
    made_.emplace_back(v, planes);
    editor_.replace(id, make_node("Reshape", "", {planes, target(v, *volume_dims(graph_, v))}, {v}));
  }

  ValueId frames(NodeId before, ValueId planes, int64_t height) {
    const Dims d = *known_dims(*graph_.value(planes).shape);
    Node node = make_node("PlanesToFrames", "", {planes}, {}, {{"height", height}});
    return added(before, std::move(node), planes, "_frames", {d[0] * d[2], d[1], height, d[3] / height});
  }

  ValueId planes_of_frames(NodeId before, ValueId frames, ValueId volume) {
    const Dims d = *volume_dims(graph_, volume);
    return added(before, make_node("FramesToPlanes", "", {frames}, {}, {{"depth", d[2]}}), volume, "_planes",
                 planes_dims(d));
  }

  Result<bool> convolution(NodeId id, const Node& node) {
    const ValueId v = node.inputs[0], y = node.outputs[0];
    const std::optional<Dims> x = volume_dims(graph_, v), out = volume_dims(graph_, y);
    const Tensor* const constant = graph_.constant(node.inputs[1]);
    if (!x || !constant || constant->rank() != k_rank) return false;
    const Tensor w = *constant;  // which moves as values are added
    const Dims wd = w.dims();
    const std::optional<Window> window = window_of(node, {wd[2], wd[3], wd[4]});
    const int64_t groups = int_attribute(node, "group", 1);
    const bool is_column = window && window->is_column();
    if (!window || (groups > 1 && wd[1] == 1 && wd[2] > 1 && !is_column)) return false;
    const size_t at_residual = is_op(node, "QuantConv") ? 4 : 3;
    const ValueId residual = is_op(node, "Conv") ? k_absent : input(node, at_residual);
    if (residual != k_absent && !volume_dims(graph_, residual)) return false;
    if (!element_count(slices_dims(*x, *out, wd[2]))) return false;
    Node conv = node;
    conv.attributes = attributes_of(node, *window, is_column);
    const std::string base = graph_.value(node.inputs[1]).name + "_flat";
    if (is_column) {
      conv.inputs[0] = planes(id, v);
      conv.inputs[1] = editor_.add_constant(base, w.reshaped({wd[0], wd[1], wd[2], 1}));
      if (residual != k_absent) conv.inputs[at_residual] = planes(id, residual);
      give_back(id, added(id, std::move(conv), y, "_planes", planes_dims(*out)));
      return true;
    }
    Result<Tensor> stacked = stacked_weights(w);
    if (!stacked) return stacked.error();
    conv.inputs[0] = stack(id, node, *window);
    conv.inputs[1] = editor_.add_constant(base, *std::move(stacked));
    if (residual != k_absent) {
      const bool one_pixel = *volume_dims(graph_, residual) == Dims{1, wd[0], 1, 1, 1};
      const ValueId of = planes(id, residual);
      conv.inputs[at_residual] = one_pixel ? of : frames(id, of, (*out)[3]);
    }
    const Dims dims = {(*out)[0] * (*out)[2], (*out)[1], (*out)[3], (*out)[4]};
    give_back(id, planes_of_frames(id, added(id, std::move(conv), y, "_frames", dims), y));
    return true;
  }

  /// What stack() makes, of x, for a result out.
  static Dims slices_dims(const Dims& x, const Dims& out, int64_t kernel) {
    return {x[0] * out[2], x[1] * kernel, x[3], x[4]};
  }

  /// The frames that the convolution's 2-D form reads.
  ValueId stack(NodeId id, const Node& node, const Window& w) {
    const ValueId v = node.inputs[0], x = planes(id, v);
    const Dims d = *volume_dims(graph_, v), out = *volume_dims(graph_, node.outputs[0]);
    if (w.is_still(0)) return frames(id, x, d[3]);
    Attributes attributes{{"height", d[3]},
                          {"kernel_shape", std::vector<int64_t>{w.kernel[0]}},
                          {"strides", std::vector<int64_t>{w.strides[0]}},
                          {"pads", std::vector<int64_t>{w.pads[0], w.pads[3]}},
                          {"dilations", std::vector<int64_t>{w.dilations[0]}}};
    if (const int64_t groups = int_attribute(node, "group", 1); groups > 1) attributes["group"] = groups;
    if (const int64_t zero = int_attribute(node, "x_zero_point", 0); zero != 0) attributes["x_zero_point"] = zero;
    return added(id, make_node("PlanesToFrames", "", {x}, {}, std::move(attributes)), v, "_slices",
                 slices_dims(d, out, w.kernel[0]));
  }

  Result<bool> pool(NodeId id, const Node& node) {
    const ValueId v = node.inputs[0], y = node.outputs[0];
    const std::optional<Dims> x = volume_dims(graph_, v), out = volume_dims(graph_, y);
    const std::optional<Window> window = window_of(node, ints_attribute(node, "kernel_shape", {}));
    if (!x || !window) return false;
    const bool in_frames = !window->is_column(), in_columns = !window->is_still(0);
    if (is_op(node, "QuantAveragePool") && in_frames && in_columns) return false;
    if (!element_count(Dims{(*x)[0] * (*x)[2], (*x)[1], (*out)[3], (*out)[4]})) return false;
    ValueId made = planes(id, v);
    if (in_frames) {
      Node part = node;
      part.attributes = attributes_of(node, *window, false);
      part.inputs[0] = frames(id, made, (*x)[3]);
      if (in_columns) part.name = unique_node_name(graph_, label(graph_, node) + "_frames");
      const ValueId pooled =
          added(id, std::move(part), y, "_frames", {(*x)[0] * (*x)[2], (*x)[1], (*out)[3], (*out)[4]});
      const Dims dims = {(*x)[0], (*x)[1], (*x)[2], (*out)[3] * (*out)[4]};
      made = added(id, make_node("FramesToPlanes", "", {pooled}, {}, {{"depth", (*x)[2]}}), y, "_planes", dims);
    }
    if (in_columns || !in_frames) {
      Node part = node;
      part.attributes = attributes_of(node, *window, true);
      part.inputs[0] = made;
      made = added(id, std::move(part), y, "_columns", planes_dims(*out));
    }
    give_back(id, made);
    return true;
  }

  Result<bool> global_pool(NodeId id, const Node& node) {
    if (!volume_dims(graph_, node.inputs[0])) return false;
    Node pool = node;
    pool.inputs[0] = planes(id, node.inputs[0]);
    give_back(
        id, added(id, std::move(pool), node.outputs[0], "_planes", planes_dims(*volume_dims(graph_, node.outputs[0]))));
    return true;
  }

  /// An operand of an element-wise op whose result has these dims, as it stands beside planes; nothing when it cannot.
  std::optional<ValueId> operand(NodeId id, ValueId v, const Dims& y) {
    if (v == k_absent) return v;
    const std::optional<Dims> dims = volume_dims(graph_, v);
    if (!dims) {
      const std::optional<Shape>& shape = graph_.value(v).shape;
      const std::optional<Dims> few = shape ? known_dims(*shape) : std::nullopt;
      return few && few->size() < k_rank && element_count(*few) == 1 ? std::optional(v) : std::nullopt;
    }
    const bool is_whole = (*dims)[3] == y[3] && (*dims)[4] == y[4], is_one = (*dims)[3] * (*dims)[4] == 1;
    return is_whole || is_one ? std::optional(planes(id, v)) : std::nullopt;
  }

  static bool is_by_element(const Node& node) {
    return is_any(node, {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Silu", "Tanh", "Gelu",
                         "Elu", "Softplus", "Mish", "Add", "FusedAdd", "Sub", "Mul", "Div", "QuantAdd", "QuantMul"}) ||
           (is_op(node, "Concat") && (int_attribute(node, "axis", 0) == 1 || int_attribute(node, "axis", 0) == -4));
  }

  /// Ops of a volume and of vectors for its channels, or of what all its elements share.
  static bool is_by_channel(const Node& node) {
    return is_any(node, {"BatchNormalization", "InstanceNormalization", "QuantLookup"}) ||
           (is_any(node, {"QuantizeLinear", "DequantizeLinear"}) && int_attribute(node, "axis", 1) == 1 &&
            !has_attribute(node, "block_size"));
  }

  Result<bool> by_element(NodeId id, const Node& node) {
    const bool all = is_by_element(node);
    if (!all && !is_by_channel(node)) return false;
    const auto is_made = [&](ValueId v) { return planes_.contains(v) && !graph_.constant(v); };
    if (std::none_of(node.inputs.begin(), node.inputs.end(), is_made)) return false;
    const Dims y = *volume_dims(graph_, node.outputs[0]);
    Node flat = node;
    for (size_t i = 0; i < (all ? node.inputs.size() : 1); ++i) {
      const std::optional<ValueId> made = operand(id, node.inputs[i], y);
      if (!made) return false;
      flat.inputs[i] = *made;
    }
    if (is_op(node, "Concat")) flat.attributes["axis"] = int64_t{1};
    give_back(id, added(id, std::move(flat), node.outputs[0], "_planes", planes_dims(y)));
    return true;
  }

  Editor editor_;
  Graph& graph_;
  std::map<ValueId, ValueId> planes_;              // by volume
  std::vector<std::pair<ValueId, ValueId>> made_;  // volumes that nodes here made, and their planes
};

}  // namespace

Result<Changed> volumes_to_images(Graph& graph) { return VolumeLowering(graph).run(); }

}  // namespace octet
