// src/passes/conv_transpose_to_conv.cpp: a ConvTranspose with constant weights becomes a Conv, which every later pass
// and every kernel knows.
//   y[o] = sum over i of x[i] * w[k],  k = o + pad_begin - i * stride   (per spatial axis, i and k within their arrays)
// Stride 1: the kernel reversed, pads (kernel - 1) * dilation - pad.
// Stride s: outputs whose o + shift leaves the same remainder a by s (a phase) are an ordinary convolution by
// themselves. With o + shift = s * t + a and d = t - i:   k = s * d + a + pad_begin - shift
// All s * s phases read one window of inputs, that is one Conv makes them as s * s * C channels, with a zero where a
// phase has no such k (the CPU's kernels, but not AMX, leave these out where a phase fills whole vectors and there are
// no groups, kernels/implicit_gemm/live_taps), and DepthToSpace puts them side by side. The shift (0 to s - 1) is the
// one with the fewest taps; what lies before output 0 and behind the last one is cut off by a Slice. 4x4 of stride 2
// with pads 1, shift 1: 2x2 taps and one row and column off each side, where shift 0 would take 3x3; 2x2 of stride 2:
// one tap, nothing to cut.
// Channels of phases: phase-major (DepthToSpace's DCR) without groups, so that a pixel's channels are copied in one go;
// with groups the phases of a channel are neighbours (CRD), since the Conv's groups are blocks of channels.
// Weights and biases may lie behind DequantizeLinear: the codes are rearranged, zero taps are zero points.
// Left alone: two strides, stride and dilation both above 1, one or three axes with a stride, more than 4 times the
// weights (kernels smaller than the stride), shapes that the numbers depend on and that are unknown.
// Source: ONNX operator ConvTranspose, opset 22.

#include <algorithm>
#include <cstring>
#include <limits>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr int64_t k_largest_growth = 4;  // of the weights: what a 1x1 kernel of stride 2 takes

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/// One spatial axis as the Conv has it.
struct Axis {
  int64_t kernel = 1, stride = 1, dilation = 1;  // of the ConvTranspose
  int64_t begin = 0;                             // its pad before
  int64_t taps = 1, pad_begin = 0, pad_end = 0;  // of the Conv
  int64_t cut_begin = 0, cut_end = 0;            // of the result, behind DepthToSpace

  /// The kernel's index that tap j of phase a has, or nothing.
  std::optional<int64_t> source(int64_t a, int64_t j) const {
    if (stride == 1) return kernel - 1 - j;
    const int64_t k = stride * (pad_begin - j) + a + begin - cut_begin;
    return k >= 0 && k < kernel ? std::optional(k) : std::nullopt;
  }
};

/// pads, or what output_shape and SAME_* ask for; out = (in - 1) * stride + rest.
struct Extents {
  int64_t begin = 0, rest = 0;
};

std::optional<Extents> extents_of(const Graph& graph, const Node& node, size_t axis, size_t spatial, const Axis& a) {
  const std::vector<int64_t> padding = ints_attribute(node, "output_padding", std::vector<int64_t>(spatial, 0));
  const std::vector<int64_t> pads = ints_attribute(node, "pads", std::vector<int64_t>(2 * spatial, 0));
  if (padding.size() != spatial || pads.size() != 2 * spatial) return std::nullopt;
  const int64_t full = padding[axis] + (a.kernel - 1) * a.dilation + 1;
  const std::string mode = string_attribute(node, "auto_pad", "NOTSET");
  if (mode == "VALID" && !has_attribute(node, "output_shape")) return Extents{0, full};
  if (mode == "NOTSET" && !has_attribute(node, "output_shape"))
    return Extents{pads[axis], full - pads[axis] - pads[spatial + axis]};
  const int64_t in = extent(graph.value(node.inputs[0]), axis + 2);
  const int64_t out = extent(graph.value(node.outputs[0]), axis + 2);
  if (in < 0 || out < 0) return std::nullopt;
  const int64_t rest = out - (in - 1) * a.stride, total = std::max<int64_t>(full - rest, 0);
  return Extents{mode == "SAME_UPPER" ? total / 2 : total - total / 2, rest};
}

/// The Conv's numbers for one shift.
Axis shifted(Axis a, int64_t rest, int64_t shift) {
  const int64_t p = a.begin - shift;
  const int64_t last = floor_div(a.kernel - 1 - p, a.stride), first = -floor_div(a.stride - 1 + p, a.stride);
  const int64_t blocks = floor_div(rest + shift + a.stride - 1, a.stride);  // outputs of the Conv: in - 1 + blocks
  a.taps = last - first + 1;
  a.pad_begin = last;
  a.pad_end = blocks - 1 - first;
  a.cut_begin = shift;
  a.cut_end = a.stride * blocks - rest - shift;
  return a;
}

