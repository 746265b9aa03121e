#pragma once
// Batches of samples in a session's inputs; shared by evaluate, classify and run.

#include <memory>
#include <vector>

#include "base/aligned.h"
#include "data/dataset.h"
#include "octet/session.h"
#include "plan/backend.h"

namespace octet {

/// One data set for each input of the session; sample i is sample i of each (api/inputs.h says what data may be).
class SampleSet {
 public:
  explicit SampleSet(std::vector<std::unique_ptr<Dataset>> inputs) : inputs_(std::move(inputs)) {}
  int64_t size() const { return inputs_[0]->size(); }
  std::vector<int64_t> labels(int64_t i) const { return inputs_[0]->labels(i); }
  std::string sample_name(int64_t i) const { return inputs_[0]->sample_name(i); }
  const Dataset& input(size_t i) const { return *inputs_[i]; }

 private:
  std::vector<std::unique_ptr<Dataset>> inputs_;
};
/// The data of the options, with its preprocessing. Errors: those of open_inputs; an input that is not float32 with a
/// leading batch.
Result<SampleSet> open_data(const DataOptions& options, const Session& session);

/// What to say when pictures go into a network as plain bytes because no preprocessing is given; empty when all is
/// well.
std::string missing_preprocess_note(const DataOptions& options, const SampleSet& data);

/// Owned buffers for one session: inputs zero-filled, outputs.
class SampleBuffers {
 public:
  /// Errors: an input or a first output that is not float32, or lacks the batch.
  static Result<SampleBuffers> make(const Session& session);
  /// Reads samples [begin, begin + count) of the data into the inputs (count <= batch; the rest of the batch keeps
  /// zeros).
  Result<Done> fill(const SampleSet& data, int64_t begin, int64_t count);
  Result<Done> run(Session& session);
  Result<Done> run(Session& session, const RunHooks& hooks);
  /// Row i of output 0 as floats.
  std::span<const float> row(int64_t i) const;
  std::span<const float> output(size_t port) const;
  std::span<const float> input(size_t port) const;
  std::vector<std::vector<std::byte>> copy_outputs() const;

 private:
  std::vector<AlignedBytes> inputs_, outputs_;
  std::vector<Port> input_ports_, output_ports_;
  int64_t batch_ = 1;
};

/// Index of the largest value; the first on a tie; NaN never wins.
int64_t arg_max(std::span<const float> row);

}  // namespace octet
