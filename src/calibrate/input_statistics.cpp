#include "calibrate/input_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace octet {
namespace {

// A normalized picture set lies within these; a set of a few dark or bright pictures still does.
constexpr double k_far_mean = 1.4, k_small_deviation = 0.25, k_large_deviation = 2.5;
// Values beyond 4096 are clipped for the statistics (not for the ranges): their squares in 2^-20 then add up in 64
// bits.
constexpr double k_clip = 4096.0;
constexpr double k_value_unit = 0x1p24, k_square_unit = 0x1p20;

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", x);
  return text;
}

template <class F>
std::string listed(const std::vector<InputStatistics::Channel>& channels, F value) {
  std::string text = "[";
  for (size_t c = 0; c < channels.size(); ++c) text += (c ? ", " : "") + number(value(channels[c]));
  return text + "]";
}

}  // namespace

void InputStatistics::add(const TensorView& view, int64_t samples) {
  const bool by_channel = view.dims.size() >= 3 && view.dims[1] >= 1 && view.dims[1] <= 4;
  const size_t channels = by_channel ? static_cast<size_t>(view.dims[1]) : 1;
  sums_.resize(std::max(sums_.size(), channels));
  is_picture_ = by_channel && view.dims.size() == 4 && view.dims[1] != 2;
  const int64_t total = view.dims.empty() ? 1 : view.dims[0] * view.strides[0];  // network inputs are dense
  const int64_t each = view.dims.empty() || view.dims[0] == 0 ? total : total / view.dims[0];
  const int64_t plane = each / static_cast<int64_t>(channels);
  const auto* x = reinterpret_cast<const float*>(view.data);
  for (int64_t i = 0; i < samples * each; i += plane) {
    if (plane == 0) break;
    Sums& sums = sums_[static_cast<size_t>(i / plane) % channels];
    constexpr int64_t k_row = 1024;
    for (int64_t at = 0; at < plane; at += k_row) {
      int64_t values = 0, squares = 0;
      for (int64_t j = at; j < std::min(plane, at + k_row); ++j) {
        const float v = x[i + j];
        // A NaN ends the calibration by name elsewhere; here it has no integer.
        const double clipped = std::isnan(v) ? 0.0 : std::clamp(static_cast<double>(v), -k_clip, k_clip);
        values += std::llrint(clipped * k_value_unit);
        squares += std::llrint(clipped * clipped * k_square_unit);
        sums.min = sums.count == 0 && j == 0 ? v : std::min(sums.min, v);
        sums.max = sums.count == 0 && j == 0 ? v : std::max(sums.max, v);
      }
      sums.values += values;
      sums.squares += squares;
    }
    sums.count += static_cast<uint64_t>(plane);
  }
}

void InputStatistics::merge(const InputStatistics& other) {
  sums_.resize(std::max(sums_.size(), other.sums_.size()));
  is_picture_ |= other.is_picture_;
  for (size_t c = 0; c < other.sums_.size(); ++c) {
    Sums& a = sums_[c];
    const Sums& b = other.sums_[c];
    if (b.count == 0) continue;
    a.min = a.count ? std::min(a.min, b.min) : b.min;
    a.max = a.count ? std::max(a.max, b.max) : b.max;
    a.count += b.count;
    a.values += b.values;
    a.squares += b.squares;
  }
}

std::vector<InputStatistics::Channel> InputStatistics::channels() const {
  std::vector<Channel> out;
  for (const Sums& s : sums_) {
    const double n = static_cast<double>(std::max<uint64_t>(s.count, 1));
    const double mean = static_cast<double>(s.values) / k_value_unit / n;
    const double square = static_cast<double>(s.squares) / k_square_unit / n;
    out.push_back({mean, std::sqrt(std::max(square - mean * mean, 0.0)), s.min, s.max});
  }
  return out;
}