/// Nothing where the Conv would need a negative pad: such a kernel does not reach the first or the last output.
std::optional<Axis> best_axis(Axis a, const Extents& extents) {
  a.begin = extents.begin;
  if (a.stride == 1) {
    a.taps = a.kernel;
    a.pad_begin = (a.kernel - 1) * a.dilation - a.begin;
    a.pad_end = extents.rest - 1 + a.begin;
    return a.pad_begin >= 0 && a.pad_end >= 0 ? std::optional(a) : std::nullopt;
  }
  std::optional<Axis> best;
  for (int64_t shift = 0; shift < a.stride; ++shift) {
    const Axis made = shifted(a, extents.rest, shift);
    if (made.pad_begin < 0 || made.pad_end < 0) continue;
    const auto cost = [](const Axis& of) { return std::pair(of.taps, of.cut_begin + of.cut_end); };
    if (!best || cost(made) < cost(*best)) best = made;
  }
  return best;
}

struct Plan {
  std::vector<Axis> axes = {};
  int64_t stride = 1, group = 1, in_channels = 0, channels = 0;  // channels: outputs of a group

  int64_t phases() const { return stride == 1 ? 1 : stride * stride; }
  int64_t outputs() const { return channels * group * phases(); }
  bool is_phase_major() const { return group == 1; }
  /// Which of the ConvTranspose's outputs, and which phase of it, channel oc of the Conv is.
  std::pair<int64_t, int64_t> output_of(int64_t oc) const {
    return is_phase_major() ? std::pair(oc % channels, oc / channels) : std::pair(oc / phases(), oc % phases());
  }
  bool cuts() const {
    return std::any_of(axes.begin(), axes.end(), [](const Axis& a) { return a.cut_begin || a.cut_end; });
  }
};

std::optional<Plan> plan_of(const Graph& graph, const Node& node, const Dims& w) {
  const Value& x = graph.value(node.inputs[0]);
  if (x.dtype != DType::f32 || !x.shape || x.shape->size() != w.size() || w.size() < 3 || w.size() > 5)
    return std::nullopt;
  if (element_count(w).value_or(0) < 1) return std::nullopt;
  const size_t spatial = w.size() - 2;
  const std::vector<int64_t> strides = ints_attribute(node, "strides", std::vector<int64_t>(spatial, 1));
  const std::vector<int64_t> dilations = ints_attribute(node, "dilations", std::vector<int64_t>(spatial, 1));
  Plan plan{.stride = strides[0], .group = int_attribute(node, "group", 1), .in_channels = w[0], .channels = w[1]};
  if (plan.stride > 1 && (spatial != 2 || strides[1] != strides[0])) return std::nullopt;
  int64_t taps = 1, kernel = 1;
  for (size_t i = 0; i < spatial; ++i) kernel *= w[i + 2];
  // Before any shift is tried: each phase has a tap, and a file may say a stride of 2^31.
  if (plan.phases() > k_largest_growth * kernel) return std::nullopt;
  for (size_t i = 0; i < spatial; ++i) {
    if (strides[i] != plan.stride || (plan.stride > 1 && dilations[i] > 1 && w[i + 2] > 1)) return std::nullopt;
    const Axis axis{.kernel = w[i + 2], .stride = strides[i], .dilation = dilations[i]};
    if (extent(graph.value(node.outputs[0]), i + 2) == 0) return std::nullopt;
    const std::optional<Extents> extents = extents_of(graph, node, i, spatial, axis);
    const std::optional<Axis> made = extents ? best_axis(axis, *extents) : std::nullopt;
    if (!made) return std::nullopt;
    plan.axes.push_back(*made);
    taps *= made->taps;
  }
  if (plan.phases() * taps > k_largest_growth * kernel) return std::nullopt;
  return plan;
}

