// Writes quantization into a clean float graph: placement.h decides where, choose_codes.h and weight_codes.h how, this
// file inserts the nodes. Every value that becomes codes gets one QuantizeLinear and one DequantizeLinear; its integer
// readers, and its float readers where the layer before ends in codes, read the latter.
//
// Per-channel activations (on request) are the toolkit's fake quantization: where convolutions alone read a value as
// codes, its pair has one scale for each channel (axis 1). No integer layer takes such codes, because its sum runs over
// the channels, so these convolutions run in float between the pairs.

#include <algorithm>
#include <cstdio>
#include <map>
#include <unordered_map>

#include "passes/choose_codes.h"
#include "passes/passes.h"
#include "passes/placement.h"
#include "passes/weight_codes.h"

namespace octet {
namespace {

// A shared scale that costs a value less than a tenth of a bit is not worth a line.
constexpr double k_notable_ratio = 1.05;

std::string decimal(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", x);
  return text;
}

class Quantizer {
 public:
  Quantizer(Graph& graph, const CalibrationTable& ranges, const QuantizeOptions& options)
      : graph_(graph), options_(options), editor_(graph) {
    for (const TensorRange& row : ranges.tensors) ranges_.emplace(row.name, &row);
  }

  Result<QuantizeReport> run() {
    Result<std::vector<bool>> keep = keep_float();
    if (!keep) return keep.error();
    if (Result<Done> known = check_float_values(); !known) return known.error();
    const std::function<bool(ValueId)> has_range = [&](ValueId v) {
      return range_of(v) && !is_absurd(v) && !options_.float_values.contains(graph_.value(v).name);
    };
    never_negative_ = never_negative(graph_);
    do {
      placement_ = place(editor_, has_range, *keep);
      choose_params();
    } while (leave_in_float(*keep));
    if (options_.per_channel) choose_channels();
    report_nodes();
    const auto values = static_cast<ValueId>(graph_.values.size());
    for (ValueId v = 0; v < values; ++v)
      if (placement_.wanted[index(v)]) insert_pair(v);
    for (NodeId id = 0; id < editor_.node_count(); ++id)
      if (placement_.int8[index(id)] && editor_.node(id).op->quant.role == QuantRole::weighted &&
          graph_.constant(editor_.node(id).inputs[1]))
        quantize_layer(id);
    editor_.finish();
    if (Result<Done> ok = infer_shapes(graph_); !ok) return within("after quantization", ok.error());
    compact(graph_);
    if (Result<Done> ok = verify(graph_); !ok) return within("after quantization", ok.error());
    return std::move(report_);
  }

 private:
  static size_t index(int32_t id) { return static_cast<size_t>(id); }

  Result<std::vector<bool>> keep_float() const {
    std::vector<bool> keep(graph_.nodes.size(), false);
    for (const std::string& name : options_.keep_float) {
      bool found = false;
      for (size_t id = 0; id < keep.size(); ++id) {
        if (label(graph_, graph_.nodes[id]) != name) continue;
        keep[id] = found = true;
      }
      if (!found)
        return Error{
            ErrorCode::bad_argument,
            "cannot keep node '" + name + "' in float: the graph has no node of this name; `octet inspect` lists them"};
    }
    return keep;
  }

  Result<Done> check_float_values() const {
    for (const std::string& name : options_.float_values)
      if (std::none_of(graph_.values.begin(), graph_.values.end(), [&](const Value& v) { return v.name == name; }))
        return Error{ErrorCode::bad_argument, "cannot leave tensor '" + name + "' in float: the graph has none of it"};
    return Done{};
  }

  /// An average that the table does not know (another program's cache, whose network averages elsewhere) has the range
  /// of what it is an average of, which it cannot leave.
  const ChosenRange* range_of(ValueId v) const {
    const auto at = ranges_.find(graph_.value(v).name);
    if (at != ranges_.end()) return &at->second->range(options_.method);
    const NodeId maker = editor_.producer(v);
    const bool is_average = maker >= 0 && editor_.node(maker).op->quant.role == QuantRole::pool_average;
    return is_average ? range_of(editor_.node(maker).inputs[0]) : nullptr;
  }

  /// So wide that its scale would lie above the largest (weight_codes.h): a mask of -1e20 or an overflow.
  bool is_absurd(ValueId v) const {
    const ChosenRange& r = *range_of(v);
    return !(std::max({r.amax, -r.lo, r.hi}) <= 127.0f * k_largest_scale);
  }

