#include "backends/cpu/joined.h"

#include <algorithm>
#include <span>

#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"
#include "backends/cpu/requantize.h"
#include "ir/op.h"
#include "kernels/matmul_s16/matmul_s16.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_channel_group = 16;  // as many as a pitch is rounded up to: no padding between neighbours

// Steps that read and write the channels of their values and nothing between them, at any pitch.
constexpr std::string_view k_makers[] = {"QuantConv", "MaxPool",  "QuantAveragePool", "QuantLookup",
                                         "QuantAdd",  "QuantMul", "DepthToSpace",     "Concat"};
constexpr std::string_view k_readers[] = {"QuantConv",   "MaxPool",  "QuantAveragePool", "QuantGlobalAveragePool",
                                          "QuantLookup", "QuantAdd", "QuantMul",         "Concat"};

bool is_in(std::span<const std::string_view> ops, const Node& node) {
  return std::find(ops.begin(), ops.end(), node.op->name) != ops.end();
}

std::optional<Dims> image_dims(const Graph& graph, ValueId v) {
  const Value& value = graph.value(v);
  if (!value.shape || value.shape->size() != 4) return std::nullopt;
  return known_dims(*value.shape);
}

bool is_channel_concat(const Node& node) {
  const int64_t axis = int_attribute(node, "axis", 0);
  return is_op(node, "Concat") && (axis == 1 || axis == -3);
}

/// A residual is read at its natural pitch only.
bool reads_any_pitch(const Node& node, ValueId v) {
  if (!is_in(k_readers, node)) return false;
  return !is_op(node, "QuantConv") ||
         (node.inputs[0] == v && std::count(node.inputs.begin(), node.inputs.end(), v) == 1);
}

/// Everything that a value must be to lie in a concatenation, whichever it is.
bool may_be_joined(const Graph& graph, const Uses& uses, ValueId v) {
  const auto at = static_cast<size_t>(v);
  const std::optional<Dims> dims = image_dims(graph, v);
  if (!dims || element_count(*dims).value_or(0) <= 0 || (*dims)[1] % k_channel_group != 0 ||
      !is_code(graph.value(v).dtype) || uses.producer[at] < 0 || uses.is_output[at])
    return false;
  const Node& maker = graph.node(uses.producer[at]);
  return is_in(k_makers, maker) && maker.outputs.size() == 1 &&
         std::all_of(uses.consumers[at].begin(), uses.consumers[at].end(),
                     [&](NodeId reader) { return reads_any_pitch(graph.node(reader), v); }) &&
         layout_of(graph, v).is_nhwc();
}

/// The first Concat along the channels that reads v; -1 = none.
NodeId concat_of(const Graph& graph, const Uses& uses, ValueId v) {
  for (const NodeId reader : uses.consumers[static_cast<size_t>(v)])
    if (is_channel_concat(graph.node(reader))) return reader;
  return -1;
}

bool are_all(const Node& node, const std::string& attribute, int64_t value) {
  const std::vector<int64_t> values = ints_attribute(node, attribute, {});
  return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == value; });
}

/// A QuantConv on the fast kernels whose output pixel i reads input pixel i. Weights are [oc, ic / group, 1, 1].
bool is_pixel_by_pixel(const Graph& graph, const Node& node) {
  if (!is_op(node, "QuantConv") || node.outputs.size() != 1) return false;
  const Tensor* const weights = graph.constant(node.inputs[1]);
  if (!weights || weights->dims().size() != 4 || weights->dims()[2] != 1 || weights->dims()[3] != 1) return false;
  for (size_t i = 2; i < std::min<size_t>(node.inputs.size(), 4); ++i)
    if (node.inputs[i] != k_absent && !graph.constant(node.inputs[i])) return false;
  return are_all(node, "strides", 1) && are_all(node, "pads", 0) &&
         string_attribute(node, "auto_pad", "NOTSET") == "NOTSET";
}

/// A convolution of all channels that does the scales in front of it on the pixels that it fetches.
bool scales_pixels(const Graph& graph, const Node& node) {
  return is_pixel_by_pixel(graph, node) && int_attribute(node, "group", 1) == 1;
}

/// An average pool that meets no row of its input twice, and no padding, and so scales the rows of a window itself.
bool scales_rows(const Node& node) {
  const std::vector<int64_t> kernel = ints_attribute(node, "kernel_shape", {}),
                             strides = ints_attribute(node, "strides", {1, 1});
  return is_op(node, "QuantAveragePool") && kernel.size() == 2 && strides.size() == 2 && kernel[0] <= strides[0] &&
         are_all(node, "pads", 0) && are_all(node, "dilations", 1) && int_attribute(node, "ceil_mode", 0) == 0 &&
         string_attribute(node, "auto_pad", "NOTSET") == "NOTSET";
}

