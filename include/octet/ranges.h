#pragma once
// Finding the ranges of all activations from sample data, and the tables they are kept in.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/shape.h"

namespace octet {

class Model;
struct CalibrationTable;

/// Told how far a long task is: (done, total); total 0 = unknown. Called on the caller's thread.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// Several data options that calibration and evaluation share.
struct DataOptions {
  std::string path;  // see docs/cli.md "data sources"
  // "imagenet", "cifar10", ... or a spec. Empty: pictures that run through a session take the spec that its plan or
  // quantized file was calibrated with; without one, and anything but pictures, it is "none".
  std::string preprocess = "none";
  int64_t limit = 0;          // first N in name order, 0 = all
  int64_t shuffle_seed = -1;  // >= 0: a random subset of `limit`
};

/// What calibration saw of one tensor: counts of magnitudes in bins of one width from 0, and each method's amax.
struct TensorHistogram {
  std::string tensor;
  std::vector<double> counts;
  double width = 0;
  std::vector<std::pair<std::string, double>> amax;
};

struct CalibrateSpec {
  DataOptions data;
  // max | entropy | percentile | mse: the one that quantize uses by default. auto: chosen for each tensor by the error
  // of the network's outputs on held-out samples; takes an INT8 run for each trial.
  std::string method = "entropy";
  double percentile = 99.99;
  int threads = 1;
  int64_t batch = 8;
  bool batch_if_free = true;  // false: that the network keeps another batch is told
  Progress progress = {};
  Progress auto_progress = {};                                    // of auto's trials
  std::function<void(const TensorHistogram&)> on_histogram = {};  // for each tensor at the end, in graph order
  std::function<void(const std::string&)> note = {};              // the memory forecast, before the work begins
  std::string target = "octet";                                   // what auto chooses for: octet | tensorrt
  int64_t auto_samples = 128;                                     // at most a quarter of the data is held out for auto
  std::map<std::string, Dims> shapes = {};                        // of inputs with free extents beside the batch
  bool per_channel = false;                                       // the ends of each channel too
  // The pytorch-quantization toolkit's histograms and searches, defects included: depends on batch and order. Neither
  // auto nor per_channel.
  bool ref_compat = false;
};

/// The ranges of all activations of a float model, for all methods. `ranges` is the JSON of docs/ranges_format.md.
struct Ranges {
  std::shared_ptr<const CalibrationTable> table;
  std::vector<std::string> notes = {};  // what calibration, or reading a foreign cache, has to say; one line each
  std::string json() const;
  const std::string& preprocess() const;  // canonical spec of the calibration data
  int64_t samples() const;
  bool uncalibrated() const;  // found on noise
  std::string text() const;   // a table: tensor, seen min and max, each method's range
  Result<Done> save(const std::string& path) const;
  /// octet's own file.
  static Result<Ranges> load(const std::string& path);
  /// octet's own file, or a calibration cache of TensorRT or ONNX Runtime matched to the model. One that does not fit
  /// is refused with the reason, unless forced, which is recorded.
  static Result<Ranges> load(const std::string& path, const Model& model, bool force = false);
};
/// Under mpirun the processes share the samples and all get the same ranges (process_rank() tells them apart).
Result<Ranges> calibrate(const Model& model, const CalibrateSpec& spec);

/// 0 in the process that reports and writes; others under mpirun.
int process_rank();

}  // namespace octet
