// src/passes/fuse_quant_conv.cpp: DequantizeLinear(x), DequantizeLinear(w) -> Conv [-> Add of
// DequantizeLinear(residual)]
// [-> activation] [-> QuantizeLinear] becomes QuantConv, which accumulates in int32 and rounds once. Without a
// QuantizeLinear at the end the result is float. What the graph quantizes in between is executed as written.
// A bias off the grid x_scale * w_scale keeps its number: what rounding to the grid takes from it is added as a
// residual of one pixel, in 254 steps from the least to the largest remainder. Where a residual stands already, it is
// rounded. A layer whose channels differ so much that these steps would move one by more than 1 / 16 of a step of its
// result stays float, with a note. Arithmetic: src/ir/ops/README.md.

#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/epilogue.h"
#include "passes/passes.h"
#include "passes/quant_layer.h"

namespace octet {
namespace {

/// The step that the remainders of all channels share.
float remainder_scale(const QuantLayer& layer) {
  double largest = 0;
  for (const double r : layer.remainder) largest = std::max(largest, std::abs(r));
  return static_cast<float>(largest / 127);
}

/// Whether the shared steps leave each channel its bias, but for 1 / 16 of a step of y.
bool keeps_remainders(const QuantLayer& layer, float y_scale) {
  const double step = remainder_scale(layer), most = double{y_scale} / 16;
  return std::all_of(layer.remainder.begin(), layer.remainder.end(),
                     [&](double r) { return r == 0 || std::abs(step > 0 ? std::remainder(r, step) : r) <= most; });
}

/// The remainders of the bias as codes, u8 with zero point 128, in the place of a residual.
void add_remainder(Editor& editor, const std::string& base, const QuantLayer& layer, Epilogue& epilogue) {
  const float scale = remainder_scale(layer);
  if (!(scale >= std::numeric_limits<float>::min())) return;
  std::vector<uint8_t> codes;
  for (const double r : layer.remainder)
    codes.push_back(static_cast<uint8_t>(std::clamp(std::nearbyint(r / double{scale}) + 128, 0.0, 255.0)));
  Dims dims(layer.weight.rank(), 1);
  dims[1] = static_cast<int64_t>(codes.size());
  epilogue.residual = editor.add_constant(base + "_bias_remainder", Tensor::from<uint8_t>(DType::u8, dims, codes));
  epilogue.residual_params = CodeParams{scale, 128, DType::u8};
}

Node quant_conv(Editor& editor, const Node& conv, const Codes& x, const QuantLayer& layer, const Epilogue& epilogue) {
  const std::string base = label(editor.graph(), conv);
  Node fused = make_node("QuantConv", conv.name, {x.value}, {}, conv.attributes);
  fused.inputs.push_back(editor.add_constant(base + "_w", layer.weight));
  fused.inputs.push_back(
      editor.add_constant(base + "_w_scale", f32_tensor({static_cast<int64_t>(layer.w_scale.size())}, layer.w_scale)));
  fused.inputs.push_back(layer.bias ? editor.add_constant(base + "_bias", *layer.bias) : k_absent);
  if (epilogue.residual_params) {
    fused.inputs.push_back(epilogue.residual);
    set_params(fused, "residual", *epilogue.residual_params);
  }
  while (fused.inputs.back() == k_absent) fused.inputs.pop_back();
  set_params(fused, "x", x.params);
  set_activation(fused, epilogue.activation);
  set_result(fused, epilogue);
  return fused;
}

}  // namespace

Result<Changed> fuse_quant_conv(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Conv")) continue;
    const Node conv = editor.node(id);
    const Value& w = graph.value(conv.inputs[1]);
    const std::optional<Codes> x = codes_behind(editor, conv.inputs[0]);
    if (!x || graph.constant(x->value) || !has_pixels(w)) continue;
    const QuantLayerMatch match = match_quant_layer(editor, conv, x->params.scale, 0);
    Epilogue epilogue;
    if (match.layer) epilogue = match_epilogue(editor, id, Residual::codes, Activations::all, true);
    const bool keeps_bias = match.layer && !match.layer->remainder.empty() && !epilogue.residual_params;
    if (!match.note.empty() && !keeps_bias) changed.notes.push_back(match.note);
    if (!match.layer) continue;
    if (keeps_bias && epilogue.quantize && !keeps_remainders(*match.layer, epilogue.quantize->scale)) {
      changed.notes.push_back(label(graph, conv) +
                              ": float: the bias is off the grid x_scale * w_scale, and the steps that its "
                              "channels would share for the rest are too coarse for one of them");
      continue;
    }
    if (keeps_bias) add_remainder(editor, label(graph, conv), *match.layer, epilogue);
    Node fused = quant_conv(editor, conv, *x, *match.layer, epilogue);
    write_fused(editor, epilogue, std::move(fused));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
