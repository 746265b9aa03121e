#pragma once
// Handles of the CUDA runtime with an owner, and its codes as Errors.

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet::cuda {

/// "what: out of memory (cudaErrorMemoryAllocation)" with the code that fits.
Result<Done> check(cudaError_t status, std::string_view what);

struct DeviceFree {
  void operator()(void* p) const { cudaFree(p); }
};
using DeviceBytes = std::unique_ptr<void, DeviceFree>;
/// Errors: out of memory, saying how much was asked for and how much is free.
Result<DeviceBytes> allocate_device(size_t bytes, std::string_view what);
Result<DeviceBytes> to_device(const void* from, size_t bytes, std::string_view what);

struct PinnedFree {
  void operator()(void* p) const { cudaFreeHost(p); }
};
using PinnedBytes = std::unique_ptr<void, PinnedFree>;
Result<PinnedBytes> allocate_pinned(size_t bytes);

struct StreamDestroy {
  void operator()(cudaStream_t s) const { cudaStreamDestroy(s); }
};
using Stream = std::unique_ptr<CUstream_st, StreamDestroy>;
Result<Stream> make_stream();

struct EventDestroy {
  void operator()(cudaEvent_t e) const { cudaEventDestroy(e); }
};
using Event = std::unique_ptr<CUevent_st, EventDestroy>;
Result<Event> make_event();
/// To wait for, not to take times by. asleep: the host's thread gives its core away meanwhile.
Result<Event> make_end_event(bool asleep);

/// Memory that the host and the device both reach; its pages move to where they are used.
Result<DeviceBytes> allocate_managed(size_t bytes, std::string_view what);
/// Brings managed memory to the device, or to the host, on the stream.
cudaError_t prefetch(void* p, size_t bytes, bool to_device, cudaStream_t stream);

struct GraphDestroy {
  void operator()(cudaGraph_t g) const { cudaGraphDestroy(g); }
};
struct GraphExecDestroy {
  void operator()(cudaGraphExec_t g) const { cudaGraphExecDestroy(g); }
};
using GraphExec = std::unique_ptr<CUgraphExec_st, GraphExecDestroy>;
/// What enqueue() puts on the stream, as one graph. enqueue: cudaError_t(cudaStream_t).
/// Relaxed: a library may load its kernels and take memory meanwhile.
template <class F>
Result<GraphExec> capture(cudaStream_t stream, F&& enqueue);

/// The device that a back end works on.
struct Device {
  int ordinal = 0;
  std::string name;
  int major = 0, minor = 0, sms = 1;
  size_t l2_bytes = 0, shared_bytes = 0;  // shared_bytes: of a CTA at most
  bool has_clusters() const;              // and what the kernels of clusters need
};
/// What the driver says of this machine, as the runtime hands it out.
struct DriverAnswer {
  int driver = 0, runtime = 0;  // versions as CUDA writes them: 13000 is 13.0; no driver: 0
  cudaError_t counted = cudaSuccess;
  int count = 0;  // devices
};
/// Why device `ordinal` cannot be used; empty: it can.
std::string no_device_reason(const DriverAnswer& answer, int ordinal);
/// What to do where no kernel was compiled for the device.
std::string no_kernel_reason(const Device& device);
/// Makes the device current for the calling thread. Errors: no driver, an old one, no such device, no kernel for it.
Result<Device> open_device(int ordinal);

template <class F>
Result<GraphExec> capture(cudaStream_t stream, F&& enqueue) {
  Result<Done> ok = check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "starting a capture");
  if (!ok) return ok.error();
  const Result<Done> enqueued = check(enqueue(stream), "capturing a kernel");
  cudaGraph_t raw = nullptr;
  ok = check(cudaStreamEndCapture(stream, &raw), "ending a capture");
  const std::unique_ptr<CUgraph_st, GraphDestroy> graph(raw);
  if (!enqueued) return enqueued.error();
  if (!ok) return ok.error();
  cudaGraphExec_t exec = nullptr;
  ok = check(cudaGraphInstantiate(&exec, graph.get(), 0), "instantiating the graph");
  if (!ok) return ok.error();
  return GraphExec(exec);
}

}  // namespace octet::cuda
