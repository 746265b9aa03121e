#include "runtime/engine.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace octet {
namespace {

bool same_dims(const Shape& shape, const Dims& dims) {
  return std::equal(shape.begin(), shape.end(), dims.begin(), dims.end(),
                    [](const Dim& dim, int64_t extent) { return dim.value == extent; });
}

bool is_dense(const TensorView& view) {
  if (view.strides.size() != view.dims.size()) return false;
  int64_t stride = 1;
  for (size_t i = view.dims.size(); i-- > 0; stride *= view.dims[i]) {
    if (view.strides[i] != stride) return false;
  }
  return true;
}

/// kind: "input" or "output".
Result<Done> check_binding(std::string_view kind, const Value& value, const TensorView& view) {
  const auto what = [&] { return std::string(kind) + " '" + value.name + "'"; };
  if (view.dtype != value.dtype) {
    return Error{ErrorCode::bad_argument, what() + " is bound to a " + std::string(name(view.dtype)) +
                                              " buffer, the network has " + std::string(name(value.dtype))};
  }
  if (!same_dims(*value.shape, view.dims)) {
    return Error{ErrorCode::bad_argument, what() + " is bound to a buffer of shape " + to_string(view.dims) +
                                              ", the engine was built for " + to_string(*value.shape) +
                                              ": bind that shape, or build an engine for yours"};
  }
  if (!is_dense(view)) {
    return Error{ErrorCode::bad_argument,
                 what() + " is bound to a strided buffer, expected dense row-major elements: copy it first"};
  }
  if (view.data == nullptr && element_count(view.dims).value_or(0) > 0)
    return Error{ErrorCode::bad_argument, what() + " is bound to no buffer (null)"};
  return Done{};
}

Result<Done> check_bindings(std::string_view kind, const Graph& graph, const std::vector<ValueId>& values,
                            const std::vector<TensorView>& views) {
  if (views.size() != values.size()) {
    std::string names;
    for (const ValueId v : values) names += (names.empty() ? "'" : ", '") + graph.value(v).name + "'";
    return Error{ErrorCode::bad_argument, std::to_string(views.size()) + " " + std::string(kind) +
                                              "s are bound, the network has " + std::to_string(values.size()) + ": " +
                                              (names.empty() ? "none" : names)};
  }
  for (size_t i = 0; i < views.size(); ++i) {
    Result<Done> fits = check_binding(kind, graph.value(values[i]), views[i]);
    if (!fits) return fits;
  }
  return Done{};
}

Result<Done> check_all(const Graph& graph, const Bindings& io) {
  Result<Done> fits = check_bindings("input", graph, graph.inputs, io.inputs);
  return fits ? check_bindings("output", graph, graph.outputs, io.outputs) : fits;
}

/// The plan for those who ask about steps and shapes. Weights are left out, scales and the like stay.
std::shared_ptr<const Plan> without_weights(const Plan& plan) {
  constexpr size_t k_kept_bytes = 4096;
  auto light = std::make_shared<Plan>(plan);
  for (Value& value : light->graph.values)
    if (value.constant && value.constant->size_bytes() > k_kept_bytes) value.constant.reset();
  light->packed.reset();
  return light;
}

}  // namespace

Result<std::shared_ptr<const Engine>> Engine::build(Graph graph, std::shared_ptr<Backend> backend,
                                                    const TacticChoice& choice,
                                                    std::shared_ptr<const PackedPart> packed) {
  Result<std::shared_ptr<const Plan>> plan = make_plan(std::move(graph), *backend, choice);
  if (!plan) return plan.error();
  if (packed) {
    auto with_packed = std::make_shared<Plan>(**plan);
    with_packed->packed = std::move(packed);
    plan = std::shared_ptr<const Plan>(std::move(with_packed));
  }
  Result<std::unique_ptr<const Program>> program = backend->prepare(*plan);
  if (!program) return program.error();
  auto engine = std::make_shared<Engine>();
  engine->plan_ = without_weights(**plan);
  engine->backend_ = std::move(backend);
  engine->program_ = *std::move(program);
  return std::shared_ptr<const Engine>(std::move(engine));
}

std::shared_ptr<const PackedPart> Engine::packed_of(const std::shared_ptr<const Engine>& engine) {
  PackedPart part{engine->backend().packing_key(), engine->program().packed(), engine};
  return std::make_shared<const PackedPart>(std::move(part));
}

Result<Context> Context::make(std::shared_ptr<const Engine> engine) {
  Result<std::unique_ptr<Workspace>> workspace = engine->backend().make_workspace(engine->program());
  if (!workspace) return workspace.error();
  Context context;
  context.workspace_ = *std::move(workspace);
  context.engine_ = std::move(engine);
  return context;
}

Result<Done> Context::run(const Bindings& io, const RunHooks& hooks) {
  if (Result<Done> fits = check_all(engine_->plan().graph, io); !fits) return fits;
  return engine_->backend().run(engine_->program(), *workspace_, io, hooks);
}

Result<Done> Context::submit(const Bindings& io, const RunHooks& hooks) {
  if (Result<Done> fits = check_all(engine_->plan().graph, io); !fits) return fits;
  return engine_->backend().submit(engine_->program(), *workspace_, io, hooks);
}

Result<Done> Context::finish(const Bindings& io, const RunHooks& hooks) {
  return engine_->backend().finish(engine_->program(), *workspace_, io, hooks);
}

}  // namespace octet
