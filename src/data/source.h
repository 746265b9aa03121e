#pragma once
// What each kind of data implements; open_dataset (dataset.cpp) adds subset, order and hash. Private to this room.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/shape.h"
#include "data/dataset.h"
#include "data/preprocess.h"

namespace octet {

class Source {
 public:
  virtual ~Source() = default;
  virtual int64_t size() const = 0;
  virtual std::vector<int64_t> labels(int64_t i) const = 0;
  virtual std::string sample_name(int64_t i) const = 0;
  virtual Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const = 0;
  virtual bool are_pictures() const { return false; }
  /// Of the sample's own bytes, before preprocessing.
  virtual uint64_t content_hash(int64_t i) const = 0;
};

struct SourceOptions {
  Preprocess preprocess;
  std::string labels;  // a label file, or empty
  std::string input;   // key of a .npz, or empty
  Dims sample_dims;    // of raw files, or empty
};

using SourceResult = Result<std::unique_ptr<Source>>;

/// Geometry, norm and size check: image -> out as dims [3, h, w], leading ones allowed.
Result<Done> write_picture(const Preprocess& p, const Image& image, const Dims& dims, std::span<float> out);

/// "word:N" with N in [1, 10^9]; nothing when path does not begin with "word:".
std::optional<Result<int64_t>> count_after(const std::string& path, std::string_view word);

/// labels by sample name; see labels.cpp for the forms of a label file.
using LabelTable = std::vector<std::pair<std::string, std::vector<int64_t>>>;  // sorted by name
enum class LabelKey { file, index };                                           // what names a sample
Result<LabelTable> read_labels(const std::string& path, LabelKey key);
/// The classes of a name, or null.
const std::vector<int64_t>* find_labels(const LabelTable& table, const std::string& name);

#define OCTET_SOURCE(word)                     \
  bool claims_##word(const std::string& path); \
  SourceResult open_##word(const std::string& path, const SourceOptions& options);
#include "data/sources.def"
#undef OCTET_SOURCE

}  // namespace octet
