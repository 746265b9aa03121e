// The values inside a running engine, for those who look for the layer that goes wrong.

#include <map>
#include <optional>

#include "api/code_params.h"
#include "api/state.h"
#include "octet/measure.h"

namespace octet {

Result<std::vector<InnerValue>> inner_values(Session& session, TensorBuffers& buffers) {
  const Graph& graph = session.state().engine->plan().graph;
  const std::vector<std::optional<QuantParams>> params = code_params(graph);
  std::map<std::string, Tensor> made;
  std::optional<Error> error;
  RunHooks hooks;
  hooks.value_tap = [&](std::string_view value, const TensorView& view, int offset) {
    Result<Tensor> copy = tapped_tensor(view, offset);
    if (!copy)
      error = copy.error();
    else
      made[std::string(value)] = *std::move(copy);
  };
  const Result<Done> ran = session.state().run(buffers.run_inputs(), buffers.run_outputs(), hooks);
  if (!ran) return ran.error();
  if (error) return *error;
  std::vector<InnerValue> values;
  for (const Node& node : graph.nodes) {
    const ValueId v = node.outputs[0];
    const auto found = made.find(graph.value(v).name);
    if (found == made.end()) continue;
    const std::vector<double> real = real_values(found->second, params[static_cast<size_t>(v)]);
    // A tensor that a plan holds both as numbers and as codes keeps the plan's two names.
    const std::string tensor = float_name(found->first);
    values.push_back({made.count(tensor) ? found->first : tensor, found->first, node.name, found->second.dims(),
                      std::vector<float>(real.begin(), real.end())});
  }
  return values;
}

}  // namespace octet