std::string InputStatistics::to_bytes() const {
  std::string bytes(1, static_cast<char>(is_picture_));
  for (const Sums& s : sums_) {
    bytes.append(reinterpret_cast<const char*>(&s.count), sizeof s.count);
    bytes.append(reinterpret_cast<const char*>(&s.values), sizeof s.values);
    bytes.append(reinterpret_cast<const char*>(&s.squares), sizeof s.squares);
    bytes.append(reinterpret_cast<const char*>(&s.min), sizeof s.min);
    bytes.append(reinterpret_cast<const char*>(&s.max), sizeof s.max);
  }
  return bytes;
}

std::optional<InputStatistics> InputStatistics::from_bytes(std::string_view bytes) {
  constexpr size_t k_each = sizeof(uint64_t) + 2 * sizeof(Wide) + 2 * sizeof(float);
  if (bytes.empty() || (bytes.size() - 1) % k_each != 0) return std::nullopt;
  InputStatistics statistics;
  statistics.is_picture_ = bytes[0] != 0;
  const char* at = bytes.data() + 1;
  const auto take = [&at](auto& x) {
    std::memcpy(&x, at, sizeof x);
    at += sizeof x;
  };
  for (size_t c = 0; c < (bytes.size() - 1) / k_each; ++c) {
    Sums& s = statistics.sums_.emplace_back();
    take(s.count);
    take(s.values);
    take(s.squares);
    take(s.min);
    take(s.max);
  }
  return statistics;
}

std::string to_text(const InputStatistics& statistics) {
  const std::vector<InputStatistics::Channel> channels = statistics.channels();
  if (channels.empty()) return "nothing";
  float low = channels[0].min, high = channels[0].max;
  for (const InputStatistics::Channel& c : channels) {
    low = std::min(low, c.min);
    high = std::max(high, c.max);
  }
  return "mean " + listed(channels, [](const auto& c) { return c.mean; }) + " std " +
         listed(channels, [](const auto& c) { return c.deviation; }) + ", from " + number(low) + " to " + number(high);
}

std::vector<std::string> input_findings(const InputStatistics& statistics, bool has_norm, bool unit_pixels) {
  std::vector<std::string> findings;
  const std::vector<InputStatistics::Channel> channels = statistics.channels();
  if (channels.empty() || !statistics.is_picture()) return findings;
  float low = channels[0].min, high = channels[0].max;
  double mean = 0, deviation = 0;
  bool constant = true;
  for (const InputStatistics::Channel& c : channels) {
    low = std::min(low, c.min);
    high = std::max(high, c.max);
    mean += c.mean / static_cast<double>(channels.size());
    deviation += c.deviation / static_cast<double>(channels.size());
    constant &= c.deviation < 1e-6;
  }
  const std::string seen = "the network's input has " + to_text(statistics);
  if (constant) {
    findings.push_back(seen + ": every pixel is the same; the samples are blank, or preprocessing loses them");
  } else if (has_norm && unit_pixels && deviation < k_small_deviation) {
    findings.push_back(seen +
                       "; expected about 0 and 1 after normalisation: the pixels were scaled down twice (divided by " +
                       "255 or normalised before octet did it)");
  } else if (has_norm && unit_pixels && (std::abs(mean) > k_far_mean || deviation > k_large_deviation)) {
    findings.push_back(seen +
                       "; expected about 0 and 1 after normalisation: is the data normalised twice, or is the norm " +
                       "another network's?");
  } else if (has_norm && !unit_pixels && deviation < 2.0) {
    findings.push_back(seen + "; this norm expects pixels 0..255, these look divided by 255 already");
  } else if (!has_norm && low >= 0 && high > 2 && high <= 255.5f) {
    findings.push_back(seen +
                       ": raw pixels; if the network was trained on normalised ones, give --preprocess its norm");
  } else if (!has_norm && low >= 0 && high <= 1 && deviation > 0.05) {
    findings.push_back(seen +
                       ": pixels divided by 255 without a norm; most networks were trained with one (norm=imagenet)");
  }
  return findings;
}

}  // namespace octet
