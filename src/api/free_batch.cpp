#include "octet/free_batch.h"

#include <algorithm>

#include "api/state.h"
#include "base/hash.h"
#include "passes/free_batch.h"

namespace octet {
namespace {

bool has_fixed_leading_extent(const Graph& graph, ValueId v) {
  const std::optional<Shape>& shape = graph.value(v).shape;
  return !shape || shape->empty() || shape->front().known();
}

std::string shape_of_first_input(const Graph& graph) {
  const std::optional<Shape>& shape = graph.value(graph.inputs.front()).shape;
  return shape ? to_string(*shape) : "?";
}

}  // namespace

std::string batch_note(const Model& model, int64_t asked, const Graph& planned) {
  if (planned.inputs.empty()) return "";
  const std::optional<Shape>& shape = planned.value(planned.inputs.front()).shape;
  const int64_t has = shape && !shape->empty() && shape->front().known() ? shape->front().value : 1;
  const std::string why = why_batch_stays(model.state().graph, asked, has);
  return why.empty() ? "" : model.path() + ": " + why;
}

Result<Model> with_free_batch(const Model& model) {
  auto state = std::make_shared<Model::State>(model.state());
  Graph& graph = state->graph;
  if (std::none_of(graph.inputs.begin(), graph.inputs.end(),
                   [&](ValueId v) { return has_fixed_leading_extent(graph, v); }))
    return model;
  const std::string before = shape_of_first_input(graph);
  if (const Result<Done> ok = free_batch(graph); !ok) return within(model.path(), ok.error());
  state->repairs.push_back(
      {"free_batch", graph.value(graph.inputs.front()).name, before, shape_of_first_input(graph), ""});
  const Result<std::vector<PassReport>> cleaned = run_stage(graph, Stage::clean, state->skip_passes);
  if (!cleaned) return within(model.path(), cleaned.error());
  state->hash = to_hex(hash_graph(graph));
  return Model(std::move(state));
}

}  // namespace octet
