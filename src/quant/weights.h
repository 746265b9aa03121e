#pragma once
// Weights: amax per output channel by any method, and weights replaced by their quantized values. Source:
// docs/toolkit_behaviour.md, Weights. A recurrent layer's weights are matrices like any other (D33).

#include <span>
#include <string>

#include "base/result.h"
#include "quant/quantizer.h"

namespace octet {

struct WeightCalibration {
  std::string method = "percentile";  // max, entropy, percentile or mse
  bool per_channel = true;
  double percentile = 99.99;
  int num_bins = 0;  // 0 = HistogramCalibratorOptions' own; with ref_compat 2048, and 2048 always when per tensor (D34)
  NumBits num_bits = 8;
  bool is_unsigned = false;
  int64_t axis = 0;         // of the output channels; 1 for transposed convolutions
  bool ref_compat = false;  // NumPy's histogram for each channel; max needs per_channel, entropy is refused (D34)
};

/// amax of one weight, [1,..,C,..,1] per channel or [] per tensor. A channel of zeros: 0 by every method (ref_compat:
/// what the toolkit's edges say, or its error).
Result<Tensor> weight_amax(const Tensor& weight, const WeightCalibration& options = {});

/// A weight and the quantizer that belongs to it, by name as in a state: "conv1._weight_quantizer".
struct WeightSlot {
  std::string name;
  TensorView weight;  // f32
  TensorQuantizer* quantizer = nullptr;
};

/// weight_amax for each slot with its quantizer's bits, sign and axis (none: 0), stored in the quantizer.
Result<Done> calibrate_weights(std::span<const WeightSlot> slots, WeightCalibration options = {});
/// weight := quantizer(weight). A real quantizer is an error: codes are no weights. Quantizing again changes nothing
/// while amax stays.
Result<Done> quantize_weights_in_place(std::span<const WeightSlot> slots);

}  // namespace octet
