#pragma once
// A training step on a GPU. Small networks leave a GPU little to do in each of some hundred kernels, and starting them
// one by one takes longer than running them: a step is recorded once (a CUDA graph), and then started as a whole.

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>

namespace octet::nn {

/// What this thread gives a GPU while this lives runs on a stream of its own, since the default one cannot be recorded.
/// It ends when all of that is done. Nothing for a CPU.
class OwnStream {
 public:
  explicit OwnStream(const torch::Device& device);
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

 private:
  struct Guard;
  std::unique_ptr<Guard> guard_;
};

/// Whether this libtorch can record at all.
bool can_record_steps();

/// A body that is run again and again, on the same tensors. It must take what changes from tensors on the GPU, leave
/// its results in such, and wait for nothing.
class StepGraph {
 public:
  explicit StepGraph(bool record);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;
  /// Runs the body: as it is at first, then once to record it, from then on what was recorded. Where recording fails,
  /// nothing of the body has been done: failed() says why, and it runs as it is from then on. The host is at most a few
  /// runs ahead of the GPU.
  void run(const std::function<void()>& body);
  bool recorded() const;
  /// Asked within the body: whether what it does is recorded, and a number of the host would stay as it is now.
  bool recording() const { return in_recording_; }
  /// Empty as long as nothing failed.
  const std::string& failed() const { return failed_; }
  /// Called when recording has failed, before the body runs again: forgets what a half-run body has left behind.
  std::function<void()> on_failure = {};

 private:
  struct Recording;
  bool in_recording_ = false;
  [[maybe_unused]] bool record_;  // these two: without CUDA nothing is recorded
  [[maybe_unused]] int runs_ = 0;
  std::string failed_;
  std::unique_ptr<Recording> recording_;
};

}  // namespace octet::nn
