// What a context owns and one run of it: inputs in, the steps as one graph or launch by launch, outputs out.

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include "backends/cuda/program.h"

namespace octet::cuda {
namespace {

size_t dense_bytes(const Graph& graph, ValueId v) {
  const Value& value = graph.value(v);
  return static_cast<size_t>(element_count(*known_dims(*value.shape)).value_or(0)) * size_of(value.dtype);
}

enum Mark : size_t { k_begin, k_arrived, k_start, k_computed, k_fetched, k_marks };

}  // namespace

Result<Done> CudaProgram::allocate_io(CudaWorkspace& made) const {
  constexpr std::string_view k_what = "the network's inputs and outputs";
  const Graph& graph = plan_->graph;
  for (auto& [ids, device, host] : {std::tuple(&graph.inputs, &made.inputs, &made.staged_inputs),
                                    std::tuple(&graph.outputs, &made.outputs, &made.staged_outputs)}) {
    for (const ValueId v : *ids) {
      const size_t bytes = dense_bytes(graph, v);
      Result<DeviceBytes> value = managed_ ? allocate_managed(bytes + 16, k_what) : allocate_device(bytes + 16, k_what);
      if (!value) return value.error();
      device->push_back(std::move(*value));
      if (managed_) continue;
      Result<PinnedBytes> staged = allocate_pinned(bytes);
      if (!staged) return staged.error();
      host->push_back(std::move(*staged));
    }
  }
  return Done{};
}

size_t CudaProgram::context_bytes() const { return offsets_->end + room_.bytes(); }

Result<std::unique_ptr<CudaWorkspace>> CudaProgram::allocate(size_t least_arena) const {
  auto made = std::make_unique<CudaWorkspace>();
  Result<Stream> stream = make_stream();
  if (!stream) return stream.error();
  made->stream = std::move(*stream);
  made->offsets = &offsets_->at;
  const struct {
    DeviceBytes* to;
    size_t bytes;
    const char* what;
  } buffers[] = {{&made->arena, std::max(offsets_->end, least_arena) + 256, "the activations"},
                 {&made->partial, room_.partial_sums * 4, "partial sums"},
                 {&made->arrived, room_.tiles * 4, "tile counters"},
                 {&made->scratch, room_.scratch, "a library's workspace"}};
  for (const auto& buffer : buffers) {
    Result<DeviceBytes> bytes = allocate_device(buffer.bytes, buffer.what);
    if (!bytes) return bytes.error();
    *buffer.to = std::move(*bytes);
    const int fill = poison_ && buffer.to == &made->arena ? 0xff : 0;
    if (Result<Done> ok = check(cudaMemsetAsync(buffer.to->get(), fill, buffer.bytes, made->stream.get()), buffer.what);
        !ok)
      return ok.error();
  }
  if (Result<Done> ok = allocate_io(*made); !ok) return ok.error();
  if (host_bytes_ > 0) {
    Result<PinnedBytes> host = allocate_pinned(host_bytes_);
    if (!host) return host.error();
    made->host = std::move(*host);
  }
  for (size_t i = 0; i < k_marks; ++i) {
    Result<Event> mark = make_event();
    if (!mark) return mark.error();
    made->marks.push_back(std::move(*mark));
  }
  Result<Event> end = make_end_event(wait_ == DeviceWait::block);
  if (!end) return end.error();
  made->end = std::move(*end);
  return made;
}

Result<std::unique_ptr<Workspace>> CudaProgram::make_workspace(size_t least_arena) const {
  Result<std::unique_ptr<CudaWorkspace>> made = allocate(least_arena);
  if (!made) return made.error();
  const Launch launch = (*made)->launch();
  if (as_graph_) {
    Result<GraphExec> graph = capture(launch.stream, [&](cudaStream_t) { return enqueue(launch); });
    if (!graph) return graph.error();
    (*made)->graph = std::move(*graph);
    if (Result<Done> ok = check(cudaGraphUpload((*made)->graph.get(), launch.stream), "uploading the graph"); !ok)
      return ok.error();
  }
  if (Result<Done> ok = check(cudaStreamSynchronize(launch.stream), "preparing a context"); !ok) return ok.error();
  return std::unique_ptr<Workspace>(std::move(*made));
}

cudaError_t CudaProgram::bring_inputs(CudaWorkspace& w, const Bindings& io) const {
  cudaError_t status = cudaSuccess;
  const auto then = [&](cudaError_t next) { status = status == cudaSuccess ? next : status; };
  for (size_t i = 0; i < w.inputs.size() && status == cudaSuccess; ++i) {
    const size_t all = dense_bytes(plan_->graph, plan_->graph.inputs[i]);
    auto* const device = static_cast<std::byte*>(w.inputs[i].get());
    if (managed_) {
      if (all > 0) std::memcpy(device, io.inputs[i].data, all);
      then(prefetch(device, all, true, w.stream.get()));
      continue;
    }
    // Piece by piece, so that one travels to the device while the host copies the next.
    constexpr size_t k_piece = size_t{2} << 20;
    auto* const staged = static_cast<std::byte*>(w.staged_inputs[i].get());
    for (size_t at = 0; at < all && status == cudaSuccess; at += k_piece) {
      const size_t bytes = std::min(k_piece, all - at);
      std::memcpy(staged + at, io.inputs[i].data + at, bytes);
      then(cudaMemcpyAsync(device + at, staged + at, bytes, cudaMemcpyHostToDevice, w.stream.get()));
    }
  }
  return status;
}

cudaError_t CudaProgram::fetch_outputs(CudaWorkspace& w) const {
  cudaError_t status = cudaSuccess;
  for (size_t i = 0; i < w.outputs.size() && status == cudaSuccess; ++i) {
    const size_t bytes = dense_bytes(plan_->graph, plan_->graph.outputs[i]);
    void* const device = w.outputs[i].get();
    status = managed_
                 ? prefetch(device, bytes, false, w.stream.get())
                 : cudaMemcpyAsync(w.staged_outputs[i].get(), device, bytes, cudaMemcpyDeviceToHost, w.stream.get());
  }
  return status;
}

Result<Done> CudaProgram::submit(CudaWorkspace& w, const Bindings& io, const RunHooks& hooks) const {
  cudaStream_t const stream = w.stream.get();
  cudaError_t status = cudaSuccess;
  const auto then = [&](const auto& next) {  // nothing behind what failed
    if (status == cudaSuccess) status = next();
  };
  const auto mark = [&](Mark m) {
    if (hooks.device_times) then([&] { return cudaEventRecord(w.marks[m].get(), stream); });
  };
  mark(k_begin);
  if (hooks.transfers) then([&] { return bring_inputs(w, io); });
  mark(k_arrived);
  if (hooks.after)
    then(
        [&] { return cudaStreamWaitEvent(stream, static_cast<CudaWorkspace*>(hooks.after)->marks[k_computed].get()); });
  mark(k_start);
  const auto start = std::chrono::steady_clock::now();
  const int repeats = hooks.device_times ? std::max(hooks.device_times->repeats, 1) : 1;
  if (hooks.tap || hooks.value_tap) {
    if (Result<Done> ok = check(status, "copying inputs"); !ok) return ok;
    if (Result<Done> ok = run_steps(w, hooks); !ok) return ok;
  } else {
    for (int i = 0; i < repeats; ++i)
      then([&] { return w.graph ? cudaGraphLaunch(w.graph.get(), stream) : enqueue(w.launch()); });
  }
  if (hooks.device_times)
    hooks.device_times->enqueue = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  mark(k_computed);
  if (hooks.transfers) then([&] { return fetch_outputs(w); });
  mark(k_fetched);
  then([&] { return cudaEventRecord(w.end.get(), stream); });
  const Result<Done> handed_over = check(status, "running the network");
  if (!handed_over) cudaStreamSynchronize(stream);  // what was begun ends before the caller takes its buffers away
  return handed_over;
}

cudaError_t CudaProgram::wait(CudaWorkspace& w) const {
  if (wait_ == DeviceWait::driver) return cudaStreamSynchronize(w.stream.get());
  if (wait_ == DeviceWait::block) return cudaEventSynchronize(w.end.get());
  cudaError_t status = cudaErrorNotReady;
  while (status == cudaErrorNotReady) status = cudaEventQuery(w.end.get());
  return status;
}

Result<Done> CudaProgram::finish(CudaWorkspace& w, const Bindings& io, const RunHooks& hooks,
                                 cudaEvent_t origin) const {
  if (Result<Done> ok = check(wait(w), "running the network"); !ok) return ok;
  if (Result<Done> ok = w.host_result(); !ok) return ok;
  for (size_t i = 0; i < w.outputs.size() && hooks.transfers; ++i) {
    const size_t bytes = dense_bytes(plan_->graph, plan_->graph.outputs[i]);
    const void* from = managed_ ? w.outputs[i].get() : w.staged_outputs[i].get();
    if (fixed_outputs_[i].dtype() != DType::undefined) from = fixed_outputs_[i].bytes().data();
    if (bytes > 0) std::memcpy(io.outputs[i].data, from, bytes);
  }
  if (hooks.device_times)
    if (Result<Done> ok = read_times(w, hooks, origin); !ok) return ok;
  if (hooks.step_seconds) return time_steps(w, hooks);
  return Done{};
}

/// What is before a step, with it, as one graph; small networks several times in a row, since a single run of them is
/// lost in the cost of its start. No step writes what it reads, so repeating it changes nothing.
Result<Done> CudaProgram::capture_prefixes(CudaWorkspace& w) const {
  if (!w.prefixes.empty()) return Done{};
  const size_t n = steps_.size();
  w.prefix_row = static_cast<int>(std::clamp<size_t>(200 / (n + 1), 1, 10));
  const Launch launch = w.launch();
  const auto enqueue_up_to = [&](size_t last) {
    cudaError_t status = enqueue_inputs(launch);
    const auto then = [&](const Enqueue& part) {
      if (status == cudaSuccess && part) status = part(launch);
    };
    for (size_t i = 0; i <= last; ++i) then(steps_[i].run);
    if (last + 1 == n)
      for (const Enqueue& part : take_out_) then(part);
    return status;
  };
  std::vector<GraphExec> prefixes(n);
  for (size_t i = 0; i < n; ++i) {
    if (!steps_[i].run && i > 0 && i + 1 < n) continue;
    Result<GraphExec> graph = capture(launch.stream, [&](cudaStream_t) {
      cudaError_t status = cudaSuccess;
      for (int r = 0; r < w.prefix_row && status == cudaSuccess; ++r) status = enqueue_up_to(i);
      return status;
    });
    if (!graph) return graph.error();
    prefixes[i] = std::move(*graph);
  }
  w.prefixes = std::move(prefixes);
  return Done{};
}

namespace {

/// The fastest of some runs of a graph, after one that warms up.
Result<float> fastest_ms(const CudaWorkspace& w, cudaGraphExec_t graph) {
  constexpr int k_rounds = 4;
  constexpr float k_long_ms = 1;  // measures well in one
  cudaEvent_t const begin = w.marks[k_begin].get(), end = w.marks[k_arrived].get();
  float best = 1e30f;
  for (int round = 0, rounds = k_rounds; round < rounds; ++round) {
    float ms = 0;
    cudaError_t status = cudaEventRecord(begin, w.stream.get());
    if (status == cudaSuccess) status = cudaGraphLaunch(graph, w.stream.get());
    if (status == cudaSuccess) status = cudaEventRecord(end, w.stream.get());
    if (status == cudaSuccess) status = cudaEventSynchronize(end);
    if (status == cudaSuccess) status = cudaEventElapsedTime(&ms, begin, end);
    if (Result<Done> ok = check(status, "timing a layer"); !ok) return ok.error();
    if (round > 0) best = std::min(best, ms);
    if (ms > k_long_ms) rounds = 2;
  }
  return best;
}

}  // namespace

/// A step's time is what it adds to the run before it, so that what goes by between kernels belongs to the one that
/// waits. The run as a whole is timed once more for itself, after all of them: what the times sum up to is held against
/// that. Both are of runs in a row as a graph, in whatever way a run is launched otherwise.
Result<Done> CudaProgram::time_steps(CudaWorkspace& w, const RunHooks& hooks) const {
  if (Result<Done> ok = capture_prefixes(w); !ok) return ok;
  std::vector<double>& seconds = *hooks.step_seconds;
  seconds.resize(steps_.size());
  std::vector<double> up_to(steps_.size(), 0.0);
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!w.prefixes[i]) continue;
    const Result<float> ms = fastest_ms(w, w.prefixes[i].get());
    if (!ms) return ms.error();
    up_to[i] = static_cast<double>(*ms) / 1000 / w.prefix_row;
  }
  // A disturbed run takes longer, never shorter: what took longer than something behind it takes as long as that.
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = steps_.size(); i-- > 0;)
    if (w.prefixes[i]) up_to[i] = least = std::min(least, up_to[i]);
  double before = 0;
  for (size_t i = 0; i < steps_.size(); ++i)
    if (w.prefixes[i]) seconds[i] += up_to[i] - std::exchange(before, up_to[i]);
  if (!hooks.device_times || steps_.empty()) return Done{};
  const Result<float> whole = fastest_ms(w, w.prefixes.back().get());
  if (!whole) return whole.error();
  hooks.device_times->compute = static_cast<double>(*whole) / 1000 / w.prefix_row;
  return Done{};
}

Result<Done> CudaProgram::read_times(CudaWorkspace& w, const RunHooks& hooks, cudaEvent_t origin) const {
  DeviceTimes& times = *hooks.device_times;
  cudaError_t status = cudaSuccess;
  const auto seconds = [&](cudaEvent_t from, cudaEvent_t to) {
    float ms = 0;
    if (status == cudaSuccess) status = cudaEventElapsedTime(&ms, from, to);
    return static_cast<double>(ms) / 1000;
  };
  const auto between = [&](Mark from, Mark to) { return seconds(w.marks[from].get(), w.marks[to].get()); };
  times.h2d = hooks.transfers ? between(k_begin, k_arrived) : 0;
  times.compute = between(k_start, k_computed) / std::max(times.repeats, 1);
  times.d2h = hooks.transfers ? between(k_computed, k_fetched) : 0;
  if (origin) {
    times.h2d_start = seconds(origin, w.marks[k_begin].get());
    times.compute_start = seconds(origin, w.marks[k_start].get());
    times.d2h_start = seconds(origin, w.marks[k_computed].get());
  }
  return check(status, "reading times");
}

}  // namespace octet::cuda
