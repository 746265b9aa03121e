#pragma once
// The data of a training run in memory, and batches of it, shuffled and augmented by numbers that depend on the seed,
// the epoch and the sample only: not on threads, nor on where a run was resumed. No libtorch here.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/shape.h"
#include "data/dataset.h"

namespace octet::nn {

struct Augment {
  int64_t crop_pad = 0, cutout = 0;
  bool flip = false;
};

class Samples {
 public:
  /// Reads everything, with `threads`. Errors: a sample without a label or with several, what reading says.
  static Result<Samples> read(const Dataset& data, const Dims& sample, int threads);
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  int64_t elements() const { return elements_; }
  int64_t label(int64_t i) const { return labels_[static_cast<size_t>(i)]; }
  int64_t classes() const;
  /// Of all values and labels, 16 hex digits: data, its preprocessing and its labels at once.
  std::string hash() const;
  /// Samples by index into x and y, augmented where asked for.
  void batch(std::span<const int64_t> indices, const Augment* augment, uint64_t seed, int64_t epoch, float* x,
             int64_t* y) const;

 private:
  Dims dims_;
  int64_t elements_ = 0;
  std::vector<float> values_;
  std::vector<int64_t> labels_;
};

/// 0..n-1 in an order of this seed and epoch.
std::vector<int64_t> shuffled(std::vector<int64_t> indices, uint64_t seed, int64_t epoch);

}  // namespace octet::nn