/// [inputs, outputs of a group, kernel...] as the Conv's [outputs, inputs of a group, taps...]; fill: by output of a
/// group, or one for all, what stands where there is no tap.
Result<Tensor> rearranged(const Tensor& w, const Plan& plan, const std::vector<std::byte>& fill) {
  const size_t spatial = plan.axes.size(), size = size_of(w.dtype());
  const int64_t per_group = plan.in_channels / plan.group;
  Dims dims{plan.outputs(), per_group};
  for (const Axis& axis : plan.axes) dims.push_back(axis.taps);
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(w.dtype(), dims);
  if (!made) return made.error();
  const std::vector<int64_t> strides = row_major_strides(w.dims());
  const int64_t taps = *element_count(dims) / (dims[0] * dims[1]);
  std::byte* to = made->second;
  for (int64_t oc = 0; oc < dims[0]; ++oc) {
    const auto [output, phase] = plan.output_of(oc);
    const int64_t c = output % plan.channels, first = output / plan.channels * per_group;
    const std::byte* const nothing = fill.data() + (fill.size() > size ? static_cast<size_t>(c) * size : 0);
    for (int64_t ic = 0; ic < per_group; ++ic)
      for (int64_t tap = 0; tap < taps; ++tap, to += size) {
        int64_t at = (first + ic) * strides[0] + c * strides[1], j = tap, a = phase;
        bool is_tap = true;
        for (size_t i = spatial; i-- > 0; j /= plan.axes[i].taps, a /= plan.stride) {
          const std::optional<int64_t> k = plan.axes[i].source(a % plan.stride, j % plan.axes[i].taps);
          is_tap = is_tap && k;
          at += k.value_or(0) * strides[i + 2];
        }
        std::memcpy(to, is_tap ? w.bytes().data() + static_cast<size_t>(at) * size : nothing, size);
      }
  }
  return made->first;
}

/// A vector by output of a group, or by output, as one by the Conv's outputs.
Result<Tensor> spread(const Tensor& v, const Plan& plan) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(v.dtype(), {plan.outputs()});
  if (!made) return made.error();
  const size_t size = size_of(v.dtype());
  for (int64_t oc = 0; oc < plan.outputs(); ++oc) {
    const auto at = static_cast<size_t>(plan.output_of(oc).first % v.size());
    std::memcpy(made->second + static_cast<size_t>(oc) * size, v.bytes().data() + at * size, size);
  }
  return made->first;
}

/// A constant, or a constant behind DequantizeLinear.
struct Parameter {
  Tensor numbers;
  std::optional<Node> dequantize;
};

std::optional<Parameter> parameter_of(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  if (const Tensor* constant = constant_of(graph, v, DType::f32)) return Parameter{*constant, std::nullopt};
  const Node* found = editor.producer(v, "DequantizeLinear");
  if (!found || has_attribute(*found, "block_size")) return std::nullopt;
  const Tensor* codes = graph.constant(found->inputs[0]);
  const Tensor* scale = constant_of(graph, found->inputs[1], DType::f32);
  const Tensor* zero = input(*found, 2) == k_absent ? nullptr : graph.constant(found->inputs[2]);
  if (!codes || !scale || scale->rank() > 1) return std::nullopt;
  if (codes->dtype() != DType::s8 && codes->dtype() != DType::u8 && codes->dtype() != DType::s32) return std::nullopt;
  if (input(*found, 2) != k_absent && (!zero || zero->size() != scale->size())) return std::nullopt;
  return Parameter{*codes, *found};
}

/// The scales belong to outputs: all alike, or `count` of them along `axis`.
bool fits(const Graph& graph, const Parameter& p, int64_t axis, int64_t count) {
  if (!p.dequantize) return true;
  const Tensor& scale = *graph.constant(p.dequantize->inputs[1]);
  const int64_t given = int_attribute(*p.dequantize, "axis", 1);
  const auto rank = static_cast<int64_t>(p.numbers.rank());
  return scale.size() == 1 || (scale.size() == count && (given < 0 ? given + rank : given) == axis);
}

/// What makes `old` dequantized, with `codes` and with vectors spread over the Conv's outputs, along axis 0.
Result<ValueId> put(Editor& editor, NodeId before, const Parameter& p, ValueId old, Tensor numbers, const Plan& plan) {
  Graph& graph = editor.graph();
  const std::string suffix = plan.stride == 1 ? "_reversed" : "_phases";
  const auto named = [&](ValueId v) { return graph.value(v).name + suffix; };
  if (!p.dequantize) return editor.add_constant(named(old), std::move(numbers));
  Node node = *p.dequantize;
  node.name = unique_node_name(graph, node.name.empty() ? "" : node.name + suffix);
  node.inputs[0] = editor.add_constant(named(node.inputs[0]), std::move(numbers));
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const Tensor* each = node.inputs[i] == k_absent ? nullptr : graph.constant(node.inputs[i]);
    if (!each || each->rank() == 0) continue;
    Result<Tensor> made = spread(*each, plan);
    if (!made) return made.error();
    node.inputs[i] = editor.add_constant(named(node.inputs[i]), std::move(*made));
  }
  node.attributes["axis"] = int64_t{0};
  const ValueId y = editor.add_value(named(old), DType::f32, std::nullopt);
  node.outputs = {y};
  editor.insert_before(before, std::move(node));
  return y;
}

