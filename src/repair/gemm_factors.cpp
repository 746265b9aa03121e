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

/// One Gemm at work: what its inputs become.
struct Rewrite {
  std::optional<Scaled> weight_scale;  // where alpha is not 1
  std::optional<Scaled> bias;          // the new [N] vector, or
  std::optional<Scaled> bias_scale;    // the scales of a bias in codes, and
  std::vector<int32_t> bias_codes;     // its codes where they were no vector
  bool exact() const {
    return (!weight_scale || weight_scale->exact) && (!bias || bias->exact) && (!bias_scale || bias_scale->exact);
  }
};

/// The same of a bias in codes: their scales take beta, and one code for all or [1, N] become [N].
bool plan_bias_in_codes(const Graph& graph, const Node* dequantize, float beta, size_t channels, Rewrite& plan) {
  const std::optional<StoredCodes> stored = dequantize ? stored_codes(graph, *dequantize) : std::nullopt;
  if (!stored) return beta == 1.0f;
  const bool is_vector = stored->dims == Dims{static_cast<int64_t>(channels)};
  const bool is_row = stored->dims == Dims{1, static_cast<int64_t>(channels)};
  const bool is_one = stored->codes.size() == 1;
  if (!is_vector && !is_row && !is_one) return beta == 1.0f;
  if (is_vector && beta == 1.0f) return true;
  Scaled scales = times(stored->scale, beta);
  if (!are_scales(scales.numbers)) return false;
  if (!is_vector)
    for (size_t c = 0; c < channels; ++c) {
      const int64_t code = stored->codes[is_one ? 0 : c];
      if (code != static_cast<int32_t>(code)) return false;
      plan.bias_codes.push_back(static_cast<int32_t>(code));
    }
  plan.bias_scale = std::move(scales);
  return true;
}

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
  return plan_bias_in_codes(graph, editor.producer(c, "DequantizeLinear"), beta, channels, plan);
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

/// The bias in codes with its new scales, as a vector of s32 where it was none.
ValueId bias_with(Editor& editor, NodeId id, const Rewrite& plan) {
  const ValueId c = editor.node(id).inputs[2];
  if (plan.bias_codes.empty()) return dequantized_with(editor, id, c, plan.bias_scale->numbers);
  const std::string base = editor.graph().value(c).name + "_vector";
  const Dims dims{static_cast<int64_t>(plan.bias_codes.size())};
  const std::vector<float>& scales = plan.bias_scale->numbers;
  const Dims scale_dims = scales.size() == 1 ? Dims{} : Dims{static_cast<int64_t>(scales.size())};
  const ValueId codes = editor.add_constant(base + "_s32", code_tensor(DType::s32, dims, plan.bias_codes));
  const ValueId scale = editor.add_constant(base + "_scale", f32_tensor(scale_dims, scales));
  const ValueId real = editor.add_value(base, DType::f32, to_shape(dims));
  editor.insert_before(id, make_node("DequantizeLinear", "", {codes, scale}, {real}, {{"axis", int64_t{0}}}));
  return real;
}

/// Before and after, as the row has them.
std::pair<std::string, std::string> texts(float alpha, float beta, const Rewrite& plan) {
  std::string before, after;
  if (plan.weight_scale) before = "alpha " + short_text(double{alpha}), after = "in the weight's scales";
  if (plan.bias || plan.bias_scale) {
    before += (before.empty() ? "" : ", ") +
              (beta != 1.0f ? "beta " + short_text(double{beta}) : std::string("a bias that is no vector"));
    after += (after.empty() ? "" : " and ") + std::string(beta != 1.0f ? "in the bias" : "a vector");
  }
  return {before, after};
}

void write(Editor& editor, NodeId id, const Rewrite& plan) {
  Node gemm = editor.node(id);
  if (plan.weight_scale) {
    gemm.inputs[1] = weight_with(editor, id, plan.weight_scale->numbers);
    gemm.attributes.erase("alpha");
  }
  if (plan.bias_scale) gemm.inputs[2] = bias_with(editor, id, plan);
  if (plan.bias)
    gemm.inputs[2] =
        editor.add_constant(editor.graph().value(gemm.inputs[2]).name + "_vector",
                            f32_tensor({static_cast<int64_t>(plan.bias->numbers.size())}, plan.bias->numbers));
  if (plan.bias || plan.bias_scale) gemm.attributes.erase("beta");
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
    if (!std::isfinite(alpha) || !std::isfinite(beta)) continue;
    Rewrite plan;
    // What the bias cannot take stays with it; alpha goes all the same.
    if (!plan_bias(editor, gemm, beta, channels, plan)) plan = Rewrite{};
    if (alpha != 1.0f) {
      Scaled scales = times(constant_of(graph, weight->inputs[1], DType::f32)->as<float>(), alpha);
      if (are_scales(scales.numbers)) plan.weight_scale = std::move(scales);
    }
    if (!plan.weight_scale && !plan.bias && !plan.bias_scale) continue;
    const auto [before, after] = texts(alpha, beta, plan);
    log.add(label(graph, gemm), before, after,
            plan.exact() ? "" : "each number rounded to float once more, by up to 6e-8 of it");
    write(editor, id, plan);
  }
  return Done{};
}

}  // namespace octet