/// Codes times a scale plus a shift per channel: form 2, at most one pixel of residual codes.
bool is_scaling(const Graph& graph, const Node& node) {
  if (!is_pixel_by_pixel(graph, node)) return false;
  const Dims& weights = graph.constant(node.inputs[1])->dims();
  const int64_t channels = weights[0];
  if (channels < 2 || int_attribute(node, "group", 1) != channels || weights[1] != 1 || output_form(node).on_values)
    return false;
  if (node.inputs.size() < 5 || node.inputs[4] == k_absent) return true;
  const Tensor* const residual = graph.constant(node.inputs[4]);
  return residual && residual->dims() == Dims{1, channels, 1, 1};
}

/// A value of rank 4 in the order of its dims: no image.
bool is_dense_heads(const Graph& graph, ValueId v) {
  const std::optional<Dims> dims = image_dims(graph, v);
  if (!dims || element_count(*dims).value_or(0) <= 0) return false;
  const Layout layout = layout_of(graph, v);
  return !layout.is_nhwc() && layout.strides == row_major_strides(layout.dims);
}

/// A product of codes that takes v with these strides as fast as a copy: rows of fours of k, or columns of them.
bool reads_view(const Node& node, ValueId v, const Dims& dims, const Dims& strides) {
  if (!is_op(node, "QuantMatMul") || node.inputs[0] == node.inputs[1]) return false;
  const int64_t row = strides[2], column = strides[3];
  if (v == node.inputs[0]) return column == 1 && dims[3] % 4 == 0;
  return dims[2] % 4 == 0 && (column == 1 || row == 1);
}

}  // namespace

Neighbours::Neighbours(const Graph& graph, Isa isa, size_t l2_bytes)
    : joined_(graph.values.size()),
      host_pitch_(graph.values.size(), 0),
      first_made_(graph.values.size(), k_absent),
      view_strides_(graph.values.size()),
      scaling_(graph.nodes.size(), -1),
      strips_of_(graph.nodes.size(), -1),
      row_chain_of_(graph.nodes.size(), -1),
      done_by_(graph.nodes.size(), -1) {
  const Uses uses(graph);
  find_joined(graph, uses);
  strips_ = find_strips(graph, uses, isa, l2_bytes);
  for (size_t i = 0; i < strips_.size(); ++i) {
    strips_of_[static_cast<size_t>(strips_[i].last())] = static_cast<int32_t>(i);
    for (const NodeId id : {strips_[i].expand, strips_[i].depthwise})
      if (id >= 0 && id != strips_[i].last()) done_by_[static_cast<size_t>(id)] = strips_[i].last();
  }
  if (matmul_s16_kernels(isa).multiply_quads) find_views(graph, uses);
  row_chains_ = find_row_chains(graph, uses, isa);
  for (size_t i = 0; i < row_chains_.size(); ++i) {
    const RowChain& chain = row_chains_[i];
    row_chain_of_[static_cast<size_t>(chain.last())] = static_cast<int32_t>(i);
    for (const NodeId id : {chain.before, chain.rows})
      if (id >= 0 && id != chain.last()) done_by_[static_cast<size_t>(id)] = chain.last();
  }
  if (isa != Isa::scalar && isa != Isa::amx) find_scalings(graph, uses);
}

/// Nodes backwards: where a concatenation lies itself is known before its parts are looked at.
void Neighbours::find_joined(const Graph& graph, const Uses& uses) {
  for (auto id = static_cast<NodeId>(graph.nodes.size()) - 1; id >= 0; --id) {
    const Node& concat = graph.node(id);
    if (!is_channel_concat(concat)) continue;
    const ValueId whole = concat.outputs[0];
    if (!layout_of(graph, whole).is_nhwc()) continue;
    const JoinedPlace& own = joined_[static_cast<size_t>(whole)];
    const JoinedPlace place = own.host == k_absent ? JoinedPlace{whole, 0} : own;
    int64_t channel = 0;
    for (const ValueId part : concat.inputs) {
      const std::optional<Dims> dims = image_dims(graph, part);
      if (!dims) break;
      const bool is_lone = std::count(concat.inputs.begin(), concat.inputs.end(), part) == 1;
      if (is_lone && channel % k_channel_group == 0 && concat_of(graph, uses, part) == id &&
          may_be_joined(graph, uses, part)) {
        joined_[static_cast<size_t>(part)] = {place.host, place.channel + channel};
        host_pitch_[static_cast<size_t>(part)] = layout_of(graph, place.host).pitch();
      }
      channel += (*dims)[1];
    }
  }
  for (const Node& node : graph.nodes) {
    const ValueId v = node.outputs.empty() ? k_absent : node.outputs[0];
    if (v == k_absent) continue;
    const ValueId host = joined_[static_cast<size_t>(v)].host;
    ValueId& first = first_made_[static_cast<size_t>(host == k_absent ? v : host)];
    if (first == k_absent) first = v;
  }
}

