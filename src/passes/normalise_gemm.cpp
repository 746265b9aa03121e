// src/passes/normalise_gemm.cpp: one form for fully connected layers: y = x * w^T + b, w [N, K] constant, b [N].
//   alpha goes into w, beta into b, both in double and rounded once; transB = 0 transposes the constant weight.
// A weight behind DequantizeLinear keeps its layout: its codes and their axis belong together.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// scale * w as [N, K].
Tensor rows_by_output(const Tensor& w, bool transposed, float scale) {
  const int64_t n = transposed ? w.dims()[0] : w.dims()[1], k = transposed ? w.dims()[1] : w.dims()[0];
  const std::span<const float> from = w.as<float>();
  std::vector<float> to(static_cast<size_t>(n * k));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < k; ++j) {
      const float x = from[static_cast<size_t>(transposed ? i * k + j : j * n + i)];
      to[static_cast<size_t>(i * k + j)] = scale == 1.0f ? x : static_cast<float>(double{scale} * double{x});
    }
  return f32_tensor({n, k}, to);
}

/// beta * c as [N]; nothing when c varies along the rows.
std::optional<Tensor> bias_vector(const Tensor& c, int64_t n, float beta) {
  if (c.size() != 1 && (c.size() != n || c.rank() < 1 || c.dims().back() != n)) return std::nullopt;
  std::vector<float> b(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    b[static_cast<size_t>(i)] = static_cast<float>(double{beta} * double{c.at<float>(c.size() == 1 ? 0 : i)});
  return f32_tensor({n}, b);
}

}  // namespace

Result<Changed> normalise_gemm(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& old = editor.node(id);
    if (!is_op(old, "Gemm")) continue;
    const Tensor* w = constant_of(graph, old.inputs[1], DType::f32);
    if (!w || w->rank() != 2) continue;
    const float alpha = float_attribute(old, "alpha", 1.0f), beta = float_attribute(old, "beta", 1.0f);
    const bool transposed = int_attribute(old, "transB", 0) != 0;
    const Tensor* c = constant_of(graph, input(old, 2), DType::f32);
    if (input(old, 2) != k_absent && !c) continue;
    const int64_t n = transposed ? w->dims()[0] : w->dims()[1];
    const bool bias_is_vector = !c || (c->rank() == 1 && c->size() == n);
    if (transposed && alpha == 1.0f && beta == 1.0f && bias_is_vector) continue;
    const std::optional<Tensor> bias = c ? bias_vector(*c, n, beta) : std::nullopt;
    if (c && !bias) continue;
    Node node = old;
    if (!transposed || alpha != 1.0f)
      node.inputs[1] =
          editor.add_constant(graph.value(old.inputs[1]).name + "_nk", rows_by_output(*w, transposed, alpha));
    if (c && (!bias_is_vector || beta != 1.0f))
      node.inputs[2] = editor.add_constant(graph.value(old.inputs[2]).name + "_n", *bias);
    node.attributes.erase("alpha");
    node.attributes.erase("beta");
    node.attributes["transB"] = int64_t{1};
    editor.replace(id, std::move(node));
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
