// The calibrator interface: TensorRT's order of calls, each class's rule against a count made here, caches, refusals.
#include "api/calibrator_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ir/text.h"
#include "octet/model.h"
#include "onnx/onnx.h"
#include "quant/ranges.h"
#include "quant/trt_cache.h"

namespace octet {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr int64_t k_elements = 3 * 4 * 4;

/// What every calibrator under test shares: samples, a cache, and the calls in order.
struct Script {
  std::vector<std::vector<float>> batches;
  int32_t batch_size = 1;
  std::string cache, written;
  std::vector<std::string> calls;
  bool leave_null = false;
  CalibratorMemory where = CalibratorMemory::host;
  size_t at = 0;
};

template <class Base>
class Scripted : public Base {
 public:
  explicit Scripted(Script& script) : s_(script) {}
  int32_t getBatchSize() const noexcept override {
    s_.calls.emplace_back("size");
    return s_.batch_size;
  }
  bool getBatch(void* bindings[], const char* names[], int32_t count) noexcept override {
    s_.calls.push_back("batch " + std::string(count == 1 ? names[0] : "?"));
    if (s_.at == s_.batches.size()) return false;
    bindings[0] = s_.leave_null ? nullptr : s_.batches[s_.at].data();
    ++s_.at;
    return true;
  }
  const void* readCalibrationCache(std::size_t& length) noexcept override {
    s_.calls.emplace_back("read");
    length = s_.cache.size();
    return s_.cache.empty() ? nullptr : s_.cache.data();
  }
  void writeCalibrationCache(const void* ptr, std::size_t length) noexcept override {
    s_.calls.emplace_back("write");
    s_.written.assign(static_cast<const char*>(ptr), length);
  }
  CalibratorMemory memory() const noexcept override { return s_.where; }

 private:
  Script& s_;
};

class Legacy : public Scripted<IInt8LegacyCalibrator> {
 public:
  Legacy(Script& script, double quantile, double cutoff) : Scripted(script), quantile_(quantile), cutoff_(cutoff) {}
  double getQuantile() const noexcept override { return quantile_; }
  double getRegressionCutoff() const noexcept override { return cutoff_; }
  const void* readHistogramCache(std::size_t& length) noexcept override {
    length = histograms.size();
    return histograms.data();
  }
  void writeHistogramCache(const void* ptr, std::size_t length) noexcept override {
    histograms_written.assign(static_cast<const char*>(ptr), length);
  }

  std::string histograms, histograms_written;

 private:
  double quantile_, cutoff_;
};

class Calibrators : public testing::Test {
 protected:
  void SetUp() override {
    model_ = load("N");
    std::mt19937 random(17);
    std::normal_distribution<float> normal(0, 1);
    script_.batch_size = 4;
    script_.batches.resize(30, std::vector<float>(4 * k_elements));
    for (auto& batch : script_.batches)
      for (float& v : batch) v = normal(random);
  }
  void TearDown() override { fs::remove(path_); }

  std::optional<Model> load(const std::string& batch) {
    path_ = testing::TempDir() + "octet_calibrator_" + std::to_string(::getpid()) + ".onnx";
    const Result<Graph> graph =
        parse_graph("graph g (x: f32[" + batch +
                    ",3,4,4]) -> (y) {\n  const w: f32[2,3,1,1] = {0.5, -0.25, 1, 0.125, 0.75, -1}\n"
                    "  const v: f32[1,2,1,1] = {1, -1}\n"
                    "  c = Conv(x, w) @conv\n  r = Relu(c)\n  y = Conv(r, v) @last\n}\n");
    EXPECT_TRUE(graph) << graph.error().message;
    EXPECT_TRUE(write_onnx_file(path_, *graph));
    Result<Model> model = Model::load(path_);
    EXPECT_TRUE(model) << model.error().message;
    return *model;
  }

  /// |x| of all samples, ascending; x is the network's input, so no arithmetic of the network comes in.
  std::vector<float> magnitudes() const {
    std::vector<float> all;
    for (const auto& batch : script_.batches)
      for (const float v : batch) all.push_back(std::abs(v));
    std::sort(all.begin(), all.end());
    return all;
  }

  TrtCache written() const {
    const Result<TrtCache> cache = parse_trt_cache(script_.written);
    EXPECT_TRUE(cache) << cache.error().message;
    return cache ? *cache : TrtCache{};
  }
  double amax_of_x() const {
    for (const TrtScale& s : written().scales)
      if (s.name == "x") return double{s.scale} * 127;
    ADD_FAILURE() << "no scale of x in\n" << script_.written;
    return 0;
  }
  std::string error_of(IInt8Calibrator& calibrator) {
    const Result<Ranges> ranges = calibrate(*model_, calibrator);
    return ranges ? "accepted" : ranges.error().message;
  }

