#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/version.h>

#include <array>

#include "train/run_options.h"
#include "train/step_graph.h"

namespace octet::nn {

#define OCTET_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

struct OwnStream::Guard {
  explicit Guard(const torch::Device& device) : stream(c10::cuda::getStreamFromPool(false, device.index())) {}
  c10::cuda::CUDAStreamGuard stream;
};

OwnStream::OwnStream(const torch::Device& device) {
  if (!device.is_cuda()) return;
  c10::cuda::device_synchronize();  // what other streams still do to these tensors
  guard_ = std::make_unique<Guard>(device);
}

OwnStream::~OwnStream() {
  if (!guard_) return;
  try {
    c10::cuda::device_synchronize();
  } catch (const std::exception&) {  // it was said where it happened
  }
}

namespace {

constexpr int k_runs_before = 3;  // libraries choose algorithms, compile and take memory in their first runs
constexpr size_t k_ahead = 4;     // runs that may wait for the GPU: each holds a batch in pinned memory

}  // namespace

#if OCTET_TORCH_AT_LEAST(2, 4)

bool can_record_steps() { return true; }

struct StepGraph::Recording {
  std::unique_ptr<at::cuda::CUDAGraph> graph;
  std::array<at::cuda::CUDAEvent, k_ahead> done;

  void wait_for_run(int run) {
    at::cuda::CUDAEvent& event = done[static_cast<size_t>(run) % k_ahead];
    if (run >= static_cast<int>(k_ahead)) event.synchronize();
  }

  /// Nothing is executed. Throws what the body throws, or what CUDA says of it.
  void record(const std::function<void()>& body) {
    // What ran before has left its memory with libtorch's allocator, and a recording has memory of its own.
    c10::cuda::CUDACachingAllocator::emptyCache();
    auto made = std::make_unique<at::cuda::CUDAGraph>();
    const at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
    // Other threads (NCCL's, those that fill pinned memory) may go on asking CUDA for what this one must not.
    made->capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      body();
      made->capture_end();
    } catch (...) {
      abandon(std::move(made), pool);
      throw;
    }
    graph = std::move(made);
  }

 private:
  /// The stream no longer records, and the allocator no longer serves the recording.
  static void abandon(std::unique_ptr<at::cuda::CUDAGraph> made, at::cuda::MempoolId_t pool) {
    static std::vector<std::unique_ptr<at::cuda::CUDAGraph>> kept;  // the allocator may go on asking them
    try {
      made->capture_end();
    } catch (const std::exception&) {
      kept.push_back(std::move(made));
      try {
        c10::cuda::CUDACachingAllocator::endAllocateToPool(c10::cuda::current_device(), pool);
        c10::cuda::CUDACachingAllocator::releasePool(c10::cuda::current_device(), pool);
      } catch (const std::exception&) {  // it had ended
      }
    }
  }
};

StepGraph::StepGraph(bool record) : record_(record), recording_(std::make_unique<Recording>()) {}
StepGraph::~StepGraph() = default;

bool StepGraph::recorded() const { return recording_->graph != nullptr; }

void StepGraph::run(const std::function<void()>& body) {
  recording_->wait_for_run(runs_);
  if (record_ && !recorded() && failed_.empty() && runs_ >= k_runs_before) {
    in_recording_ = true;
    try {
      recording_->record(body);
    } catch (const std::exception& e) {
      failed_ = reason(e);
      if (on_failure) on_failure();
    }
    in_recording_ = false;
  }
  if (recorded()) {
    recording_->graph->replay();
  } else {
    body();
  }
  recording_->done[static_cast<size_t>(runs_) % k_ahead].record();
  ++runs_;
}

#else

bool can_record_steps() { return false; }
struct StepGraph::Recording {};
StepGraph::StepGraph(bool) : record_(false) {}
StepGraph::~StepGraph() = default;
bool StepGraph::recorded() const { return false; }
void StepGraph::run(const std::function<void()>& body) { body(); }

#endif

}  // namespace octet::nn
