// Batches: shuffled and augmented by the seed alone; pictures stay pictures.

#include "train/samples.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <set>

namespace octet::nn {
namespace {

/// Samples 0..n-1: element e of sample i is 1000 i + e, its class i % 3.
class Counted : public Dataset {
 public:
  explicit Counted(int64_t n) : n_(n) {}
  int64_t size() const override { return n_; }
  std::vector<int64_t> labels(int64_t i) const override {
    return i == unlabelled ? std::vector<int64_t>() : std::vector<int64_t>{i % 3};
  }
  std::string sample_name(int64_t i) const override { return "sample " + std::to_string(i); }
  Result<Done> read(int64_t i, const Dims&, std::span<float> out) const override {
    ++reads;
    if (i == damaged) return Error{ErrorCode::io, sample_name(i) + ": damaged"};
    for (size_t e = 0; e < out.size(); ++e) out[e] = static_cast<float>(1000 * i) + static_cast<float>(e);
    return Done{};
  }
  std::string hash() const override { return ""; }
  bool are_pictures() const override { return false; }
  int64_t unlabelled = -1, damaged = -1;
  mutable std::atomic<int64_t> reads = 0;

 private:
  int64_t n_;
};

std::vector<float> batch(const Samples& samples, std::vector<int64_t> indices, const Augment* augment, int64_t epoch) {
  std::vector<float> x(indices.size() * static_cast<size_t>(samples.elements()));
  std::vector<int64_t> y(indices.size());
  const Result<Done> done = samples.batch(indices, augment, 7, epoch, x.data(), y.data());
  EXPECT_TRUE(done);
  return x;
}

TEST(Samples, a_batch_without_augmentation_is_the_samples) {
  const Counted data(5);
  const Result<Samples> samples = Samples::read(data, {2, 3, 4}, 2);
  ASSERT_TRUE(samples) << samples.error().message;
  EXPECT_EQ(samples->classes(), 3);
  const std::vector<float> x = batch(*samples, {4, 1}, nullptr, 0);
  for (size_t e = 0; e < 24; ++e) {
    EXPECT_EQ(x[e], 4000.0f + static_cast<float>(e));
    EXPECT_EQ(x[24 + e], 1000.0f + static_cast<float>(e));
  }
}

TEST(Samples, augmentation_depends_on_seed_epoch_and_sample_only) {
  const Counted data(9);
  const Result<Samples> samples = Samples::read(data, {3, 8, 8}, 1);
  ASSERT_TRUE(samples);
  const Augment augment{.crop_pad = 2, .cutout = 3, .flip = true};
  const std::vector<float> alone = batch(*samples, {5}, &augment, 3), among = batch(*samples, {1, 5}, &augment, 3);
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), among.begin() + 192));
  EXPECT_NE(alone, batch(*samples, {5}, &augment, 4));
}

TEST(Samples, a_crop_shifts_all_planes_alike_and_reflects_at_the_border) {
  const Counted data(2);
  const Result<Samples> samples = Samples::read(data, {2, 6, 6}, 1);
  ASSERT_TRUE(samples);
  const Augment augment{.crop_pad = 3, .cutout = 0, .flip = false};
  std::set<std::vector<float>> seen;
  for (int64_t epoch = 0; epoch < 40; ++epoch) {
    const std::vector<float> x = batch(*samples, {0}, &augment, epoch);
    seen.insert(x);
    for (size_t e = 0; e < 36; ++e) EXPECT_EQ(x[36 + e], x[e] + 36.0f);
    // The inner pixel 2,2 shifted by at most 3 is within the picture, reflected without the edge.
    EXPECT_GE(x[14], 0.0f);
    EXPECT_LT(x[14], 36.0f);
  }
  EXPECT_GT(seen.size(), 15u);  // of 49 shifts
}

TEST(Samples, an_unlabelled_sample_is_refused_by_name) {
  Counted data(4);
  data.unlabelled = 2;
  const Result<Samples> samples = Samples::read(data, {1, 2, 2}, 1);
  ASSERT_FALSE(samples);
  EXPECT_NE(samples.error().message.find("'sample 2' has 0 labels"), std::string::npos) << samples.error().message;
}

// 12 floats a sample: 100 bytes hold two of the seven.
TEST(Samples, what_does_not_fit_into_memory_is_read_again) {
  Counted data(7);
  const Result<Samples> all = Samples::read(data, {3, 2, 2}, 2, 1 << 20), some = Samples::read(data, {3, 2, 2}, 2, 100),
                        none = Samples::read(data, {3, 2, 2}, 1, 0);
  ASSERT_TRUE(all && some && none);
  EXPECT_EQ(all->resident(), 7);
  EXPECT_EQ(some->resident(), 2);
  EXPECT_EQ(none->resident(), 0);
  EXPECT_EQ(data.reads, 21);  // each looked at all of them once
  const Augment augment{.crop_pad = 1, .cutout = 1, .flip = true};
  for (const Augment* with : {static_cast<const Augment*>(nullptr), &augment}) {
    const std::vector<float> wanted = batch(*all, {6, 1, 3, 0}, with, 2);
    EXPECT_EQ(data.reads, 21);
    EXPECT_EQ(batch(*some, {6, 1, 3, 0}, with, 2), wanted);
    EXPECT_EQ(data.reads, 23);
    EXPECT_EQ(batch(*none, {6, 1, 3, 0}, with, 2), wanted);
    data.reads = 21;
  }
  EXPECT_EQ(some->hash(), all->hash());  // what a run is does not depend on memory
  EXPECT_EQ(none->hash(), all->hash());
  data.damaged = 6;
  float x[12];
  int64_t y[1];
  const Result<Done> lost = some->batch(std::vector<int64_t>{6}, nullptr, 1, 1, x, y);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().message, "sample 6: damaged");
}

TEST(Samples, a_damaged_sample_is_found_before_training_starts_even_beyond_the_memory) {
  Counted data(7);
  data.damaged = 5;
  const Result<Samples> samples = Samples::read(data, {3, 2, 2}, 2, 0);
  ASSERT_FALSE(samples);
  EXPECT_EQ(samples.error().message, "sample 5: damaged");
}

TEST(Samples, shuffled_is_a_permutation_that_differs_by_epoch) {
  std::vector<int64_t> all(100);
  std::iota(all.begin(), all.end(), 0);
  const std::vector<int64_t> a = shuffled(all, 1, 1), b = shuffled(all, 1, 2);
  EXPECT_NE(a, b);
  EXPECT_EQ(a, shuffled(all, 1, 1));
  EXPECT_EQ(std::set<int64_t>(a.begin(), a.end()).size(), 100u);
}

}  // namespace
}  // namespace octet::nn
