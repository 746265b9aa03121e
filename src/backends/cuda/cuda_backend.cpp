#include "backends/cuda/cuda_backend.h"

#include "backends/cuda/cluster.h"
#include "backends/cuda/movement.h"
#include "backends/cuda/program.h"
#include "backends/cuda/tma.h"

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
  std::string timing_key() const override { return description() + ", kernels 2"; }
  std::string device_key() const override {
    return "cuda sm_" + std::to_string(device_.major) + std::to_string(device_.minor);
  }

  std::vector<Tactic> tactics(const Graph& graph, NodeId node) const override {
    const StepQuery query{{graph, graph.node(node)}, options_.floats, options_.tf32};
    std::vector<Tactic> found;
    for (const StepDef* step : steps_for(query.node.op->name))
      found.push_back({std::string(step->family), step->refuse(query), step->cost});
    return found;
  }

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
    return CudaProgram::make(std::move(plan), device_, options_);
  }

  Result<std::unique_ptr<Workspace>> make_workspace(const Program& program) override {
    if (Result<Done> ok = check(cudaSetDevice(device_.ordinal), "choosing the device"); !ok) return ok.error();
    return static_cast<const CudaProgram&>(program).make_workspace();
  }

  Result<Done> run(const Program& program, Workspace& workspace, const Bindings& io, const RunHooks& hooks) override {
    if (Result<Done> ok = check(cudaSetDevice(device_.ordinal), "choosing the device"); !ok) return ok.error();
    return static_cast<const CudaProgram&>(program).run(static_cast<CudaWorkspace&>(workspace), io, hooks);
  }

 private:
  Device device_;
  ProgramOptions options_;
};

}  // namespace

Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions& options, const std::string& tile) {
  Result<Device> device = open_device(options.ordinal);
  if (!device) return device.error();
  return std::shared_ptr<Backend>(
      std::make_shared<CudaBackend>(*device, ProgramOptions{options.floats, options.tf32, options.tune, tile}));
}

std::vector<std::string> tile_names() {
  std::vector<std::string> names;
  for (int i = 0; i < conv_tile_count(ConvType::u8s8); ++i) {
    names.emplace_back(conv_tile(ConvType::u8s8, i).name);
    names.push_back(names.back() + " split 2");
  }
  for (int i = 0; i < cluster_tile_count(); ++i)
    for (const char* split : {" 1", " 2", " 4", " 8"}) names.push_back(cluster_tile(i).name + std::string(split));
  for (int i = 0; i < tma_tile_count(ConvType::u8s8); ++i) names.emplace_back(tma_tile(ConvType::u8s8, i).name);
  return names;
}

Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions& options) { return make_backend(options, ""); }

}  // namespace octet::cuda
