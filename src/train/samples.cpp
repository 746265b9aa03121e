#include "train/samples.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "base/hash.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "data/random.h"

namespace octet::nn {
namespace {

constexpr int64_t k_float_bytes = 4;

uint64_t mixed(uint64_t seed, uint64_t epoch, uint64_t index) {
  return Random(Random(Random(seed).next() ^ epoch).next() ^ index).next();
}

/// The index that a border reflected without its edge has: -1 -> 1, n -> n - 2.
int64_t reflected(int64_t i, int64_t n) {
  if (n == 1) return 0;
  const int64_t period = 2 * (n - 1);
  i = ((i % period) + period) % period;
  return i < n ? i : period - i;
}

void augment_planes(const float* x, const Dims& dims, const Augment& a, uint64_t bits, float* y) {
  Random random(bits);
  const int64_t h = dims[dims.size() - 2], w = dims[dims.size() - 1];
  const int64_t dy = a.crop_pad ? random.between(-a.crop_pad, a.crop_pad) : 0;
  const int64_t dx = a.crop_pad ? random.between(-a.crop_pad, a.crop_pad) : 0;
  const bool flip = a.flip && random.below(2) == 1;
  std::vector<int64_t> columns(static_cast<size_t>(w));
  for (int64_t c = 0; c < w; ++c) columns[static_cast<size_t>(c)] = reflected((flip ? w - 1 - c : c) + dx, w);
  int64_t planes = 1;
  for (size_t d = 0; d + 2 < dims.size(); ++d) planes *= dims[d];
  for (int64_t p = 0; p < planes; ++p)
    for (int64_t r = 0; r < h; ++r) {
      const float* row = x + (p * h + reflected(r + dy, h)) * w;
      float* out = y + (p * h + r) * w;
      for (int64_t c = 0; c < w; ++c) out[c] = row[columns[static_cast<size_t>(c)]];
    }
  if (a.cutout <= 0) return;
  const int64_t top = random.below(h) - a.cutout / 2, left = random.below(w) - a.cutout / 2;
  for (int64_t p = 0; p < planes; ++p)
    for (int64_t r = std::max<int64_t>(0, top); r < std::min(h, top + a.cutout); ++r)
      for (int64_t c = std::max<int64_t>(0, left); c < std::min(w, left + a.cutout); ++c) y[(p * h + r) * w + c] = 0.0f;
}

}  // namespace

int64_t Samples::memory_for_samples() { return free_memory_bytes() / 2; }

Result<Samples> Samples::read(const Dataset& data, const Dims& sample, int threads, int64_t memory_bytes) {
  Samples made;
  made.data_ = &data;
  made.dims_ = sample;
  const std::optional<int64_t> elements = element_count(sample);
  if (!elements || *elements == 0)
    return Error{ErrorCode::bad_argument,
                 "samples of " + to_string(std::span<const int64_t>(sample)) + " cannot be trained on"};
  made.elements_ = *elements;
  const int64_t n = data.size();
  for (int64_t i = 0; i < n; ++i) {
    const std::vector<int64_t> labels = data.labels(i);
    if (labels.size() != 1)
      return Error{ErrorCode::bad_argument, "sample '" + data.sample_name(i) + "' has " +
                                                std::to_string(labels.size()) +
                                                " labels; training needs one for each (sub-folders or a label file)"};
    made.labels_.push_back(labels.front());
  }
  made.resident_ = std::clamp<int64_t>(memory_bytes / k_float_bytes / made.elements_, 0, n);
  made.values_.resize(static_cast<size_t>(made.resident_ * made.elements_));
  made.hashes_.resize(static_cast<size_t>(n));
  if (const Result<Done> done = made.read_all(threads); !done) return done.error();
  return made;
}

/// Each sample once: into its place, or to be hashed only. So a damaged one is found before training starts.
Result<Done> Samples::read_all(int threads) {
  const auto elements = static_cast<size_t>(elements_);
  ThreadPool pool(threads);
  std::vector<std::vector<float>> passing(static_cast<size_t>(pool.threads()));
  std::mutex lock;
  std::optional<Error> failed;
  pool.parallel_for(size(), [&](int64_t i, int thread) {
    std::span<float> target;
    if (i < resident_) {
      target = std::span(values_).subspan(static_cast<size_t>(i) * elements, elements);
    } else {
      std::vector<float>& own = passing[static_cast<size_t>(thread)];
      own.resize(elements);
      target = own;
    }
    const Result<Done> done = data_->read(i, dims_, target);
    if (done) {
      hashes_[static_cast<size_t>(i)] = hash_bytes(std::as_bytes(target));
      return;
    }
    const std::lock_guard hold(lock);
    if (!failed) failed = done.error();
  });
  if (failed) return *failed;
  return Done{};
}

int64_t Samples::classes() const { return labels_.empty() ? 0 : *std::max_element(labels_.begin(), labels_.end()) + 1; }

std::string Samples::hash() const {
  const uint64_t shape = hash_bytes(std::as_bytes(std::span(dims_)));
  const uint64_t labels = hash_bytes(std::as_bytes(std::span(labels_)), shape);
  return to_hex(hash_bytes(std::as_bytes(std::span(hashes_)), labels));
}

Result<Done> Samples::batch(std::span<const int64_t> indices, const Augment* augment, uint64_t seed, int64_t epoch,
                            float* x, int64_t* y) const {
  const bool augmented = augment && dims_.size() >= 2;
  std::vector<float> again;
  for (size_t k = 0; k < indices.size(); ++k) {
    const int64_t i = indices[k];
    float* const target = x + static_cast<int64_t>(k) * elements_;
    const float* source = values_.data() + i * elements_;
    if (i >= resident_) {
      if (augmented) again.resize(static_cast<size_t>(elements_));
      float* const place = augmented ? again.data() : target;
      const std::span<float> whole(place, static_cast<size_t>(elements_));
      if (const Result<Done> done = data_->read(i, dims_, whole); !done) return done.error();
      source = place;
    }
    if (augmented) {
      const uint64_t bits = mixed(seed, static_cast<uint64_t>(epoch), static_cast<uint64_t>(i));
      augment_planes(source, dims_, *augment, bits, target);
    } else if (source != target) {
      std::copy(source, source + elements_, target);
    }
    y[k] = labels_[static_cast<size_t>(i)];
  }
  return Done{};
}

std::vector<int64_t> shuffled(std::vector<int64_t> indices, uint64_t seed, int64_t epoch) {
  Random random(mixed(seed, static_cast<uint64_t>(epoch), ~uint64_t{0}));
  for (size_t i = indices.size(); i > 1; --i)
    std::swap(indices[i - 1], indices[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  return indices;
}

}  // namespace octet::nn
