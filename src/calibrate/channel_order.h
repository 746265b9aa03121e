#pragma once
// Scores labelled pictures with red and blue as given and swapped: a network that answers better on swapped ones wants
// the other order. A few dozen samples suffice to see it, and cost little.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/calibration_report.h"
#include "calibrate/feed.h"

namespace octet {

class ChannelOrder {
 public:
  /// samples: how many calibration has; an eighth of them, 32 to 256, is judged.
  explicit ChannelOrder(int64_t samples);

  /// One sample's answer as given; without labels or outputs it counts for nothing.
  void count_given(int64_t sample, const std::vector<int64_t>& labels, std::span<const float> output);
  /// Runs the first judged samples of this process again with planes 0 and 2 swapped. f32 input [batch, 3, h, w].
  Result<Done> judge_swapped(Feed& feed, Context& context, const InputData& data, ThreadPool& pool);
  /// Counts and findings.
  void report(int64_t classes, CalibrationReport& report) const;

  /// The counts of another process; its judged samples stay there.
  std::string to_bytes() const;
  void join(std::string_view bytes);

 private:
  struct Judged {
    int64_t sample = 0;
    bool right = false, right_swapped = false;
  };
  int64_t most_ = 0, labelled_ = 0, right_ = 0;
  std::vector<Judged> judged_;
  bool swapped_ = false;
};

}  // namespace octet
