#pragma once
// Labelled or unlabelled samples from files, always in order of name.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/shape.h"
#include "data/preprocess.h"

namespace octet {

/// One source of samples for one network input. Thread-safe after open().
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Accepted classes of sample i; empty = no label.
  virtual std::vector<int64_t> labels(int64_t i) const = 0;
  /// A name for messages: file name or index.
  virtual std::string sample_name(int64_t i) const = 0;
  /// Writes sample i, preprocessed, into out (element count of dims, e.g. {3, 32, 32}).
  /// An Error names the sample and what does not fit.
  virtual Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const = 0;
  /// Whether samples are 8-bit pictures, which a network takes only after a preprocessing that only its owner knows.
  virtual bool are_pictures() const { return false; }
  /// Content hash of the samples (their names and bytes), 16 hex digits, for caches. Reads every sample's file.
  virtual std::string hash() const = 0;
};

struct DatasetOptions {
  std::string preprocess = "none";
  int64_t limit = 0;                     // first N samples in name order; 0 = all
  std::optional<uint64_t> shuffle = {};  // a random subset of `limit` with this seed, still in name order
  std::string labels = "";               // a label file to use instead of the ones found beside the data
  std::string input = "";                // .npz: the array to read; may be left out where there is only one
  Dims sample_dims = {};                 // raw files: dims of one sample; empty = the whole file is one sample
};

/// What PATH may be (docs/data.md has the details):
///   a picture; a folder of pictures: sub-folder names sorted = classes, or labels.txt / labels.csv /
///   FOLDER_labels.csv; CIFAR-10 binary (*.bin of 3073-byte records); .npy ([N,...], floats, or u8 pixels [N,3,h,w])
///   with PATH.labels.npy or STEM_labels.csv; .npz (input name, "labels"); "synthetic:N" (noise, no labels); "shapes:N"
///   and "shapes-train:N" (generated pictures of ten classes, two splits); any other file, or "raw:PATH": dense f32, as
///   trtexec's --loadInputs.
/// Errors: nothing there, no samples, damage, labels that do not fit, a preprocess spec that does not parse.
Result<std::unique_ptr<Dataset>> open_dataset(const std::string& path, const DatasetOptions& options);

}  // namespace octet
