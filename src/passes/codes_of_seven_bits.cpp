// src/passes/codes_of_seven_bits.cpp: s8 codes with zero point 0 that are never negative (behind Relu, or Clip from 0)
// become u8 codes of the same numbers, up to 127: no back end shifts them, and AVX2 multiplies them exactly in pairs. A
// value changes where its maker clamps it so, only moves or selects such codes, or looks none but such codes up, and
// all its readers take u8 codes in place of s8 ones.

#include <algorithm>
#include <cmath>
#include <span>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

constexpr float k_most = 127;

template <size_t N>
bool is_one_of(const Node& node, const std::string_view (&ops)[N]) {
  return std::find(std::begin(ops), std::end(ops), node.op->name) != std::end(ops);
}

/// Makes its codes by clamping.
bool makes_codes(const Node& node) {
  constexpr std::string_view k_ops[] = {"QuantConv", "QuantGemm", "QuantMatMul", "QuantAdd", "QuantMul"};
  return is_one_of(node, k_ops);
}

/// Its output's codes are some of its first input's, or of all inputs'.
bool passes_codes_on(const Node& node) {
  constexpr std::string_view k_ops[] = {"MaxPool", "Reshape", "Flatten",   "Squeeze", "Unsqueeze",
                                        "Slice",   "Gather",  "Transpose", "Concat",  "Split"};
  return is_one_of(node, k_ops);
}

/// Reads v with a negative zero point, which u8 codes have not: a table may make codes of such that are none.
bool has_negative_zero_point(const Graph& graph, const Node& node, ValueId v) {
  if (is_op(node, "DequantizeLinear") && node.inputs.size() > 2 && node.inputs[2] != k_absent) {
    const Tensor* const zeros = graph.constant(node.inputs[2]);
    if (!zeros || zeros->dtype() != DType::s8) return true;
    return std::ranges::any_of(zeros->as<int8_t>(), [](int8_t zero) { return zero < 0; });
  }
  constexpr std::pair<const char*, size_t> k_operands[] = {{"x", 0}, {"a", 0}, {"b", 1}, {"residual", 4}};
  return std::ranges::any_of(k_operands, [&](const auto& operand) {
    const auto& [prefix, input] = operand;
    return input < node.inputs.size() && node.inputs[input] == v &&
           int_attribute(node, std::string(prefix) + "_zero_point", 0) < 0;
  });
}

/// Reads v, codes, as the numbers that they are, whatever their dtype.
bool reads_numbers(const Graph& graph, const Node& node, ValueId v) {
  constexpr std::string_view k_ops[] = {"QuantAveragePool", "QuantGlobalAveragePool", "QuantLookup",
                                        "DequantizeLinear"};
  const bool has_weights = is_op(node, "QuantConv") || is_op(node, "QuantGemm");
  if (has_negative_zero_point(graph, node, v)) return false;
  return (makes_codes(node) && !(has_weights && node.inputs[1] == v)) || is_one_of(node, k_ops);
}

/// Its output's codes are entries of a table that is known.
bool looks_codes_up(const Graph& graph, const Node& node) {
  return is_op(node, "QuantLookup") && constant_of(graph, node.inputs[1], DType::s8);
}

/// No entry of the node's table is negative; of those for codes of seven bits, or of all.
bool has_table_of_such(const Graph& graph, const Node& node, bool of_seven_bits) {
  const std::span<const int8_t> entries = graph.constant(node.inputs[1])->as<int8_t>();
  const auto end = of_seven_bits ? entries.begin() + 128 : entries.end();
  return std::all_of(entries.begin(), end, [](int8_t code) { return code >= 0; });
}

size_t code_inputs(const Node& node) { return is_op(node, "Concat") ? node.inputs.size() : 1; }

bool is_codes(const Graph& graph, ValueId v) { return v != k_absent && graph.value(v).dtype == DType::s8; }

/// Bounds of a Clip that keeps the codes in [0, 127] as u8 codes, too; nothing where the node does not clamp at 0.
std::optional<ActivationCall> clip_of_seven_bits(const Node& node) {
  if (string_attribute(node, "to", "f32") != "s8" || int_attribute(node, "y_zero_point", 0) != 0) return std::nullopt;
  const std::string activation = string_attribute(node, "activation", "");
  const float scale = float_attribute(node, "y_scale", 1.0f), most = k_most * scale;
  std::vector<float> bounds = {0, most};
  if (activation == "Clip") {
    bounds = floats_attribute(node, "activation_params", {});
    if (bounds.size() != 2 || !(std::nearbyint(bounds[0] / scale) >= 0)) return std::nullopt;
    if (!(std::nearbyint(bounds[1] / scale) < k_most)) bounds[1] = most;
    if (!(bounds[0] <= bounds[1])) return std::nullopt;
  } else if (activation != "Relu") {
    return std::nullopt;
  }
  if (bounds[1] == most && std::nearbyint(most / scale) != k_most) return std::nullopt;
  return ActivationCall{"Clip", std::move(bounds)};
}

