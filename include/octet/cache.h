#pragma once
// Calibration caches as files: TensorRT's, ONNX Runtime's and octet's own ranges.json; shown, checked, converted.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "octet/model.h"
#include "octet/ranges.h"

namespace octet {

/// How a cache and a network meet.
struct CacheCheck {
  bool fits = false;
  std::string reason;  // why not
  int64_t matched = 0;
  std::vector<std::string> missing, unmatched, unusable;
};
std::string to_text(const CacheCheck& check, bool all_names);
std::string to_json(const CacheCheck& check);

struct ConvertSpec {
  std::string format;     // octet | tensorrt | onnxruntime-text | onnxruntime-json | onnxruntime-flatbuffers
  std::string version;    // of a TensorRT cache; empty = as the source's, else 100300
  std::string algorithm;  // entropy2 | minmax | legacy | entropy; empty = as the source's, else entropy2
  std::string method;     // whose ranges of a ranges.json; empty = its own
};

class CalibrationCache {
 public:
  /// The kind of file is told by its first bytes. Errors name line, key or byte.
  static Result<CalibrationCache> load(const std::string& path);

  const std::string& format() const;       // "tensorrt", "octet", ...
  const std::string& description() const;  // "TensorRT 8.0.3 EntropyCalibration2"
  const std::vector<std::string>& notes() const;
  int64_t tensors() const;
  /// A table of name, scale and amax; the description on top.
  std::string text() const;
  std::string json() const;

  CacheCheck check(const Model& model) const;
  /// The bytes of the file in the other format. Ranges that are not usable are left out, with a note; to octet's format
  /// only with a model, whose tensors the rows are.
  Result<std::string> convert(const ConvertSpec& spec, const Model* model, bool force,
                              std::vector<std::string>& notes) const;

  /// convert(), written to a file.
  Result<Done> convert_to(const std::string& path, const ConvertSpec& spec, const Model* model, bool force,
                          std::vector<std::string>& notes) const;

  /// What convert_to() did, as JSON.
  std::string conversion_json(const std::string& path, const ConvertSpec& spec,
                              const std::vector<std::string>& notes) const;

  struct State;

 private:
  explicit CalibrationCache(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace octet
