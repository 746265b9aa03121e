// Writes quantization into a clean float graph: placement.h decides where, choose_codes.h and weight_codes.h how, this
// file inserts the nodes. Every value that becomes codes gets one QuantizeLinear and one DequantizeLinear; its integer
// readers, and its float readers where the layer before ends in codes, read the latter.

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
    const std::function<bool(ValueId)> has_range = [&](ValueId v) { return range_of(v) != nullptr; };
    placement_ = place(editor_, has_range, *keep);
    never_negative_ = never_negative(graph_);
    report_nodes();
    choose_params();
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

  const ChosenRange* range_of(ValueId v) const {
    const auto at = ranges_.find(graph_.value(v).name);
    return at == ranges_.end() ? nullptr : &at->second->range(options_.method);
  }

  void report_nodes() {
    for (size_t id = 0; id < graph_.nodes.size(); ++id) {
      const Node& node = graph_.nodes[id];
      if (placement_.decision[id].empty()) continue;
      report_.rows.push_back({label(graph_, node), std::string(node.op->name), placement_.decision[id]});
      ++report_.total;
      if (placement_.int8[id]) ++report_.quantized;
    }
  }

  /// One range for each group of values with one scale; a note where sharing makes a value's own step coarser.
  void choose_params() {
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
    const CodeParams params = params_of(v);
    const std::string base = graph_.value(v).name;
    const NodeId maker = editor_.producer(v);
    // A network output is float anyway, so float readers may have it as it is.
    const bool ends_in_codes = maker >= 0 && placement_.int8[index(maker)] && !editor_.is_output(v);
    const ValueId scale = editor_.add_constant(base + "_scale", scalar_f32(params.scale));
    const ValueId zero = editor_.add_constant(base + "_zero_point", zero_point(params));
    const ValueId q = editor_.add_value(base + "_quantized", params.dtype, graph_.value(v).shape);
    const ValueId d = editor_.add_value(base + "_dequantized", v);
    const std::vector<NodeId> readers = editor_.readers(v);
    for (const NodeId reader : readers)
      for (size_t i = 0; i < editor_.node(reader).inputs.size(); ++i)
        if (editor_.node(reader).inputs[i] == v && reads_codes(reader, i, ends_in_codes))
          editor_.set_input(reader, i, d);
    const NodeId anchor = maker + 1;
    editor_.insert_before(anchor,
                          make_node("QuantizeLinear", node_name(base, "QuantizeLinear"), {v, scale, zero}, {q}));
    editor_.insert_before(anchor,
                          make_node("DequantizeLinear", node_name(base, "DequantizeLinear"), {q, scale, zero}, {d}));
  }

  std::string node_name(const std::string& base, const std::string& op) const {
    return unique_node_name(graph_, base + "_" + op);
  }

  void quantize_layer(NodeId id) {
    const Node node = editor_.node(id);
    const Node* dequantize = editor_.producer(node.inputs[0], "DequantizeLinear");
    const float x_scale = *scalar_constant(graph_, dequantize->inputs[1]);
    const Tensor weight = *graph_.constant(node.inputs[1]);
    const Tensor bias = input(node, 2) == k_absent ? Tensor() : *graph_.constant(node.inputs[2]);
    const std::span<const float> biases = bias.size() ? bias.as<float>() : std::span<const float>();
    const WeightCodes codes = quantize_weight(weight, biases, x_scale);
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
    if (bias.size()) quantize_layer_bias(id, quantize_bias(biases, x_scale, codes.scale));
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
  std::map<ValueId, CodeParams> params_;  // by group
  QuantizeReport report_;
};

}  // namespace

Result<QuantizeReport> quantize(Graph& graph, const CalibrationTable& ranges, const QuantizeOptions& options) {
  for (const Node& node : graph.nodes)
    if (is_any(node, {"QuantizeLinear", "DequantizeLinear"}))
      return Error{ErrorCode::bad_argument, "the graph is quantized already: '" + label(graph, node) + "' is a " +
                                                std::string(node.op->name) + "; quantize the float model instead"};
  return Quantizer(graph, ranges, options).run();
}

}  // namespace octet
