#pragma once
// Calibrators with TensorRT's shape, so that existing classes port with few edits:
//
//   * nvinfer1:: becomes octet::, noexcept and the names stay;
//   * getBatch() fills bindings with pointers to host memory, or to device memory in a CUDA build of octet, as memory()
//     says; a cudaMemcpy to the device buffer may stay, become copy_to_binding(), or go;
//   * instead of config->setInt8Calibrator(&c): octet::calibrate(model, c).
//
// octet calls in TensorRT's order: getAlgorithm, getBatchSize, readCalibrationCache; a usable cache ends it, without a
// batch and without a write. Else getBatch until it returns false, then writeCalibrationCache once. For a legacy
// calibrator readHistogramCache comes before the first batch; what was counted is taken from there, so that another
// quantile needs no batch, else writeHistogramCache follows the last one. Pointers must stay
// valid until the next call. Data is f32 and dense, getBatchSize() samples of the network's input shape; names come in
// the network's order. Where the network's own batch is smaller, octet runs it several times, so no sample is lost
// (TensorRT would read the first ones only). The ranges follow TensorRT's rules (docs/caches.md); `octet calibrate`
// follows better ones.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "octet/model.h"
#include "octet/ranges.h"

namespace octet {

/// TensorRT's enum CalibrationAlgoType.
enum class CalibrationAlgoType : int32_t {
  kLEGACY_CALIBRATION = 0,
  kENTROPY_CALIBRATION = 1,
  kENTROPY_CALIBRATION_2 = 2,
  kMINMAX_CALIBRATION = 3,
};

/// Where the pointers that getBatch() gives lead.
enum class CalibratorMemory { host, device };

class IInt8Calibrator {
 public:
  virtual ~IInt8Calibrator() noexcept = default;
  virtual int32_t getBatchSize() const noexcept = 0;
  /// Sets bindings[i] to the data of input names[i] for the next batch; false = there is no more.
  virtual bool getBatch(void* bindings[], const char* names[], int32_t nbBindings) noexcept = 0;
  /// The cache's bytes, or null; length is 0 where there is none. They must stay valid until the calibration returns.
  virtual const void* readCalibrationCache(std::size_t& length) noexcept = 0;
  virtual void writeCalibrationCache(const void* ptr, std::size_t length) noexcept = 0;
  virtual CalibrationAlgoType getAlgorithm() noexcept = 0;
  /// octet's own: where the pointers of getBatch lie. Device pointers need a build with CUDA; octet waits for the
  /// device and copies.
  virtual CalibratorMemory memory() const noexcept { return CalibratorMemory::host; }
};

/// Kullback-Leibler threshold for each tensor; the one to prefer for convolutional networks.
class IInt8EntropyCalibrator2 : public IInt8Calibrator {
 public:
  CalibrationAlgoType getAlgorithm() noexcept override { return CalibrationAlgoType::kENTROPY_CALIBRATION_2; }
};
/// The first entropy calibrator; the same rule here.
class IInt8EntropyCalibrator : public IInt8Calibrator {
 public:
  CalibrationAlgoType getAlgorithm() noexcept override { return CalibrationAlgoType::kENTROPY_CALIBRATION; }
};
/// The largest magnitude of all batches.
class IInt8MinMaxCalibrator : public IInt8Calibrator {
 public:
  CalibrationAlgoType getAlgorithm() noexcept override { return CalibrationAlgoType::kMINMAX_CALIBRATION; }
};
/// A quantile of the magnitudes.
class IInt8LegacyCalibrator : public IInt8Calibrator {
 public:
  CalibrationAlgoType getAlgorithm() noexcept override { return CalibrationAlgoType::kLEGACY_CALIBRATION; }
  virtual double getQuantile() const noexcept = 0;          // in (0, 1]
  virtual double getRegressionCutoff() const noexcept = 0;  // 1 = no regression, the only one that octet has
  /// The histograms of an earlier run, in octet's own form (TensorRT's is not published); one of another model, or
  /// damaged, is not used, with a warning. It is the application's matter to drop it when the data changes.
  virtual const void* readHistogramCache(std::size_t& length) noexcept = 0;
  virtual void writeHistogramCache(const void* ptr, std::size_t length) noexcept = 0;
};

/// Copies bytes from host memory to where a binding of that kind lives. False where this build cannot reach it.
bool copy_to_binding(void* binding, const void* host, std::size_t bytes,
                     CalibratorMemory memory = CalibratorMemory::host);

/// A picture file as the network's input: decoded, preprocessed (docs/data.md), planes of height x width. out holds
/// 3 * height * width floats. Errors: unreadable, another size than the spec makes it.
Result<Done> read_picture(const std::string& path, const std::string& preprocess, int64_t height, int64_t width,
                          float* out);
/// The picture files of a folder in order of name, without dot files. Errors: a folder that cannot be listed, a picture
/// of a kind that is not read (.webp, .gif, ...), which would be missing from the calibration.
Result<std::vector<std::string>> picture_files(const std::string& folder);

struct CalibratorOptions {
  std::string cache_version = "100300";  // in the header of the cache that is written
  int threads = 1;
};

/// Runs the calibrator over a float model. The ranges are symmetric (amax), as TensorRT's are, and serve quantize() for
/// either target. notes says whether the cache was used, and warns below 100 samples.
/// Errors: batch size below 1, no batch at all, a null binding, device pointers without CUDA, a value that
/// is not finite (tensor and batch named), a regression cutoff other than 1, a cache that is broken.
Result<Ranges> calibrate(const Model& model, IInt8Calibrator& calibrator, const CalibratorOptions& options = {});

}  // namespace octet
