#pragma once
// What the samples look like when they enter the network, channel by channel, and what looks wrong about it. Sums are
// exact integers (multiples of 2^-24 and 2^-20), so that they depend neither on the order nor on who summed.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace octet {

class InputStatistics {
 public:
  /// Sample by sample: dims [batch, C, ...] with C <= 4 are C channels, everything else is one. f32.
  void add(const TensorView& view, int64_t samples);
  void merge(const InputStatistics& other);

  struct Channel {
    double mean = 0, deviation = 0;
    float min = 0, max = 0;
  };
  std::vector<Channel> channels() const;
  bool is_picture() const { return is_picture_; }  // rank 4 with 1, 3 or 4 channels

  std::string to_bytes() const;
  static std::optional<InputStatistics> from_bytes(std::string_view bytes);

 private:
  __extension__ using Wide = __int128;
  struct Sums {
    uint64_t count = 0;
    Wide values = 0, squares = 0;
    float min = 0, max = 0;
  };
  std::vector<Sums> sums_;
  bool is_picture_ = false;
};

/// "mean [-0.02, 0.01, 0.03] std [0.98, 1.02, 1.01], from -2.12 to 2.64".
std::string to_text(const InputStatistics& statistics);

/// Findings about pictures, each a sentence that says what was seen, what was expected and what to check; empty when
/// all looks well. has_norm: the preprocessing ends in a normalization to mean 0 and deviation 1; unit_pixels: ... of
/// pixels divided by 255 (caffe_bgr's are not).
std::vector<std::string> input_findings(const InputStatistics& statistics, bool has_norm, bool unit_pixels);

}  // namespace octet
