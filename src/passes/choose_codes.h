#pragma once
// From a calibrated range to scale, zero point and dtype of an activation.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {

/// The range that one or several values of one scale need.
struct CodeRange {
  float lo = 0, hi = 0;  // lo <= 0 <= hi
  float amax = 0;
  bool never_negative = false;
};

/// A table row's range for one value. proven: the graph shows that the value is never negative.
CodeRange code_range(const ChosenRange& range, bool proven_never_negative);
/// What covers both.
CodeRange merged(const CodeRange& a, const CodeRange& b);

/// octet: u8 with zero point 0 and scale = hi/255 for values that are never negative; else s8 with scale = amax/127, or
/// u8 with scale = (hi - lo)/255, zero_point = rne(-lo/scale) where that step is more than 5 % smaller.
/// tensorrt: s8 with scale = amax/127. A range too small for normal scales (dead tensor) gets amax = 1.
CodeParams choose_codes(const CodeRange& range, Target target);
bool is_dead(const CodeRange& range);

/// One scale a channel, zero point 0: u8 with hi/255 for a tensor that is never negative, else s8 with the channel's
/// amax/127. A dead channel takes the median of the others.
struct ChannelParams {
  std::vector<float> scale;
  DType dtype = DType::s8;
};
ChannelParams channel_params(const ChannelRanges& ends, bool proven_never_negative);

/// By value: shown by the ops that make it to be never negative (Relu, Sigmoid, Clip from 0, and what moves, selects,
/// averages, adds or multiplies such values).
std::vector<bool> never_negative(const Graph& graph);

}  // namespace octet
