// src/passes/fuse_quant_gemm.cpp: DequantizeLinear(x), DequantizeLinear(w) -> Gemm [-> activation] [-> QuantizeLinear]
// becomes QuantGemm with w [N, K].

#include "passes/epilogue.h"
#include "passes/passes.h"
#include "passes/quant_layer.h"

namespace octet {
namespace {

bool is_plain(const Node& gemm) {
  const bool scaled = float_attribute(gemm, "alpha", 1.0f) != 1.0f ||
                      (input(gemm, 2) != k_absent && float_attribute(gemm, "beta", 1.0f) != 1.0f);
  return int_attribute(gemm, "transA", 0) == 0 && !scaled;
}

}  // namespace

Result<Changed> fuse_quant_gemm(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Gemm") || !is_plain(editor.node(id))) continue;
    const Node gemm = editor.node(id);
    const std::optional<Codes> x = codes_behind(editor, gemm.inputs[0]);
    if (!x || graph.constant(x->value)) continue;
    const size_t channel_axis = int_attribute(gemm, "transB", 0) != 0 ? 0 : 1;
    const QuantLayerMatch match = match_quant_layer(editor, gemm, x->params.scale, channel_axis);
    if (!match.note.empty()) changed.notes.push_back(match.note);
    if (!match.layer) continue;
    const QuantLayer& layer = *match.layer;
    const std::string base = label(graph, gemm);
    Node fused = make_node("QuantGemm", gemm.name, {x->value}, {});
    fused.inputs.push_back(editor.add_constant(base + "_w", layer.weight));
    fused.inputs.push_back(editor.add_constant(
        base + "_w_scale", f32_tensor({static_cast<int64_t>(layer.w_scale.size())}, layer.w_scale)));
    if (layer.bias) fused.inputs.push_back(editor.add_constant(base + "_bias", *layer.bias));
    const Epilogue epilogue = match_epilogue(editor, id, Residual::none, Activations::all, true);
    set_params(fused, "x", x->params);
    set_activation(fused, epilogue.activation);
    set_result(fused, epilogue);
    write_fused(editor, epilogue, std::move(fused));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
