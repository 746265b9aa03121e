#include "calibrate/channel_order.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace octet {
namespace {

constexpr int64_t k_fewest_for_chance = 50;

bool is_right(const std::vector<int64_t>& labels, std::span<const float> output) {
  const auto answer = std::max_element(output.begin(), output.end()) - output.begin();
  return std::find(labels.begin(), labels.end(), static_cast<int64_t>(answer)) != labels.end();
}

}  // namespace

ChannelOrder::ChannelOrder(int64_t samples) : most_(std::clamp<int64_t>(samples / 8, 32, 256)) {}

void ChannelOrder::count_given(int64_t sample, const std::vector<int64_t>& labels, std::span<const float> output) {
  if (labels.empty() || output.size() < 2) return;
  for (const int64_t label : labels)
    if (label < 0 || label >= static_cast<int64_t>(output.size())) return;  // these are no classes of this network
  const bool right = is_right(labels, output);
  ++labelled_;
  right_ += right;
  if (static_cast<int64_t>(judged_.size()) < most_) judged_.push_back({sample, right, false});
}

Result<Done> ChannelOrder::judge_swapped(Feed& feed, Context& context, const InputData& data, ThreadPool& pool) {
  const auto count = static_cast<int64_t>(judged_.size());
  for (int64_t first = 0; first < count; first += feed.batch()) {
    const int64_t real = std::min(feed.batch(), count - first);
    std::vector<int64_t> batch;
    for (int64_t i = 0; i < real; ++i) batch.push_back(judged_[static_cast<size_t>(first + i)].sample);
    if (Result<Done> filled = feed.fill(batch, pool); !filled) return filled;
    for (int64_t slot = 0; slot < feed.batch(); ++slot) {
      const std::span<float> planes = feed.sample(0, slot);
      const size_t plane = planes.size() / 3;
      std::swap_ranges(planes.begin(), planes.begin() + static_cast<ptrdiff_t>(plane),
                       planes.begin() + static_cast<ptrdiff_t>(2 * plane));
    }
    if (Result<Done> done = feed.run(context); !done) return done;
    for (int64_t i = 0; i < real; ++i) {
      Judged& judged = judged_[static_cast<size_t>(first + i)];
      judged.right_swapped = is_right(data.labels(judged.sample), feed.output(0, i));
    }
  }
  swapped_ = count > 0;
  return Done{};
}

void ChannelOrder::report(int64_t classes, CalibrationReport& r) const {
  r.labelled = labelled_;
  r.right = right_;
  if (labelled_ >= k_fewest_for_chance && classes > 1 && right_ * classes < 2 * labelled_)
    r.findings.push_back("the float network gets only " + std::to_string(right_) + " of " + std::to_string(labelled_) +
                         " labelled samples right, which is near chance for " + std::to_string(classes) +
                         " classes: labels and preprocessing do not fit this network");
  if (!swapped_) return;
  int64_t gained = 0, lost = 0;
  for (const Judged& j : judged_) {
    r.as_given += j.right;
    r.swapped += j.right_swapped;
    gained += j.right_swapped && !j.right;
    lost += j.right && !j.right_swapped;
  }
  r.swap_judged = static_cast<int64_t>(judged_.size());
  // Two standard deviations of the paired difference; a handful of samples proves nothing.
  if (gained - lost >= 4 && static_cast<double>(gained - lost) > 2 * std::sqrt(static_cast<double>(gained + lost)))
    r.findings.push_back("red and blue are likely swapped: of " + std::to_string(r.swap_judged) +
                         " labelled samples the network gets " + std::to_string(r.as_given) + " right as given and " +
                         std::to_string(r.swapped) +
                         " with the channels swapped; use the other one of 'rgb' and 'bgr' in --preprocess");
}

std::string ChannelOrder::to_bytes() const {
  std::string bytes(2 * sizeof(int64_t), '\0');
  std::memcpy(bytes.data(), &labelled_, sizeof labelled_);
  std::memcpy(bytes.data() + sizeof labelled_, &right_, sizeof right_);
  return bytes;
}

void ChannelOrder::join(std::string_view bytes) {
  int64_t counts[2] = {0, 0};
  if (bytes.size() != sizeof counts) return;
  std::memcpy(counts, bytes.data(), sizeof counts);
  labelled_ += counts[0];
  right_ += counts[1];
}

}  // namespace octet
