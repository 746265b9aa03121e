#pragma once
// Batches of samples in the input buffers of an engine, one data set for each input.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "data/dataset.h"
#include "runtime/engine.h"

namespace octet {

/// One data set per network input, in graph order; sample i of the network is sample i of each.
struct InputData {
  std::vector<const Dataset*> inputs;
  int64_t size() const { return inputs.empty() ? 0 : inputs[0]->size(); }
  std::string sample_name(int64_t i) const { return inputs[0]->sample_name(i); }
  std::vector<int64_t> labels(int64_t i) const { return inputs[0]->labels(i); }
};

class Feed {
 public:
  struct Buffer {
    TensorView view;
    AlignedBytes bytes;
  };

  /// Errors: data sets of unequal length or too few, an input without the batch as dimension 0, an input that is
  /// neither f32 nor an integer, no memory.
  static Result<Feed> make(const Engine& engine, const InputData& data);

  int64_t batch() const { return batch_; }
  size_t bytes() const { return bytes_; }
  const std::vector<Buffer>& inputs() const { return inputs_; }
  const std::vector<Buffer>& outputs() const { return outputs_; }

  /// Reads these samples (at most batch); what a partial batch lacks repeats its first sample. Integer inputs take
  /// whole numbers only.
  Result<Done> fill(std::span<const int64_t> samples, ThreadPool& pool);
  Result<Done> run(Context& context, const RunHooks& hooks = {});
  /// Output i of the sample in this slot of the batch as floats; empty where the output is not f32 or has no batch.
  std::span<const float> output(size_t i, int64_t slot) const;
  /// The sample in this slot of f32 input i.
  std::span<float> sample(size_t i, int64_t slot);

 private:
  Result<Done> read(size_t input, int64_t slot, int64_t sample);

  InputData data_;
  std::vector<Buffer> inputs_, outputs_;
  int64_t batch_ = 1;
  size_t bytes_ = 0;
};

}  // namespace octet