Attributes conv_attributes(const Plan& plan) {
  const size_t spatial = plan.axes.size();
  std::vector<int64_t> kernel, pads(2 * spatial), dilations;
  for (size_t i = 0; i < spatial; ++i) {
    const Axis& axis = plan.axes[i];
    kernel.push_back(axis.taps);
    pads[i] = axis.pad_begin;
    pads[spatial + i] = axis.pad_end;
    dilations.push_back(plan.stride == 1 ? axis.dilation : 1);
  }
  Attributes made{{"kernel_shape", kernel}, {"pads", pads}};
  if (plan.group > 1) made["group"] = plan.group;
  if (std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d > 1; })) made["dilations"] = dilations;
  return made;
}

/// DepthToSpace and, where something is cut off, Slice between the Conv's result and y.
void put_in_order(Editor& editor, NodeId id, const Plan& plan, const std::string& name, ValueId phases, ValueId y) {
  const std::string base = editor.graph().value(y).name;
  Node to_space = make_node("DepthToSpace", unique_node_name(editor.graph(), name + "_depth_to_space"), {phases}, {y},
                            {{"blocksize", plan.stride}, {"mode", plan.is_phase_major() ? "DCR" : "CRD"}});
  if (!plan.cuts()) return editor.replace(id, std::move(to_space));
  const ValueId whole = editor.add_value(base + "_uncut", DType::f32, std::nullopt);
  to_space.outputs = {whole};
  std::vector<int64_t> starts, ends;
  for (const Axis& axis : plan.axes) {
    starts.push_back(axis.cut_begin);
    ends.push_back(axis.cut_end > 0 ? -axis.cut_end : std::numeric_limits<int64_t>::max());
  }
  const auto vector = [&](const std::string& wish, const std::vector<int64_t>& values) {
    return editor.add_constant(base + wish, Tensor::from<int64_t>(DType::s64, {2}, values));
  };
  const ValueId from = vector("_starts", starts), to = vector("_ends", ends), axes = vector("_axes", {2, 3});
  editor.replace(id, make_node("Slice", unique_node_name(editor.graph(), name + "_cut"), {whole, from, to, axes}, {y}));
  editor.insert_before(id, std::move(to_space));
}

/// What stands in the weights where a phase has no tap: 0, or the zero points of their codes.
std::vector<std::byte> fill_of(const Graph& graph, const Parameter& w) {
  const ValueId zero = w.dequantize ? input(*w.dequantize, 2) : k_absent;
  if (zero == k_absent) return std::vector<std::byte>(size_of(w.numbers.dtype()));
  const auto bytes = graph.constant(zero)->bytes();
  return {bytes.begin(), bytes.end()};
}

Result<bool> rewrite(Editor& editor, NodeId id) {
  Graph& graph = editor.graph();
  const Node node = editor.node(id);
  const std::optional<Parameter> w = parameter_of(editor, node.inputs[1]);
  const std::optional<Plan> plan = w ? plan_of(graph, node, w->numbers.dims()) : std::nullopt;
  if (!plan || !fits(graph, *w, 1, plan->channels)) return false;
  const bool has_bias = input(node, 2) != k_absent;
  const std::optional<Parameter> b = has_bias ? parameter_of(editor, node.inputs[2]) : std::nullopt;
  const int64_t outputs = plan->channels * plan->group;
  if (has_bias && (!b || b->numbers.size() != outputs || !fits(graph, *b, 0, outputs))) return false;
  Result<Tensor> weights = rearranged(w->numbers, *plan, fill_of(graph, *w));
  if (!weights) return weights.error();
  Node conv = make_node("Conv", node.name, {node.inputs[0]}, {}, conv_attributes(*plan));
  Result<ValueId> taps = put(editor, id, *w, node.inputs[1], std::move(*weights), *plan);
  if (!taps) return taps.error();
  conv.inputs.push_back(*taps);
  if (has_bias) {
    Result<Tensor> biases = spread(b->numbers, *plan);
    if (!biases) return biases.error();
    Result<ValueId> bias = put(editor, id, *b, node.inputs[2], std::move(*biases), *plan);
    if (!bias) return bias.error();
    conv.inputs.push_back(*bias);
  }
  const ValueId y = node.outputs[0];
  conv.outputs = {y};
  if (plan->stride == 1) {
    editor.replace(id, std::move(conv));
    return true;
  }
  const ValueId phases = editor.add_value(graph.value(y).name + "_phases", DType::f32, std::nullopt);
  conv.outputs = {phases};
  conv.origins = node.origins;
  editor.insert_before(id, std::move(conv));
  put_in_order(editor, id, *plan, label(graph, node), phases, y);
  return true;
}

}  // namespace

Result<Changed> conv_transpose_to_conv(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "ConvTranspose")) continue;
    Result<bool> done = rewrite(editor, id);
    if (!done) return done.error();
    changed.count += *done;
  }
  return changed;
}

}  // namespace octet
