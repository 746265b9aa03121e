#include "backends/ref/ref.h"

#include <chrono>
#include <cstring>

#include "ir/op.h"

namespace octet {
namespace {

class RefProgram : public Program {
 public:
  explicit RefProgram(std::shared_ptr<const Plan> plan);
  size_t packed_bytes() const override { return 0; }
  const Plan& plan() const { return *plan_; }
  /// Values that no step after this one reads, so that a large batch does not keep every activation alive.
  const std::vector<ValueId>& dies_after(size_t step) const { return dies_after_[step]; }

 private:
  std::shared_ptr<const Plan> plan_;
  std::vector<std::vector<ValueId>> dies_after_;
};

RefProgram::RefProgram(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)), dies_after_(plan_->steps.size()) {
  std::vector<bool> seen(plan_->graph.values.size(), false);
  for (const ValueId id : plan_->graph.outputs) seen[static_cast<size_t>(id)] = true;
  for (size_t s = plan_->steps.size(); s-- > 0;) {
    const Node& node = plan_->graph.node(plan_->steps[s].node);
    for (const std::vector<ValueId>* ids : {&node.inputs, &node.outputs}) {
      for (const ValueId id : *ids) {
        if (id == k_absent || seen[static_cast<size_t>(id)]) continue;
        seen[static_cast<size_t>(id)] = true;
        dies_after_[s].push_back(id);
      }
    }
  }
}

/// Reference kernels make tensors of their own, so values need no arena; the rule against allocation is for fast back
/// ends.
class RefBackend : public Backend {
 public:
  std::string_view name() const override { return "ref"; }
  std::string description() const override { return "ref, reference kernels"; }
  std::vector<Tactic> tactics(const Graph& graph, NodeId node) const override {
    const bool runs = graph.node(node).op->reference != nullptr;
    return {{"reference", runs ? "" : "the op has no reference kernel", 0}};
  }
  size_t storage_bytes(const Graph&, ValueId) const override { return 0; }
  ValueId shares_storage(const Graph&, NodeId) const override { return k_absent; }
  Result<std::unique_ptr<const Program>> prepare(std::shared_ptr<const Plan> plan) override {
    return std::unique_ptr<const Program>(std::make_unique<RefProgram>(std::move(plan)));
  }
  Result<std::unique_ptr<Workspace>> make_workspace(const Program&) override { return HostWorkspace::make(0); }
  Result<Done> run(const Program& program, Workspace&, const Bindings& io, const RunHooks& hooks) override;
};

/// Calls the taps with the node's outputs.
void show_outputs(const Graph& graph, const Node& node, std::span<const Tensor> values, const RunHooks& hooks) {
  for (const ValueId id : node.outputs) {
    if (id == k_absent) continue;
    const Tensor& t = values[static_cast<size_t>(id)];
    // The view is for reading; TensorView has one pointer type for both uses.
    const TensorView view = TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data()));
    if (hooks.tap && t.dtype() == DType::f32) hooks.tap(graph.value(id).name, view);
    if (hooks.value_tap) hooks.value_tap(graph.value(id).name, view, 0);
  }
}

Result<Done> run_node(const Graph& graph, const Node& node, std::vector<Tensor>& values) {
  std::vector<Tensor> inputs;
  for (const ValueId id : node.inputs) inputs.push_back(id == k_absent ? Tensor() : values[static_cast<size_t>(id)]);
  Result<std::vector<Tensor>> outputs = node.op->reference({graph, node}, inputs);
  if (!outputs) return outputs.error();
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != k_absent) values[static_cast<size_t>(node.outputs[i])] = std::move((*outputs)[i]);
  return Done{};
}

bool fits(const std::optional<Shape>& shape, const Dims& dims) {
  if (!shape) return true;
  if (shape->size() != dims.size()) return false;
  for (size_t i = 0; i < dims.size(); ++i)
    if ((*shape)[i].known() && (*shape)[i].value != dims[i]) return false;
  return true;
}

Result<Done> RefBackend::run(const Program& program, Workspace&, const Bindings& io, const RunHooks& hooks) {
  const auto& prepared = static_cast<const RefProgram&>(program);
  const Plan& plan = prepared.plan();
  const Graph& graph = plan.graph;
  std::vector<Tensor> values(graph.values.size());
  for (size_t v = 0; v < values.size(); ++v)
    if (graph.values[v].constant) values[v] = *graph.values[v].constant;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    Result<Tensor> copy = dense_copy(io.inputs[i]);
    if (!copy) return copy.error();
    values[static_cast<size_t>(graph.inputs[i])] = std::move(*copy);
  }
  if (hooks.step_seconds) hooks.step_seconds->resize(plan.steps.size());
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const Node& node = graph.node(plan.steps[s].node);
    const auto start = std::chrono::steady_clock::now();
    if (const Result<Done> ran = run_node(graph, node, values); !ran) return ran.error();
    if (hooks.step_seconds)
      (*hooks.step_seconds)[s] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (hooks.tap || hooks.value_tap) show_outputs(graph, node, values, hooks);
    for (const ValueId id : prepared.dies_after(s)) values[static_cast<size_t>(id)] = Tensor();
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const Tensor& y = values[static_cast<size_t>(graph.outputs[i])];
    if (y.dtype() != io.outputs[i].dtype || y.dims() != io.outputs[i].dims)
      return Error{ErrorCode::internal, "output '" + graph.value(graph.outputs[i]).name + "' came out as " +
                                            to_string(y.dims()) + ", the caller's buffer is " +
                                            to_string(io.outputs[i].dims)};
    std::memcpy(io.outputs[i].data, y.bytes().data(), y.size_bytes());
  }
  return Done{};
}

}  // namespace

Result<std::vector<Tensor>> evaluate(const Graph& graph, std::span<const Tensor> inputs) {
  if (inputs.size() != graph.inputs.size())
    return Error{ErrorCode::bad_argument, "the graph has " + std::to_string(graph.inputs.size()) +
                                              " inputs, given were " + std::to_string(inputs.size())};
  std::vector<Tensor> values(graph.values.size());
  for (size_t v = 0; v < values.size(); ++v)
    if (graph.values[v].constant) values[v] = *graph.values[v].constant;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& wanted = graph.value(graph.inputs[i]);
    if (inputs[i].dtype() != wanted.dtype || !fits(wanted.shape, inputs[i].dims()))
      return Error{ErrorCode::bad_argument, "input '" + wanted.name + "' is " + std::string(octet::name(wanted.dtype)) +
                                                (wanted.shape ? to_string(*wanted.shape) : "") + ", given was " +
                                                std::string(octet::name(inputs[i].dtype())) +
                                                to_string(inputs[i].dims())};
    values[static_cast<size_t>(graph.inputs[i])] = inputs[i];
  }
  for (const Node& node : graph.nodes)
    if (const Result<Done> ran = run_node(graph, node, values); !ran) return ran.error();
  std::vector<Tensor> outputs;
  for (const ValueId id : graph.outputs) outputs.push_back(values[static_cast<size_t>(id)]);
  return outputs;
}

std::shared_ptr<Backend> make_ref_backend() { return std::make_shared<RefBackend>(); }

}  // namespace octet
