// A step all of whose outputs have no elements, whatever its op: nothing is to be done.
#include <algorithm>

#include "backends/cpu/step.h"

namespace octet::cpu {
namespace {

bool is_empty(const Graph& graph, ValueId v) {
  if (v == k_absent) return true;
  const Value& value = graph.value(v);
  const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
  return dims && element_count(*dims) == 0;
}

bool makes_nothing(const StepQuery& query) {
  return std::all_of(query.node.outputs.begin(), query.node.outputs.end(),
                     [&](ValueId v) { return is_empty(query.graph, v); });
}

std::string refuse(const StepQuery& query) { return makes_nothing(query) ? "" : "an output has elements"; }

double cost_us(const StepQuery&) { return 0; }

Result<PreparedStep> prepare(const StepQuery&, StepBuilder&) { return PreparedStep{}; }

}  // namespace

bool is_without_elements(const StepQuery& query) {
  if (makes_nothing(query)) return true;
  return std::any_of(query.node.inputs.begin(), query.node.inputs.end(), [&](ValueId v) {
    return v != k_absent && !query.graph.value(v).constant && is_empty(query.graph, v);
  });
}

const StepDef nothing_step = {"nothing", refuse, cost_us, prepare};

}  // namespace octet::cpu
