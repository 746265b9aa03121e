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
  /// Writes sample i, preprocessed, into out (element count of dims, e.g. {3, 32, 32}). An Error names the sample and what does not fit.
  virtual Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const = 0;
  /// Content hash of the source (file names and bytes), for caches.
  virtual std::string hash() const = 0;
};

struct DatasetOptions {
  std::string preprocess = "none";
  int64_t limit = 0;                 // first N samples in name order; 0 = all
  std::optional<uint64_t> shuffle;   // a random subset of `limit` with this seed
};

/// An image; a folder of images (sub-folder names sorted = classes, or labels.txt/labels.csv inside, lines "file,class[ class...]");
/// CIFAR-10 binary (*.bin, 3073-byte records); .npy ([N,...] f32 or u8) with PATH.labels.npy or --labels; .npz (key = input name);
/// "synthetic:N" (seeded noise, no labels), "shapes:N" (octet's generated, labelled 10-class pictures; see docs).
Result<std::unique_ptr<Dataset>> open_dataset(const std::string& path, const DatasetOptions& options);

}  // namespace octet