void Neighbours::find_scalings(const Graph& graph, const Uses& uses) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    const Node& node = graph.node(id);
    if (!scales_pixels(graph, node) && !scales_rows(node)) continue;
    const NodeId before = uses.producer[static_cast<size_t>(node.inputs[0])];
    if (before < 0 || !uses.single_use(node.inputs[0]) || !is_scaling(graph, graph.node(before))) continue;
    const ValueId source = graph.node(before).inputs[0];
    if (graph.constant(source) || !image_dims(graph, source) || !layout_of(graph, source).is_nhwc() ||
        borrows_input(graph, source))
      continue;
    scaling_[static_cast<size_t>(id)] = before;
    done_by_[static_cast<size_t>(before)] = id;
  }
}

void Neighbours::find_views(const Graph& graph, const Uses& uses) {
  for (const Node& node : graph.nodes) {
    if (!is_op(node, "Transpose")) continue;
    const ValueId x = node.inputs[0], y = node.outputs[0];
    const std::vector<int64_t> perm = ints_attribute(node, "perm", {});
    if (perm.size() != 4 || perm[0] != 0 || !is_code(graph.value(y).dtype) || !is_dense_heads(graph, x) ||
        !is_dense_heads(graph, y) || uses.producer[static_cast<size_t>(x)] < 0 || is_constant(graph, x) ||
        uses.is_output[static_cast<size_t>(x)] || uses.is_output[static_cast<size_t>(y)] || is_view(x))
      continue;
    const Layout from = layout_of(graph, x);
    Dims dims(4), strides(4);
    for (size_t i = 0; i < 4; ++i) {
      dims[i] = from.dims[static_cast<size_t>(perm[i])];
      strides[i] = from.strides[static_cast<size_t>(perm[i])];
    }
    const std::vector<NodeId>& readers = uses.consumers[static_cast<size_t>(y)];
    const bool is_fit = std::all_of(readers.begin(), readers.end(),
                                    [&](NodeId reader) { return reads_view(graph.node(reader), y, dims, strides); });
    if (is_fit && !readers.empty()) view_strides_[static_cast<size_t>(y)] = strides;
  }
}

std::optional<JoinedPlace> Neighbours::joined(ValueId value) const {
  const JoinedPlace& place = joined_[static_cast<size_t>(value)];
  return place.host == k_absent ? std::nullopt : std::optional(place);
}

Layout Neighbours::layout(const Graph& graph, ValueId value) const {
  Layout layout = layout_of(graph, value);
  if (is_view(value)) {
    // The batch, the first dim on either side, may be another than where the view was found; its stride is the same.
    layout.strides = view_strides_[static_cast<size_t>(value)];
    return layout;
  }
  if (!joined(value)) return layout;
  const int64_t pitch = host_pitch_[static_cast<size_t>(value)], width = layout.dims[3];
  layout.strides = {layout.pixels() * pitch, 1, width * pitch, pitch};
  layout.elements = layout.batch() * layout.pixels() * pitch;
  return layout;
}

ValueId Neighbours::shared(const Graph& graph, NodeId node) const {
  const ValueId v = graph.node(node).outputs[0];
  if (v == k_absent) return k_absent;
  if (is_view(v)) return graph.node(node).inputs[0];
  const JoinedPlace& place = joined_[static_cast<size_t>(v)];
  const ValueId first = first_made_[static_cast<size_t>(place.host == k_absent ? v : place.host)];
  if (first != k_absent && first != v) return first;
  return place.host == k_absent ? reshape_alias(graph, graph.node(node)) : k_absent;
}

ValueId Neighbours::overwritten(const Graph& graph, NodeId node) const {
  const ValueId residual = overwritten_residual(graph, graph.node(node));
  if (residual == k_absent || joined(residual) || joined(graph.node(node).outputs[0])) return k_absent;
  return residual;
}

const Strips* Neighbours::strips_of(NodeId last) const {
  const int32_t at = strips_of_[static_cast<size_t>(last)];
  return at < 0 ? nullptr : &strips_[static_cast<size_t>(at)];
}

const RowChain* Neighbours::row_chain_of(NodeId last) const {
  const int32_t at = row_chain_of_[static_cast<size_t>(last)];
  return at < 0 ? nullptr : &row_chains_[static_cast<size_t>(at)];
}

ValueId Neighbours::read_beside(const Graph& graph, NodeId node) const {
  if (const RowChain* const chain = row_chain_of(node)) return graph.node(chain->first()).inputs[0];
  if (const Strips* const strips = strips_of(node)) return graph.node(strips->first()).inputs[0];
  const NodeId scaling = scaling_before(node);
  return scaling < 0 ? k_absent : graph.node(scaling).inputs[0];
}

}  // namespace octet::cpu
