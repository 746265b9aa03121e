#include "backends/cpu/cpu_backend.h"

#include "backends/cpu/constants.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/movement.h"
#include "backends/cpu/program.h"
#include "base/cpus.h"
#include "base/float_env.h"
#include "kernels/conventions.h"

namespace octet::cpu {
namespace {

/// Raised when a kernel's speed changes, so that old times are measured anew.
constexpr int k_kernels_version = 8;

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : isa_(options.isa),
        l2_bytes_(options.l2_bytes ? options.l2_bytes : cache_sizes().l2_bytes),
        pool_(options.threads) {}

  std::string_view name() const override { return "cpu"; }

  std::string description() const override {
    const int threads = pool_.threads();
    return "cpu " + std::string(octet::name(isa_)) + ", " + std::to_string(threads) +
           (threads == 1 ? " thread" : " threads");
  }

  std::string timing_key() const override {
    return cpu_model() + ", " + std::string(octet::name(isa_)) + ", " + std::to_string(pool_.threads()) +
           " threads, kernels " + std::to_string(k_kernels_version);
  }

  std::string device_key() const override {
    return "cpu " + std::string(octet::name(isa_)) + " kernels " + std::to_string(k_kernels_version);
  }

  // The forms of packed weights carry the version of their packing.
  std::string packing_key() const override { return "cpu " + std::string(octet::name(isa_)); }

  std::vector<Tactic> tactics(const Graph& graph, NodeId node) const override {
    return tactics_for(StepQuery{{graph, graph.node(node)}, isa_, pool_.threads()});
  }

  size_t storage_bytes(const Graph& graph, ValueId value) const override {
    return bytes_of(graph, neighbours_of(graph), value);
  }

  ValueId shares_storage(const Graph& graph, NodeId node) const override {
    return neighbours_of(graph).shared(graph, node);
  }

  ValueId overwrites(const Graph& graph, NodeId node) const override {
    return neighbours_of(graph).overwritten(graph, node);
  }

  Storage storage(const Graph& graph) const override {
    const Neighbours neighbours = neighbours_of(graph);
    Storage all;
    all.bytes.assign(graph.values.size(), 0);
    const auto ask = [&](ValueId v) {
      if (v != k_absent && !graph.constant(v)) all.bytes[static_cast<size_t>(v)] = bytes_of(graph, neighbours, v);
    };
    for (const ValueId v : graph.inputs) ask(v);
    for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
      for (const ValueId v : graph.node(id).outputs) ask(v);
      all.shares.push_back(neighbours.shared(graph, id));
      all.overwrites.push_back(neighbours.overwritten(graph, id));
      all.reads_beside.push_back(neighbours.read_beside(graph, id));
      all.untimed.push_back(neighbours.is_done_by_next(id) && !neighbours.is_in_strips(id) &&
                            !neighbours.is_in_row_chain(id));
    }
    return all;
  }

  Result<std::unique_ptr<const Program>> prepare(std::shared_ptr<const Plan> plan) override {
    return CpuProgram::make(std::move(plan), isa_, pool_.threads(), l2_bytes_ * static_cast<size_t>(pool_.threads()));
  }

  Result<std::unique_ptr<Workspace>> make_workspace(const Program& program) override {
    return HostWorkspace::make(static_cast<const CpuProgram&>(program).context_bytes());
  }

  Result<Done> run(const Program& program, Workspace& workspace, const Bindings& io, const RunHooks& hooks) override {
    const DefaultFloatEnv env;
    std::byte* const arena = static_cast<HostWorkspace&>(workspace).arena.get();
    return static_cast<const CpuProgram&>(program).run(arena, io, hooks, pool_);
  }

 private:
  Neighbours neighbours_of(const Graph& graph) const { return Neighbours(graph, isa_, l2_bytes_); }

  static size_t bytes_of(const Graph& graph, const Neighbours& neighbours, ValueId value) {
    if (is_constant(graph, value) || borrows_input(graph, value) || writes_output(graph, value)) return 0;
    return neighbours.layout(graph, value).bytes() + k_tail_bytes;
  }

  Isa isa_;
  size_t l2_bytes_;
  ThreadPool pool_;
};

}  // namespace

std::shared_ptr<Backend> make_backend(const CpuOptions& options) { return std::make_shared<CpuBackend>(options); }

}  // namespace octet::cpu
