#include "calibrate/collector.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "calibrate/collect_view.h"

namespace octet {
namespace {

void append(std::string& out, std::string_view part) {
  const uint64_t size = part.size();
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out.append(part);
}

std::optional<std::string_view> take(std::string_view& bytes) {
  uint64_t size = 0;
  if (bytes.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, bytes.data(), sizeof size);
  bytes.remove_prefix(sizeof size);
  if (size > bytes.size()) return std::nullopt;
  const std::string_view part = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return part;
}

template <class T>
std::string_view raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

void join_ends(std::vector<float>& low, std::vector<float>& high, std::string_view other_low,
               std::string_view other_high) {
  const size_t n = std::min(other_low.size(), other_high.size()) / sizeof(float);
  low.resize(std::max(low.size(), n), std::numeric_limits<float>::infinity());
  high.resize(std::max(high.size(), n), -std::numeric_limits<float>::infinity());
  for (size_t c = 0; c < n; ++c) {
    float l = 0, h = 0;
    std::memcpy(&l, other_low.data() + c * sizeof l, sizeof l);
    std::memcpy(&h, other_high.data() + c * sizeof h, sizeof h);
    low[c] = std::min(low[c], l);
    high[c] = std::max(high[c], h);
  }
}

}  // namespace

Histogram Point::all() const {
  Histogram joined = early;
  joined.merge(late);
  return joined;
}

int64_t Point::dead_channels() const { return std::count(alive.begin(), alive.end(), 0); }

Collector::Collector(const Options& options) : kernel_(options.kernel), per_channel_(options.per_channel) {
  for (const std::string& name : options.points) {
    if (!index_.emplace(name, points_.size()).second) continue;
    points_.emplace_back();
    points_.back().name = name;
  }
}

void Collector::begin_run(int64_t batch, int64_t real, bool late) {
  batch_ = batch;
  real_ = real;
  late_ = late;
  non_finite_.reset();
  for (Point& point : points_) point.seen = 0;
}

void Collector::observe(std::string_view value, const TensorView& view, int64_t first, int64_t images) {
  const auto at = index_.find(std::string(value));
  if (at == index_.end() || view.dtype != DType::f32) return;
  Point& point = points_[at->second];
  if (point.seen != first) return;
  const int64_t in_view = images > 0 ? images : batch_;
  point.seen += in_view;
  // How much of dimension 0 belongs to one sample; a tensor that does not carry the batch there is taken whole.
  const int64_t rows = view.dims.empty() ? 1 : view.dims[0];
  const bool carries_batch = rows % in_view == 0;
  const int64_t each = carries_batch ? rows / in_view : rows;
  const int64_t samples = carries_batch ? std::clamp<int64_t>(real_ - first, 0, in_view) : 1;
  if (samples == 0) return;  // a turn of nothing but padding
  Histogram& histogram = late_ ? point.late : point.early;
  const uint64_t before = histogram.non_finite();
  collect_view(histogram, view, 0, each * samples, kernel_);
  if (histogram.non_finite() != before) {
    if (!non_finite_) find_non_finite(at->second, view, each, samples, first);
    return;
  }
  mark_channels(point, view, each * samples);
}

void Collector::mark_channels(Point& point, const TensorView& view, int64_t end) const {
  if (view.dims.size() < 2 || view.dims[1] < 1) return;
  const auto channels = static_cast<size_t>(view.dims[1]);
  point.alive.resize(std::max(point.alive.size(), channels), 0);
  if (per_channel_) {
    constexpr float k_infinity = std::numeric_limits<float>::infinity();
    if (!point.channels) point.channels.emplace();
    point.channels->min.resize(channels, k_infinity);
    point.channels->max.resize(channels, -k_infinity);
    join_channel_ends(view, 0, end, point.channels->min.data(), point.channels->max.data());
    for (size_t c = 0; c < channels; ++c)
      point.alive[c] |= point.channels->min[c] != 0.0f || point.channels->max[c] != 0.0f;
    return;
  }
  for (size_t c = 0; c < channels; ++c)
    if (!point.alive[c]) point.alive[c] = channel_lives(view, 0, end, static_cast<int64_t>(c));
}

void Collector::find_non_finite(size_t index, const TensorView& view, int64_t each, int64_t samples, int64_t first) {
  for (int64_t slot = 0; slot < samples; ++slot) {
    Histogram probe;
    collect_view(probe, view, slot * each, (slot + 1) * each);
    if (probe.non_finite() == 0) continue;
    non_finite_ = NonFinite{index, first + slot, probe.non_finite()};
    return;
  }
}

std::string Collector::to_bytes(const Point& point) {
  std::string bytes;
  append(bytes, point.early.to_bytes());
  append(bytes, point.late.to_bytes());
  append(bytes, raw(point.alive));
  append(bytes, point.channels ? raw(point.channels->min) : std::string_view());
  append(bytes, point.channels ? raw(point.channels->max) : std::string_view());
  return bytes;
}

bool Collector::join(Point& point, std::string_view bytes) {
  std::string_view parts[5];
  for (std::string_view& part : parts) {
    const std::optional<std::string_view> taken = take(bytes);
    if (!taken) return false;
    part = *taken;
  }
  const std::optional<Histogram> early = Histogram::from_bytes(parts[0]), late = Histogram::from_bytes(parts[1]);
  if (!early || !late || early->bins() != point.early.bins() || late->bins() != point.late.bins()) return false;
  point.early.merge(*early);
  point.late.merge(*late);
  point.alive.resize(std::max(point.alive.size(), parts[2].size()), 0);
  for (size_t c = 0; c < parts[2].size(); ++c) point.alive[c] |= static_cast<uint8_t>(parts[2][c]);
  if (!parts[3].empty()) {
    if (!point.channels) point.channels.emplace();
    join_ends(point.channels->min, point.channels->max, parts[3], parts[4]);
  }
  return true;
}

}  // namespace octet
