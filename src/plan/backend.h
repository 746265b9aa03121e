#pragma once
// The small door to each back end: the only abstract classes of the engine, one level deep.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"
#include "tensor/tensor.h"

namespace octet {

/// Weights packed and steps prepared for one plan on one back end. Immutable; shared by contexts.
class Program {
 public:
  virtual ~Program() = default;
  virtual size_t packed_bytes() const = 0;
  /// Bytes that run() needs behind the plan's arena, for what lives inside a step only (scratch of each thread).
  virtual size_t workspace_bytes() const { return 0; }
};

/// Caller's dense row-major buffers, one per graph input and output, used in place.
struct Bindings {
  std::vector<TensorView> inputs;
  std::vector<TensorView> outputs;
};

struct RunHooks {
  /// Called with every f32 value that a step makes, after that step (logical NCHW dims, real strides). Empty = no taps,
  /// no cost.
  std::function<void(std::string_view value, const TensorView& view)> tap;
  /// Seconds per step are added here when not null; resized to the number of steps. Bringing the inputs into the back
  /// end's layout counts to the first step, bringing the outputs out of it to the last.
  std::vector<double>* step_seconds = nullptr;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;    // "cpu", "ref"
  virtual std::string description() const = 0;  // "cpu avx512_vnni, 1 thread"
  /// Every way this back end knows for the node, refused ones with their reason. Empty = the op is unknown to it.
  virtual std::vector<Tactic> tactics(const Graph& graph, NodeId node) const = 0;
  /// Bytes of arena for a value in this back end's layout, room behind it included; 0 = it needs none (a graph input or
  /// output used in the caller's buffer, a value known when the plan is prepared).
  virtual size_t storage_bytes(const Graph& graph, ValueId value) const = 0;
  /// The input whose storage output 0 of the node may take over without a copy (Reshape of a dense value), or k_absent.
  virtual ValueId shares_storage(const Graph& graph, NodeId node) const = 0;
  virtual Result<std::unique_ptr<const Program>> prepare(std::shared_ptr<const Plan> plan) = 0;
  /// arena: plan.arena_bytes rounded up to 64, then program.workspace_bytes(); 64-byte aligned, private to the caller
  /// of this run. No allocation, no lock in here (a tap may do both).
  virtual Result<Done> run(const Program& program, std::byte* arena, const Bindings& io, const RunHooks& hooks) = 0;
};

/// Plans a graph whose shapes are all known: picks tactics, lays the arena out by liveness (lowest free address first).
/// An Error lists every step that no tactic supports, with the reasons.
Result<std::shared_ptr<const Plan>> make_plan(Graph graph, const Backend& backend);

}  // namespace octet
