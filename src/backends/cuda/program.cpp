#include "backends/cuda/program.h"

#include <cuda_fp16.h>

#include <algorithm>
#include <cstring>

namespace octet::cuda {
namespace {

struct OpStep {
  std::string_view op;
  const StepDef* step;
};
constexpr OpStep k_steps[] = {
#define OCTET_STEP(op, step) {#op, &step},
#include "backends/cuda/steps.def"
#undef OCTET_STEP
};

}  // namespace

std::vector<const StepDef*> steps_for(std::string_view op) {
  std::vector<const StepDef*> found;
  for (const OpStep& entry : k_steps)
    if (entry.op == op) found.push_back(entry.step);
  found.push_back(&reference_step);
  return found;
}

Launch CudaWorkspace::launch() const {
  return {stream.get(),
          static_cast<std::byte*>(arena.get()),
          offsets,
          &inputs,
          &outputs,
          static_cast<int32_t*>(partial.get()),
          static_cast<int32_t*>(arrived.get()),
          scratch.get(),
          static_cast<std::byte*>(host.get()),
          &host_calls};
}

Result<Done> CudaWorkspace::host_result() const {
  for (const auto& [step, call] : host_calls)
    if (call->error) return *call->error;
  return Done{};
}

TacticChoice CudaProgram::choice() const {
  TacticChoice made(plan_->graph.nodes.size());
  for (size_t i = 0; i < steps_.size(); ++i) made[static_cast<size_t>(plan_->steps[i].node)] = steps_[i].tactic;
  return made;
}

cudaError_t CudaProgram::enqueue_inputs(const Launch& launch, bool all) const {
  for (const BringIn& part : bring_in_)
    if (all || !taken_inputs_.contains(part.input))
      if (const cudaError_t status = part.run(launch); status != cudaSuccess) return status;
  return cudaSuccess;
}

cudaError_t CudaProgram::enqueue(const Launch& launch) const {
  if (const cudaError_t status = enqueue_inputs(launch); status != cudaSuccess) return status;
  for (const ProgramStep& step : steps_)
    if (step.run)
      if (const cudaError_t status = step.run(launch); status != cudaSuccess) return status;
  for (const Enqueue& part : take_out_)
    if (const cudaError_t status = part(launch); status != cudaSuccess) return status;
  return cudaSuccess;
}

Result<Done> CudaProgram::show(const CudaWorkspace& workspace, const ProgramStep& step, const RunHooks& hooks) const {
  for (const Tapped& tapped : step.taps) {
    const Layout& layout = tapped.operand.layout;
    std::vector<std::byte> bytes(layout.bytes());
    const Result<Done> ok = check(cudaMemcpyAsync(bytes.data(), workspace.launch().at(tapped.operand.place),
                                                  bytes.size(), cudaMemcpyDeviceToHost, workspace.stream.get()),
                                  "reading a layer's output");
    if (!ok) return ok;
    if (Result<Done> done = check(cudaStreamSynchronize(workspace.stream.get()), "reading a layer's output"); !done)
      return done;
    std::vector<float> values;
    if (layout.store == Store::f16) {
      for (size_t i = 0; i < bytes.size(); i += 2) {
        __half_raw raw;
        std::memcpy(&raw.x, bytes.data() + i, 2);
        values.push_back(__half2float(__half(raw)));
      }
    }
    std::byte* data = values.empty() ? bytes.data() : reinterpret_cast<std::byte*>(values.data());
    // An s8 code is stored as u8 with 128 added.
    const DType dtype = layout.dtype == DType::s8 ? DType::u8 : !values.empty() ? DType::f32 : layout.dtype;
    const TensorView view{dtype, layout.dims, layout.strides, data};
    if (hooks.tap && dtype == DType::f32) hooks.tap(tapped.name, view);
    if (hooks.value_tap) hooks.value_tap(tapped.name, view, domain_shift(layout.dtype));
  }
  return Done{};
}

/// Step by step instead of the graph. With taps every step runs by itself, so that each value can be shown.
Result<Done> CudaProgram::run_steps(CudaWorkspace& workspace, const RunHooks& hooks) const {
  const Launch launch = workspace.launch();
  const auto finish = [&](cudaError_t status) {
    const Result<Done> ok = check(status, "starting a kernel");
    return ok ? check(cudaStreamSynchronize(launch.stream), "running a kernel") : ok;
  };
  const bool taps = hooks.tap || hooks.value_tap;
  if (Result<Done> ok = finish(enqueue_inputs(launch, taps)); !ok) return ok;
  for (const ProgramStep& step : steps_) {
    if (const Enqueue& run = taps && step.joined ? step.alone.run : step.run)
      if (Result<Done> ok = finish(run(launch)); !ok) return ok;
    if (Result<Done> ok = workspace.host_result(); !ok) return ok;
    if (taps)
      if (Result<Done> ok = show(workspace, step, hooks); !ok) return ok;
  }
  for (const Enqueue& part : take_out_)
    if (Result<Done> ok = finish(part(launch)); !ok) return ok;
  return Done{};
}

}  // namespace octet::cuda