  void report_nodes() {
    for (size_t id = 0; id < graph_.nodes.size(); ++id) {
      const Node& node = graph_.nodes[id];
      std::string decision = placement_.decision[id];
      if (decision.empty()) continue;
      const auto obstacle = obstacles_.find(static_cast<NodeId>(id));
      if (obstacle != obstacles_.end()) decision = obstacle->second;
      const bool fake = is_fake(static_cast<NodeId>(id));
      if (fake)
        decision = takes_channels(node) ? "fake: one scale a channel of its input; runs in float"
                                        : "float, as the layer before it";
      report_.rows.push_back({label(graph_, node), std::string(node.op->name), decision});
      ++report_.total;
      if (placement_.int8[id] && !fake) ++report_.quantized;
    }
    for (ValueId v = 0; v < static_cast<ValueId>(graph_.values.size()); ++v)
      if (range_of(v) && is_absurd(v))
        report_.notes.push_back("'" + graph_.value(v).name + "': its range goes beyond 127 * 2^33; it stays float");
  }

  /// A convolution that reads an input with one scale a channel.
  bool takes_channels(const Node& node) const { return is_op(node, "Conv") && channels_.contains(node.inputs[0]); }

  /// Such a convolution, or what placement would have fused into it.
  bool is_fake(NodeId id) const {
    const Node& node = editor_.node(id);
    if (takes_channels(node)) return true;
    const std::string decision = placement_.decision[index(id)] + " ";
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId v) {
      const NodeId host = v == k_absent ? -1 : editor_.producer(v);
      return host >= 0 && decision.starts_with("fused into " + label(graph_, editor_.node(host)) + " ") &&
             is_fake(host);
    });
  }

  /// Codes of all layers that are int8; those whose scales would not fit become float. Whether there were any.
  bool leave_in_float(std::vector<bool>& keep) {
    layers_.clear();
    bool found = false;
    for (NodeId id = 0; id < editor_.node_count(); ++id) {
      const Node& node = editor_.node(id);
      if (!placement_.int8[index(id)] || node.op->quant.role != QuantRole::weighted || !graph_.constant(node.inputs[1]))
        continue;
      WeightCodes codes =
          quantize_weight(*graph_.constant(node.inputs[1]), biases_of(node), params_of(node.inputs[0]).scale);
      const std::string obstacle = scale_obstacle(codes);
      if (obstacle.empty()) {
        layers_.emplace(id, std::move(codes));
        continue;
      }
      obstacles_[id] = obstacle;
      keep[index(id)] = found = true;
    }
    return found;
  }

  std::span<const float> biases_of(const Node& node) const {
    if (input(node, 2) == k_absent) return {};
    return graph_.constant(node.inputs[2])->as<float>();
  }

  void choose_channels() {
    int64_t without = 0;
    const auto values = static_cast<ValueId>(placement_.wanted.size());
    std::map<ValueId, int> group_size;
    for (ValueId v = 0; v < values; ++v)
      if (placement_.wanted[index(v)]) ++group_size[placement_.group[index(v)]];
    for (ValueId v = 0; v < values; ++v) {
      if (!placement_.wanted[index(v)]) continue;
      const std::optional<ChannelParams> params =
          group_size[placement_.group[index(v)]] == 1 && only_convolutions_take(v) ? channel_params_of(v)
                                                                                   : std::nullopt;
      if (params) {
        channels_.emplace(v, *params);
      } else {
        ++without;
      }
    }
    report_.notes.push_back("per channel: " + std::to_string(channels_.size()) + " activations, " +
                            std::to_string(without) +
                            " keep one scale (not read by convolutions alone, or their ends are not in the table)");
  }

  bool only_convolutions_take(ValueId v) const {
    const std::vector<NodeId>& readers = editor_.readers(v);
    return std::all_of(readers.begin(), readers.end(), [&](NodeId reader) {
      const Node& node = editor_.node(reader);
      return placement_.takes[index(reader)].empty() || (is_op(node, "Conv") && node.inputs[0] == v);
    });
  }

  std::optional<ChannelParams> channel_params_of(ValueId v) const {
    const auto at = ranges_.find(graph_.value(v).name);
    if (at == ranges_.end() || !at->second->channels || !graph_.value(v).shape) return std::nullopt;
    const ChannelRanges& ends = *at->second->channels;
    const auto axis = static_cast<size_t>(ends.axis);
    if (ends.axis != 1 || graph_.value(v).shape->size() < 2 ||
        extent(graph_.value(v), axis) != static_cast<int64_t>(ends.max.size()))
      return std::nullopt;
    return channel_params(ends, never_negative_[index(v)]);
  }