  std::string path_;
  std::optional<Model> model_;
  Script script_;
};

TEST_F(Calibrators, are_called_in_tensorrts_order_and_the_cache_is_written_once) {
  Scripted<IInt8EntropyCalibrator2> calibrator(script_);
  script_.batches.resize(2);
  ASSERT_TRUE(calibrate(*model_, calibrator));
  EXPECT_THAT(script_.calls, ElementsAre("size", "read", "batch x", "batch x", "batch x", "write"));
}

TEST_F(Calibrators, a_cache_ends_it_without_a_batch_or_a_write) {
  Scripted<IInt8MinMaxCalibrator> first(script_);
  const Result<Ranges> calibrated = calibrate(*model_, first);
  ASSERT_TRUE(calibrated) << calibrated.error().message;
  Script again;
  again.cache = script_.written;
  Scripted<IInt8MinMaxCalibrator> second(again);
  const Result<Ranges> ranges = calibrate(*model_, second);
  ASSERT_TRUE(ranges) << ranges.error().message;
  EXPECT_THAT(again.calls, ElementsAre("size", "read"));
  EXPECT_EQ(again.written, "");
  EXPECT_EQ(ranges->table->tensors, calibrated->table->tensors);
}

TEST_F(Calibrators, another_calibrators_cache_is_not_used_and_a_foreign_networks_is_refused) {
  script_.cache = "TRT-8003-EntropyCalibration2\nx: 3c010204\n";
  Scripted<IInt8MinMaxCalibrator> minmax(script_);
  const Result<Ranges> ranges = calibrate(*model_, minmax);
  ASSERT_TRUE(ranges) << ranges.error().message;
  EXPECT_THAT(ranges->notes, Contains(HasSubstr("the cache is of EntropyCalibration2, the calibrator is")));
  EXPECT_EQ(script_.at, 30u) << "calibrated all the same";
  Script other;
  other.cache = "TRT-8003-EntropyCalibration2\nanother: 3c010204\n";
  Scripted<IInt8EntropyCalibrator2> entropy(other);
  EXPECT_THAT(error_of(entropy), HasSubstr("the calibrator's cache does not fit"));
}

TEST_F(Calibrators, minmax_takes_the_largest_of_all_batches) {
  script_.batches[7][5] = -9.5f;
  Scripted<IInt8MinMaxCalibrator> calibrator(script_);
  ASSERT_TRUE(calibrate(*model_, calibrator));
  EXPECT_THAT(script_.written, testing::StartsWith("TRT-100300-MinMaxCalibration\n"));
  EXPECT_EQ(static_cast<float>(amax_of_x() / 127), 9.5f / 127);
}

TEST_F(Calibrators, legacy_takes_the_quantile) {
  script_.batches[0][0] = 6;  // the range of the first batch, wide enough for all
  Legacy calibrator(script_, 0.99, 1.0);
  ASSERT_TRUE(calibrate(*model_, calibrator));
  const std::vector<float> sorted = magnitudes();
  const double wanted = sorted[static_cast<size_t>(std::ceil(0.99 * static_cast<double>(sorted.size()))) - 1];
  EXPECT_NEAR(amax_of_x(), wanted, 2 * 6.0 / 2048);
  const TrtCache cache = written();
  EXPECT_EQ(cache.description(), "TensorRT (version not stated) LegacyCalibration");
  EXPECT_EQ(cache.quantile, 0.99);
  Legacy regression(script_, 0.99, 0.8);
  EXPECT_THAT(error_of(regression), HasSubstr("regression cutoff is 0.8"));
  Legacy nothing(script_, 0, 1.0);
  EXPECT_THAT(error_of(nothing), HasSubstr("quantile must lie in (0, 1]"));
}

TEST_F(Calibrators, both_entropy_classes_clip_an_outlier_alike) {
  script_.batches[0][0] = 40;  // one element of 5760; the others stay below 5
  Scripted<IInt8EntropyCalibrator2> second(script_);
  ASSERT_TRUE(calibrate(*model_, second));
  const double amax = amax_of_x();
  EXPECT_GT(amax, 128.5 * 40 / 2048 - 1e-6) << "the smallest candidate";
  EXPECT_LT(amax, 20);
  // (i + 0.5) bins of the first batch's range
  const double bins = amax / (40.0 / 2048);
  EXPECT_NEAR(bins - std::floor(bins), 0.5, 1e-3);
  script_.at = 0;
  Scripted<IInt8EntropyCalibrator> first(script_);
  ASSERT_TRUE(calibrate(*model_, first));
  EXPECT_EQ(amax_of_x(), amax);
  EXPECT_THAT(script_.written, HasSubstr("-EntropyCalibration\n"));
}

TEST_F(Calibrators, a_network_of_fixed_batch_sees_every_sample) {
  model_ = load("1");
  script_.batches[29].back() = 12;  // the last sample of the last batch
  Scripted<IInt8MinMaxCalibrator> calibrator(script_);
  const Result<Ranges> ranges = calibrate(*model_, calibrator);
  ASSERT_TRUE(ranges) << ranges.error().message;
  EXPECT_EQ(static_cast<float>(amax_of_x() / 127), 12.0f / 127);
  EXPECT_EQ(ranges->samples(), 120);
  EXPECT_THAT(ranges->notes, Contains(HasSubstr("each batch of 4 takes 4 runs")));
}

TEST_F(Calibrators, few_samples_are_a_warning_and_the_cache_is_written_all_the_same) {
  script_.batches.resize(1);
  Scripted<IInt8EntropyCalibrator2> calibrator(script_);
  const Result<Ranges> ranges = calibrate(*model_, calibrator);
  ASSERT_TRUE(ranges) << ranges.error().message;
  EXPECT_THAT(ranges->notes, Contains(HasSubstr("only 4 samples")));
  EXPECT_NE(script_.written, "");
}

TEST_F(Calibrators, refuse_what_cannot_be_calibrated_and_say_why) {
  Scripted<IInt8EntropyCalibrator2> calibrator(script_);
  script_.batches[3][7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(error_of(calibrator), HasSubstr("tensor 'x' has values that are not finite in batch 3"));
  script_.at = 0;
  script_.leave_null = true;
  EXPECT_THAT(error_of(calibrator), HasSubstr("batch 0: getBatch() left the binding of 'x' null"));
  script_.leave_null = false;
  script_.at = script_.batches.size();
  EXPECT_THAT(error_of(calibrator), HasSubstr("the calibrator gave no batch"));
  script_.batch_size = 0;
  EXPECT_THAT(error_of(calibrator), HasSubstr("getBatchSize() is 0, expected at least 1"));
  EXPECT_EQ(script_.written, "") << "no cache of a calibration that failed";
}

TEST_F(Calibrators, another_quantile_of_a_legacy_calibrator_needs_no_batch) {
  Legacy first(script_, 0.9, 1.0);
  ASSERT_TRUE(calibrate(*model_, first));
  ASSERT_NE(first.histograms_written, "");
  const double at_90 = amax_of_x();

  Script again;
  again.batch_size = script_.batch_size;
  Legacy second(again, 0.999, 1.0);
  second.histograms = first.histograms_written;
  const Result<Ranges> ranges = calibrate(*model_, second);
  ASSERT_TRUE(ranges) << ranges.error().message;
  EXPECT_THAT(again.calls, ElementsAre("size", "read", "write"));
  EXPECT_THAT(ranges->notes, Contains(HasSubstr("histogram cache used")));
  EXPECT_EQ(second.histograms_written, "");

  script_.at = 0;  // the same from the data
  Legacy counted(script_, 0.999, 1.0);
  ASSERT_TRUE(calibrate(*model_, counted));
  EXPECT_EQ(again.written, script_.written);
  EXPECT_GT(amax_of_x(), at_90);
}

TEST_F(Calibrators, a_legacy_cache_is_used_when_quantile_and_cutoff_are_its_own) {
  Legacy first(script_, 0.9, 1.0);
  ASSERT_TRUE(calibrate(*model_, first));
  const std::string at_90 = script_.written;

  script_.at = 0;
  script_.cache = at_90;
  Legacy other(script_, 0.999, 1.0);
  const Result<Ranges> anew = calibrate(*model_, other);
  ASSERT_TRUE(anew) << anew.error().message;
  EXPECT_THAT(anew->notes, Contains(HasSubstr("the cache is of quantile 0.900000, regression cutoff 1.000000, the "
                                              "calibrator of quantile 0.999000")));
  EXPECT_EQ(script_.at, 30u) << "calibrated anew";
  EXPECT_EQ(written().quantile, 0.999);

  Result<TrtCache> cache = parse_trt_cache(at_90);
  ASSERT_TRUE(cache);
  cache->regression_cutoff = 0.8;
  Script again;
  again.batch_size = 4;
  again.cache = to_text(*cache);
  Legacy regression(again, 0.9, 0.8);
  const Result<Ranges> used = calibrate(*model_, regression);
  ASSERT_TRUE(used) << used.error().message;
  EXPECT_THAT(again.calls, ElementsAre("size", "read"));
}

TEST_F(Calibrators, a_histogram_cache_that_does_not_fit_is_not_used_and_told) {
  Legacy damaged(script_, 0.9, 1.0);
  damaged.histograms = "something else";
  const Result<Ranges> ranges = calibrate(*model_, damaged);
  ASSERT_TRUE(ranges) << ranges.error().message;
  EXPECT_THAT(ranges->notes, Contains(HasSubstr("histogram cache was not used: the histogram cache is not one that")));
  EXPECT_EQ(script_.at, 30u);
  script_.at = 0;
  model_ = load("1");
  Legacy other(script_, 0.9, 1.0);
  other.histograms = damaged.histograms_written;
  const Result<Ranges> foreign = calibrate(*model_, other);
  ASSERT_TRUE(foreign) << foreign.error().message;
  EXPECT_THAT(foreign->notes, Contains(HasSubstr("it was made for model")));
}

// A device that this test is itself: its addresses are those of the host plus an offset, so that reading one without
// the copy would crash.
constexpr uintptr_t k_device_offset = uintptr_t{1} << 50;
int device_reads = 0;

Result<Done> fake_to_host(void* host, const void* device, size_t bytes) {
  ++device_reads;
  std::memcpy(host, reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(device) - k_device_offset), bytes);
  return Done{};
}
Result<Done> fake_to_device(void*, const void*, size_t) { return Done{}; }

class OnDevice : public Scripted<IInt8EntropyCalibrator2> {
 public:
  using Scripted::Scripted;
  bool getBatch(void* bindings[], const char* names[], int32_t count) noexcept override {
    if (!Scripted::getBatch(bindings, names, count)) return false;
    bindings[0] = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(bindings[0]) + k_device_offset);
    return true;
  }
};

