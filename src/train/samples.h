#pragma once
// The data of a training run, and batches of it, shuffled and augmented by numbers that depend on the seed, the epoch
// and the sample only: not on threads, memory, nor on where a run was resumed. No libtorch here.
//
// Decoded samples stay in memory up to a bound; those beyond it are read from the data set again for each batch.

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
  /// Reads everything once, with `threads`, and keeps the first samples that fit into `memory_bytes`. The data set must
  /// outlive what is made. Errors: a sample without a label or with several, what reading says.
  static Result<Samples> read(const Dataset& data, const Dims& sample, int threads,
                              int64_t memory_bytes = memory_for_samples());
  /// Half of the memory that the machine, or the process's control group, has left.
  static int64_t memory_for_samples();
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  int64_t elements() const { return elements_; }
  int64_t label(int64_t i) const { return labels_[static_cast<size_t>(i)]; }
  int64_t classes() const;
  /// How many of them stay in memory: the first ones.
  int64_t resident() const { return resident_; }
  /// Of all values and labels, 16 hex digits: data, its preprocessing and its labels at once.
  std::string hash() const;
  /// Samples by index into x and y, augmented where asked for. Errors: what reading one again says.
  Result<Done> batch(std::span<const int64_t> indices, const Augment* augment, uint64_t seed, int64_t epoch, float* x,
                     int64_t* y) const;

 private:
  Result<Done> read_all(int threads);
  const Dataset* data_ = nullptr;
  Dims dims_;
  int64_t elements_ = 0, resident_ = 0;
  std::vector<float> values_;  // of the resident ones
  std::vector<uint64_t> hashes_;
  std::vector<int64_t> labels_;
};

/// 0..n-1 in an order of this seed and epoch.
std::vector<int64_t> shuffled(std::vector<int64_t> indices, uint64_t seed, int64_t epoch);

}  // namespace octet::nn
