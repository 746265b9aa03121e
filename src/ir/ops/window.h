#pragma once
// Sliding windows of convolutions and pools: attributes, output extents, which taps of a window lie inside the input.
//   out = floor((in + pad_begin + pad_end - ((kernel - 1) * dilation + 1)) / stride) + 1      (ceil_mode: ceil)
// Output o reads input o * stride - pad_begin + k * dilation for k in [0, kernel). Source: ONNX Conv-11, MaxPool-12,
// AveragePool-19.

#include <array>

#include "ir/op.h"

namespace octet {

enum class AutoPad { explicit_pads, same_upper, same_lower, valid };

/// strides, pads, dilations, auto_pad and ceil_mode of a node, checked one by one; one entry per spatial axis.
struct WindowAttributes {
  std::vector<int64_t> strides, dilations, pads_begin, pads_end;
  AutoPad auto_pad = AutoPad::explicit_pads;
  bool ceil_mode = false;
};

/// One spatial axis with everything known. The default is the axis of one element that stands for a missing axis.
struct WindowAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0;
};
/// Depth, height, width; the missing leading ones are trivial.
using WindowAxes = std::array<WindowAxis, 3>;

/// Taps [begin, end) of one output that lie inside the input, and how many lie inside the padded input.
struct TapRange {
  int64_t begin = 0, end = 0, padded = 0;
};

/// Rank of x minus 2. Errors: rank below 3, or more than 3 spatial axes.
Result<size_t> spatial_rank(const NodeContext& context, size_t rank);
/// Reads the attributes. Errors: wrong length, zero or negative strides or dilations, negative pads, values of 2^31 and
/// more.
Result<WindowAttributes> window_attributes(const NodeContext& context, size_t spatial);
/// kernel_shape. Errors: wrong length, extents outside 1..2^31-1.
Result<std::vector<int64_t>> kernel_shape(const NodeContext& context, size_t spatial);
/// The axis for input extent `in`. Errors: a window larger than the padded input.
Result<WindowAxis> window_axis(const NodeContext& context, const WindowAttributes& attributes, size_t axis,
                               int64_t kernel, int64_t in);
/// The output extent, symbolic where the input's is: "same" windows of stride 1 keep a symbol.
Result<Dim> window_extent(const NodeContext& context, const WindowAttributes& attributes, size_t axis,
                          const Dim& kernel, const Dim& in);

/// Outputs [first, second) whose tap k lies inside the input.
std::pair<int64_t, int64_t> outputs_of_tap(const WindowAxis& axis, int64_t k);
/// The taps of output o.
TapRange taps_of_output(const WindowAxis& axis, int64_t o);

}  // namespace octet