TEST_F(Calibrators, device_pointers_are_copied_and_give_what_host_pointers_give) {
  Scripted<IInt8EntropyCalibrator2> on_host(script_);
  ASSERT_TRUE(calibrate(*model_, on_host));
  const std::string wanted = script_.written;
  for (const char* batch : {"N", "1"}) {
    model_ = load(batch);
    script_.at = 0;
    script_.written.clear();
    script_.where = CalibratorMemory::device;
    device_reads = 0;
    OnDevice on_device(script_);
    const Result<Ranges> ranges = calibrate_with(*model_, on_device, {}, {fake_to_host, fake_to_device});
    ASSERT_TRUE(ranges) << ranges.error().message;
    EXPECT_EQ(script_.written, wanted);
    EXPECT_EQ(device_reads, *batch == 'N' ? 30 : 120) << "a copy for each run";
  }
}

TEST_F(Calibrators, a_failed_copy_names_batch_and_input) {
  script_.where = CalibratorMemory::device;
  OnDevice on_device(script_);
  const DeviceCopies failing = {[](void*, const void*, size_t) -> Result<Done> {
                                  return Error{ErrorCode::device, "no such memory"};
                                },
                                fake_to_device};
  const Result<Ranges> ranges = calibrate_with(*model_, on_device, {}, failing);
  ASSERT_FALSE(ranges);
  EXPECT_EQ(ranges.error().message, "batch 0, the binding of 'x': no such memory");
}

