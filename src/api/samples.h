#pragma once
// Batches of a data set in a session's first input; shared by evaluate, classify and run.

#include <memory>
#include <vector>

#include "base/aligned.h"
#include "data/dataset.h"
#include "octet/session.h"

namespace octet {

/// The data set of the options, with its preprocessing.
Result<std::unique_ptr<Dataset>> open_data(const DataOptions& options);

/// Owned buffers for one session: inputs zero-filled, outputs.
class SampleBuffers {
 public:
  /// Errors: more than one input, or a first input that is not float32.
  static Result<SampleBuffers> make(const Session& session);
  /// Reads samples [begin, begin + count) of the data into the first input (count <= batch; the rest of the batch keeps
  /// zeros).
  Result<Done> fill(const Dataset& data, int64_t begin, int64_t count);
  Result<Done> run(Session& session);
  /// Row i of output 0 as floats.
  std::span<const float> row(int64_t i) const;
  std::span<const float> output(size_t port) const;

 private:
  std::vector<AlignedBytes> inputs_, outputs_;
  std::vector<Port> input_ports_, output_ports_;
  int64_t batch_ = 1;
};

/// Index of the largest value; the first on a tie; NaN never wins.
int64_t arg_max(std::span<const float> row);

}  // namespace octet
