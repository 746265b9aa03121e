// src/repair/gemm_factors.cpp: y = alpha A B + beta C of a Gemm whose A and B are in codes: alpha goes into B's scales,
// beta into C, and a C of one number or of shape [1, N] becomes the vector that it stands for. Then the layer is one of
// integers with a bias on a grid like any other (biases.cpp); with its factors no engine's integer layer takes it, or
// one takes it with the bias on a grid that is not its own. Powers of two cost nothing, other factors one rounding.
// Stays: a factor that would make a scale 0, negative or not finite; a C that varies along the rows or
// is computed; a Gemm with transA, which runs in float.

#include <cmath>

#include "repair/layer_grid.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct Scaled {
  std::vector<float> numbers;
  bool exact = true;
};

Scaled times(std::span<const float> numbers, float factor) {
  Scaled made;
  for (const float x : numbers) {
    const double product = double{x} * double{factor};
    made.numbers.push_back(static_cast<float>(product));
    if (!std::isnan(product) && double{made.numbers.back()} != product) made.exact = false;
  }
  return made;
}

bool are_scales(const std::vector<float>& numbers) {
  for (const float x : numbers)
    if (!(x > 0) || !std::isnormal(x)) return false;
  return !numbers.empty();
}

/// One Gemm at work: what its inputs become, told before anything is changed.
struct Rewrite {
  std::optional<Scaled> weight_scale;  // where alpha is not 1
  std::optional<Scaled> bias;          // the new [N] vector, or
  std::optional<Scaled> bias_scale;    // the scale of a bias in codes
  bool exact() const {
    return (!weight_scale || weight_scale->exact) && (!bias || bias->exact) && (!bias_scale || bias_scale->exact);
  }
};

/// Whether the bias can take beta; sets what it becomes. false: the Gemm stays as it is.
bool plan_bias(const Editor& editor, const Node& gemm, float beta, size_t channels, Rewrite& plan) {
  const Graph& graph = editor.graph();
  const ValueId c = input(gemm, 2);
  if (c == k_absent) return true;
  if (const Tensor* constant = constant_of(graph, c, DType::f32)) {
    const bool is_vector = constant->rank() == 1 && constant->size() == static_cast<int64_t>(channels);
    const bool is_row =
        constant->rank() == 2 && constant->dims()[0] == 1 && constant->dims()[1] == static_cast<int64_t>(channels);
    if (constant->size() != 1 && !is_vector && !is_row) return false;
    if (is_vector && beta == 1.0f) return true;
    const std::vector<float> repeated(channels, constant->size() == 1 ? constant->as<float>()[0] : 0.0f);
    plan.bias = times(constant->size() == 1 ? std::span<const float>(repeated) : constant->as<float>(), beta);
    return true;
  }
  if (beta == 1.0f) return true;
  const Node* dequantize = editor.producer(c, "DequantizeLinear");
  const Tensor* scale = dequantize ? constant_of(graph, dequantize->inputs[1], DType::f32) : nullptr;
  if (!scale) return false;
  plan.bias_scale = times(scale->as<float>(), beta);
  return are_scales(plan.bias_scale->numbers);
}

/// A DequantizeLinear like the one that makes v, with other scales; v's other readers keep theirs.
ValueId dequantized_with(Editor& editor, NodeId reader, ValueId v, const std::vector<float>& scale) {
  Graph& graph = editor.graph();
  Node made = editor.node(editor.producer(v));
  const Dims dims = graph.constant(made.inputs[1])->dims();
  made.inputs[1] = editor.add_constant(graph.value(made.inputs[1]).name + "_scaled", f32_tensor(dims, scale));
  made.name = unique_node_name(graph, made.name);
  const ValueId out = editor.add_value(graph.value(v).name + "_scaled", v);
  made.outputs = {out};
  editor.insert_before(reader, std::move(made));
  return out;
}

/// Input 1 with other scales, behind its Transpose if it has one.
ValueId weight_with(Editor& editor, NodeId id, const std::vector<float>& scale) {
  const ValueId w = editor.node(id).inputs[1];
  const Node* transpose = editor.producer(w, "Transpose");
  if (!transpose) return dequantized_with(editor, id, w, scale);
  Node moved = *transpose;
  moved.inputs[0] = dequantized_with(editor, id, moved.inputs[0], scale);
  moved.name = unique_node_name(editor.graph(), moved.name);
  const ValueId out = editor.add_value(editor.graph().value(w).name + "_scaled", w);
  moved.outputs = {out};
  editor.insert_before(id, std::move(moved));
  return out;
}

std::string factors_text(float alpha, float beta, const Rewrite& plan) {
  std::string text;
  if (alpha != 1.0f) text += "alpha " + short_text(double{alpha});
  if (beta != 1.0f) text += (text.empty() ? "" : ", ") + std::string("beta ") + short_text(double{beta});
  if (text.empty() && plan.bias) text = "f32 bias that is no vector";
  return text;
}

void write(Editor& editor, NodeId id, const Rewrite& plan) {
  Node gemm = editor.node(id);
  if (plan.weight_scale) gemm.inputs[1] = weight_with(editor, id, plan.weight_scale->numbers);
  if (plan.bias_scale) gemm.inputs[2] = dequantized_with(editor, id, gemm.inputs[2], plan.bias_scale->numbers);
  if (plan.bias)
    gemm.inputs[2] =
        editor.add_constant(editor.graph().value(gemm.inputs[2]).name + "_vector",
                            f32_tensor({static_cast<int64_t>(plan.bias->numbers.size())}, plan.bias->numbers));
  gemm.attributes.erase("alpha");
  gemm.attributes.erase("beta");
  editor.replace(id, std::move(gemm));
}

}  // namespace

Result<Done> gemm_factors(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node gemm = editor.node(id);
    if (!is_op(gemm, "Gemm") || int_attribute(gemm, "transA", 0) != 0) continue;
    size_t axis = 0;
    const Node* weight = weight_dequantize(editor, gemm, axis);
    const size_t channels = output_channels(editor, gemm);
    if (!weight || channels == 0 || !layer_grid(editor, gemm, channels)) continue;
    const float alpha = float_attribute(gemm, "alpha", 1.0f);
    const float beta = input(gemm, 2) == k_absent ? 1.0f : float_attribute(gemm, "beta", 1.0f);
    Rewrite plan;
    if (!plan_bias(editor, gemm, beta, channels, plan)) continue;
    if (alpha != 1.0f) {
      plan.weight_scale = times(constant_of(graph, weight->inputs[1], DType::f32)->as<float>(), alpha);
      if (!are_scales(plan.weight_scale->numbers)) continue;
    }
    if (!plan.weight_scale && !plan.bias && !plan.bias_scale) continue;
    log.add(label(graph, gemm), factors_text(alpha, beta, plan),
            alpha != 1.0f || beta != 1.0f ? "in the weight's scales and the bias" : "a vector",
            plan.exact() ? "" : "each number rounded to float once more, by up to 6e-8 of it");
    write(editor, id, plan);
  }
  return Done{};
}

}  // namespace octet