// Without CUDA both copies say so; with it host addresses are no device memory.
TEST_F(Calibrators, the_builds_own_copies_refuse_what_is_no_device_memory) {
  script_.where = CalibratorMemory::device;
  Scripted<IInt8EntropyCalibrator2> calibrator(script_);
  EXPECT_THAT(error_of(calibrator), HasSubstr("batch 0, the binding of 'x': "));
  float x = 1, y = 0;
  EXPECT_FALSE(copy_to_binding(&y, &x, sizeof x, CalibratorMemory::device));
  EXPECT_TRUE(copy_to_binding(&y, &x, sizeof x));
  EXPECT_EQ(y, 1.0f);
}

TEST(PictureFiles, are_in_order_of_name_and_leave_no_picture_out_silently) {
  const fs::path folder = fs::temp_directory_path() / ("octet_pictures_" + std::to_string(::getpid()));
  fs::create_directory(folder);
  const auto put = [&](const char* name) { std::ofstream(folder / name) << "x"; };
  for (const char* name : {"b.png", "a.JPG", "notes.txt", "._c.webp"}) put(name);
  const Result<std::vector<std::string>> files = picture_files(folder.string());
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_THAT(*files, ElementsAre((folder / "a.JPG").string(), (folder / "b.png").string()));
  put("c.webp");
  const Result<std::vector<std::string>> refused = picture_files(folder.string());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr((folder / "c.webp").string() + ": not a picture that octet reads"));
  fs::remove_all(folder);
  EXPECT_FALSE(picture_files(folder.string()));
}

}  // namespace
}  // namespace octet
