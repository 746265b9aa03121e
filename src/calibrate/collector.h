#pragma once
// What calibration keeps of every observed tensor: histograms, and which channels were ever anything but zero. Counts
// are integers, so that neither batch size, order, threads nor processes show in them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quant/histogram.h"
#include "quant/ranges.h"
#include "tensor/tensor.h"

namespace octet {

/// One observed tensor. early: the first four fifths of the samples; late: the last fifth, which shows how far ranges
/// still move.
struct Point {
  std::string name;
  Histogram early, late;
  std::vector<uint8_t> alive;             // by channel, where the tensor has channels
  std::optional<ChannelRanges> channels;  // where asked for
  int64_t seen = 0;                       // images of the run at hand

  uint64_t count() const { return early.count() + late.count(); }
  Histogram all() const;
  int64_t dead_channels() const;
};

class Collector {
 public:
  struct Options {
    std::vector<std::string> points;  // duplicates once
    IndexRow kernel = nullptr;
    bool per_channel = false;
  };
  /// A value that is not finite: which point, which slot of the batch, how many.
  struct NonFinite {
    size_t point = 0;
    int64_t slot = 0;
    uint64_t count = 0;
  };

  explicit Collector(const Options& options);

  const std::vector<Point>& points() const { return points_; }
  std::vector<Point>& points() { return points_; }
  /// Before each run: the engine's batch, how many of it are real, and whether they belong to the last fifth.
  void begin_run(int64_t batch, int64_t real, bool late);
  /// A value's view; names that are no points, other dtypes and further views of one run are passed over. images > 0:
  /// the view holds the images [first, first + images) of the batch alone; parts come in order.
  void observe(std::string_view value, const TensorView& view, int64_t first = 0, int64_t images = 0);
  /// The first non-finite value of this run.
  const std::optional<NonFinite>& non_finite() const { return non_finite_; }

  /// One point for another process, and the other way round: joins what an equal point of another collector holds.
  static std::string to_bytes(const Point& point);
  static bool join(Point& point, std::string_view bytes);

  /// Histograms and marks in bytes, for a forecast: it does not grow with the data.
  static size_t bytes_for(size_t points) { return points * 2 * 2 * size_t{Histogram::k_bins} * sizeof(uint64_t); }

 private:
  void mark_channels(Point& point, const TensorView& view, int64_t end) const;
  void find_non_finite(size_t index, const TensorView& view, int64_t each, int64_t samples, int64_t first);

  std::vector<Point> points_;
  std::unordered_map<std::string, size_t> index_;
  IndexRow kernel_;
  bool per_channel_;
  int64_t batch_ = 1, real_ = 1;
  bool late_ = false;
  std::optional<NonFinite> non_finite_;
};

}  // namespace octet