  /// One range for each group of values with one scale; a note where sharing makes a value's own step coarser.
  void choose_params() {
    params_.clear();
    report_.notes.clear();
    std::map<ValueId, std::vector<ValueId>> groups;
    for (size_t v = 0; v < placement_.wanted.size(); ++v)
      if (placement_.wanted[v]) groups[placement_.group[v]].push_back(static_cast<ValueId>(v));
    for (const auto& [root, members] : groups) {
      std::optional<CodeRange> all;
      for (const ValueId v : members) {
        const std::optional<CodeRange> own = own_range(v);
        if (own) all = all ? merged(*all, *own) : *own;
      }
      if (!all) all = range_beside(root);
      if (is_dead(*all))
        report_.notes.push_back("'" + graph_.value(members.front()).name +
                                "': no value was seen but 0; scale 1/127 or 1/255");
      params_[root] = choose_codes(*all, options_.target);
      if (members.size() > 1) note_shared(members, params_[root]);
    }
  }

  std::optional<CodeRange> own_range(ValueId v) const {
    const ChosenRange* range = range_of(v);
    return range ? std::optional(code_range(*range, never_negative_[index(v)])) : std::nullopt;
  }

  /// The range of a value of the group that is moved but not wanted itself.
  CodeRange range_beside(ValueId root) const {
    for (size_t v = 0; v < placement_.group.size(); ++v)
      if (placement_.group[v] == root)
        if (const std::optional<CodeRange> range = own_range(static_cast<ValueId>(v))) return *range;
    return {};
  }

  void note_shared(const std::vector<ValueId>& members, const CodeParams& params) {
    std::string names;
    double worst = 1.0;
    for (const ValueId v : members) {
      names += (names.empty() ? "'" : ", '") + graph_.value(v).name + "'";
      const std::optional<CodeRange> own = own_range(v);
      if (own && !is_dead(*own))
        worst = std::max(worst, double{params.scale} / double{choose_codes(*own, options_.target).scale});
    }
    if (worst < k_notable_ratio) return;
    report_.notes.push_back("one scale for " + names + ": steps up to " + decimal(worst) + " times a value's own");
  }

  const CodeParams& params_of(ValueId v) const { return params_.at(placement_.group[index(v)]); }

  static Tensor zero_point(const CodeParams& params) {
    const auto u8 = static_cast<uint8_t>(params.zero_point);
    const auto s8 = static_cast<int8_t>(params.zero_point);
    return params.dtype == DType::u8 ? Tensor::from<uint8_t>(DType::u8, {}, std::span(&u8, 1))
                                     : Tensor::from<int8_t>(DType::s8, {}, std::span(&s8, 1));
  }

  /// Whether reader number i of v takes the dequantized value.
  bool reads_codes(NodeId reader, size_t i, bool ends_in_codes) const {
    const std::vector<size_t>& takes = placement_.takes[index(reader)];
    return ends_in_codes || std::find(takes.begin(), takes.end(), i) != takes.end();
  }

  void insert_pair(ValueId v) {
    CodeParams params = params_of(v);
    const std::string base = graph_.value(v).name;
    const auto channels = channels_.find(v);
    Tensor scales = scalar_f32(params.scale), zeros = zero_point(params);
    Attributes along;
    if (channels != channels_.end()) {
      params.dtype = channels->second.dtype;
      const auto n = static_cast<int64_t>(channels->second.scale.size());
      scales = f32_tensor({n}, channels->second.scale);
      const std::vector<uint8_t> codes(static_cast<size_t>(n), 0);
      zeros = Tensor::from<uint8_t>(params.dtype, {n}, codes);
      along["axis"] = int64_t{1};
    }
    const NodeId maker = editor_.producer(v);
    // A network output is float anyway, so float readers may have it as it is.
    const bool ends_in_codes = maker >= 0 && placement_.int8[index(maker)] && !editor_.is_output(v);
    const ValueId scale = editor_.add_constant(base + "_scale", scales);
    const ValueId zero = editor_.add_constant(base + "_zero_point", zeros);
    const ValueId q = editor_.add_value(base + "_quantized", params.dtype, graph_.value(v).shape);
    const ValueId d = editor_.add_value(base + "_dequantized", v);
    const std::vector<NodeId> readers = editor_.readers(v);
    for (const NodeId reader : readers)
      for (size_t i = 0; i < editor_.node(reader).inputs.size(); ++i)
        if (editor_.node(reader).inputs[i] == v && reads_codes(reader, i, ends_in_codes))
          editor_.set_input(reader, i, d);
    const NodeId anchor = maker + 1;
    editor_.insert_before(anchor,
                          make_node("QuantizeLinear", node_name(base, "QuantizeLinear"), {v, scale, zero}, {q}, along));
    editor_.insert_before(
        anchor, make_node("DequantizeLinear", node_name(base, "DequantizeLinear"), {q, scale, zero}, {d}, along));
  }

  std::string node_name(const std::string& base, const std::string& op) const {
    return unique_node_name(graph_, base + "_" + op);
  }

