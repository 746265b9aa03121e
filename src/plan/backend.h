#pragma once
// The small door to each back end: the only abstract classes of the engine, one level deep.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "plan/device.h"
#include "plan/plan.h"
#include "tensor/tensor.h"

namespace octet {

class TimingCache;

inline constexpr const char* k_in_next_step = "in the step after it";  // Program::step_note

/// Weights packed and steps prepared for one plan on one back end. Immutable; shared by contexts.
class Program {
 public:
  virtual ~Program() = default;
  virtual size_t packed_bytes() const = 0;
  /// Weights in this program's own form, by NodeId, for plan files and for programs of other shapes; they live as long
  /// as the program. Empty = nothing worth keeping.
  virtual std::vector<PackedWeights> packed() const { return {}; }
  /// Steps that use weights of Plan::packed in place.
  virtual size_t borrowed_steps() const { return 0; }
  /// By node, the tactic in full where preparing chose within the plan's; empty = the plan's say it all.
  virtual TacticChoice choice() const { return {}; }
  /// How a step is run, beyond its tactic's name, for profiles; may be empty. k_in_next_step of a step that the one
  /// after it does on the way.
  virtual std::string step_note(size_t) const { return {}; }
  /// Of a step with the note k_in_next_step: the step that does it; others may lie between. nullopt = the next that has
  /// no such note.
  virtual std::optional<size_t> step_done_by(size_t) const { return {}; }
  /// Ways that were tried while preparing and do not run: "name: why", for logs.
  virtual std::vector<std::string> refusals() const { return {}; }
  /// Memory of one context, activations and scratch; 0 = the back end does not say.
  virtual size_t context_bytes() const { return 0; }
};

/// What one context owns while it runs a program: the arena, and on a device its stream and staging buffers.
class Workspace {
 public:
  virtual ~Workspace() = default;
};

/// A workspace in host memory: plan.arena_bytes rounded up to 64, then what lives inside a step only.
struct HostWorkspace : Workspace {
  AlignedBytes arena;  // 64-byte aligned
  /// Errors: no memory for that many bytes.
  static Result<std::unique_ptr<Workspace>> make(size_t bytes);
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
  /// With tap: a back end that runs a batch in turns may give the images [first, first + images) of a value here, as
  /// each turn makes them, instead of gathering them for tap.
  std::function<void(std::string_view value, const TensorView& view, int64_t first, int64_t images)> part_tap = {};
  /// Called with every value that a step makes, codes too, after that step. Codes come as the back end stores them:
  /// code = stored - offset, where an s8 value may be u8 bytes with offset 128. Empty = no cost.
  std::function<void(std::string_view value, const TensorView& view, int offset)> value_tap = {};
  /// Seconds per step are added here when not null; resized to the number of steps. Bringing the inputs into the back
  /// end's layout counts to the first step, bringing the outputs out of it to the last.
  std::vector<double>* step_seconds = nullptr;
  /// Steps that run together as one (k_in_next_step) run one by one where they can, so that each has a time of its own.
  /// The answers are the same, the whole is slower.
  bool steps_apart = false;
  /// Overwritten when not null by a back end with memory of its own; others leave it alone.
  DeviceTimes* device_times = nullptr;
  /// Of a back end with memory of its own. false: inputs are those of the last run with transfers, outputs stay there.
  bool transfers = true;
  /// Of such a back end: compute begins after that of this other workspace's last run.
  Workspace* after = nullptr;
};

/// What a plan must know of the values of a graph.
struct Storage {
  std::vector<size_t> bytes;                              // by value
  std::vector<ValueId> shares, overwrites, reads_beside;  // by node; reads_beside: what a step reads beside its inputs
  std::vector<bool> untimed = {};  // by node: without a time of its own, with steps_apart too; empty = none
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;    // "cpu", "ref"
  virtual std::string description() const = 0;  // "cpu avx512_vnni, 1 thread"
  /// What a measured time holds for: model of the device, ISA, threads, version of the kernels. One line, no tabs.
  virtual std::string timing_key() const { return description(); }
  /// Names what tactics depend on besides the graph; tuning parts of plan files carry it.
  virtual std::string device_key() const { return std::string(name()); }
  /// Names what packed weights depend on besides the graph and their form; packed parts of plan files carry it.
  virtual std::string packing_key() const { return std::string(name()); }
  /// Every way this back end knows for the node, refused ones with their reason. Empty = the op is unknown to it.
  virtual std::vector<Tactic> tactics(const Graph& graph, NodeId node) const = 0;
  /// Bytes of arena for a value in this back end's layout, room behind it included; 0 = it needs none (a graph input or
  /// output used in the caller's buffer, a value known when the plan is prepared).
  virtual size_t storage_bytes(const Graph& graph, ValueId value) const = 0;
  /// The input whose storage output 0 of the node may take over without a copy (Reshape of a dense value), or k_absent.
  virtual ValueId shares_storage(const Graph& graph, NodeId node) const = 0;
  /// The input in whose place the node may write output 0 where nobody reads it afterwards, or k_absent.
  virtual ValueId overwrites(const Graph&, NodeId) const { return k_absent; }
  /// The three answers above for all of a graph, and what nodes read beside their inputs. To be overridden where one
  /// answer asks for others.
  virtual Storage storage(const Graph& graph) const;
  virtual Result<std::unique_ptr<const Program>> prepare(std::shared_ptr<const Plan> plan) = 0;
  /// A back end that measures while it prepares a plan takes known times from here and adds what it measures; null =
  /// none. Not while another thread prepares.
  virtual void use_times(std::shared_ptr<TimingCache>) {}
  /// Everything run() needs to change, for one context. Errors: no memory.
  virtual Result<std::unique_ptr<Workspace>> make_workspace(const Program& program) = 0;
  /// workspace: made for this program, private to the caller of this run. No allocation, no lock in here (a tap may do
  /// both).
  virtual Result<Done> run(const Program& program, Workspace& workspace, const Bindings& io, const RunHooks& hooks) = 0;

  /// run() in two halves for a device that computes while the host goes on: submit() hands the run over, finish() waits
  /// for it and fetches its outputs. One at a time for each workspace, with the same bindings and hooks in both halves.
  /// A back end of the host does all of it in submit().
  virtual bool runs_beside_the_host() const { return false; }
  virtual Result<Done> submit(const Program& program, Workspace& workspace, const Bindings& io, const RunHooks& hooks) {
    return run(program, workspace, io, hooks);
  }
  virtual Result<Done> finish(const Program&, Workspace&, const Bindings&, const RunHooks&) { return Done{}; }
  /// DeviceTimes' starts count from here on.
  virtual Result<Done> start_clock() { return Done{}; }
  /// Workspaces made from here on have at least so much memory for activations, on a device of its own.
  virtual void reserve(size_t) {}
};

/// Plans a graph whose shapes are all known: picks tactics, lays the arena out by liveness (lowest free address first).
/// An Error lists every step that no tactic supports, or not the one that `choice` names, with the reasons.
Result<std::shared_ptr<const Plan>> make_plan(Graph graph, const Backend& backend, const TacticChoice& choice = {});

}  // namespace octet
