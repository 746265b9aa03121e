// src/repair/output_ranges.cpp: quantizers fold ReLU and ReLU6 into the range of the codes behind whatever comes before
// them (ONNX Runtime's: layers, residual Adds, normalizations): a zero point at the lowest code, 255 scales = 6. The
// integers stay right, but whoever takes the float network out (to calibrate it again) loses the activation. It is
// written down before the QuantizeLinear, whose codes it cannot change.
//   range 0..6 (within half a step)                                         Clip(0, 6)
//   range 0..hi below 6 behind a Conv in a network where another reaches 6  Clip(0, 6): its calibration did not
//   any other range 0..hi                                                   Relu
// Where int8 codes around 0 elsewhere say that the file may have lost its negative values (eager_zero_points.cpp tells
// how), the row warns: the activation is then what the file does, not what its network did. Where nothing negative can
// come the range says nothing, and nothing is written.

#include <algorithm>
#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct Found {
  NodeId quantize;
  double high;
  bool convolution;
  bool is_unsigned;
};

bool is_convolution(const Node& node) { return is_any(node, {"Conv", "ConvTranspose"}); }

bool begins_at_0(const CodeParams& params) { return params.zero_point == (params.dtype == DType::u8 ? 0 : -128); }

/// 6 within half a step.
bool is_six(double high) { return std::abs(high - 6.0) < 0.5 * high / 255.0; }

/// Values that cannot be negative, as far as a look at their maker tells.
bool is_never_negative(const Editor& editor, ValueId v) {
  const Graph& graph = editor.graph();
  if (const Tensor* constant = graph.constant(v)) {
    const std::vector<double> values = to_doubles(*constant);
    return std::all_of(values.begin(), values.end(), [](double x) { return x >= 0; });
  }
  const NodeId maker = editor.producer(v);
  if (maker < 0) return false;
  const Node& node = editor.node(maker);
  if (is_any(node, {"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "Exp", "Sqrt"})) return true;
  if (is_op(node, "Clip")) return scalar_constant(graph, input(node, 1)).value_or(-1.0f) >= 0;
  if (!is_dequantize(node)) return false;
  const std::optional<CodeParams> params = code_params(graph, node);
  return params && begins_at_0(*params);
}

/// Whether an activation may have stood between the node and its QuantizeLinear.
bool may_be_negative(const Editor& editor, const Node& node) {
  if (is_convolution(node) || is_any(node, {"Gemm", "MatMul", "Sub", "BatchNormalization", "InstanceNormalization",
                                            "GroupNormalization", "LayerNormalization", "RMSNormalization"}))
    return true;
  if (!is_any(node, {"Add", "Mul", "Sum"})) return false;
  return !std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId v) { return is_never_negative(editor, v); });
}

/// Whether activations elsewhere are int8 around 0, as all are in PyTorch's qint8.
bool has_signed_codes(const Editor& editor) {
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_quantize(node) || editor.graph().constant(node.inputs[0])) continue;
    const std::optional<CodeParams> params = code_params(editor.graph(), node);
    if (params && params->dtype == DType::s8 && params->zero_point == 0) return true;
  }
  return false;
}

constexpr const char* k_lost_negatives =
    "none beside the file, which cuts negative values off here; but it has int8 codes around 0 elsewhere: where the "
    "network has no activation here, its exporter wrote uint8 for int8, and it must be exported again";

/// The QuantizeLinear nodes right behind such a node whose range begins at 0.
std::vector<Found> bare_ranges(const Editor& editor, bool& has_six) {
  const Graph& graph = editor.graph();
  std::vector<Found> found;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_quantize(node)) continue;
    const NodeId maker = editor.producer(node.inputs[0]);
    if (maker < 0 || !editor.single_use(node.inputs[0]) || !may_be_negative(editor, editor.node(maker))) continue;
    const std::optional<CodeParams> params = code_params(graph, node);
    if (!params || !begins_at_0(*params)) continue;
    const double high = 255.0 * double{params->scale};
    const bool convolution = is_convolution(editor.node(maker));
    if (convolution && is_six(high)) has_six = true;
    found.push_back({id, high, convolution, params->dtype == DType::u8});
  }
  return found;
}

}  // namespace

Result<Done> output_ranges(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  bool has_six = false;
  const bool signed_codes = has_signed_codes(editor);
  for (const Found& each : bare_ranges(editor, has_six)) {
    const ValueId x = editor.node(each.quantize).inputs[0];
    const std::string base = graph.value(x).name;
    const bool six = is_six(each.high) || (has_six && each.convolution && each.high < 6.0 * (1 + 1.0 / 510));
    const ValueId y = editor.add_value(base + (six ? "_relu6" : "_relu"), x);
    if (six) {
      const ValueId low = editor.add_constant(base + "_low", scalar_f32(0.0f));
      const ValueId high = editor.add_constant(base + "_high", scalar_f32(6.0f));
      editor.insert_before(each.quantize, make_node("Clip", "", {x, low, high}, {y}));
    } else {
      editor.insert_before(each.quantize, make_node("Relu", "", {x}, {y}));
    }
    log.add(label(graph, editor.node(editor.producer(x))), "output range 0.." + short_text(each.high) + " only",
            six ? "Clip(0, 6) before QuantizeLinear" : "Relu before QuantizeLinear",
            each.is_unsigned && signed_codes ? k_lost_negatives : "");
    editor.set_input(each.quantize, 0, y);
  }
  return Done{};
}

}  // namespace octet
