// Finds the end of a network of images that one kernel runs: the average of all pixels and a fully connected layer of
// few rows behind it.
#include "backends/cuda/conv_layer.h"
#include "backends/cuda/fused_steps.h"
#include "backends/cuda/movement.h"
#include "backends/cuda/window.h"

namespace octet::cuda {
namespace {

/// The steps from `first` on that form a row: each the only reader of the one before it, as its first input. Reshapes
/// between the two move nothing.
struct Row {
  const Node* pool = nullptr;
  const Node* gemm = nullptr;
  size_t steps = 0;
};
Row row_from(const Plan& plan, size_t first, DType floats) {
  const Graph& graph = plan.graph;
  const auto is = [&](size_t i, std::string_view op, std::string_view family) {
    return is_op(graph.node(plan.steps[i].node), op) && family_of(plan.steps[i].tactic) == family;
  };
  if (!is(first, "QuantGlobalAveragePool", "global_average")) return {};
  Row row{&graph.node(plan.steps[first].node), nullptr, 0};
  ValueId v = row.pool->outputs[0];
  for (size_t i = first + 1; i < plan.steps.size(); ++i) {
    const Node& node = graph.node(plan.steps[i].node);
    if (only_reader(graph, v) != &node || node.inputs[0] != v) return {};
    if (is(i, "QuantGemm", "gemm_u8s8")) {
      row.gemm = &node, row.steps = i + 1 - first;
      return row;
    }
    if (reshape_alias(graph, node, floats) != v) return {};
    v = node.outputs[0];
  }
  return {};
}

}  // namespace

Result<FusedSteps> fuse_end(const Plan& plan, size_t first, DType floats, StepBuilder& builder) {
  const Graph& graph = plan.graph;
  const Row row = row_from(plan, first, floats);
  if (row.steps == 0 || is_constant(graph, row.pool->outputs[0])) return FusedSteps{};
  const StepQuery pool{{graph, *row.pool}, floats, false}, gemm{{graph, *row.gemm}, floats, false};
  builder.keep_apart(row.gemm->outputs[0], row.pool->inputs[0]);
  Result<Layer> layer = integer_layer(gemm, builder);
  Result<Operand> x = builder.input(pool, 0);
  if (!layer || !x) return layer ? x.error() : layer.error();
  const Dims& dims = x->layout.dims;
  const int64_t pixels = dims[2] * dims[3], outputs = gemm.output().shape->size() == 2 ? gemm.output_dims()[1] : 0;
  WindowParams window;
  if (Result<Done> ok = add_pool_codes(pool, window); !ok) return ok.error();
  // Every CTA averages all of its image: that costs less than a kernel more where the image is small.
  constexpr int64_t k_outputs_per_cta = 8, k_most_codes = 16384;
  const int64_t ctas = dims[0] * ((outputs + k_outputs_per_cta - 1) / k_outputs_per_cta);
  const bool fits = window.epilogue.to == Store::u8 && x->layout.pitch() == dims[1] && x->layout.store == Store::u8 &&
                    pixels > 0 && pixels <= k_most_average_pixels && pixels * dims[1] <= k_most_codes && ctas > 0 &&
                    ctas <= builder.device().sms;
  if (!fits) return FusedSteps{};
  GemvParams p;
  p.average.pixels = static_cast<int>(pixels);
  p.average.x_zero = window.x_zero;
  p.average.multiplier = static_cast<float>(window.x_scale / (window.y_scale * static_cast<double>(pixels)));
  p.average.epilogue = window.epilogue;
  layer->x = *x;
  FusedSteps fused{row.steps, {}};
  if (Result<Done> ok = add_gemv(gemm, *layer, p, builder, fused.prepared); !ok) return ok.error();
  return fused.prepared.choices.empty() ? FusedSteps{} : std::move(fused);
}

}  // namespace octet::cuda
