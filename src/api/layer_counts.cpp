#include "api/layer_counts.h"

#include <cstdio>

#include "api/state.h"
#include "ir/op.h"

namespace octet {

LayerCounts count_layers(const Graph& graph) {
  LayerCounts counts;
  for (const Node& node : graph.nodes) {
    const bool converts = is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear");
    const bool is_integer = node.op->name.starts_with("Quant") && !converts;
    const double macs = mmac_of(graph, node);
    counts.all_macs += macs;
    if (is_integer) counts.integer_macs += macs;
    if (converts) {
      ++counts.conversions;
    } else if (is_integer) {
      ++counts.integer;
    } else if (node.op->name.starts_with("Bf16")) {
      ++counts.bf16;
    } else if (graph.value(node.outputs[0]).dtype == DType::f32) {
      ++counts.real;
    }
  }
  return counts;
}

std::string percent_text(double percent) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", percent);
  return text;
}

}  // namespace octet
