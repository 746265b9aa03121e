#include "quant/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace octet {

Result<Done> MinMaxObserver::observe(std::span<const float> x, size_t inner) {
  const size_t channels = min_.size();
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<std::pair<float, float>> seen(channels, {infinity, -infinity});
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]))
      return Error{ErrorCode::bad_argument, "element " + std::to_string(i) + " is NaN; an observer takes numbers"};
    const size_t c = i / inner % channels;
    seen[c] = {std::min(seen[c].first, x[i]), std::max(seen[c].second, x[i])};
  }
  if (x.empty()) return Done{};
  for (size_t c = 0; c < channels; ++c) {
    const auto [low, high] = seen[c];
    if (!seen_) {
      min_[c] = low;
      max_[c] = high;
    } else if (options_.moving_average) {
      min_[c] = min_[c] + options_.averaging * (low - min_[c]);
      max_[c] = max_[c] + options_.averaging * (high - max_[c]);
    } else {
      min_[c] = std::min(min_[c], low);
      max_[c] = std::max(max_[c], high);
    }
  }
  seen_ = true;
  return Done{};
}

ObservedParams MinMaxObserver::params() const {
  ObservedParams made{std::vector<float>(min_.size(), 1.0f), std::vector<int32_t>(min_.size(), 0)};
  if (!seen_) return made;
  const auto levels = static_cast<float>(options_.quant_max - options_.quant_min);
  for (size_t c = 0; c < min_.size(); ++c) {
    const float low = std::min(min_[c], 0.0f), high = std::max(max_[c], 0.0f);
    if (options_.symmetric) {
      made.scale[c] = std::max(std::max(-low, high) / (levels / 2), options_.eps);
      const bool custom = options_.quant_min != 0 || options_.quant_max != 255;
      if (options_.dtype == DType::u8)
        made.zero_point[c] = custom ? (options_.quant_min + options_.quant_max) / 2 : 128;
    } else {
      made.scale[c] = std::max((high - low) / levels, options_.eps);
      const int32_t zero = options_.quant_min - static_cast<int32_t>(std::nearbyint(low / made.scale[c]));
      made.zero_point[c] = std::clamp(zero, options_.quant_min, options_.quant_max);
    }
  }
  return made;
}

std::vector<int32_t> torch_quantize(std::span<const float> x, const ObservedParams& params, size_t inner,
                                    int32_t quant_min, int32_t quant_max) {
  std::vector<int32_t> codes;
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i / inner % params.scale.size();
    const float inverse = 1.0f / params.scale[c];
    // Clamped first: every value beyond 2^30 saturates anyway, and the conversion stays defined.
    const auto rounded = static_cast<int32_t>(std::nearbyint(std::clamp(x[i] * inverse, -0x1p30f, 0x1p30f)));
    codes.push_back(std::clamp(rounded + params.zero_point[c], quant_min, quant_max));
  }
  return codes;
}

}  // namespace octet
