// The float network behind a quantized one: pairs on activations go, constants behind DequantizeLinear become the
// numbers they stand for. It is what calibration starts from again. A pair goes only where its codes mean nothing but
// its numbers: they are read by DequantizeLinear nodes of the same parameters, through ops that move elements (the fill
// of a Pad and the bounds of a Clip become the numbers they stand for). Any other network is refused by name.

#include "repair/float_form.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "ir/origins.h"
#include "repair/parameters.h"

namespace octet {
namespace {

bool are_scales(const Tensor& tensor) {
  const std::vector<double> all = to_doubles(tensor);
  return std::all_of(all.begin(), all.end(), [](double s) { return s > 0 && std::isnormal(static_cast<float>(s)); });
}

/// A constant, or made of one by the ops that exporters put around a weight's codes.
bool is_stored(const Editor& editor, ValueId v) {
  while (!editor.graph().constant(v)) {
    const NodeId maker = editor.producer(v);
    if (maker < 0) return false;
    const Node& node = editor.node(maker);
    if (!is_q_or_dq(node) && !is_any(node, {"Cast", "Clip", "Identity", "Reshape", "Transpose"})) return false;
    v = node.inputs[0];
  }
  return true;
}

/// What a QuantizeLinear or DequantizeLinear says of its codes.
struct CodeMeaning {
  Tensor scale;
  std::vector<int64_t> zero;  // one, or one for each scale
  DType dtype = DType::undefined;
  int64_t axis = 0;  // of several scales
  bool operator==(const CodeMeaning&) const = default;
};
std::optional<CodeMeaning> meaning_of(const Graph& graph, const Node& node) {
  const Tensor* scale = constant_of(graph, node.inputs[1], DType::f32);
  if (!scale || int_attribute(node, "block_size", 0) != 0) return std::nullopt;
  const auto count = static_cast<size_t>(scale->size());
  CodeMeaning made;
  made.scale = count == 1 ? scalar_f32(scale->at<float>(0)) : *scale;
  made.dtype = is_quantize(node) ? graph.value(node.outputs[0]).dtype : graph.value(node.inputs[0]).dtype;
  if (input(node, 2) == k_absent) {
    made.zero.assign(count, 0);
  } else {
    const std::optional<std::vector<int64_t>> zero = constant_ints(graph, node.inputs[2]);
    if (!zero || zero->size() != count) return std::nullopt;
    made.zero = *zero;
  }
  if (count == 1) return made;
  const auto& shape = graph.value(node.inputs[0]).shape;
  const int64_t axis = int_attribute(node, "axis", 1);
  if (axis < 0 && !shape) return std::nullopt;
  made.axis = axis < 0 ? axis + static_cast<int64_t>(shape->size()) : axis;
  return made;
}

/// Elements go to other places, or the largest of some is taken: the same of codes and of the numbers they stand for.
bool moves_elements(const Node& node) {
  if (is_op(node, "Resize"))
    return string_attribute(node, "mode", "nearest") == "nearest" &&
           string_attribute(node, "coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize";
  if (is_op(node, "MaxPool")) return node.outputs.size() == 1;
  return is_any(node, {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Slice", "Gather", "Tile",
                       "Expand", "DepthToSpace", "SpaceToDepth", "Concat", "Split", "Pad", "Clip"});
}

constexpr const char* k_no_constants =
    "has a scale or zero point that is no f32 constant of the tensor or its channels";

Error no_float_form(const Graph& graph, const Node& node, const std::string& why) {
  return Error{ErrorCode::unsupported, "node '" + label(graph, node) + "' (" + std::string(node.op->name) + ") " + why +
                                           ", so the network has no float form that new ranges could be found for; "
                                           "calibrate the float network that it was made from"};
}

/// What the codes of every value between QuantizeLinear and DequantizeLinear mean.
class Meanings {
 public:
  explicit Meanings(const Graph& graph) : graph_(graph) {}

  Result<Done> find() {
    for (const Node& node : graph_.nodes)
      if (Result<Done> ok = visit(node); !ok) return ok;
    for (const ValueId v : graph_.outputs)
      if (meanings_.contains(v))
        return Error{ErrorCode::unsupported, "output '" + graph_.value(v).name +
                                                 "' of the network is codes of a QuantizeLinear, so it has no float "
                                                 "form; export it with a DequantizeLinear behind"};
    return Done{};
  }
  const CodeMeaning* of(ValueId v) const {
    const auto at = meanings_.find(v);
    return at == meanings_.end() ? nullptr : &at->second;
  }

 private:
  Result<Done> visit(const Node& node) {
    if (is_quantize(node)) {
      const std::optional<CodeMeaning> made = meaning_of(graph_, node);
      if (!made) return no_float_form(graph_, node, k_no_constants);
      meanings_.emplace(node.outputs[0], *made);
      return Done{};
    }
    if (is_dequantize(node)) return visit_dequantize(node);
    const auto reads = std::count_if(node.inputs.begin(), node.inputs.end(), [&](ValueId v) { return of(v); });
    return reads > 0 ? visit_reader(node, reads) : Result<Done>(Done{});
  }

  Result<Done> visit_dequantize(const Node& node) const {
    if (graph_.constant(node.inputs[0])) return Done{};
    const CodeMeaning* codes = of(node.inputs[0]);
    if (!codes) return no_float_form(graph_, node, "reads codes that no QuantizeLinear of the network makes");
    const std::optional<CodeMeaning> own = meaning_of(graph_, node);
    if (!own) return no_float_form(graph_, node, k_no_constants);
    if (!(*own == *codes))
      return no_float_form(graph_, node, "reads codes with other parameters than their QuantizeLinear's");
    return Done{};
  }

  Result<Done> visit_reader(const Node& node, std::ptrdiff_t reads) {
    const CodeMeaning* codes = of(node.inputs[0]);
    if (!moves_elements(node) || !codes) return no_float_form(graph_, node, "computes with codes");
    if (codes->zero.size() > 1) return no_float_form(graph_, node, "moves codes with a scale per channel");
    const bool joins = is_op(node, "Concat");
    if (reads != (joins ? static_cast<std::ptrdiff_t>(node.inputs.size()) : 1))
      return no_float_form(graph_, node, "mixes codes with other numbers");
    for (const ValueId v : node.inputs)
      if (of(v) && !(*of(v) == *codes)) return no_float_form(graph_, node, "joins codes of different parameters");
    for (const size_t i : number_inputs(node))
      if (input(node, i) != k_absent && !constant_ints(graph_, input(node, i)))
        return no_float_form(graph_, node, "has a code that is computed");
    const CodeMeaning meaning = *codes;
    for (const ValueId v : node.outputs)
      if (v != k_absent) meanings_.emplace(v, meaning);
    return Done{};
  }

 public:
  /// Inputs that are single codes.
  static std::vector<size_t> number_inputs(const Node& node) {
    if (is_op(node, "Pad") && string_attribute(node, "mode", "constant") == "constant") return {2};
    if (is_op(node, "Clip")) return {1, 2};
    return {};
  }

 private:
  const Graph& graph_;
  std::map<ValueId, CodeMeaning> meanings_;
};

/// The fill of a Pad (code 0 when it is left out) and the bounds of a Clip as the numbers that the codes stand for.
void make_numbers_real(Editor& editor, NodeId id, const CodeMeaning& codes) {
  Node node = editor.node(id);
  bool changed = false;
  for (const size_t i : Meanings::number_inputs(node)) {
    const bool absent = input(node, i) == k_absent;
    if (absent && !is_op(node, "Pad")) continue;
    const int64_t code = absent ? 0 : constant_ints(editor.graph(), node.inputs[i])->at(0);
    const float real = static_cast<float>(code - codes.zero[0]) * codes.scale.at<float>(0);
    node.inputs.resize(std::max(node.inputs.size(), i + 1), k_absent);
    node.inputs[i] = editor.add_constant(editor.graph().value(node.outputs[0]).name + "_real", scalar_f32(real));
    changed = true;
  }
  if (changed) editor.replace(id, std::move(node));
}

}  // namespace

void replace_activation_scales(Graph& graph, RepairLog& log) {
  log.repair = "recalibrate";
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_q_or_dq(node) || is_stored(editor, node.inputs[0])) continue;
    const ValueId v = node.inputs[1];
    const Tensor* scale = graph.constant(v);
    if (!scale || scale->dtype() != DType::f32 || are_scales(*scale)) continue;
    log.add(label(graph, node), "a scale that is none", "a range from the samples", "calibrated anew");
    const std::vector<float> ones(static_cast<size_t>(scale->size()), 1.0f);
    editor.set_input(id, 1, editor.add_constant(graph.value(v).name + "_replaced", f32_tensor(scale->dims(), ones)));
  }
}

