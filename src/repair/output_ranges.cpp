// src/repair/output_ranges.cpp: quantizers fold ReLU and ReLU6 into the range of the layer's codes: a zero point at the
// lowest code, 255 scales = 6. The integers stay right, but whoever takes the float network out (to calibrate it again)
// loses the activation. It is written down before the QuantizeLinear, whose codes it cannot change.
//   range 0..6 (within half a step)                     Clip(0, 6)
//   range 0..hi below 6 in a network that has the above  Clip(0, 6): its calibration did not reach 6
//   any other range 0..hi                                Relu

#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct Found {
  NodeId quantize;
  double high;
};

/// The QuantizeLinear nodes right behind a layer whose range begins at 0.
std::vector<Found> bare_ranges(const Editor& editor, bool& has_six) {
  const Graph& graph = editor.graph();
  std::vector<Found> found;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_quantize(node)) continue;
    const NodeId maker = editor.producer(node.inputs[0]);
    if (maker < 0 || !is_any(editor.node(maker), {"Conv", "ConvTranspose"}) || !editor.single_use(node.inputs[0]))
      continue;
    const std::optional<CodeParams> params = code_params(graph, node);
    if (!params || params->zero_point != (params->dtype == DType::u8 ? 0 : -128)) continue;
    const double high = 255.0 * double{params->scale};
    if (std::abs(high - 6.0) < 0.5 * double{params->scale}) has_six = true;
    found.push_back({id, high});
  }
  return found;
}

}  // namespace

Result<Done> output_ranges(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  bool has_six = false;
  for (const Found& each : bare_ranges(editor, has_six)) {
    const ValueId x = editor.node(each.quantize).inputs[0];
    const std::string base = graph.value(x).name;
    const bool six = has_six && each.high < 6.0 * (1 + 1.0 / 510);
    const ValueId y = editor.add_value(base + (six ? "_relu6" : "_relu"), x);
    if (six) {
      const ValueId low = editor.add_constant(base + "_low", scalar_f32(0.0f));
      const ValueId high = editor.add_constant(base + "_high", scalar_f32(6.0f));
      editor.insert_before(each.quantize, make_node("Clip", "", {x, low, high}, {y}));
    } else {
      editor.insert_before(each.quantize, make_node("Relu", "", {x}, {y}));
    }
    log.add(label(graph, editor.node(editor.producer(x))), "output range 0.." + short_text(each.high) + " only",
            six ? "Clip(0, 6) before QuantizeLinear" : "Relu before QuantizeLinear");
    editor.set_input(each.quantize, 0, y);
  }
  return Done{};
}

}  // namespace octet
