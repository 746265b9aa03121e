#pragma once
// Engine: a plan prepared on a back end, shared. Context: one run at a time over its own workspace.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plan/backend.h"

namespace octet {

class Engine {
 public:
  /// graph: fused, all shapes known (passes/bind_shapes). The engine shares the back end with its contexts. choice: as
  /// make_plan takes it, from runtime/tune.h or a plan file.
  /// packed: weights that fit are used in place and kept alive; null = everything is packed.
  static Result<std::shared_ptr<const Engine>> build(Graph graph, std::shared_ptr<Backend> backend,
                                                     const TacticChoice& choice = {},
                                                     std::shared_ptr<const PackedPart> packed = nullptr);
  /// Without large constants: the program holds what it runs with, in its own form, and nothing is held twice.
  const Plan& plan() const { return *plan_; }
  const Program& program() const { return *program_; }
  Backend& backend() const { return *backend_; }
  const std::shared_ptr<Backend>& share_backend() const { return backend_; }
  /// This engine's packed weights, for engines of the same network at other shapes; they keep this one alive.
  static std::shared_ptr<const PackedPart> packed_of(const std::shared_ptr<const Engine>& engine);
  /// Inputs and outputs in graph order.
  const Value& input(size_t i) const { return plan_->graph.value(plan_->graph.inputs[i]); }
  const Value& output(size_t i) const { return plan_->graph.value(plan_->graph.outputs[i]); }

 private:
  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<Backend> backend_;
  std::unique_ptr<const Program> program_;
};

/// Belongs to one thread at a time; many contexts of one engine run side by side.
class Context {
 public:
  static Result<Context> make(std::shared_ptr<const Engine> engine);
  /// Dense buffers of the engine's dtypes and dims; an Error names the one that does not fit.
  Result<Done> run(const Bindings& io, const RunHooks& hooks = {});
  /// run() in two halves (Backend::submit); one run at a time.
  Result<Done> submit(const Bindings& io, const RunHooks& hooks);
  Result<Done> finish(const Bindings& io, const RunHooks& hooks);
  Workspace& workspace() { return *workspace_; }
  const Engine& engine() const { return *engine_; }

 private:
  std::shared_ptr<const Engine> engine_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace octet
