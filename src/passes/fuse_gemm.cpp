// src/passes/fuse_gemm.cpp: a float Gemm of a constant weight and bias takes the activation behind it and becomes
// FusedGemm: act(x * w^T + b), w [N, K].

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace octet {
namespace {

Tensor transposed(const Tensor& w) {
  const int64_t k = w.dims()[0], n = w.dims()[1];
  const std::span<const float> from = w.as<float>();
  std::vector<float> to(from.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < k; ++j) to[static_cast<size_t>(i * k + j)] = from[static_cast<size_t>(j * n + i)];
  return f32_tensor({n, k}, to);
}

bool is_plain(const Graph& graph, const Node& gemm, int64_t n) {
  if (int_attribute(gemm, "transA", 0) != 0 || float_attribute(gemm, "alpha", 1.0f) != 1.0f) return false;
  if (input(gemm, 2) == k_absent) return true;
  const Tensor* b = constant_of(graph, input(gemm, 2), DType::f32);
  return b && b->rank() == 1 && b->size() == n && float_attribute(gemm, "beta", 1.0f) == 1.0f;
}

}  // namespace

Result<Changed> fuse_gemm(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (editor.gone(id) || !is_op(editor.node(id), "Gemm")) continue;
    const Node gemm = editor.node(id);
    const Tensor* w = constant_of(graph, gemm.inputs[1], DType::f32);
    const bool by_output = int_attribute(gemm, "transB", 0) != 0;
    if (!w || w->rank() != 2 || !is_plain(graph, gemm, w->dims()[by_output ? 0 : 1])) continue;
    Node fused = make_node("FusedGemm", gemm.name, gemm.inputs, {});
    if (!by_output) fused.inputs[1] = editor.add_constant(graph.value(gemm.inputs[1]).name + "_nk", transposed(*w));
    const Epilogue epilogue = match_epilogue(editor, id, Residual::none, Activations::all, false);
    set_activation(fused, epilogue.activation);
    write_fused(editor, epilogue, std::move(fused));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
