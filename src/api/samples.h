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
  /// preprocess: that of the samples; brought_along: the network's own, because none was given.
  SampleSet(std::vector<std::unique_ptr<Dataset>> inputs, std::string preprocess, bool brought_along)
      : inputs_(std::move(inputs)), preprocess_(std::move(preprocess)), brought_along_(brought_along) {}
  int64_t size() const { return inputs_[0]->size(); }
  std::vector<int64_t> labels(int64_t i) const { return inputs_[0]->labels(i); }
  std::string sample_name(int64_t i) const { return inputs_[0]->sample_name(i); }
  const Dataset& input(size_t i) const { return *inputs_[i]; }
  const std::string& preprocess() const { return preprocess_; }
  bool brought_along() const { return brought_along_; }
  bool are_pictures() const;

 private:
  std::vector<std::unique_ptr<Dataset>> inputs_;
  std::string preprocess_;
  bool brought_along_ = false;
};
/// Errors: a plan whose inputs or outputs were built in another form than the network's.
Result<Done> check_own_formats(const Session& session);
/// The data of the options for the session's inputs. Where the options leave the preprocessing to the network, pictures
/// take the one that the session, or else the other one beside it, was calibrated with. Errors: those of open_inputs;
/// an input without a leading batch, or of a type that data sets have no numbers for.
Result<SampleSet> open_data(const DataOptions& options, const Session& session, const Session* beside = nullptr);

/// What to say of the samples' preprocessing: that they went in under another one than the session's calibration, or
/// under the one that it brought along, or that pictures went in as plain bytes; empty when all is well.
std::string preprocess_note(const SampleSet& data, const Session& session);

/// Samples [begin, begin + count) as the input's type, then zeros up to its batch. Errors: a value that the type cannot
/// hold, by the sample's name.
Result<Done> read_samples(const SampleSet& data, size_t port, const Port& in, int64_t begin, int64_t count,
                          std::byte* to);

/// Owned buffers for one session: inputs zero-filled, outputs.
class SampleBuffers {
 public:
  /// Errors: an input as in open_data; a first output that is not float32.
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
