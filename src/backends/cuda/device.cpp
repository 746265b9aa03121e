#include "backends/cuda/device.h"
#include "backends/cuda/chain.h"

#include "backends/cuda/cluster.h"
#include "backends/cuda/gemv.h"
#include "backends/cuda/joined.h"
#include "backends/cuda/launch.h"
#include "backends/cuda/stem.h"
#include "backends/cuda/tile_limits.h"
#include "backends/cuda/tma.h"

namespace octet::cuda {
namespace {

std::string version(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

Error no_device(const std::string& why) {
  return {ErrorCode::device, "back end 'cuda': " + why + "; --device cpu runs without a GPU"};
}

}  // namespace

Result<Done> check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return Done{};
  cudaGetLastError();  // a code that is not sticky would otherwise be the next call's answer
  const ErrorCode code = status == cudaErrorMemoryAllocation ? ErrorCode::out_of_memory : ErrorCode::device;
  return Error{
      code, "CUDA, " + std::string(what) + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")"};
}

Result<DeviceBytes> allocate_device(size_t bytes, std::string_view what) {
  void* p = nullptr;
  const cudaError_t status = cudaMalloc(&p, bytes > 0 ? bytes : 1);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free_bytes = 0, all = 0;
    if (Result<Done> ok = check(cudaMemGetInfo(&free_bytes, &all), "asking for free memory"); !ok) return ok.error();
    return Error{ErrorCode::out_of_memory, "the GPU has no memory for " + std::string(what) + ": " +
                                               std::to_string(bytes) + " bytes were asked for, " +
                                               std::to_string(free_bytes) + " of " + std::to_string(all) +
                                               " are free: use a smaller batch"};
  }
  if (Result<Done> ok = check(status, what); !ok) return ok.error();
  return DeviceBytes(p);
}

Result<DeviceBytes> to_device(const void* from, size_t bytes, std::string_view what) {
  Result<DeviceBytes> made = allocate_device(bytes, what);
  if (!made) return made;
  const Result<Done> ok = check(cudaMemcpy(made->get(), from, bytes, cudaMemcpyHostToDevice), what);
  if (!ok) return ok.error();
  return made;
}

Result<PinnedBytes> allocate_pinned(size_t bytes) {
  void* p = nullptr;
  const Result<Done> ok = check(cudaMallocHost(&p, bytes > 0 ? bytes : 1), "pinned memory for transfers");
  if (!ok) return ok.error();
  return PinnedBytes(p);
}

Result<Stream> make_stream() {
  cudaStream_t s = nullptr;
  const Result<Done> ok = check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "making a stream");
  if (!ok) return ok.error();
  return Stream(s);
}

Result<Event> make_event() {
  cudaEvent_t e = nullptr;
  const Result<Done> ok = check(cudaEventCreate(&e), "making an event");
  if (!ok) return ok.error();
  return Event(e);
}

Result<Event> make_end_event(bool asleep) {
  cudaEvent_t e = nullptr;
  const unsigned flags = cudaEventDisableTiming | (asleep ? cudaEventBlockingSync : cudaEventDefault);
  const Result<Done> ok = check(cudaEventCreateWithFlags(&e, flags), "making an event");
  if (!ok) return ok.error();
  return Event(e);
}

Result<DeviceBytes> allocate_managed(size_t bytes, std::string_view what) {
  void* p = nullptr;
  if (Result<Done> ok = check(cudaMallocManaged(&p, bytes > 0 ? bytes : 1), what); !ok) return ok.error();
  return DeviceBytes(p);
}

cudaError_t prefetch(void* p, size_t bytes, bool to_device, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  int device = 0;
  if (const cudaError_t status = cudaGetDevice(&device); status != cudaSuccess) return status;
#if CUDART_VERSION >= 13000
  cudaMemLocation to = {};
  to.type = to_device ? cudaMemLocationTypeDevice : cudaMemLocationTypeHost;
  to.id = to_device ? device : 0;
  return cudaMemPrefetchAsync(p, bytes, to, 0, stream);
#else
  return cudaMemPrefetchAsync(p, bytes, to_device ? device : cudaCpuDeviceId, stream);
#endif
}

std::string no_device_reason(const DriverAnswer& answer, int ordinal) {
  if (answer.driver == 0) return "no NVIDIA driver was found on this machine";
  if (answer.counted == cudaErrorInsufficientDriver || answer.driver / 1000 < answer.runtime / 1000)
    return "the NVIDIA driver is for CUDA " + version(answer.driver) + ", this octet needs " + version(answer.runtime) +
           ": update the driver";
  if (answer.counted != cudaSuccess && answer.counted != cudaErrorNoDevice)
    return std::string("the driver answers '") + cudaGetErrorString(answer.counted) + "'";
  if (answer.counted == cudaErrorNoDevice || answer.count == 0) return "this machine has no CUDA device";
  if (ordinal < 0 || ordinal >= answer.count)
    return "there is no device " + std::to_string(ordinal) + ", this machine has " + std::to_string(answer.count);
  return "";
}

std::string no_kernel_reason(const Device& device) {
  const std::string capability = std::to_string(device.major) + std::to_string(device.minor);
  return "octet was not built for " + device.name + " (compute capability " + std::to_string(device.major) + "." +
         std::to_string(device.minor) + "): rebuild with -DOCTET_CUDA_ARCHITECTURES=" + capability +
         (device.major == 9 ? "a" : "");
}

bool Device::has_clusters() const { return major >= 9 && shared_bytes >= k_cluster_shared_bytes; }

Result<Device> open_device(int ordinal) {
  DriverAnswer answer;
  if (cudaDriverGetVersion(&answer.driver) != cudaSuccess) answer.driver = 0;
  if (Result<Done> ok = check(cudaRuntimeGetVersion(&answer.runtime), "asking for the runtime's version"); !ok)
    return ok.error();
  answer.counted = cudaGetDeviceCount(&answer.count);
  cudaGetLastError();
  if (const std::string reason = no_device_reason(answer, ordinal); !reason.empty()) return no_device(reason);
  Device device;
  device.ordinal = ordinal;
  cudaDeviceProp properties{};
  Result<Done> ok = check(cudaGetDeviceProperties(&properties, ordinal), "reading the device's properties");
  if (ok) ok = check(cudaSetDevice(ordinal), "choosing the device");
  if (!ok) return ok.error();
  device.name = properties.name;
  device.major = properties.major, device.minor = properties.minor;
  device.sms = properties.multiProcessorCount;
  device.l2_bytes = static_cast<size_t>(properties.l2CacheSize);
  device.shared_bytes = shared_limit();
  cudaError_t setup = conv_setup();
  if (setup == cudaSuccess) setup = gemv_setup();
  if (setup == cudaSuccess) setup = stem_setup();
  if (setup == cudaSuccess) setup = half_stem_setup();
  if (setup == cudaSuccess && device.has_clusters()) setup = cluster_setup();
  if (setup == cudaSuccess && device.has_clusters()) setup = joined_setup();
  if (setup == cudaSuccess && device.major == 9) setup = tma_setup();
  if (setup == cudaSuccess && device.major == 9) setup = chain_setup();
  cudaGetLastError();
  if (setup == cudaErrorNoKernelImageForDevice || setup == cudaErrorInvalidDeviceFunction)
    return no_device(no_kernel_reason(device));
  ok = check(setup, "preparing the kernels");
  if (!ok) return ok.error();
  return device;
}

}  // namespace octet::cuda
