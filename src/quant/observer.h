#pragma once
// PyTorch's observers and its quantize function, to the last bit: what an eager-mode export was made with. They are not
// octet's calibrators: a symmetric scale divides by 127.5, values are multiplied by 1/scale.
// Source: torch/ao/quantization/observer.py of PyTorch 2.4.1; docs/toolkit_behaviour.md has the formulas.

#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"

namespace octet {

struct ObserverOptions {
  bool symmetric = true;    // per_*_symmetric, else per_*_affine
  DType dtype = DType::s8;  // qint8 = s8, quint8 = u8
  int32_t quant_min = -128, quant_max = 127;
  float eps = 0x1p-23f;         // the smallest scale; the eager-mode example has 2^-12
  bool moving_average = false;  // MovingAverageMinMaxObserver: m += 0.01 * (x - m)
  float averaging = 0.01f;
};

struct ObservedParams {
  std::vector<float> scale;  // one for each channel
  std::vector<int32_t> zero_point;
  bool operator==(const ObservedParams&) const = default;
};

/// MinMaxObserver (one channel), PerChannelMinMaxObserver, MovingAverageMinMaxObserver.
class MinMaxObserver {
 public:
  MinMaxObserver(const ObserverOptions& options, size_t channels = 1)
      : options_(options), min_(channels), max_(channels) {}
  /// A batch; element i belongs to channel i / inner % channels. Errors: a NaN, named by its index.
  Result<Done> observe(std::span<const float> x, size_t inner = 1);
  /// Before any data: scale 1 and zero point 0.
  ObservedParams params() const;
  const std::vector<float>& min() const { return min_; }
  const std::vector<float>& max() const { return max_; }

 private:
  ObserverOptions options_;
  bool seen_ = false;
  std::vector<float> min_, max_;
};

/// q = clamp(rint(f32(x * f32(1 / scale))) + zero_point, quant_min, quant_max), channel of i as for observe().
std::vector<int32_t> torch_quantize(std::span<const float> x, const ObservedParams& params, size_t inner,
                                    int32_t quant_min, int32_t quant_max);

}  // namespace octet
