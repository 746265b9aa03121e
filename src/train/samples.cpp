#include "train/samples.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "base/hash.h"
#include "base/thread_pool.h"
#include "data/random.h"

namespace octet::nn {
namespace {

constexpr int64_t k_largest_bytes = int64_t{32} << 30;

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

Result<Samples> Samples::read(const Dataset& data, const Dims& sample, int threads) {
  Samples made;
  made.dims_ = sample;
  const std::optional<int64_t> elements = element_count(sample);
  if (!elements || *elements == 0)
    return Error{ErrorCode::bad_argument,
                 "samples of " + to_string(std::span<const int64_t>(sample)) + " cannot be trained on"};
  made.elements_ = *elements;
  const int64_t n = data.size();
  if (n > k_largest_bytes / 4 / made.elements_)
    return Error{ErrorCode::bad_argument, std::to_string(n) + " samples of " + std::to_string(made.elements_) +
                                              " floats do not fit into 32 GiB; take a part with --limit"};
  for (int64_t i = 0; i < n; ++i) {
    const std::vector<int64_t> labels = data.labels(i);
    if (labels.size() != 1)
      return Error{ErrorCode::bad_argument, "sample '" + data.sample_name(i) + "' has " +
                                                std::to_string(labels.size()) +
                                                " labels; training needs one for each (sub-folders or a label file)"};
    made.labels_.push_back(labels.front());
  }
  made.values_.resize(static_cast<size_t>(n * made.elements_));
  ThreadPool pool(threads);
  std::mutex lock;
  std::optional<Error> failed;
  pool.parallel_for(n, [&](int64_t i, int) {
    const auto at = static_cast<size_t>(i * made.elements_);
    const Result<Done> done =
        data.read(i, sample, std::span(made.values_).subspan(at, static_cast<size_t>(made.elements_)));
    if (done) return;
    const std::lock_guard hold(lock);
    if (!failed) failed = done.error();
  });
  if (failed) return *failed;
  return made;
}

int64_t Samples::classes() const { return labels_.empty() ? 0 : *std::max_element(labels_.begin(), labels_.end()) + 1; }

std::string Samples::hash() const {
  const uint64_t shape = hash_bytes(std::as_bytes(std::span(dims_)));
  const uint64_t labels = hash_bytes(std::as_bytes(std::span(labels_)), shape);
  return to_hex(hash_bytes(std::as_bytes(std::span(values_)), labels));
}

void Samples::batch(std::span<const int64_t> indices, const Augment* augment, uint64_t seed, int64_t epoch, float* x,
                    int64_t* y) const {
  for (size_t k = 0; k < indices.size(); ++k) {
    const int64_t i = indices[k];
    const float* source = values_.data() + i * elements_;
    float* target = x + static_cast<int64_t>(k) * elements_;
    if (augment && dims_.size() >= 2) {
      augment_planes(source, dims_, *augment, mixed(seed, static_cast<uint64_t>(epoch), static_cast<uint64_t>(i)),
                     target);
    } else {
      std::copy(source, source + elements_, target);
    }
    y[k] = labels_[static_cast<size_t>(i)];
  }
}

std::vector<int64_t> shuffled(std::vector<int64_t> indices, uint64_t seed, int64_t epoch) {
  Random random(mixed(seed, static_cast<uint64_t>(epoch), ~uint64_t{0}));
  for (size_t i = indices.size(); i > 1; --i)
    std::swap(indices[i - 1], indices[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  return indices;
}

}  // namespace octet::nn
