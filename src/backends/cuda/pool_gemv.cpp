// Finds the end of a network of small images that one kernel runs: global average pool, a change of shape, a fully
// connected layer.
#include "backends/cuda/conv_layer.h"
#include "backends/cuda/fused_steps.h"
#include "backends/cuda/movement.h"

namespace octet::cuda {

Result<FusedSteps> fuse_pool(const Plan& plan, size_t first, DType floats, StepBuilder& builder) {
  const Graph& graph = plan.graph;
  const auto node_at = [&](size_t i) -> const Node& { return graph.node(plan.steps[i].node); };
  const Node& pool = node_at(first);
  if (!is_op(pool, "QuantGlobalAveragePool") || family_of(plan.steps[first].tactic) != "global_average")
    return FusedSteps{};
  size_t last = first + 1;
  while (last < plan.steps.size() && family_of(plan.steps[last].tactic) == "reshape" &&
         reshape_alias(graph, node_at(last), floats) == node_at(last - 1).outputs[0] &&
         only_reader(graph, node_at(last - 1).outputs[0]) == &node_at(last))
    ++last;
  if (last >= plan.steps.size() || !is_op(node_at(last), "QuantGemm") ||
      family_of(plan.steps[last].tactic) != "gemm_u8s8" || node_at(last).inputs[0] != node_at(last - 1).outputs[0] ||
      only_reader(graph, node_at(last - 1).outputs[0]) != &node_at(last))
    return FusedSteps{};
  const StepQuery of_pool{{graph, pool}, floats, false}, of_gemm{{graph, node_at(last)}, floats, false};
  if (is_constant(graph, pool.outputs[0]) || is_constant(graph, node_at(last).outputs[0])) return FusedSteps{};
  const Dims x = of_pool.dims(0);
  const int64_t plane = x[2] * x[3];
  if (x[1] % 16 != 0 || plane < 1 || plane * x[1] > k_most_gemv_pool_bytes || of_gemm.dims(0).back() != x[1])
    return FusedSteps{};
  builder.keep_apart(node_at(last).outputs[0], pool.inputs[0]);
  Result<Layer> layer = integer_layer(of_gemm, builder);
  Result<Operand> images = builder.input(of_pool, 0);
  Result<Epilogue> epilogue = epilogue_of(of_pool, floats);
  if (!layer) return layer.error();
  if (!images || !epilogue) return images ? epilogue.error() : images.error();
  if (epilogue->to != Store::u8) return FusedSteps{};
  layer->x = *images;
  const Codes in = codes_of(pool, "x", of_pool.dtype(0)), out = codes_of(pool, "y", of_pool.output().dtype);
  GemvParams p;
  p.plane = static_cast<int>(plane);
  p.pool_zero = in.zero_point;
  p.pool_multiplier =
      static_cast<float>(static_cast<double>(in.scale) / (static_cast<double>(out.scale) * static_cast<double>(plane)));
  p.pool = *epilogue;
  FusedSteps fused{last + 1 - first, {}};
  if (Result<Done> ok = add_gemv(of_gemm, *layer, p, builder, fused.prepared); !ok) return ok.error();
  if (fused.prepared.choices.empty()) return FusedSteps{};
  return fused;
}

}  // namespace octet::cuda