  void quantize_layer(NodeId id) {
    const Node node = editor_.node(id);
    const Node* dequantize = editor_.producer(node.inputs[0], "DequantizeLinear");
    const std::optional<float> x_scale = scalar_constant(graph_, dequantize->inputs[1]);  // none: one a channel
    const Tensor bias = input(node, 2) == k_absent ? Tensor() : *graph_.constant(node.inputs[2]);
    const WeightCodes& codes = layers_.at(id);
    if (!codes.weak.empty())
      report_.notes.push_back(label(graph_, node) + ": " + std::to_string(codes.weak.size()) + " of " +
                              std::to_string(codes.scale.size()) + " channels are weak, the first is " +
                              std::to_string(codes.weak.front()) + "; their scales were raised");
    const auto channels = static_cast<int64_t>(codes.scale.size());
    const std::vector<int8_t> zeros(codes.scale.size(), 0);
    const std::string base = graph_.value(node.inputs[1]).name;
    const ValueId scale = editor_.add_constant(base + "_scale", f32_tensor({channels}, codes.scale));
    const ValueId zero = editor_.add_constant(base + "_zero_point", Tensor::from<int8_t>(DType::s8, {channels}, zeros));
    insert_dequantized(id, 1, editor_.add_constant(base + "_quantized", codes.codes), {scale, zero});
    if (bias.size() && x_scale) quantize_layer_bias(id, quantize_bias(bias.as<float>(), *x_scale, codes.scale));
  }

  void quantize_layer_bias(NodeId id, const BiasCodes& bias) {
    const std::string base = graph_.value(editor_.node(id).inputs[2]).name;
    const auto channels = static_cast<int64_t>(bias.scale.size());
    if (options_.target == Target::tensorrt) {  // it takes no int32 biases: the same numbers as float
      std::vector<float> real;
      for (int64_t c = 0; c < channels; ++c)
        real.push_back(static_cast<float>(bias.codes.at<int32_t>(c)) * bias.scale[static_cast<size_t>(c)]);
      return editor_.set_input(id, 2, editor_.add_constant(base + "_on_grid", f32_tensor({channels}, real)));
    }
    const ValueId codes = editor_.add_constant(base + "_quantized", bias.codes);
    insert_dequantized(id, 2, codes, {editor_.add_constant(base + "_scale", f32_tensor({channels}, bias.scale))});
  }

  /// Input i of the node becomes DequantizeLinear(codes, params...) along axis 0.
  void insert_dequantized(NodeId id, size_t i, ValueId codes, const std::vector<ValueId>& params) {
    const ValueId old = editor_.node(id).inputs[i];
    const std::string base = graph_.value(old).name;
    const ValueId d = editor_.add_value(base + "_dequantized", old);
    std::vector<ValueId> inputs{codes};
    inputs.insert(inputs.end(), params.begin(), params.end());
    editor_.insert_before(
        id, make_node("DequantizeLinear", node_name(base, "DequantizeLinear"), inputs, {d}, {{"axis", int64_t{0}}}));
    editor_.set_input(id, i, d);
  }

  Graph& graph_;
  const QuantizeOptions& options_;
  Editor editor_;
  std::unordered_map<std::string, const TensorRange*> ranges_;  // only asked, never iterated
  Placement placement_;
  std::vector<bool> never_negative_;
  std::map<ValueId, CodeParams> params_;       // by group
  std::map<ValueId, ChannelParams> channels_;  // by value, on request
  std::map<NodeId, WeightCodes> layers_;
  std::map<NodeId, std::string> obstacles_;  // why a layer is float that placement would have made int8
  QuantizeReport report_;
};

}  // namespace

Result<QuantizeReport> quantize(Graph& graph, const CalibrationTable& ranges, const QuantizeOptions& options) {
  for (const Node& node : graph.nodes)
    if (is_any(node, {"QuantizeLinear", "DequantizeLinear"}))
      return Error{ErrorCode::bad_argument, "the graph is quantized already: '" + label(graph, node) + "' is a " +
                                                std::string(node.op->name) + "; quantize the float model instead"};
  if (options.per_channel && options.target == Target::tensorrt)
    return Error{ErrorCode::bad_argument,
                 "TensorRT takes one scale an activation: per-channel activations are for the target octet"};
  if (options.per_channel && std::none_of(ranges.tensors.begin(), ranges.tensors.end(),
                                          [](const TensorRange& row) { return row.channels.has_value(); }))
    return Error{
        ErrorCode::bad_argument,
        "the ranges hold no ends of channels; calibrate with --per-channel (other programs' caches have none)"};
  return Quantizer(graph, ranges, options).run();
}

}  // namespace octet