Result<Done> make_float(Graph& graph, RepairLog& log) {
  const Origins origins(graph);
  log.repair = "dynamic_quantization";
  if (Result<Done> ok = dynamic_quantization(graph, log); !ok) return ok;
  log.repair = "recalibrate";
  Meanings meanings(graph);
  if (Result<Done> ok = meanings.find(); !ok) return ok;
  {
    Editor editor(graph);
    for (NodeId id = 0; id < editor.node_count(); ++id) {
      const Node node = editor.node(id);
      if (!is_q_or_dq(node)) {
        if (const CodeMeaning* codes = meanings.of(node.outputs[0])) make_numbers_real(editor, id, *codes);
        continue;
      }
      if (is_quantize(node) && !is_stored(editor, node.inputs[0]))
        log.add(label(graph, node), params_text(graph, node), "a range from the samples", "calibrated anew");
      ValueId real = node.inputs[0];
      if (is_dequantize(node) && graph.constant(node.inputs[0])) {
        std::vector<Tensor> inputs;
        for (const ValueId v : node.inputs) {
          const Tensor* constant = v == k_absent ? nullptr : graph.constant(v);
          if (v != k_absent && !constant)
            return Error{ErrorCode::unsupported,
                         "node '" + label(graph, node) +
                             "' (DequantizeLinear): its scale or zero point is computed, so the "
                             "network has no float form; export it with constants"};
          inputs.push_back(constant ? *constant : Tensor());
        }
        Result<std::vector<Tensor>> result = node.op->reference(NodeContext{graph, node}, inputs);
        if (!result) return result.error();
        real = editor.add_constant(graph.value(node.inputs[0]).name + "_real", std::move(result->front()));
      }
      if (!editor.replace_uses(node.outputs[0], real)) {
        editor.replace(id, make_node("Identity", node.name, {real}, node.outputs));  // a graph output keeps its name
        continue;
      }
      editor.remove(id);
    }
  }
  origins.hand_on(graph);
  if (Result<Done> ok = infer_shapes(graph); !ok) return within("float form", ok.error());
  compact(graph);
  return verify(graph);
}

}  // namespace octet
