#include "backends/cuda/cuda_backend.h"

#include <algorithm>
#include <atomic>

#include "backends/cuda/cublas.h"
#include "backends/cuda/cudnn.h"
#include "backends/cuda/fused_steps.h"
#include "backends/cuda/movement.h"
#include "backends/cuda/program.h"
#include "backends/cuda/tile_limits.h"

namespace octet::cuda {
namespace {

class CudaBackend : public Backend {
 public:
  CudaBackend(Device device, ProgramOptions options) : device_(std::move(device)), options_(std::move(options)) {}

  std::string_view name() const override { return "cuda"; }

  std::string description() const override {
    const std::string floats = options_.floats == DType::f16 ? ", f16" : options_.tf32 ? ", tf32" : "";
    return "cuda " + device_.name + ", sm_" + std::to_string(device_.major) + std::to_string(device_.minor) + floats;
  }

  // The kernels' version: raise it with every change of a kernel or of the ways to cut a layer up.
  std::string timing_key() const override { return description() + ", kernels 8"; }
  std::string device_key() const override {
    return "cuda sm_" + std::to_string(device_.major) + std::to_string(device_.minor);
  }

  std::vector<Tactic> tactics(const Graph& graph, NodeId node) const override {
    const StepQuery query{{graph, graph.node(node)}, options_.floats, options_.tf32};
    std::vector<Tactic> found;
    bool has_kernel = false;
    for (const StepDef* step : steps_for(query.node.op->name)) {
      const bool is_last = step == &reference_step;
      std::string refused = is_last && has_kernel ? "there is a kernel" : step->refuse(query);
      has_kernel = has_kernel || refused.empty();
      const std::string family(step->family);
      found.push_back({family, std::move(refused), step->cost});
      if (!step->choices || !found.back().refused.empty()) continue;
      // By the family's name the fastest choice is found by measuring when the plan is prepared; a plan that was tuned
      // names one.
      constexpr double k_by_name_only = 1e9;
      for (const std::string& choice : step->choices())
        found.push_back({family + " " + choice, refuse_choice(*step, choice), k_by_name_only});
    }
    return found;
  }

  void use_times(std::shared_ptr<TimingCache> times) override { options_.times = std::move(times); }

  size_t storage_bytes(const Graph& graph, ValueId value) const override {
    if (is_constant(graph, value) || borrows_input(graph, value, options_.floats) ||
        writes_output(graph, value, options_.floats))
      return 0;
    constexpr size_t k_room = 256;  // so that values begin where wide loads and cache lines do
    return (layout_of(graph, value, options_.floats).bytes() + k_room - 1) / k_room * k_room + k_room;
  }

  ValueId shares_storage(const Graph& graph, NodeId node) const override {
    return reshape_alias(graph, graph.node(node), options_.floats);
  }

  Result<std::unique_ptr<const Program>> prepare(std::shared_ptr<const Plan> plan) override {
    if (Result<Done> ok = check(cudaSetDevice(device_.ordinal), "choosing the device"); !ok) return ok.error();
    ProgramOptions options = options_;
    options.timing_key = timing_key();
    return CudaProgram::make(std::move(plan), device_, options);
  }

  Result<std::unique_ptr<Workspace>> make_workspace(const Program& program) override {
    if (Result<Done> ok = check(cudaSetDevice(device_.ordinal), "choosing the device"); !ok) return ok.error();
    return static_cast<const CudaProgram&>(program).make_workspace(least_arena_);
  }

  Result<Done> run(const Program& program, Workspace& workspace, const Bindings& io, const RunHooks& hooks) override {
    const Result<Done> handed_over = submit(program, workspace, io, hooks);
    return handed_over ? finish(program, workspace, io, hooks) : handed_over;
  }

  bool runs_beside_the_host() const override { return true; }

  Result<Done> submit(const Program& program, Workspace& workspace, const Bindings& io,
                      const RunHooks& hooks) override {
    if (Result<Done> ok = check(cudaSetDevice(device_.ordinal), "choosing the device"); !ok) return ok.error();
    return static_cast<const CudaProgram&>(program).submit(static_cast<CudaWorkspace&>(workspace), io, hooks);
  }

  Result<Done> finish(const Program& program, Workspace& workspace, const Bindings& io,
                      const RunHooks& hooks) override {
    if (Result<Done> ok = check(cudaSetDevice(device_.ordinal), "choosing the device"); !ok) return ok.error();
    return static_cast<const CudaProgram&>(program).finish(static_cast<CudaWorkspace&>(workspace), io, hooks,
                                                           origin_.get());
  }

  Result<Done> start_clock() override {
    if (Result<Done> ok = check(cudaSetDevice(device_.ordinal), "choosing the device"); !ok) return ok.error();
    if (!origin_) {
      Result<Event> made = make_event();
      if (!made) return made.error();
      origin_ = *std::move(made);
    }
    if (Result<Done> ok = check(cudaEventRecord(origin_.get(), nullptr), "starting the clock"); !ok) return ok;
    return check(cudaEventSynchronize(origin_.get()), "starting the clock");
  }

  void reserve(size_t bytes) override { least_arena_ = bytes; }

 private:
  std::string refuse_choice(const StepDef& step, const std::string& choice) const {
    if (choice.starts_with("cublaslt")) return cublas_missing();
    if (choice == k_cudnn_choice) return cudnn_missing();
    return refuse_tile(choice, step.family.ends_with("u8s8"), device_.shared_bytes);
  }

  Device device_;
  ProgramOptions options_;
  Event origin_;
  std::atomic<size_t> least_arena_ = 0;
};

Result<std::shared_ptr<Backend>> open_with(const ProgramOptions& options) {
  Result<Device> device = open_device(options.ordinal);
  if (!device) return device.error();
  return std::shared_ptr<Backend>(std::make_shared<CudaBackend>(*device, options));
}

}  // namespace

Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions& options, const std::string& tile) {
  return open_with(ProgramOptions{options, nullptr, "", tile, true});
}

std::vector<std::string> tile_names() {
  std::vector<std::string> names;
  for (const std::string& name : conv_u8s8_step.choices())
    if (!name.starts_with("joined") && !name.starts_with("chain") && !name.starts_with("block") &&
        !name.starts_with("stem") && name != "gemv")
      names.push_back(name);
  return names;
}

std::vector<std::string> joined_tile_names() { return joined_names(); }
std::vector<std::string> chain_tile_names() { return chain_names("chain"); }
std::vector<std::string> block_tile_names() { return chain_names("block"); }

Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions& options) {
  return open_with(ProgramOptions{options, nullptr, "", "", false});
}

bool is_built_in() { return true; }

}  // namespace octet::cuda