class SevenBits {
 public:
  explicit SevenBits(Editor& editor) : editor_(editor), graph_(editor.graph()), may_(graph_.values.size(), false) {}

  Changed run() {
    find_made();
    while (drop_refused()) {
    }
    Changed changed;
    for (NodeId id = 0; id < editor_.node_count(); ++id)
      if (!editor_.gone(id)) change(id, changed);
    return changed;
  }

 private:
  bool may(ValueId v) const { return v != k_absent && may_[static_cast<size_t>(v)]; }

  bool takes_only_such(const Node& node) const {
    return std::all_of(node.inputs.begin(), node.inputs.begin() + static_cast<ptrdiff_t>(code_inputs(node)),
                       [&](ValueId v) { return may(v); });
  }

  bool makes_such(const Node& node) const {
    if (makes_codes(node)) return clip_of_seven_bits(node).has_value();
    if (looks_codes_up(graph_, node)) return has_table_of_such(graph_, node, may(node.inputs[0]));
    return passes_codes_on(node) && takes_only_such(node);
  }

  /// In running order, so that what passes codes on sees what its inputs are.
  void find_made() {
    for (NodeId id = 0; id < editor_.node_count(); ++id) {
      if (editor_.gone(id)) continue;
      const Node& node = editor_.node(id);
      const bool is_such = makes_such(node);
      for (const ValueId v : node.outputs)
        if (is_such && is_codes(graph_, v) && !editor_.is_output(v)) may_[static_cast<size_t>(v)] = true;
    }
  }

  /// All outputs of a node change, or none; what passes codes on changes with its inputs.
  bool is_refused(NodeId maker, ValueId v) const {
    const Node& node = editor_.node(maker);
    if (std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId y) { return !may(y); })) return true;
    if (!makes_such(node)) return true;
    const std::vector<NodeId>& readers = editor_.readers(v);
    return std::any_of(readers.begin(), readers.end(), [&](NodeId reader) {
      const Node& to = editor_.node(reader);
      return passes_codes_on(to) ? !may(to.outputs[0]) : !reads_numbers(graph_, to, v);
    });
  }

  bool drop_refused() {
    bool dropped = false;
    for (ValueId v = 0; v < static_cast<ValueId>(may_.size()); ++v)
      if (may(v) && is_refused(editor_.producer(v), v)) may_[static_cast<size_t>(v)] = false, dropped = true;
    return dropped;
  }

  void change(NodeId id, Changed& changed) {
    if (is_op(editor_.node(id), "DequantizeLinear") && may(editor_.node(id).inputs[0])) {
      const std::string name = graph_.value(editor_.node(id).outputs[0]).name + "_zero_point";
      Node node = editor_.node(id);
      node.inputs.resize(3, k_absent);
      const Tensor* const given = graph_.constant(node.inputs[2] == k_absent ? node.inputs[1] : node.inputs[2]);
      const Dims dims = given ? given->dims() : Dims{};
      std::vector<uint8_t> zeros(static_cast<size_t>(element_count(dims).value_or(1)), 0);
      if (node.inputs[2] != k_absent) std::ranges::copy(given->as<int8_t>(), zeros.begin());
      node.inputs[2] = editor_.add_constant(name, Tensor::from<uint8_t>(DType::u8, dims, zeros));
      editor_.replace(id, std::move(node));
      return;
    }
    if (!may(editor_.node(id).outputs[0])) return;
    if (makes_codes(editor_.node(id))) {
      Node node = editor_.node(id);
      set_activation(node, clip_of_seven_bits(node));
      node.attributes["to"] = std::string("u8");
      editor_.replace(id, std::move(node));
      ++changed.count;
    } else if (is_op(editor_.node(id), "QuantLookup")) {
      set_table(id);
      ++changed.count;
    }
    for (const ValueId v : editor_.node(id).outputs) graph_.value(v).dtype = DType::u8;
  }

  /// The table as u8 codes; entries for codes that do not come count for nothing.
  void set_table(NodeId lookup) {
    std::vector<uint8_t> entries;
    for (const int8_t code : graph_.constant(editor_.node(lookup).inputs[1])->as<int8_t>())
      entries.push_back(static_cast<uint8_t>(std::max<int8_t>(code, 0)));
    const std::string name = graph_.value(editor_.node(lookup).outputs[0]).name + "_table";
    editor_.set_input(lookup, 1, editor_.add_constant(name, Tensor::from<uint8_t>(DType::u8, {256}, entries)));
  }

  Editor& editor_;
  Graph& graph_;
  std::vector<bool> may_;  // by value
};

}  // namespace

Result<Changed> codes_of_seven_bits(Graph& graph) {
  Changed changed;
  {
    Editor editor(graph);
    changed = SevenBits(editor).run();
  }
  if (changed.count == 0) return changed;
  if (Result<Done> ok = infer_shapes(graph); !ok) return ok.error();
  return changed;
}

}  // namespace octet
