// Puts numbers in the place of symbols: whole shapes that the caller names first, then the batch.

#include <algorithm>

#include "ir/op.h"
#include "passes/free_batch.h"
#include "passes/passes.h"

namespace octet {
namespace {

using Bound = std::map<std::string, int64_t>;

Error misfit(const Value& value, std::string text) {
  return Error{ErrorCode::bad_argument, "input '" + value.name + "' is " +
                                            (value.shape ? to_string(*value.shape) : std::string("of unknown rank")) +
                                            " in the model: " + std::move(text)};
}

/// Notes symbol = extent; an Error when the symbol stands for another number already.
Result<Done> bind_symbol(Bound& bound, const Value& value, const Dim& dim, int64_t to) {
  if (dim.symbol.empty()) return Done{};
  const auto [at, fresh] = bound.emplace(dim.symbol, to);
  if (!fresh && at->second != to)
    return misfit(value,
                  "'" + dim.symbol + "' cannot be both " + std::to_string(at->second) + " and " + std::to_string(to));
  return Done{};
}

Result<Done> bind_shape(Value& value, const Dims& wanted, Bound& bound) {
  if (!element_count(wanted)) return misfit(value, "the shape " + to_string(wanted) + " asked for is not a shape");
  if (value.shape && value.shape->size() != wanted.size())
    return misfit(value, "the shape " + to_string(wanted) + " asked for has another rank");
  for (size_t i = 0; value.shape && i < wanted.size(); ++i) {
    const Dim& dim = (*value.shape)[i];
    if (dim.known() && dim.value != wanted[i])
      return misfit(value, "extent " + std::to_string(i) + " is fixed, but " + to_string(wanted) + " was asked for");
    if (!dim.known())
      if (Result<Done> ok = bind_symbol(bound, value, dim, wanted[i]); !ok) return ok;
  }
  value.shape = to_shape(wanted);
  return Done{};
}

Result<Done> bind_pictures(Graph& graph, const Binding& binding, Bound& bound) {
  if (!binding.picture) return Done{};
  const Bound given = bound;  // a symbol that a given shape has fixed keeps its number
  for (const ValueId v : graph.inputs) {
    Value& value = graph.value(v);
    if (!value.shape || value.shape->size() != 4) continue;
    Shape& shape = *value.shape;
    if (!shape[1].known() || shape[1].value != 3 || shape[2].known() || shape[3].known()) continue;
    for (size_t side = 0; side < 2; ++side) {
      Dim& extent = shape[2 + side];
      const auto known = given.find(extent.symbol);
      const bool fixed = !extent.symbol.empty() && known != given.end();
      const int64_t to = fixed ? known->second : (*binding.picture)[side];
      if (Result<Done> ok = bind_symbol(bound, value, extent, to); !ok) return ok;
      extent = Dim(to);
    }
  }
  return Done{};
}

Result<Done> bind_inputs(Graph& graph, const Binding& binding, Bound& bound) {
  for (const auto& [name, dims] : binding.shapes) {
    const auto named = [&](ValueId v) { return graph.value(v).name == name; };
    const auto at = std::find_if(graph.inputs.begin(), graph.inputs.end(), named);
    if (at == graph.inputs.end())
      return Error{ErrorCode::bad_argument, "a shape was given for '" + name + "', which is not an input of the model"};
    if (Result<Done> ok = bind_shape(graph.value(*at), dims, bound); !ok) return ok;
  }
  if (Result<Done> ok = bind_pictures(graph, binding, bound); !ok) return ok;
  if (binding.batch <= 0) return Done{};
  for (const ValueId v : graph.inputs) {
    Value& value = graph.value(v);
    if (!value.shape || value.shape->empty() || value.shape->front().known()) continue;
    Dim& leading = value.shape->front();
    // A symbol that a given shape has fixed keeps its number.
    const auto known = bound.find(leading.symbol);
    const int64_t extent = !leading.symbol.empty() && known != bound.end() ? known->second : binding.batch;
    if (Result<Done> ok = bind_symbol(bound, value, leading, extent); !ok) return ok;
    leading = Dim(extent);
  }
  return Done{};
}

/// Whether more samples are asked for than the 1 that every input is fixed at.
bool wants_free_batch(const Graph& graph, const Binding& binding) {
  if (graph.inputs.empty()) return false;
  bool more = binding.batch > 1;
  for (const ValueId v : graph.inputs) {
    const Value& value = graph.value(v);
    if (!value.shape || value.shape->empty() || value.shape->front() != Dim(1)) return false;
    const auto named = binding.shapes.find(value.name);
    more |= named != binding.shapes.end() && !named->second.empty() && named->second.front() > 1;
  }
  return more;
}

}  // namespace

Result<Done> bind_shapes(Graph& graph, const Binding& binding) {
  // One that cannot be freed stays 1, and a shape that asks for more is refused below.
  if (wants_free_batch(graph, binding)) (void)free_batch(graph);
  Bound bound;
  if (Result<Done> ok = bind_inputs(graph, binding, bound); !ok) return ok;
  for (Value& value : graph.values) {
    if (!value.shape) continue;
    for (Dim& dim : *value.shape) {
      if (dim.known() || dim.symbol.empty()) continue;
      if (const auto at = bound.find(dim.symbol); at != bound.end()) dim = Dim(at->second);
    }
  }
  if (Result<Done> ok = infer_shapes(graph); !ok) return within("with the shapes asked for", ok.error());
  return Done{};
}

}  // namespace octet
